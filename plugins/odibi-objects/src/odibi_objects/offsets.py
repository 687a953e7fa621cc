"""How far streams were consumed: moved by the object that ends a run, and by nothing else.

A run that moves offsets first says so, in an object of the folder ``ending``; then it ends, which moves them; then what
it moved is copied to an object for each stream, and the first one is removed. Whoever asks looks into ``ending``, which
is empty nearly always, and follows what is there to the ends of the runs; so an offset is there once its run has ended,
whatever became of the process after that.
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any

import attrs

from odibi_objects import documents
from odibi_objects.names import backwards, below, forwards, key_of

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping

    from odibi.contracts.storage import Storage
    from odibi_objects.clock import Stamps
    from odibi_objects.runlogs import RunLogs

_log = logging.getLogger("odibi.checkpoint")


@attrs.frozen(order=True)
class Offset:
    """An offset as a run left it; the greater one is the newer.

    Attributes:
        stamp: under which the run ended.
        run_id: the run.
        value: how far.
    """

    stamp: int
    run_id: str
    value: Any = attrs.field(order=False)


class Offsets:
    """The offsets of all streams.

    Args:
        storage, prefix: where they are.
        logs: knows how runs ended.
        stamps: of the store.
    """

    def __init__(self, storage: Storage, prefix: str, logs: RunLogs, stamps: Stamps) -> None:
        self._storage = storage
        self._ending = below(prefix, "ending")
        self._streams = below(prefix, "streams")
        self._logs = logs
        self._stamps = stamps

    def current(self, streams: Collection[str]) -> dict[str, Offset]:
        """Those of some streams. One request, and one for each stream.

        Raises:
            Damaged: what is kept of a stream is.
        """
        # In this order: what has been copied to its stream by the time it is looked for here will be found there.
        found: dict[str, Offset] = {}
        for run_id, offsets in self._promised():
            wanted = {stream for stream in streams if stream in offsets}
            end = self._logs.end(run_id) if wanted else None
            for stream in wanted:
                if end is not None and stream in end["offsets"]:
                    _newer(found, stream, Offset(end["stamp"], run_id, end["offsets"][stream]))
        for stream in streams:
            kept = documents.read(self._storage, self._path(stream), "offset")
            if kept is not None:
                _newer(found, stream, Offset(kept["stamp"], kept["run"], kept["value"]))
        for offset in found.values():
            self._stamps.see(offset.stamp)
        return found

    def promise(self, run_id: str, offsets: Mapping[str, Any]) -> None:
        """Say that a run is about to move these, should it come to its end."""
        body = documents.encode("ending", {"run": run_id, "offsets": offsets})
        self._storage.write(f"{self._ending}/{backwards(run_id)}", body)

    def settle(self, run_id: str, end: Mapping[str, Any]) -> None:
        """Copy what the end of a run moved to its streams."""
        for stream, value in end["offsets"].items():
            mine = Offset(end["stamp"], run_id, value)

            def newer(kept: dict[str, Any] | None, stream: str = stream, mine: Offset = mine) -> dict[str, Any] | None:
                if kept is not None and Offset(kept["stamp"], kept["run"], None) >= mine:
                    return None
                return {"stream": stream, "stamp": mine.stamp, "run": mine.run_id, "value": mine.value}

            documents.change(self._storage, self._path(stream), "offset", newer)

    def withdraw(self, run_id: str) -> None:
        """What was promised is kept, or never will be."""
        self._storage.delete(f"{self._ending}/{backwards(run_id)}")

    def _promised(self) -> Iterator[tuple[str, Collection[str]]]:
        for stat in self._storage.list(self._ending):
            run_id = forwards(stat.path[len(self._ending) + 1 :])
            if run_id is None:
                continue
            try:
                promise = documents.read(self._storage, stat.path, "ending")
            except documents.Damaged as error:
                _log.warning("what run %s was about to consume is damaged; its end is looked at: %s", run_id, error)
                end = self._logs.end(run_id)
                promise = None if end is None else {"offsets": end["offsets"]}
            if promise is not None:
                yield run_id, promise["offsets"]

    def _path(self, stream: str) -> str:
        return f"{self._streams}/{key_of(stream)}"


def _newer(found: dict[str, Offset], stream: str, offset: Offset) -> None:
    if stream not in found or found[stream] < offset:
        found[stream] = offset
