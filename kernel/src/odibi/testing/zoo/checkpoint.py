"""Checkpoint stores with one defect each."""

# ruff: noqa: D102, ARG002 - what each does wrong stands in its docstring

from __future__ import annotations

import fnmatch
import json
import re
import time
import unicodedata
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.checkpoint import RunLock, RunRecord
from odibi.errors import Conflict, NotFound
from odibi.testing.checkpoint import CheckpointSuite
from odibi.testing.reference.checkpoint import Ledger, MemoryCheckpoints, MemoryLock, Run, to_text, to_texts
from odibi.testing.zoo import Zoo

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

    Record = Mapping[str, Any]


class SoundCheckpoints(CheckpointSuite):
    """The suite on a store that keeps its promises."""

    component = MemoryCheckpoints

    def options(self, place: Path) -> Mapping[str, Any]:
        """The place is a name."""
        return {"name": str(place)}


zoo = Zoo(SoundCheckpoints)


# --- journals -------------------------------------------------------------------------------------------------------


@zoo.defect
class LosesTheLast(MemoryCheckpoints):
    """The last record of a call is written with the next call."""

    _waiting: str = ""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        if not texts:
            return
        held, self._waiting = self._waiting, texts[-1]
        super().journal(run, [*([held] if held else []), *texts[:-1]])


@zoo.defect
class HalfABatch(MemoryCheckpoints):
    """The records before one that cannot be kept are there, though the call failed."""

    def append(self, run_id: str, records: Sequence[Record]) -> None:
        for at in range(len(records)):
            super().append(run_id, records[at : at + 1])
        if not records:
            super().append(run_id, records)


@zoo.defect
class EndsBeforeItsRecords(MemoryCheckpoints):
    """A run ends, and the last records are looked at afterwards."""

    def finish(
        self,
        run_id: str,
        state: str,
        offsets: Mapping[str, Any] | None = None,
        *,
        records: Sequence[Record] = (),
    ) -> None:
        super().finish(run_id, state, offsets)
        with self.ledger.change:
            self.journal(self.run(run_id), [to_text(record) for record in records])


@zoo.defect
class RecordsBeforeTheEnd(MemoryCheckpoints):
    """The last records are appended first, and stay if the run cannot end."""

    def finish(
        self,
        run_id: str,
        state: str,
        offsets: Mapping[str, Any] | None = None,
        *,
        records: Sequence[Record] = (),
    ) -> None:
        texts = [to_text(record) for record in records]
        with self.ledger.change:
            self.journal(self.run(run_id), texts)
        super().finish(run_id, state, offsets)


@zoo.defect
class NewestFirst(MemoryCheckpoints):
    """Outcomes come out in reverse."""

    def record(self, run: Run, *, whole: bool = True) -> RunRecord:
        found = super().record(run, whole=whole)
        return attrs.evolve(found, outcomes=found.outcomes[::-1])


@zoo.defect
class SortsRecords(MemoryCheckpoints):
    """Records are ordered as text, as keys of objects that are not padded."""

    def record(self, run: Run, *, whole: bool = True) -> RunRecord:
        keyed = sorted((str(at), text) for at, text in enumerate(run.journal))
        return super().record(attrs.evolve(run, journal=[text for _, text in keyed]), whole=whole)


@zoo.defect
class FirstPage(MemoryCheckpoints):
    """A journal is read as far as its thousandth record."""

    def record(self, run: Run, *, whole: bool = True) -> RunRecord:
        return super().record(attrs.evolve(run, journal=run.journal[:1000]), whole=whole)


@zoo.defect
class DropsRepeated(MemoryCheckpoints):
    """A record like the one before it is taken for a second try of the same."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        super().journal(run, [text for text in texts if text not in run.journal[-1:]])


@zoo.defect
class RacesForThePlace(MemoryCheckpoints):
    """Where a record goes is looked up before the lock is taken, so that threads overwrite each other's."""

    def append(self, run_id: str, records: Sequence[Record]) -> None:
        texts = [to_text(record) for record in records]
        run = self.run(run_id)
        self.check_open(run)
        self.check_lock(run)
        before = list(run.journal)
        time.sleep(0)
        copy = attrs.evolve(run, journal=before)
        with self.ledger.change:
            super().journal(copy, texts)
        run.journal = copy.journal


