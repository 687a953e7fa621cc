"""What all checks of a project share: where problems go, and what the host knows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from odibi.contracts.capability import CAPABILITIES, Level
from odibi.contracts.secret import Secret
from odibi.contracts.storage import check_path
from odibi.described import described_problems, fields_of
from odibi.errors import ComponentNotFound, InvalidPath, PluginError, Problem
from odibi.formats import format_of
from odibi.model import Retry
from odibi.references import references, resolve
from odibi.structure import did_you_mean, option_fields, option_problems

if TYPE_CHECKING:
    from odibi.config.load import Loaded
    from odibi.config.tree import Path
    from odibi.host import Host

LEVELS = ("DEBUG", "INFO", "WARNING", "ERROR")

_NOT_YET_KNOWN = Secret("a secret that is not looked up yet")


class Checker:
    """Collects the problems of one project.

    Attributes:
        problems: so far.
    """

    def __init__(self, loaded: Loaded, host: Host) -> None:
        self.loaded = loaded
        self.project = loaded.project
        self.host = host
        self.problems: list[Problem] = []
        self._missing: dict[tuple[str, str | None, str], ComponentNotFound | None] = {}
        self._formats: dict[tuple[str, str], str | None] = {}

    def say(self, what: str, path: Path, remedy: str = "", *, key: bool = False) -> None:
        """Note a problem at a path into the project."""
        self.problems.append(Problem(what, self.loaded.positions(*path, key=key), remedy))

    def component(
        self,
        family: str,
        name: str,
        options: Mapping[str, Any],
        at: Path,
        options_at: Path,
        *,
        engine: str | None = None,
        purpose: str | None = None,
    ) -> bool:
        """Check that a component is there and takes its options.

        Args:
            family: its family.
            name: as the project gives it.
            options: as the project gives them.
            at: where the name stands.
            options_at: where the options stand.
            engine: for formats and operations, whose.
            purpose: for formats, ``"read"`` or ``"write"``.

        Returns:
            Whether it is there.

        Raises:
            PluginError: it is there but broken, or two plugins claim it.
        """
        error = self._find(family, name, engine)
        if error is not None:
            self.say(error.what, at, error.remedy)
            return False
        full = self.host.resolve(family, engine, name)
        known = self._known(options, options_at)
        described = self.host.description(family, full)
        fields = fields_of(described) if described else option_fields(self.host.component(family, full))
        for field in fields:
            if field.connection and isinstance(options.get(field.key), str):
                self.connection(options[field.key], (*options_at, field.key))
        troubles = described_problems(described, known, purpose=purpose) if described else None
        if troubles is None:
            cls = self.host.component(family, full)
            troubles = option_problems(cls, known, purpose=purpose, base_dir=self.project.root)
        for path, what, remedy in troubles:
            # The value of a secret is not known here, so what a validator says of it means nothing.
            if not path or not references(options.get(str(path[0]))):
                where = self.loaded.positions.of_problem((*options_at, *path), what)
                self.problems.append(Problem(what, where, remedy))
        return True

    def _find(self, family: str, name: str, engine: str | None) -> ComponentNotFound | None:
        key = (family, engine, name)
        if key not in self._missing:
            self._missing[key] = None
            try:
                self.host.resolve(family, engine, name)
            except ComponentNotFound as error:
                self._missing[key] = error
        return self._missing[key]

    def _known(self, options: Mapping[str, Any], at: Path) -> Any:
        for key, value in options.items():
            for ref in references(value):
                if ref.store not in self.project.secrets:
                    remedy = did_you_mean(ref.store, self.project.secrets) or "Add it under 'secrets'."
                    self.say(f"there is no secret store {ref.store!r}", (*at, key), remedy)
        return resolve(options, lambda _store, _name: _NOT_YET_KNOWN)

    def connection(self, name: str, at: Path) -> None:
        """Check that a connection is there."""
        if name not in self.project.connections:
            remedy = did_you_mean(name, self.project.connections) or "Add it under 'connections'."
            self.say(f"there is no connection {name!r}", at, remedy)

    def able(
        self, family: str, name: str, capability: str, at: Path, remedy: str, *, engine: str | None = None
    ) -> None:
        """Check that a component has not declared that it cannot do something.

        Args:
            family, name, engine: as for :meth:`component`; one that is not there is passed over.
            capability: what is asked of it, from :data:`odibi.contracts.CAPABILITIES`.
            at: where that is asked.
            remedy: what to do if it cannot.
        """
        try:
            full = self.host.resolve(family, engine, name)
            found = self.host.capability(family, full, capability)
        except (PluginError, ValueError):  # said where the component stands, or by the kit to its author
            return
        if found.level is Level.NONE:
            about = CAPABILITIES[family][capability][1]
            note = f" ({found.note})" if found.note else ""
            self.say(f"the {family} {name!r} declares that this does not hold of it: {about}{note}", at, remedy)

    def has(self, family: str, name: str, capability: str, *, engine: str | None = None) -> bool:
        """Whether a component declares that it can do something; one that is not there, or broken, does not."""
        try:
            return self.host.capability(family, self.host.resolve(family, engine, name), capability).is_there
        except (PluginError, ValueError):
            return False

    def path(self, path: str, at: Path) -> None:
        """Check that a path stays below its connection's base."""
        try:
            check_path(path)
        except InvalidPath as error:
            self.say(error.what, at, error.remedy)

    def format(
        self, name: str | None, path: str | None, options: Mapping[str, Any], engine: str, at: Path, purpose: str
    ) -> None:
        """Check the format of a read or a write, given or told by the path's ending, and its options."""
        if name is not None:
            self.component("format", name, options, (*at, "format"), (*at, "options"), engine=engine, purpose=purpose)
            self.able("format", name, purpose, (*at, "format"), "Use another format.", engine=engine)
            return
        if path is None:
            self.say("the format is not given", at, "Give 'format'.")
            return
        key = (path.rpartition("/")[2], engine)
        if key not in self._formats:
            self._formats[key] = format_of(self.host, path, engine)
        found = self._formats[key]
        if found is None:
            self.say(f"the format of {path!r} does not show in its name", (*at, "path"), "Give 'format'.")
        else:
            self.component("format", found, options, (*at, "path"), (*at, "options"), engine=engine, purpose=purpose)
            self.able("format", found, purpose, (*at, "path"), "Use another format.", engine=engine)

    def retry(self, retry: Retry | None, at: Path) -> None:
        """Check that a retry's numbers make sense."""
        if retry is None:
            return
        if not 1 <= retry.max_attempts <= 100:
            self.say(f"max_attempts is {retry.max_attempts}", (*at, "max_attempts"), "Give 1 to 100; 1 means no retry.")
        for key, value in (("delay", retry.delay), ("max_delay", retry.max_delay)):
            if not 0 <= value <= 86400:
                self.say(f"{key} is {value:g} seconds", (*at, key), "Give 0 to 86400.")
        if not 0 <= retry.jitter <= 1:
            self.say(f"jitter is {retry.jitter:g}", (*at, "jitter"), "Give a share between 0 and 1.")

    def timeout(self, timeout: float | None, at: Path) -> None:
        """Check that a timeout is a time."""
        if timeout is not None and not 0 < timeout < float("inf"):
            self.say(f"timeout is {timeout:g} seconds", (*at, "timeout"), "Give a number above 0, or leave it out.")

    def level(self, level: str | None, at: Path) -> None:
        """Check the name of a log level."""
        if level is not None and level.upper() not in LEVELS:
            remedy = did_you_mean(level.upper(), LEVELS)
            self.say(f"there is no log level {level!r}", at, remedy)
