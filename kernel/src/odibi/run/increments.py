"""Incremental reads: how far each was read, and what one run reads of it.

What a run reads is the rows above the watermark ``w0``, up to the greatest value ``w1`` that it finds. Before anything
is made of these rows, ``w1`` is *pinned*: written to the checkpoint store, durably, with the nonce that fingerprints of
this increment go by. However often the run is killed and tried again, and whatever comes meanwhile, each attempt reads
``(w0, w1]`` and appends its parts under the same names, so that no row is there twice. The watermark moves to ``w1``,
and the pin goes, in the transaction that ends the run.

A fingerprint covers the nonce in place of the source's version: two increments are never taken for one another, by
no run, pipeline or machine that shares a cache.
"""

from __future__ import annotations

import hashlib
from threading import Lock
from typing import TYPE_CHECKING, Any, cast

import attrs

from odibi.contracts.bounds import Bound, as_json, from_json
from odibi.contracts.capability import Level
from odibi.errors import ConfigError, DataError, NotFound, Problem
from odibi.plan import Action
from odibi.run.late import Window, again, first, lowest
from odibi.run.lazy import is_lazy
from odibi.sources import SourceVersion

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Sequence

    from odibi.contracts.bounds import Value
    from odibi.contracts.checkpoint import CheckpointStore, RunLock, RunRecord
    from odibi.contracts.engine import BoundedEngine, Engine, Frame, KeyedEngine, Mark, TailedEngine
    from odibi.contracts.executor import Outcome
    from odibi.contracts.format import Source
    from odibi.model import Incremental, Node, Pipeline, Read
    from odibi.plan import Plan
    from odibi.run.resources import Resources


def watermark_of(pipeline: str, node: str) -> str:
    """The stream under which a checkpoint store knows how far a node's read has come."""
    return f"{pipeline}/{node}!after"


def pin_of(pipeline: str, node: str) -> str:
    """The stream under which it knows what a run that has not succeeded yet reads."""
    return f"{pipeline}/{node}!pin"


@attrs.frozen
class Increment:
    """Some rows of a source, by the values of one column.

    Attributes:
        column: its name.
        above, upto: the bounds, as in :class:`~odibi.contracts.bounds.Bound`. ``upto`` is open until it is known;
            ``above`` is the watermark of before until then, and below it from then on if late rows are looked for.
        source: the digest of the source's version when a run first planned to read it.
        nonce: what tells it from any other increment.
        run_id: the run that pinned it last.
        window: the keys by which late rows are known to have been read; ``None`` if none are read.
        mark: how far the engine read the source when it found ``upto``; ``None`` if it does not tell.
    """

    column: str
    above: Value | None = None
    upto: Value | None = None
    source: str = ""
    nonce: str = ""
    run_id: str = ""
    window: Window | None = None
    mark: Mark | None = None

    def told(self) -> dict[str, Any]:
        """What the store keeps; JSON values."""
        told: dict[str, Any] = {
            "column": self.column,
            "above": None if self.above is None else as_json(self.above),
            "upto": None if self.upto is None else as_json(self.upto),
            "source": self.source,
            "nonce": self.nonce,
            "run": self.run_id,
        }
        if self.window is not None:
            told["window"] = self.window.told()
        if self.mark is not None:
            told["mark"] = self.mark
        return told

    @classmethod
    def of(cls, told: Any, where: str) -> Increment:
        """What :meth:`told` told.

        Raises:
            DataError: it did not.
        """
        try:
            above, upto = (None if told[key] is None else from_json(told[key]) for key in ("above", "upto"))
            window = Window.of(told["window"]) if told.get("window") is not None else None
            known = (told["column"], above, upto, told["source"], told["nonce"], told["run"])
            return cls(*known, window, told.get("mark"))
        except (KeyError, TypeError, ValueError) as error:
            raise DataError(
                f"what the checkpoint store says of it cannot be read: {error}",
                where=where,
                remedy=f"Begin anew with: odibi streams reset {where}.",
            ) from error


