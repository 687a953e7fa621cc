"""The parts of a source as they were at one moment, while others replace them.

A part is found by a listing and opened by its path, and in between the folder may have been replaced. The parts go
together if a second listing, made when they are open, says the same as the first: etags never come back, so each part
was there all the time between the two, and one that was replaced can be read to its end all the same.
"""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from odibi.contracts.finding import Part, parts_of
from odibi.contracts.storage import check_path
from odibi.errors import Conflict, NotFound, Transient

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import BinaryIO

    from odibi.contracts.format import Source

_OPEN = 32
"""How many parts are opened at once; nodes that run side by side share what the system allows one process."""

_TRIES = 20


class Changed(Transient):
    """The parts that were found are no longer those that are there."""


class Snapshot:
    """The parts of a source; made by :func:`snapshot`.

    Attributes:
        parts: in the order of their paths.
    """

    def __init__(self, source: Source, parts: list[Part]) -> None:
        self.parts = parts
        self._source = source
        self._opened = ExitStack()
        self._files: dict[str, BinaryIO] = {}

    def hold(self, *, partitioned: bool) -> None:
        """Open the first parts, and make sure that all go together.

        Raises:
            Changed: they do not.
            Conflict: they do not, and the source wants these and no others.
        """
        single = self._source.only is None and [part.path for part in self.parts] == [
            check_path(self._source.path or "")
        ]
        try:
            for part in self.parts[:_OPEN]:
                self._files[part.path] = self._opened.enter_context(self._source.storage.open(part.path))
            # An object is whole by itself, unless one version of it is wanted.
            if single or parts_of(self._source, partitioned=partitioned) == self.parts:
                return
        except NotFound:
            pass
        raise _changed(self._source)

    @contextmanager
    def open(self, part: Part) -> Iterator[BinaryIO]:
        """The part as a file at its start.

        Raises:
            Changed: it is no longer the one that was found.
            Conflict: so it is, and the source wants this one and no other.
        """
        file = self._files.get(part.path)
        if file is not None and not file.closed:
            file.seek(0)
            yield file
            return
        try:
            later = self._source.storage.open(part.path)
        except NotFound:
            raise _changed(self._source) from None
        with later:
            try:
                there = self._source.storage.stat(part.path).etag
            except NotFound:
                there = ""
            if there != part.etag:
                raise _changed(self._source)
            yield later

    def close(self) -> None:
        """Close all parts."""
        self._opened.close()


@contextmanager
def snapshot(source: Source, *, partitioned: bool) -> Iterator[Snapshot]:
    """The parts of ``source`` as they are now, open for the time of the ``with`` block.

    Args:
        source: with a path.
        partitioned: whether folders such as ``year=2013`` are columns.

    Raises:
        NotFound: there is none.
        Changed: they were replaced again and again before they could be opened.
        Conflict: the source wants certain versions of them, and one of these is not there any more.
    """
    for attempt in range(1, _TRIES + 1):
        found = Snapshot(source, parts_of(source, partitioned=partitioned))
        try:
            try:
                found.hold(partitioned=partitioned)
            except Changed:
                if attempt == _TRIES:
                    raise
                continue
            yield found
            return
        finally:
            found.close()


def _changed(source: Source) -> Changed | Conflict:
    if source.only is not None:
        # To look again would find others, which are not meant.
        return Conflict(
            "files of the batch were replaced while they were read",
            where=str(source),
            remedy="The batch cannot be read any more; what is there now comes in a later one, if the trigger sees it.",
        )
    return Changed(
        "the parts were replaced while they were read", where=str(source), remedy="Try again when nobody writes there."
    )
