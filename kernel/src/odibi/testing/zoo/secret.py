"""Secret stores with one defect each."""

# ruff: noqa: D102 - what is wrong stands in the class's docstring, and what the methods do in the contract

from __future__ import annotations

import logging
import os
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar

import attrs
import pytest

from odibi.contracts.secret import Secret
from odibi.errors import AccessDenied, NotFound, StorageError, Transient
from odibi.testing.reference.secret import FolderSecrets
from odibi.testing.secret import SecretSuite
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Iterator


class FolderSecretsSuite(SecretSuite):
    """The suite on a folder of secrets."""

    component = FolderSecrets
    patience = 5.0

    def options(self, place: Path) -> dict[str, Any]:
        return {"folder": str(place), "timeout": 0.2}

    def plant(self, place: Path, name: str, value: str) -> None:
        (place / name).write_text(value, encoding="utf-8", newline="")

    def remove(self, place: Path, name: str) -> None:
        (place / name).unlink()

    def deny(self, place: Path, name: str) -> None:
        # Rights do not bind whoever runs the tests as root; a link to elsewhere may be followed by nobody.
        outside = place.parent / f"outside-{name}"
        (place / name).rename(outside)
        (place / name).symlink_to(outside)

    @contextmanager
    def disconnected(self, place: Path, name: str) -> Iterator[None]:
        if not hasattr(os, "mkfifo"):
            pytest.skip("there are no named pipes on this system")
        (place / name).unlink()
        os.mkfifo(place / name)
        try:
            yield
        finally:
            # Lets go of a reader that waits for ever.
            os.close(os.open(place / name, os.O_RDWR | os.O_NONBLOCK))
            (place / name).unlink()


zoo = Zoo(FolderSecretsSuite)


@zoo.defect
class MissingIsEmpty(FolderSecrets):
    """A secret that is not there is an empty one."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound:
            return Secret("")


@zoo.defect
class MissingIsNone(FolderSecrets):
    """A secret that is not there is ``None``."""

    def get(self, name: str) -> Any:
        try:
            return super().get(name)
        except NotFound:
            return None


@zoo.defect
class MissingIsTheSystemsError(FolderSecrets):
    """For a secret that is not there, the error of the file system comes out."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound:
            raise FileNotFoundError(name) from None


@zoo.defect
class DoesNotNameIt(FolderSecrets):
    """The error does not say which secret is missing."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound:
            raise NotFound("the secret does not exist") from None


@zoo.defect
class TellsWhatThereIs(FolderSecrets):
    """The error for a missing secret lists all there are, values included."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound as error:
            there = {each.name: each.read_text() for each in Path(self.folder).iterdir()}
            error.remedy = f"There are: {there}."
            raise