class Increments:
    """What one run reads of each incremental read.

    Args:
        plan: what the run is about.
        pipeline: whose.
        resources: knows the engines.
        store: knows the watermarks and the pins.
        run_id: of the run.
        lock: the right to pin.

    Raises:
        DataError: a watermark is of another column than the one that is read by now, or of another key, or cannot be
            read.
    """

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        resources: Resources,
        store: CheckpointStore,
        run_id: str,
        lock: RunLock | None = None,
    ) -> None:
        self._pipeline = pipeline
        self._resources = resources
        self._store = store
        self._run_id = run_id
        self._lock = lock
        self._nodes = {node.name: node for node in plan.graph.nodes if is_incremental(node)}
        self._done: dict[str, Increment] = {}
        self._pins: dict[str, Increment] = {}
        self._chosen: dict[str, Increment] = {}
        self._anew: set[str] = set()
        self._changing = Lock()
        for name in self._nodes:
            for found, stream in ((self._done, self._watermark(name)), (self._pins, pin_of(pipeline.name, name))):
                told = store.offset(stream)
                if told is not None:
                    found[name] = self._checked(Increment.of(told, f"{pipeline.name}/{name}"), name)
        self._pinned_before = frozenset(self._pins)
        self._followers = {name: frozenset(_followers(pipeline.nodes, name)) for name in self._nodes}

    def _watermark(self, name: str) -> str:
        return watermark_of(self._pipeline.name, name)

    def _checked(self, found: Increment, name: str) -> Increment:
        now = self._incremental(name)
        was: Any = found.column
        to_be: Any = now.column
        if was == to_be and found.window is not None and now.lateness is not None:
            was, to_be = list(found.window.key), list(now.key)
        if was != to_be:
            raise DataError(
                f"it was read by {_named(was)} so far, and is to be read by {_named(to_be)}",
                where=f"node '{name}'",
                remedy=f"Begin anew with: odibi streams reset {self._pipeline.name}/{name}.",
            )
        return found

    def _incremental(self, name: str) -> Incremental:
        found = _read(self._nodes[name]).incremental
        assert found is not None
        return found

    # --- planning ---------------------------------------------------------------------------------------------------

    def attempt(self) -> RunRecord | None:
        """The run that pinned something last and was not committed, whatever became of it."""
        newest = max((each.run_id for each in self._pins.values()), default="")
        if not newest:
            return None
        try:
            return self._store.load(newest)
        except NotFound:
            return None

    def version(self, name: str, now: SourceVersion | None) -> SourceVersion:
        """The version that the fingerprint of a node with an incremental read goes by.

        If the source is as it was when the watermark was moved, there is nothing new in it, and what came of the last
        increment stands.

        Args:
            name: the node's.
            now: the version of all of its source; ``None`` if that is not known.
        """
        source = now.digest if now is not None else ""
        done, pin = self._done.get(name), self._pins.get(name)
        if pin is not None:
            chosen = pin
        elif done is not None and source and done.source == source and name not in self._anew:
            chosen = done
        else:
            column = self._incremental(name).column
            chosen = Increment(column, done.upto if done is not None else None, None, source, self._run_id)
        self._chosen[name] = chosen
        digest = hashlib.sha256(f"increment {self._watermark(name)} {chosen.nonce}".encode()).hexdigest()
        place = _place(_read(self._nodes[name]))
        said = f"all rows of {place}"
        if chosen.above is not None:
            shown = not is_masked(self._nodes[name])
            said = f"rows after {chosen.above} of {place}" if shown else f"new rows of {place}"
            if self._incremental(name).lateness is not None and chosen.upto is None:
                said += ", and late ones"
        return attrs.evolve(now or SourceVersion(digest, 0, 0, 0.0), digest=digest, increment=said)

    def begin_anew(self, plan: Plan) -> bool:
        """Give up the last increment of each read of which not all that came still stands; whether there is any.

        What has to run then is given what is new, if only nothing: the rows of the last increment were published, and
        are not to be published again by a node that was changed, or is forced to run.
        """
        runs = {plan.graph.nodes[at].name for at, it in enumerate(plan.actions) if it is Action.RUN}
        repeated = {name for name, it in self._chosen.items() if it is self._done.get(name)}
        anew = {name for name in repeated if not runs.isdisjoint({name, *self._followers[name]})}
        self._anew |= anew
        return bool(anew)

    def is_pinned(self, name: str) -> bool:
        """Whether a node computes from an increment that an earlier run had pinned: it does what that run began."""
        return any(name == each or name in self._followers[each] for each in self._pinned_before)

    # --- running ----------------------------------------------------------------------------------------------------

    def read(self, name: str, engine_name: str, engine: Engine, source: Source) -> Frame:
        """The rows of the increment; its upper bound is pinned when this returns.

        Raises:
            DataError: the column is not there, or is of another type than before.
            StorageError: the pin cannot be written.
        """
        self._require(name, engine_name, "bounds", "read by the values of a column", "'incremental'")
        it = self._chosen[name]
        if it.upto is not None:
            return self._pinned(name, engine_name, engine, source, it)
        frame, pinned = self._looked_at(name, engine_name, engine, source, it)
        if pinned is None:
            return frame
        with self._changing:
            is_first = self._chosen[name].upto is None
            if is_first:
                self._store.move({pin_of(self._pipeline.name, name): pinned.told()}, lock=self._lock)
                self._pins[name] = self._chosen[name] = pinned
            pinned = self._chosen[name]
        if is_first and not is_lazy(self._resources, engine_name):
            return frame
        # Rows of a lazy frame are read when somebody needs them, and more may have come by then. And an attempt that
        # timed out may have found out that it is not the first only now.
        return self._pinned(name, engine_name, engine, source, pinned)

    def _looked_at(
        self, name: str, engine_name: str, engine: Engine, source: Source, it: Increment
    ) -> tuple[Frame, Increment | None]:
        """What is new, and what to pin for it; ``None`` if there is no place to go on from."""
        lateness, where = self._incremental(name).lateness, f"node '{name}'"
        seen, low = None, it.above
        if lateness is not None:
            self._require(name, engine_name, "keys", "tell rows by their keys", "'lateness' and 'key'")
            seen = self._window(name, it)
            low = lowest(seen, it.above, lateness, where)
        frame, mark = self._frame(name, engine_name, engine, attrs.evolve(source, after=Bound(it.column, low)))
        newest = cast("BoundedEngine", engine).newest(frame, it.column)
        if it.above is not None and (newest is None or newest < it.above):  # type: ignore[operator]
            newest = it.above
        if newest is None:
            return frame, None  # there has never been a row
        window = None
        if seen is not None and lateness is not None:
            keyed = cast("KeyedEngine", engine)
            frame, window = first(keyed, frame, it.column, newest, seen, lateness, where)
        return frame, attrs.evolve(it, above=low, upto=newest, run_id=self._run_id, window=window, mark=mark)

    def _pinned(self, name: str, engine_name: str, engine: Engine, source: Source, pin: Increment) -> Frame:
        """The rows of an increment whose upper bound is known, whatever has come meanwhile."""
        bound = Bound(pin.column, pin.above, pin.upto)
        frame, _ = self._frame(name, engine_name, engine, attrs.evolve(source, after=bound))
        if pin.window is None:
            return frame
        self._require(name, engine_name, "keys", "tell rows by their keys", "'lateness' and 'key'")
        keyed, seen = cast("KeyedEngine", engine), self._window(name, pin)
        return again(keyed, frame, pin.column, seen, pin.window, f"node '{name}'")

    def _frame(self, name: str, engine_name: str, engine: Engine, source: Source) -> tuple[Frame, Mark | None]:
        """The rows that ``source`` means, and how far it was read for them.

        An engine that can is told how far it was read when the watermark was found: of the rows up to there, none is
        above the watermark. Where late rows are looked for, some are.
        """
        can = self._resources.host.capability("engine", engine_name, "tails").is_there
        if not can or self._incremental(name).lateness is not None:
            return engine.read(source), None
        done = self._done.get(name)
        assert source.after is not None
        known = done.mark if done is not None and done.upto == source.after.above else None
        return cast("TailedEngine", engine).read_from(source, known)

    def _window(self, name: str, it: Increment) -> Window:
        """The keys that are known before an increment; if there are none, those to come are above its lower bound."""
        done = self._done.get(name)
        if done is not None and done.window is not None:
            return done.window
        return Window(it.window.key if it.window is not None else self._incremental(name).key, (), it.above)

    def _require(self, name: str, engine_name: str, capability: str, what: str, without: str) -> None:
        if self._resources.host.capability("engine", engine_name, capability).level is Level.NONE:
            said = f"the engine '{engine_name}' cannot {what}, as node '{name}' is to."
            raise ConfigError([Problem(said, None, f"Remove {without}, or use another engine.")])

    def offsets(self, outcomes: Sequence[Outcome]) -> dict[str, Any]:
        """How far the reads have come once this run has succeeded, for the transaction that ends it.

        A read comes further when all that follows it in the pipeline has had its rows. If only some nodes were
        selected, or a failure was ignored, the pin stays, and the next run gives the others the same rows.
        """
        good = {outcome.node for outcome in outcomes if outcome.state.good}
        moved: dict[str, Any] = {}
        for name, pin in self._pins.items():
            if name in good and self._followers[name] <= good:
                settled = pin.window.settled() if pin.window is not None else None
                moved[self._watermark(name)] = attrs.evolve(pin, window=settled).told()
                moved[pin_of(self._pipeline.name, name)] = None
        return moved


