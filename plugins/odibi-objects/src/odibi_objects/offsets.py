"""How far streams were consumed: moved by one object, which ends a run or is a move by itself, and by nothing else.

A run that moves offsets first says so, in an object of the folder ``ending``; then it ends, which moves them. A move
outside of a run is an object of that folder: under a lock it is first written as one that is about to happen, then it
is looked whether the lock is still ours, and then the object is changed to one that has happened. Whoever takes the
lock next changes what it finds about to happen to what never will, so that of the two one wins.

What was moved is then copied to an object for each stream, and the one in ``ending`` removed. Whoever asks looks into
``ending``, which is empty nearly always, and follows what is there; so an offset is there once its run has ended, or
its move has happened, whatever became of the process after that.

The object of a stream is never removed, lest somebody who was asleep meanwhile takes an old offset for a first one;
that of a stream that was forgotten says so. To find the others by their names without a look at all there are, each has
an entry in the folder ``names``, below folders for the parts of its name: a storage lists whole folders, and streams
are asked for by names up to a slash. (A folder for each letter would do for every prefix, and cost a file system a
folder for each letter.) A stream that is forgotten, and comes again, has another life with another entry; so an entry
can be removed when its life is over, whatever happens at the same time.
"""

from __future__ import annotations

import hashlib
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Any
from uuid import uuid4

import attrs

from odibi.contracts.storage import Match
from odibi.errors import NotFound, Transient
from odibi_objects import documents
from odibi_objects.names import backwards, below, folder_of, forwards, key_of, name_at, placed

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterator, Mapping

    from odibi.contracts.storage import Storage
    from odibi_objects.clock import Stamps
    from odibi_objects.crew import Crew
    from odibi_objects.runlogs import RunLogs

_log = logging.getLogger("odibi.checkpoint")

_MOVE = "move."
"""Begins the name of a move in the folder ``ending``, as no run's does."""

_MOVES = ("moving", "moved", "refused")
_TRIES = 200
"""How often all offsets are looked at again because some were moved meanwhile."""


@attrs.frozen(order=True)
class Offset:
    """An offset as a run or a move left it; the greater one is the newer.

    Attributes:
        stamp: under which the run ended, or the move happened.
        mover: the run's id, or the move's.
        value: how far; ``None`` if the stream was forgotten.
    """

    stamp: int
    mover: str
    value: Any = attrs.field(order=False)

    @property
    def life(self) -> str:
        """A name for the life of a stream that begins with this offset."""
        return f"{self.stamp:x}-{hashlib.sha256(self.mover.encode()).hexdigest()[:16]}"


@attrs.frozen
class Right:
    """The right to move offsets.

    Attributes:
        pipeline: the key of the one whose lock it is.
        token: of the lock.
        stands: whether the lock still stands in the storage. One request.
    """

    pipeline: str
    token: int
    stands: Callable[[], bool]