@zoo.defect
class ChainsTheAnswer(FolderSecrets):
    """The error for a missing secret is chained to one that holds the server's whole answer."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound as error:
            answer = {each.name: each.read_text() for each in Path(self.folder).iterdir()}
            raise error from LookupError(f"{name} is not in {answer}")


@zoo.defect
class Strips(FolderSecrets):
    """White space around a value is taken off."""

    def get(self, name: str) -> Secret:
        return Secret(super().get(name).reveal().strip())


@zoo.defect
class CutsLastNewline(FolderSecrets):
    """A newline at the end of a value is taken for an accident."""

    def get(self, name: str) -> Secret:
        return Secret(super().get(name).reveal().removesuffix("\n"))


@zoo.defect
class FirstLineAlone(FolderSecrets):
    """A value ends at its first newline."""

    def get(self, name: str) -> Secret:
        return Secret(super().get(name).reveal().split("\n")[0])


@zoo.defect
class TranslatesNewlines(FolderSecrets):
    """A value is read in text mode, which makes one of the three kinds of newlines."""

    def get(self, name: str) -> Secret:
        return Secret(super().get(name).reveal().replace("\r\n", "\n").replace("\r", "\n"))


@zoo.defect
class ReadsLatin(FolderSecrets):
    """A value is decoded as Latin-1."""

    def get(self, name: str) -> Secret:
        return Secret(super().get(name).reveal().encode().decode("latin-1"))


@zoo.defect
class ExpandsVariables(FolderSecrets):
    """Variables in a value are expanded."""

    def get(self, name: str) -> Secret:
        return Secret(os.path.expandvars(super().get(name).reveal()))


@zoo.defect
class ShortBuffer(FolderSecrets):
    """A value is cut after 4096 characters."""

    def get(self, name: str) -> Secret:
        return Secret(super().get(name).reveal()[:4096])


@zoo.defect
class EmptyIsMissing(FolderSecrets):
    """An empty value is taken for none."""

    def get(self, name: str) -> Secret:
        found = super().get(name)
        if not found:
            raise NotFound(f"there is no secret {name!r}")
        return found


@zoo.defect
class GivesText(FolderSecrets):
    """It gives the value itself."""

    def get(self, name: str) -> Any:
        return super().get(name).reveal()


class _Open(Secret):
    def __repr__(self) -> str:
        return f"Secret({self.reveal()!r})"


@zoo.defect
class GivesSecretsThatShow(FolderSecrets):
    """Its secrets show their value in their ``repr``."""

    def get(self, name: str) -> Secret:
        return _Open(super().get(name).reveal())


class _Travelling(Secret):
    def __reduce__(self) -> Any:
        return (_Travelling, (self.reveal(),))


@zoo.defect
class GivesSecretsThatTravel(FolderSecrets):
    """Its secrets can be pickled."""

    def get(self, name: str) -> Secret:
        return _Travelling(super().get(name).reveal())


@zoo.defect
@attrs.define(eq=False)
class RemembersValues(FolderSecrets):
    """What was looked up once is never looked up again."""

    _known: dict[str, Secret] = attrs.field(factory=dict, init=False, repr=False)

    def get(self, name: str) -> Secret:
        if name not in self._known:
            self._known[name] = super().get(name)
        return self._known[name]


@zoo.defect
@attrs.define(eq=False)
class RemembersMissing(FolderSecrets):
    """What was missing once is missing for good."""

    _missing: set[str] = attrs.field(factory=set, init=False, repr=False)

    def get(self, name: str) -> Secret:
        if name in self._missing:
            raise NotFound(f"there is no secret {name!r}")
        try:
            return super().get(name)
        except NotFound:
            self._missing.add(name)
            raise


@zoo.defect
@attrs.define(eq=False)
class ShowsTheLast(FolderSecrets):
    """Its ``repr`` shows the value that it gave last."""

    last: str = attrs.field(default="", init=False)

    def get(self, name: str) -> Secret:
        found = super().get(name)
        self.last = found.reveal()
        return found


@zoo.defect
@attrs.define(eq=False)
class SharesItsBuffer(FolderSecrets):
    """Two threads that ask at once use one buffer."""

    _name: str = attrs.field(default="", init=False, repr=False)

    def get(self, name: str) -> Secret:
        self._name = name
        time.sleep(0.0005)  # as a request takes
        return super().get(self._name)


@zoo.defect
class LogsTheAnswer(FolderSecrets):
    """What comes back is logged, for debugging."""

    def get(self, name: str) -> Secret:
        found = super().get(name)
        logging.getLogger("secrets.http").debug("response: %s", {"name": name, "value": found.reveal()})
        return found


@zoo.defect
class PrintsTheAnswer(FolderSecrets):
    """What comes back is printed, for debugging."""

    def get(self, name: str) -> Secret:
        found = super().get(name)
        print("got", name)
        return found


@zoo.defect
class ExportsIt(FolderSecrets):
    """A value is put into the environment, for libraries that look there."""

    def get(self, name: str) -> Secret:
        found = super().get(name)
        if "\0" not in found.reveal():
            os.environ[name.upper()] = found.reveal()
        return found


@zoo.defect
class KeepsACopy(FolderSecrets):
    """Values are kept in a file, to save the service a call."""

    def get(self, name: str) -> Secret:
        found = super().get(name)
        Path(self.folder, f".{name}.cached").write_text(found.reveal(), encoding="utf-8")
        return found


@zoo.defect
class JoinsPaths(FolderSecrets):
    """The name is joined to the folder without a look at it, so that it can lead anywhere."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except StorageError:
            if (Path(self.folder) / name).is_file():
                return Secret((Path(self.folder) / name).read_text())
            raise