def is_incremental(node: Node) -> bool:
    """Whether a node reads only what is new."""
    return node.read is not None and node.read.incremental is not None


def needs_checkpoints(node: str) -> ConfigError:
    """The error for an incremental read in a project without a checkpoint store."""
    what = f"node '{node}' reads only what is new, but the project has no checkpoint store to know it by."
    return ConfigError([Problem(what, None, "Add 'checkpoints: sqlite' to the project.")])


def is_masked(node: Node) -> bool:
    """Whether the values of the column by which a node reads what is new are not to be shown."""
    return node.sensitive is True or _read(node).incremental.column in (node.sensitive or ())  # type: ignore[union-attr]


def _place(read: Read) -> str:
    if read.query is not None:
        return f"a query of {read.connection}"
    return f"{read.connection}:{read.path or read.table}"


def _named(columns: str | list[str]) -> str:
    return f"column {columns!r}" if isinstance(columns, str) else f"the key {', '.join(columns)}"


def _read(node: Node) -> Read:
    assert node.read is not None
    return node.read


def _followers(nodes: Iterable[Node], name: str) -> Collection[str]:
    """All nodes of a pipeline that need a node, directly or not."""
    needed_by: dict[str, list[str]] = {}
    for node in nodes:
        for each in node.depends_on:
            needed_by.setdefault(each, []).append(node.name)
    found: set[str] = set()
    todo = [name]
    while todo:
        for each in needed_by.get(todo.pop(), ()):
            if each not in found:
                found.add(each)
                todo.append(each)
    return found


def increments_of(
    plan: Plan, pipeline: Pipeline, resources: Resources, run_id: str, lock: RunLock | None
) -> Increments | None:
    """What a run reads of its incremental reads; ``None`` if it has none.

    Raises:
        ConfigError: it has some, and the project has no checkpoint store.
    """
    first = next((node for node in plan.graph.nodes if is_incremental(node)), None)
    if first is None:
        return None
    store = resources.checkpoints()
    if store is None:
        raise needs_checkpoints(first.name)
    return Increments(plan, pipeline, resources, store, run_id, lock)