class Offsets:
    """The offsets of all streams.

    Args:
        storage, prefix: where they are.
        logs: knows how runs ended.
        stamps: of the store.
        crew: reads many objects at once.
    """

    def __init__(self, storage: Storage, prefix: str, logs: RunLogs, stamps: Stamps, crew: Crew) -> None:
        self._storage = storage
        self._ending = below(prefix, "ending")
        self._streams = below(prefix, "streams")
        self._names = below(prefix, "names")
        self._named = below(prefix, "named")
        self._all_named = False
        self._logs = logs
        self._stamps = stamps
        self._crew = crew

    # --- reading ----------------------------------------------------------------------------------------------------

    def current(self, streams: Collection[str], left: list[str] | None = None) -> dict[str, Offset]:
        """Those of some streams. One request, and one for each stream.

        Args:
            streams: their names.
            left: is given the paths of moves that have happened, and are still there.

        Raises:
            Damaged: what is kept of a stream is.
        """
        # In this order: what has been copied to its stream by the time it is looked for here will be found there.
        found = self._ended(streams.__contains__, left)
        self._add_kept(found, [self._path(stream) for stream in streams])
        return {stream: offset for stream, offset in found.items() if stream in streams}

    def beginning_with(self, prefix: str) -> dict[str, Offset]:
        """Those of all streams whose names begin so, without those that were forgotten, as of one instant.

        Two requests, and one for each stream; and the same again, to see that none was moved meanwhile (the "double
        collect" of Afek et al., "Atomic snapshots of shared memory", 1993).

        Raises:
            Damaged: what is kept of a stream is.
            Transient: others kept moving them.
        """
        self._name_all()
        before: dict[str, Offset] | None = None
        for _ in range(_TRIES):
            found = self._ended(lambda stream: stream.startswith(prefix))
            paths = {self._path(stream) for stream in found} | set(self._below(prefix))
            self._add_kept(found, sorted(paths))
            if not found or found == before:
                here = sorted(stream for stream in found if stream.startswith(prefix))
                return {stream: found[stream] for stream in here if found[stream].value is not None}
            before = found
        raise Transient("others kept moving these offsets", where=self._streams, remedy="Try again.")

    def _add_kept(self, found: dict[str, Offset], paths: Collection[str]) -> None:
        """Add what is kept in the objects of streams, as far as it is newer."""
        for kept in self._crew.map(lambda path: documents.read(self._storage, path, "offset"), paths):
            if kept is not None:
                _newer(found, kept["stream"], _kept(kept))
        for offset in found.values():
            self._stamps.see(offset.stamp)

    def _ended(self, wanted: Callable[[str], bool], left: list[str] | None = None) -> dict[str, Offset]:
        """What was moved of streams that are wanted, and may not have been copied to them yet."""
        found: dict[str, Offset] = {}
        for stat in self._storage.list(self._ending):
            name = stat.path[len(self._ending) + 1 :]
            end: Mapping[str, Any] | None
            if name.startswith(_MOVE):
                mover, end = name, self._move(stat.path)
                if end is None or end["kind"] != "moved":
                    continue
                if left is not None:
                    left.append(stat.path)
            else:
                run_id = forwards(name)
                end = None if run_id is None else self._end(run_id, stat.path, wanted)
                if run_id is None or end is None:
                    continue
                mover = run_id
            for stream, value in end["offsets"].items():
                if wanted(stream):
                    _newer(found, stream, Offset(end["stamp"], mover, value))
        return found

    def _end(self, run_id: str, path: str, wanted: Callable[[str], bool]) -> Mapping[str, Any] | None:
        """What ended a run, if it has promised to move one of the streams."""
        try:
            promise = documents.read(self._storage, path, "ending")
        except documents.Damaged as error:
            _log.warning("what run %s was about to consume is damaged; its end is looked at: %s", run_id, error)
            return self._logs.end(run_id)
        return self._logs.end(run_id) if promise is not None and any(map(wanted, promise["offsets"])) else None

    def _move(self, path: str) -> dict[str, Any] | None:
        try:
            return documents.read(self._storage, path, *_MOVES)
        except documents.Damaged as error:
            _log.warning("a move of offsets is damaged, and is left out: %s", error)
            return None

    # --- runs -------------------------------------------------------------------------------------------------------

    def promise(self, run_id: str, offsets: Mapping[str, Any]) -> None:
        """Say that a run is about to move these, should it come to its end."""
        body = documents.encode("ending", {"run": run_id, "offsets": offsets})
        self._storage.write(f"{self._ending}/{backwards(run_id)}", body)

    def withdraw(self, run_id: str) -> None:
        """What was promised is kept, or never will be."""
        self._storage.delete(f"{self._ending}/{backwards(run_id)}")

    def settle(self, mover: str, end: Mapping[str, Any]) -> None:
        """Copy what the end of a run, or a move, moved to its streams; doing it again changes nothing."""

        def settle(stream: str) -> None:
            self._settle(stream, Offset(end["stamp"], mover, end["offsets"][stream]))

        self._crew.do(settle, end["offsets"])

    # --- moves ------------------------------------------------------------------------------------------------------

    def move(self, offsets: Mapping[str, Any], right: Right | None) -> Callable[[], None] | None:
        """Move offsets outside of a run; ``None`` if the right to do so was lost, and nothing was moved.

        It has happened when this returns what is left to do: to copy the offsets to their streams.

        Raises:
            StorageError: the storage fails; it may have happened all the same.
        """
        left: list[str] = []
        self.current(offsets, left)  # so that what happens now happens after them
        mover = f"{_MOVE}{uuid4().hex}"
        path = f"{self._ending}/{mover}"
        said: dict[str, Any] = {"offsets": offsets, "nonce": mover}
        if right is None:
            end = {**said, "stamp": self._stamps.take()}
            self._storage.write(path, documents.encode("moved", end))
            return lambda: self._finish_all(left, path, end)
        said.update(pipeline=right.pipeline, token=right.token)
        etag = self._storage.write(path, documents.encode("moving", said)).etag
        if right.stands():
            end = {**said, "stamp": self._stamps.take()}
            if documents.swap(self._storage, path, documents.encode("moved", end), Match(etag)) is not None:
                return lambda: self._finish_all(left, path, end)
        self._storage.delete(path)  # it has not happened, and we alone could make it
        return None

    def tidy(self, pipeline: str, token: int) -> None:
        """Do what is left of moves whose process died, or is about to do it. One request if there are none.

        Args:
            pipeline: the key of one whose lock is held here; what earlier holders are about to move they never will.
            token: of the lock.
        """
        for stat in list(self._storage.list(self._ending)):
            if stat.path.startswith(f"{self._ending}/{_MOVE}"):
                self._tidy(stat.path, pipeline, token)

    def _tidy(self, path: str, pipeline: str = "", token: int = 0) -> None:
        while True:
            try:
                etag = self._storage.stat(path).etag
            except NotFound:
                return
            move = self._move(path)
            if move is None:
                return
            if move["kind"] == "moved":
                self._finish(path, move)
                return
            if move["kind"] == "moving" and (move["pipeline"] != pipeline or move["token"] >= token):
                return
            refused = documents.encode("refused", {"nonce": uuid4().hex})
            if move["kind"] == "refused" or documents.swap(self._storage, path, refused, Match(etag)) is not None:
                self._storage.delete(path)
                return

    def _finish_all(self, left: Collection[str], path: str, end: Mapping[str, Any]) -> None:
        self._finish(path, end)
        for each in left:  # whoever moved these was killed, or is at it right now, which does no harm
            self._tidy(each)

    def _finish(self, path: str, end: Mapping[str, Any]) -> None:
        self.settle(path[len(self._ending) + 1 :], end)
        self._storage.delete(path)

    # --- streams ----------------------------------------------------------------------------------------------------

    def _settle(self, stream: str, mine: Offset) -> None:
        """Let ``mine`` be a stream's offset, unless that is newer; and keep the entries of its lives."""
        there: dict[str, Any] = {}
        over: set[str] = set()

        def newer(kept: dict[str, Any] | None) -> dict[str, Any] | None:
            nonlocal there
            before = None if kept is None else _kept(kept)
            life = None if kept is None else kept.get("life")
            if kept is not None and before is not None and not before < mine:
                there = kept
                if before == mine and mine.value is None and life is not None:
                    over.add(life)  # whoever wrote it may have been killed before it removed the entry
                return None
            if before is not None and before.value is None and life is not None:
                over.add(life)
                life = None
            if mine.value is None:
                over.update(filter(None, [life]))
            elif life is None:
                life = mine.life
                over.add(life)  # unless it comes to be the stream's, below
                self._name(stream, life)
            there = {"stream": stream, "stamp": mine.stamp, "run": mine.mover, "value": mine.value, "life": life}
            return there

        documents.change(self._storage, self._path(stream), "offset", newer)
        for life in over:
            if there["value"] is None or there.get("life") != life:
                self._storage.delete(self._entry(stream, life))

    def _name(self, stream: str, life: str) -> None:
        self._storage.write(self._entry(stream, life), documents.encode("name", {"stream": stream}))

    def _name_all(self) -> None:
        """Give entries to streams that earlier versions left without; for each store it is done once."""
        if self._all_named:
            return
        if documents.read(self._storage, self._named, "named") is None:
            paths = [stat.path for stat in self._storage.list(self._streams)]
            if not paths:
                return
            self._crew.do(self._name_old, paths)
            self._storage.write(self._named, documents.encode("named", {}))
        self._all_named = True

    def _name_old(self, path: str) -> None:
        def named(kept: dict[str, Any] | None) -> dict[str, Any] | None:
            if kept is None or kept["value"] is None or kept.get("life") is not None:
                return None
            life = _kept(kept).life
            self._name(kept["stream"], life)
            return {**kept, "life": life}

        documents.change(self._storage, path, "offset", named)

    def _below(self, prefix: str) -> Iterator[str]:
        """The objects of streams whose names begin so; and those of some whose names are too long to tell."""
        folder = folder_of(prefix)
        for stat in self._storage.list(below(self._names, folder) if folder else self._names):
            place = stat.path[len(self._names) + 1 :].rpartition(".")[0]
            with suppress(ValueError):
                name = name_at(place)
                if name is None:
                    yield f"{self._streams}/{place.rpartition('/')[2][1:]}"
                elif name.startswith(prefix):
                    yield self._path(name)

    def _path(self, stream: str) -> str:
        return f"{self._streams}/{key_of(stream)}"

    def _entry(self, stream: str, life: str) -> str:
        return f"{self._names}/{placed(stream)}.{life}"


def _kept(kept: Mapping[str, Any]) -> Offset:
    return Offset(kept["stamp"], kept["run"], kept["value"])


def _newer(found: dict[str, Offset], stream: str, offset: Offset) -> None:
    if stream not in found or found[stream] < offset:
        found[stream] = offset