@zoo.defect
class MixesCalls(MemoryCheckpoints):
    """The records of two calls may come one between the other."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        for text in texts:
            super().journal(run, [text])
            self.ledger.change.wait(0.0001)


@zoo.defect
class KeepsReferences(MemoryCheckpoints):
    """What is handed in is kept as it is, and changes with its owner."""

    def begin(self, run_id: str, pipeline: str, detail: Record, **more: Any) -> None:
        super().begin(run_id, pipeline, detail, **more)
        _given(self.ledger)[run_id] = detail

    def record(self, run: Run, *, whole: bool = True) -> RunRecord:
        return attrs.evolve(super().record(run, whole=whole), detail=_given(self.ledger)[run.run_id])


def _given(ledger: Ledger) -> dict[str, Any]:
    kept: dict[str, Any] = ledger.__dict__.setdefault("given", {})
    return kept


@zoo.defect
class SharesOutcomes(MemoryCheckpoints):
    """A journal is read once, and everybody is handed the same records."""

    def record(self, run: Run, *, whole: bool = True) -> RunRecord:
        found = super().record(run, whole=whole)
        shared = _given(self.ledger).setdefault(run.run_id, found.outcomes)
        return attrs.evolve(found, outcomes=shared) if whole and len(shared) == len(found.outcomes) else found


@zoo.defect
class RoundsNumbers(MemoryCheckpoints):
    """Numbers are kept with six digits."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        super().journal(run, [json.dumps(_rounded(json.loads(text))) for text in texts])