@zoo.defect
class TakesPatterns(FolderSecrets):
    """A name is a pattern, and the first file that matches is the secret."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound:
            found = sorted(Path(self.folder).glob(name))
            if not found:
                raise
            return super().get(found[0].name)


@zoo.defect
class TakesPrefixes(FolderSecrets):
    """The beginning of a name is enough."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except NotFound:
            for each in Path(self.folder).iterdir():
                if each.name.startswith(name):
                    return super().get(each.name)
            raise


@zoo.defect
class NulIsTheSystemsError(FolderSecrets):
    """A name with a NUL gets as far as the system, whose error comes out."""

    def _checked(self, name: str) -> str:
        return name if "\0" in name else super()._checked(name)


@zoo.defect
class LongNameIsTheSystemsError(FolderSecrets):
    """A name that is too long is an error of the file system."""

    def get(self, name: str) -> Secret:
        if len(name) > 255:
            raise OSError(36, "File name too long", name)
        return super().get(name)


@zoo.defect
class DeniedIsMissing(FolderSecrets):
    """Missing rights look like a missing secret."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except AccessDenied:
            raise NotFound(f"there is no secret {name!r}") from None


@zoo.defect
class DeniedIsTransient(FolderSecrets):
    """Missing rights ask to be tried again, and again."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except AccessDenied as error:
            raise Transient(str(error)) from None


@zoo.defect
class WaitsForEver(FolderSecrets):
    """It has no timeout."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except Transient:
            threading.Event().wait()
            raise


@zoo.defect
class TimeoutIsMissing(FolderSecrets):
    """A source that does not answer looks like a missing secret."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except Transient:
            raise NotFound(f"there is no secret {name!r}") from None


@zoo.defect
class TimeoutIsTheSystemsError(FolderSecrets):
    """The error of whatever timed out comes out."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except Transient as error:
            raise TimeoutError(str(error)) from None


@zoo.defect
class TimeoutGivesTheOldValue(FolderSecrets):
    """When the source does not answer, an empty value is given."""

    def get(self, name: str) -> Secret:
        try:
            return super().get(name)
        except Transient:
            return Secret("")


@zoo.defect
@attrs.define(eq=False)
class StaysDown(FolderSecrets):
    """After one timeout it never tries again."""

    _down: bool = attrs.field(default=False, init=False, repr=False)

    def get(self, name: str) -> Secret:
        if self._down:
            raise Transient("the source does not answer")
        try:
            return super().get(name)
        except Transient:
            self._down = True
            raise


@zoo.defect
class OneConnectionForAll(FolderSecrets):
    """All its handles share a connection, which the first that is closed closes."""

    closed: ClassVar[set[str]] = set()

    def get(self, name: str) -> Secret:
        if self.folder in self.closed:
            raise StorageError("the connection is closed")
        return super().get(name)

    def close(self) -> None:
        self.closed.add(self.folder)


@zoo.defect
@attrs.define(eq=False)
class FallsOverOnceClosed(FolderSecrets):
    """When it is asked after it was closed, it trips over what is no longer there."""

    _session: Any = attrs.field(factory=dict, init=False, repr=False)

    def get(self, name: str) -> Secret:
        self._session.get(name)
        return super().get(name)

    def close(self) -> None:
        self._session = None