def _rounded(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _rounded(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_rounded(item) for item in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


@zoo.defect
class WholeNumbersAsFloats(MemoryCheckpoints):
    """Whole numbers come back as floats, as from a column of numbers."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        super().journal(run, [json.dumps(json.loads(text, parse_int=float)) for text in texts])


@zoo.defect
class MangledText(MemoryCheckpoints):
    """Text loses the characters that ASCII does not have."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        escaped = [json.dumps(json.loads(text), ensure_ascii=False) for text in texts]
        super().journal(run, [text.encode("ascii", "replace").decode() for text in escaped])


@zoo.defect
class EndsAtNul(MemoryCheckpoints):
    """Text ends at a NUL, as in C."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        super().journal(run, [text.replace("\\u0000", "") for text in texts])


@zoo.defect
class LetsNanIn(MemoryCheckpoints):
    """What is not JSON is kept as its ``repr``."""

    def append(self, run_id: str, records: Sequence[Record]) -> None:
        super().append(run_id, json.loads(json.dumps(list(records), default=repr)))


@zoo.defect
class BeginsAnew(MemoryCheckpoints):
    """A run that has begun already is begun again, without its journal."""

    def begin(self, run_id: str, *args: Any, **more: Any) -> None:
        self.ledger.runs.pop(run_id, None)
        super().begin(run_id, *args, **more)


@zoo.defect
class MakesRuns(MemoryCheckpoints):
    """To append to a run that there is not begins it."""

    def append(self, run_id: str, records: Sequence[Record]) -> None:
        if run_id not in self.ledger.runs:
            self.begin(run_id, "", {})
        super().append(run_id, records)


@zoo.defect
class LoadsNothing(MemoryCheckpoints):
    """Where there is no run, ``load`` returns ``None``."""

    def load(self, run_id: str) -> Any:
        try:
            return super().load(run_id)
        except NotFound:
            return None


@zoo.defect
class EndsTwice(MemoryCheckpoints):
    """A run that has ended may end once more."""

    def finish(self, run_id: str, *args: Any, **more: Any) -> None:
        run = self.ledger.runs.get(run_id)
        if run is not None:
            run.state = "running"
        super().finish(run_id, *args, **more)


@zoo.defect
class AppendsToTheEnded(MemoryCheckpoints):
    """A run that has ended is appended to."""

    def append(self, run_id: str, records: Sequence[Record]) -> None:
        with self.ledger.change:
            run = self.run(run_id)
            self.check_lock(run)
            self.journal(run, [to_text(record) for record in records])


@zoo.defect
class AnyEnd(MemoryCheckpoints):
    """A run may be said to be interrupted."""

    def finish(self, run_id: str, state: str, *args: Any, **more: Any) -> None:
        super().finish(run_id, "failed" if state == "interrupted" else state, *args, **more)


@zoo.defect
class AlwaysSucceeded(MemoryCheckpoints):
    """However a run ended, it succeeded unless it failed."""

    def finish(self, run_id: str, state: str, *args: Any, **more: Any) -> None:
        super().finish(run_id, "succeeded" if state == "cancelled" else state, *args, **more)


# --- results --------------------------------------------------------------------------------------------------------


@zoo.defect
class ResultsOfTheNewestRun(MemoryCheckpoints):
    """A node's newest result is that of the newest run, whichever was appended last."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        before = dict(self.ledger.results.get(run.pipeline, {}))
        super().journal(run, texts)
        for node, (run_id, text) in before.items():
            if run_id > run.run_id:
                self.ledger.results[run.pipeline][node] = run_id, text


@zoo.defect
class FirstResults(MemoryCheckpoints):
    """The first result of a node within a run stays."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        before = dict(self.ledger.results.get(run.pipeline, {}))
        super().journal(run, texts)
        for node, (run_id, text) in before.items():
            if run_id == run.run_id:
                self.ledger.results[run.pipeline][node] = run_id, text


@zoo.defect
class AnyRecordIsAResult(MemoryCheckpoints):
    """A record without fingerprint, as of a node that failed, is its newest result."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        super().journal(run, texts)
        for text in texts:
            node = json.loads(text).get("node")
            if node is not None:
                self.ledger.results.setdefault(run.pipeline, {})[node] = run.run_id, text


@zoo.defect
class NullIsAFingerprint(MemoryCheckpoints):
    """A record whose fingerprint is null is a result."""

    def journal(self, run: Run, texts: Sequence[str]) -> None:
        super().journal(run, texts)
        for text in texts:
            record = json.loads(text)
            if record.get("node") is not None and "fingerprint" in record:
                self.ledger.results.setdefault(run.pipeline, {})[record["node"]] = run.run_id, text


@zoo.defect
class ResultsGoWithTheirRun(MemoryCheckpoints):
    """To remove a run removes the results that came from it."""

    def remove(self, run_id: str) -> None:
        super().remove(run_id)
        for found in self.ledger.results.values():
            for node in [node for node, (of, _) in found.items() if of == run_id]:
                del found[node]


@zoo.defect
class ResultsOfTheEnded(MemoryCheckpoints):
    """Results show when their run has ended."""

    def results(self, pipeline: str) -> Mapping[str, Record]:
        found = super().results(pipeline)
        runs = self.ledger.runs
        return {n: r for n, r in found.items() if r["run_id"] not in runs or runs[r["run_id"]].state != "running"}


@zoo.defect
class ForgetsAll(MemoryCheckpoints):
    """``forget`` of some nodes drops the results of all."""

    def forget(self, pipeline: str, nodes: Sequence[str] | None = None) -> None:
        super().forget(pipeline)


@zoo.defect
class NothingIsAll(MemoryCheckpoints):
    """``forget`` of no nodes drops all: an empty list was taken for none given."""

    def forget(self, pipeline: str, nodes: Sequence[str] | None = None) -> None:
        super().forget(pipeline, nodes or None)


# --- names ----------------------------------------------------------------------------------------------------------


@zoo.defect
class NamesByPrefix(MemoryCheckpoints):
    """``etl`` shows the runs of ``etl_daily``, too."""

    def newest_first(self, pipeline: str | None) -> list[Run]:
        return [run for run in super().newest_first(None) if run.pipeline.startswith(pipeline or "")]


@zoo.defect
class NamesAsPatterns(MemoryCheckpoints):
    """The name of a pipeline is taken for a pattern."""

    def newest_first(self, pipeline: str | None) -> list[Run]:
        return [run for run in super().newest_first(None) if fnmatch.fnmatchcase(run.pipeline, pipeline or "*")]


@zoo.defect
class NamesFolded(MemoryCheckpoints):
    """Names that look alike are one: they are normalized on the way."""

    def offset(self, stream: str) -> Any | None:
        alike = [name for name in self.ledger.offsets if _alike(name) == _alike(stream)]
        return super().offset(alike[0] if alike else stream)


def _alike(name: str) -> str:
    return unicodedata.normalize("NFC", name)


@zoo.defect
class LocksByFileName(MemoryCheckpoints):
    """Names that give the same file name share a lock."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        return super().lock("".join(letter if letter.isalnum() else "_" for letter in pipeline.lower()), wait=wait)

    def begin(self, run_id: str, pipeline: str, detail: Record, *, lock: RunLock | None = None, **more: Any) -> None:
        super().begin(run_id, pipeline, detail, **more)
        self.ledger.runs[run_id].lock = lock if isinstance(lock, MemoryLock) else None


# --- offsets --------------------------------------------------------------------------------------------------------


@zoo.defect
class OffsetsFirst(MemoryCheckpoints):
    """Offsets move before the run ends, and have moved if it cannot."""

    def finish(self, run_id: str, state: str, offsets: Mapping[str, Any] | None = None, **more: Any) -> None:
        moved = {stream: to_text(value) for stream, value in (offsets or {}).items()}
        self.ledger.offsets.update(moved)
        super().finish(run_id, state, offsets, **more)


@zoo.defect
class OffsetsOfTheLastRun(MemoryCheckpoints):
    """A run that consumed nothing takes the offsets of others away."""

    def finish(self, run_id: str, state: str, offsets: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().finish(run_id, state, offsets, **more)
        if not offsets:
            self.ledger.offsets.clear()


@zoo.defect
class OffsetsAsText(MemoryCheckpoints):
    """An offset comes back as text."""

    def offset(self, stream: str) -> Any | None:
        found = super().offset(stream)
        return None if found is None else str(found)


@zoo.defect
class OffsetsGoWithTheRun(MemoryCheckpoints):
    """To remove a run takes back how far streams were consumed."""

    def remove(self, run_id: str) -> None:
        super().remove(run_id)
        self.ledger.offsets.clear()


@zoo.defect
class NoneIsAnOffset(MemoryCheckpoints):
    """A stream that is to be forgotten is kept, with nothing for its offset."""

    def shift(self, moved: Mapping[str, str]) -> None:
        self.ledger.offsets.update(moved)


@zoo.defect
class EndsForgetNothing(MemoryCheckpoints):
    """The end of a run passes over the streams that are to be forgotten."""

    def finish(self, run_id: str, state: str, offsets: Mapping[str, Any] | None = None, **more: Any) -> None:
        kept = {stream: value for stream, value in (offsets or {}).items() if value is not None}
        super().finish(run_id, state, kept, **more)


@zoo.defect
class MovesForgetNothing(MemoryCheckpoints):
    """A move passes over the streams that are to be forgotten."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        super().move({stream: value for stream, value in offsets.items() if value is not None}, lock=lock)


@zoo.defect
class ForgetsWhatIsEmpty(MemoryCheckpoints):
    """An offset of 0, or an empty text, counts as none."""

    def shift(self, moved: Mapping[str, str]) -> None:
        super().shift({stream: text if json.loads(text) else "null" for stream, text in moved.items()})


@zoo.defect
class ForgetsForEver(MemoryCheckpoints):
    """A stream that was forgotten once does not come again."""

    def shift(self, moved: Mapping[str, str]) -> None:
        gone = _given(self.ledger)
        super().shift({stream: text for stream, text in moved.items() if stream not in gone})
        gone.update({stream: True for stream, text in moved.items() if text == "null"})


@zoo.defect
class ForgetsAllThatBeginSo(MemoryCheckpoints):
    """To forget a stream forgets those below it, too."""

    def shift(self, moved: Mapping[str, str]) -> None:
        super().shift(moved)
        for gone in [stream for stream, text in moved.items() if text == "null"]:
            for stream in [stream for stream in self.ledger.offsets if stream.startswith(gone)]:
                del self.ledger.offsets[stream]


def _found(store: MemoryCheckpoints, fits: Callable[[str], bool]) -> dict[str, Any]:
    """The offsets of streams that fit, in order."""
    with store.ledger.change:
        return {stream: json.loads(text) for stream, text in sorted(store.ledger.offsets.items()) if fits(stream)}


@zoo.defect
class PrefixAsAPattern(MemoryCheckpoints):
    """The prefix is taken for a pattern, as SQL's ``LIKE`` takes it: per cent and underscore stand for others."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        wild = re.escape(prefix).replace("%", ".*").replace("_", ".")
        return _found(self, lambda stream: re.match(wild, stream, re.DOTALL) is not None)


@zoo.defect
class PrefixInAnyCase(MemoryCheckpoints):
    """Upper and lower case are one to the prefix, as to ``LIKE`` without more ado."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return _found(self, lambda stream: stream.lower().startswith(prefix.lower()))


@zoo.defect
class PrefixAsAGlob(MemoryCheckpoints):
    """The prefix is taken for a pattern of a shell."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return _found(self, lambda stream: fnmatch.fnmatchcase(stream, f"{prefix}*"))


@zoo.defect
class PrefixAsAFolder(MemoryCheckpoints):
    """The prefix is taken for a folder: what goes on without a slash is not found."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        folder = f"{prefix.rstrip('/')}/"
        return _found(self, lambda stream: not prefix or stream == prefix or stream.startswith(folder))


@zoo.defect
class PrefixAnywhere(MemoryCheckpoints):
    """Streams are found that have the prefix in their midst."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return _found(self, lambda stream: prefix in stream)


@zoo.defect
class PrefixUpToTheNext(MemoryCheckpoints):
    """A range ends at the prefix with the greatest letter that somebody thought of behind it."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return _found(self, lambda stream: prefix <= stream < f"{prefix}\uffff")


@zoo.defect
class PrefixUpToTheLast(MemoryCheckpoints):
    """A range goes from the prefix to the end of all names."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return _found(self, lambda stream: stream >= prefix)


@zoo.defect
class PrefixWithoutItself(MemoryCheckpoints):
    """The stream whose name is the prefix, and nothing more, is left out."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return {stream: value for stream, value in super().offsets(prefix).items() if stream != prefix or not prefix}


@zoo.defect
class PrefixNormalized(MemoryCheckpoints):
    """Letters that look alike are one to the prefix."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return _found(self, lambda stream: _alike(stream).startswith(_alike(prefix)))


@zoo.defect
class OffsetsAsTheyCame(MemoryCheckpoints):
    """Offsets come out in the order in which the streams came."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        found = super().offsets(prefix)
        return {stream: found[stream] for stream in list(self.ledger.offsets) if stream in found}


@zoo.defect
class OffsetsInTheOrderOfPeople(MemoryCheckpoints):
    """Offsets are ordered without regard to case."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return dict(sorted(super().offsets(prefix).items(), key=lambda item: item[0].lower()))


@zoo.defect
class FirstPageOfOffsets(MemoryCheckpoints):
    """Of a thousand and more streams, the first thousand are found."""

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return dict(list(super().offsets(prefix).items())[:1000])


@zoo.defect
class OffsetsOfOneStore(MemoryCheckpoints):
    """What was moved outside of runs shows to the store object that moved it, until it is closed."""

    _own: dict[str, Any] | None = None

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        super().move({}, lock=lock)
        self._own = {**(self._own or {}), **json.loads(to_text(dict(offsets)))}

    def offset(self, stream: str) -> Any | None:
        return self._own[stream] if self._own and stream in self._own else super().offset(stream)

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        found = {**super().offsets(), **(self._own or {})}
        return {stream: found[stream] for stream in sorted(found) if stream.startswith(prefix)}


@zoo.defect
class OffsetsOfRunsAlone(MemoryCheckpoints):
    """A look by prefix shows what runs consumed, and not what was moved outside of them."""

    def finish(self, run_id: str, state: str, offsets: Mapping[str, Any] | None = None, **more: Any) -> None:
        super().finish(run_id, state, offsets, **more)
        _given(self.ledger).update(offsets or {})

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        return {stream: value for stream, value in super().offsets(prefix).items() if stream in _given(self.ledger)}


@zoo.defect
class MovesOneByOne(MemoryCheckpoints):
    """A move that cannot be made has moved the streams before the one that is wrong."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        for stream, value in offsets.items():
            super().move({stream: value}, lock=lock)
        super().move({}, lock=lock)


@zoo.defect
class MovesInSteps(MemoryCheckpoints):
    """Somebody who looks meanwhile sees the half of a move."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        moved = to_texts(offsets)
        super().move({}, lock=lock)
        for stream, text in moved.items():
            with self.ledger.change:
                self.shift({stream: text})
            time.sleep(0.0005)


@zoo.defect
class ForgetsFirst(MemoryCheckpoints):
    """A move forgets what is to be forgotten before it looks at the rest."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        super().move({stream: None for stream, value in offsets.items() if value is None}, lock=lock)
        super().move(offsets, lock=lock)


@zoo.defect
class MovesLoseEachOther(MemoryCheckpoints):
    """A move reads all offsets, changes some, and writes all of them back: of two at once, one is lost."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        moved, before = to_texts(offsets), dict(self.ledger.offsets)
        time.sleep(0.0005)
        with self.ledger.change:
            super().move({}, lock=lock)
            self.ledger.offsets = before
            self.shift(moved)


@zoo.defect
class MovesOnlyForward(MemoryCheckpoints):
    """An offset that is smaller than the one before is not taken."""

    def shift(self, moved: Mapping[str, str]) -> None:
        there = self.ledger.offsets
        super().shift(
            {stream: text for stream, text in moved.items() if text == "null" or text > there.get(stream, "")}
        )


@zoo.defect
class MovesWithoutLooking(MemoryCheckpoints):
    """A move does not ask whether its lock is still held."""

    def check_right(self, lock: MemoryLock | None) -> None:
        pass


@zoo.defect
class MovesIfNobodyElseDoes(MemoryCheckpoints):
    """Whoever gave the lock back moves offsets under it until somebody else takes it."""

    def check_right(self, lock: MemoryLock | None) -> None:
        if lock is not None and lock.pipeline in self.ledger.holders:
            super().check_right(lock)


@zoo.defect
class NoMoveNeedsNoLock(MemoryCheckpoints):
    """To move nothing is allowed to whoever lost the lock, who does not learn of it."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        if offsets:
            super().move(offsets, lock=lock)


@zoo.defect
class MovesKeepReferences(MemoryCheckpoints):
    """What is moved is kept as it was handed in, and changes with its owner."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        super().move(offsets, lock=lock)
        _given(self.ledger).update(offsets)

    def offsets(self, prefix: str = "") -> Mapping[str, Any]:
        given = _given(self.ledger)
        return {stream: given.get(stream, value) for stream, value in super().offsets(prefix).items()}


@zoo.defect
class MovesAreRuns(MemoryCheckpoints):
    """A move is made by a run of its own, which shows among the others."""

    def move(self, offsets: Mapping[str, Any], *, lock: RunLock | None = None) -> None:
        super().move(offsets, lock=lock)
        run_id = f"move {len(self.ledger.runs)} {time.monotonic_ns()}"
        self.begin(run_id, "", {})
        self.finish(run_id, "succeeded")


# --- finding and clearing away --------------------------------------------------------------------------------------


@zoo.defect
class InTheOrderTheyBegan(MemoryCheckpoints):
    """The newest run is the one that was begun last, whatever its id."""

    def newest_first(self, pipeline: str | None) -> list[Run]:
        order = list(self.ledger.runs)
        return sorted(super().newest_first(pipeline), key=lambda run: order.index(run.run_id), reverse=True)


@zoo.defect
class LatestOfAnyState(MemoryCheckpoints):
    """``latest`` ignores the states it is given."""

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        return super().latest(pipeline)


@zoo.defect
class LatestLooksOnce(MemoryCheckpoints):
    """``latest`` looks at the newest run alone, and says there is none in these states."""

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        found = super().latest(pipeline)
        return found if found is not None and (not states or found.state in states) else None


@zoo.defect
class LatestWithoutOutcomes(MemoryCheckpoints):
    """``latest`` brings a run as a listing does."""

    def latest(self, pipeline: str, *, states: Sequence[str] = ()) -> RunRecord | None:
        found = super().latest(pipeline, states=states)
        return None if found is None else attrs.evolve(found, outcomes=())


@zoo.defect
class LimitBeforeTheName(MemoryCheckpoints):
    """``runs`` takes the newest of all, and of those the pipeline's."""

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Iterator[RunRecord]:
        return (run for run in super().runs(limit=limit) if pipeline in (None, run.pipeline))


@zoo.defect
class NoLimitIsNothing(MemoryCheckpoints):
    """A limit of 0 is taken for none."""

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Iterator[RunRecord]:
        return super().runs(pipeline, limit=limit or None)


@zoo.defect
class PrunesWhatGoesOn(MemoryCheckpoints):
    """``prune`` removes runs that go on."""

    def prunable(self, newest_first: Sequence[Run]) -> list[Run]:
        return list(newest_first)


@zoo.defect
class PrunesTheResumable(MemoryCheckpoints):
    """``prune`` removes the newest run though it was interrupted and can be resumed."""

    def prunable(self, newest_first: Sequence[Run]) -> list[Run]:
        return [run for run in newest_first if self.state(run) != "running"]


@zoo.defect
class KeepsEveryInterrupted(MemoryCheckpoints):
    """``prune`` keeps all runs that were interrupted, for ever."""

    def prunable(self, newest_first: Sequence[Run]) -> list[Run]:
        return [run for run in newest_first if self.state(run) not in ("running", "interrupted")]


@zoo.defect
class PrunesOverAll(MemoryCheckpoints):
    """``prune`` keeps so many runs of all pipelines together."""

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        before = len(self.ledger.runs)
        kept = {run.run_id for run in self.newest_first(pipeline)[: max(keep_last, 0)]}
        for run in self.newest_first(pipeline):
            if run.run_id not in kept and self.state(run) != "running":
                del self.ledger.runs[run.run_id]
        return before - len(self.ledger.runs) if keep_last >= 0 else super().prune(keep_last)


@zoo.defect
class PrunesBackwards(MemoryCheckpoints):
    """A negative number to keep is counted from the other end."""

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        return super().prune(max(keep_last, 0), pipeline)


@zoo.defect
class RemovesWhatGoesOn(MemoryCheckpoints):
    """A run that goes on is removed."""

    def remove(self, run_id: str) -> None:
        self.run(run_id)
        del self.ledger.runs[run_id]


# --- locks ----------------------------------------------------------------------------------------------------------


@zoo.defect
class LocksForAll(MemoryCheckpoints):
    """Whoever asks for a lock gets it."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        self.ledger.holders.pop(pipeline, None)
        return super().lock(pipeline, wait=wait)


@zoo.defect
class LocksOfOneStore(MemoryCheckpoints):
    """A lock keeps out those who use the same store object, and nobody else."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        holder = self.ledger.holders.get(pipeline)
        if holder is not None and all(lock is not holder for lock in self._locks):
            del self.ledger.holders[pipeline]
        return super().lock(pipeline, wait=wait)


@zoo.defect
class RacesForLocks(MemoryCheckpoints):
    """Whether a lock is free is looked up before it is taken, so that two get it."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        if pipeline in self.ledger.holders:
            return super().lock(pipeline, wait=wait)
        time.sleep(0.001)
        lock = MemoryLock(pipeline, self.token(pipeline), self.clock(), self.ledger)
        self.ledger.holders[pipeline] = lock
        return lock


@zoo.defect
class DoesNotWait(MemoryCheckpoints):
    """A lock that is held is refused at once, however long one would wait."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        return super().lock(pipeline)


@zoo.defect
class DoesNotSayWho(MemoryCheckpoints):
    """Who holds a lock is not said."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        try:
            return super().lock(pipeline, wait=wait)
        except Conflict:
            raise Conflict("somebody else holds its lock", where=f"pipeline {pipeline!r}") from None


@zoo.defect
class TokensStandStill(MemoryCheckpoints):
    """All holders of a lock have the same token."""

    def token(self, pipeline: str) -> int:
        return 1


@zoo.defect
class ReleasesAnybodys(MemoryCheckpoints):
    """Giving back a lock that was lost takes it from whoever has it."""

    def lock(self, pipeline: str, *, wait: float = 0.0) -> MemoryLock:
        lock = super().lock(pipeline, wait=wait)
        mine = AnybodysLock(lock.pipeline, lock.token, lock.since, lock.ledger)
        self.ledger.holders[pipeline] = mine
        self._locks[-1] = mine
        return mine


class AnybodysLock(MemoryLock):
    """A lock that frees the name."""

    def release(self) -> None:
        with self.ledger.change:
            self.ledger.holders.pop(self.pipeline, None)
            self.ledger.change.notify_all()


@zoo.defect
class Unfenced(MemoryCheckpoints):
    """Whoever lost the lock goes on writing."""

    def check_lock(self, run: Run) -> None:
        pass


@zoo.defect
class FencedAtTheBegin(MemoryCheckpoints):
    """The lock is asked for when a run begins, and not afterwards."""

    def check_lock(self, run: Run) -> None:
        if run.run_id not in self.ledger.runs:
            super().check_lock(run)


@zoo.defect
class FencedIfTaken(MemoryCheckpoints):
    """Whoever gave the lock back goes on writing until somebody else takes it."""

    def check_lock(self, run: Run) -> None:
        if run.pipeline in self.ledger.holders:
            super().check_lock(run)


@zoo.defect
class NothingNeedsNoLock(MemoryCheckpoints):
    """To append nothing is allowed to whoever lost the lock, who does not learn of it."""

    def append(self, run_id: str, records: Sequence[Record]) -> None:
        if records or run_id not in self.ledger.runs:
            super().append(run_id, records)


@zoo.defect
class AnyLockWillDo(MemoryCheckpoints):
    """A run is begun under the lock of another pipeline."""

    def begin(self, run_id: str, pipeline: str, detail: Record, *, lock: RunLock | None = None, **more: Any) -> None:
        super().begin(run_id, pipeline, detail, **more)
        run = self.ledger.runs[run_id]
        run.lock = lock if isinstance(lock, MemoryLock) else None
        try:
            self.check_lock(run)
        except Conflict:
            del self.ledger.runs[run_id]
            raise


@zoo.defect
class InterruptedGoesOn(MemoryCheckpoints):
    """A run whose lock was lost is said to go on."""

    def state(self, run: Run) -> str:
        return run.state


@zoo.defect
class LocksOutliveTheStore(MemoryCheckpoints):
    """Closing the store leaves its locks held."""

    def close(self) -> None:
        pass


@zoo.defect
class ErasesAtTheEnd(MemoryCheckpoints):
    """Closing the store takes its journals along, for everybody."""

    def close(self) -> None:
        super().close()
        self.ledger.runs.clear()
        self.ledger.results.clear()
        self.ledger.offsets.clear()
