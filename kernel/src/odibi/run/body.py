"""What a node does, made ready once a run so that its turn costs no more than the work itself."""

from __future__ import annotations

import hashlib
import inspect
from functools import partial
from time import monotonic_ns
from types import FunctionType
from typing import TYPE_CHECKING, Any

import attrs

from odibi.chunking import chunk_faults
from odibi.contracts.finding import check_versions
from odibi.errors import ConfigError, OdibiError, Problem, TransformError, ValidationFailed
from odibi.events import NodeWarned, StepFinished
from odibi.functions import frame_kind, is_rowwise
from odibi.model import Function, Operation, Sql
from odibi.plan import Action
from odibi.run.context import NodeContext
from odibi.run.increments import is_incremental, needs_checkpoints
from odibi.run.lazy import LazyCall, is_lazy, open_session, retained
from odibi.run.retry import causes
from odibi.run.sensitive import declared, place_of, withheld
from odibi.run.task import Produced

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence

    from odibi.contracts.engine import Engine
    from odibi.contracts.format import WriteReport
    from odibi.model import Node, Pipeline, Step
    from odibi.plan import Plan
    from odibi.run.frames import Frames
    from odibi.run.increments import Increments
    from odibi.run.resources import Resources
    from odibi.run.samples import Samples
    from odibi.run.task import Body, NodeTask


@attrs.frozen
class Call:
    """How a function gets its arguments; found once a function, not once a node.

    Attributes:
        names: its parameters, in order, ``*args`` and ``**kwargs`` left out.
        positional: how many of them, from the first, may be given by position.
        context: whether it wants the node's context by name.
        anything: whether it takes any keyword.
        spread: whether it takes any number of positions.
    """

    names: tuple[str, ...]
    positional: int
    context: bool
    anything: bool
    spread: bool


def call_of(function: Callable[..., Any]) -> Call:
    """How ``function`` gets its arguments."""
    if type(function) is FunctionType and not function.__dict__:
        # What inspect.signature would say, at a tenth of its price: nothing here stands for another function.
        code = function.__code__
        names = code.co_varnames[: code.co_argcount + code.co_kwonlyargcount]
        spread, anything = bool(code.co_flags & inspect.CO_VARARGS), bool(code.co_flags & inspect.CO_VARKEYWORDS)
        return Call(names, code.co_argcount, "context" in names, anything, spread)
    try:
        parameters = inspect.signature(function).parameters.values()
    except (TypeError, ValueError):
        # Some functions written in C do not say; they are called with positions only.
        return Call((), 0, context=False, anything=False, spread=True)
    plain = [it for it in parameters if it.kind not in (it.VAR_POSITIONAL, it.VAR_KEYWORD)]
    by_place = [it for it in plain if it.kind is not it.KEYWORD_ONLY]
    return Call(
        tuple(it.name for it in plain),
        len(by_place),
        any(it.name == "context" for it in plain),
        any(it.kind is it.VAR_KEYWORD for it in parameters),
        any(it.kind is it.VAR_POSITIONAL for it in parameters),
    )


class BodyMaker:
    """Makes the bodies of one plan's nodes."""

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        resources: Resources,
        frames: Frames,
        run_id: str,
        increments: Increments | None = None,
        samples: Samples | None = None,
    ) -> None:
        self._plan = plan
        self._increments = increments
        self._samples = samples
        self._graph = plan.graph
        self._kept = plan.keep
        self._pipeline = pipeline
        self._resources = resources
        self._frames = frames
        self._run_id = run_id
        self._lazy: dict[str | None, bool] = {}
        self._calls: dict[Any, Call] = {}
        self._positional: dict[tuple[Any, int, bool], Body] = {}

    def bodies(self) -> list[Body]:
        """A body for each node of the plan.

        Raises:
            ConfigError: a function is not known.
        """
        nodes, actions = self._graph.nodes, self._plan.actions
        lasting = self._lasting_bodies()
        if self._samples is not None:
            lasting = [None if body is None else self._samples.around(body) for body in lasting]
        if not self._plan.prints or self._plan.loads:  # what is loaded may have to be computed after all
            return [body or self._body(at, nodes[at]) for at, body in enumerate(lasting)]
        return [
            (body or self._body(at, nodes[at])) if actions[at] is Action.RUN else _nothing
            for at, body in enumerate(lasting)
        ]

    def _lasting_bodies(self) -> Sequence[Body | None]:
        """The bodies that know nothing of this run, and so serve every run of the plan; ``None`` for the others."""
        key = (self._pipeline.retry, self._resources.project.retry)
        bodies = self._plan.prepared.get(key)
        if bodies is None:
            bodies = [
                self._function_body(at, node, lasting=True)
                if _is_call(node) and callable(node.function) and not self._is_lazy(node)
                else None
                for at, node in enumerate(self._graph.nodes)
            ]
            self._plan.prepared[key] = bodies
        return bodies

    def _body(self, at: int, node: Node) -> Body:
        if _is_call(node):
            body = self._function_body(at, node)
            assert body is not None
            if not self._is_lazy(node):
                return body if self._samples is None else self._samples.around(body)
            slots = self._graph.inputs[at]
            return LazyCall(body, self._engine_of(node), self._uses(at), slots, self._resources, self._frames)
        engine = self._engine_of(node)
        if node.read is not None and node.read.chunk_rows is not None:
            self._check_chunks(at, node, engine)
        compute = self._function_body(at, node) if node.function is not None else None
        made = self._plan.prints[at].whole if self._plan.prints else self._run_id
        lazily = self._uses(at) if self._is_lazy(node) else None
        part = hashlib.sha256(f"{made}/{self._pipeline.name}/{node.name}".encode()).hexdigest()[:16]
        if is_incremental(node):
            if self._increments is None:
                raise needs_checkpoints(node.name)
            if node.read is not None and node.read.chunk_rows is not None:
                what = f"node '{node.name}' reads only what is new, which it cannot do in chunks."
                raise ConfigError([Problem(what, None, "Remove 'chunk_rows'.")])
        return NodeBody(
            node,
            engine,
            self._graph.inputs[at],
            compute,
            self._resources,
            self._frames,
            self._run_id,
            part,
            lazily,
            self._increments,
            self._samples,
            self._hidden(at),
        )

    def _hidden(self, at: int) -> bool | frozenset[str]:
        """The sensitive columns of a node, with those of all that it has its data from; ``True`` for all."""
        known = self._plan.prepared.get("hidden")
        if known is None:
            nodes = self._graph.nodes
            known = declared(self._graph) if any(node.sensitive for node in nodes) else [frozenset()] * len(nodes)
            self._plan.prepared["hidden"] = known
        found: frozenset[str] | None = known[at]
        return True if found is None else found

    def _check_chunks(self, at: int, node: Node, engine: str) -> None:
        def rowwise(step: Function | Operation) -> bool:
            if isinstance(step, Function):
                return is_rowwise(self._resources.function(step.function))
            return bool(self._resources.operation(engine, step.operation, step.params).rowwise)

        faults = list(chunk_faults(node, bool(self._graph.successors[at]) or at in self._kept, rowwise))
        if faults:
            raise ConfigError(
                Problem(f"node '{node.name}' cannot work in chunks: {fault}.", None, "Remove 'chunk_rows'.")
                for fault in faults
            )

    def _is_lazy(self, node: Node) -> bool:
        """Whether the node's engine is lazy; looked up once an engine."""
        engine = node.engine or self._pipeline.engine or self._resources.project.engine
        known = self._lazy.get(engine)
        if known is None:
            known = self._lazy[engine] = is_lazy(self._resources, engine)
        return known

    def _uses(self, at: int) -> int:
        """How many will want the rows of the node's result, those who asked for it among them."""
        return len(self._graph.successors[at]) + (at in self._kept)

    def _engine_of(self, node: Node) -> str:
        engine = node.engine or self._pipeline.engine or self._resources.project.engine
        if engine is None:
            raise ConfigError([Problem(f"node '{node.name}' has no engine.", None, "Give 'engine'.")])
        return engine

    def call_of(self, function: Callable[..., Any]) -> Call:
        """:func:`call_of`, once a function."""
        call = self._calls.get(function)
        if call is None:
            call = self._calls[function] = call_of(function)
        return call

    def _function_body(self, at: int, node: Node, *, lasting: bool = False) -> Body | None:
        assert node.function is not None
        function = self._resources.function(node.function)
        call = self.call_of(function)
        slots = self._graph.inputs[at]
        parameters = self._parameters(node)
        by_place = call.names[: call.positional][: len(slots)]
        fits = by_place == parameters[: len(by_place)] if call.spread else by_place == parameters
        if fits and not node.params and not call.context:
            return self._positional_body(function, slots, self._is_shared(node, slots))
        if lasting:
            return None
        return self._keyword_body(function, call, node, parameters, slots)

    def _parameters(self, node: Node) -> tuple[str, ...]:
        """For each input the parameter that it is given as."""
        if not node.arguments:
            return node.depends_on
        renamed = {name: parameter for parameter, name in node.arguments.items()}
        return tuple(renamed.get(name, name) for name in node.depends_on)

    def _is_shared(self, node: Node, slots: tuple[int, ...]) -> bool:
        """Whether anybody else may look at what this node is given, itself on a second attempt included."""
        count = len(self._graph)
        retry = node.retry or self._pipeline.retry or self._resources.project.retry
        if retry is not None and retry.enabled and retry.max_attempts > 1:
            return True
        return any(slot >= count or slot in self._kept or len(self._graph.successors[slot]) > 1 for slot in slots)

    def _positional_body(self, function: Callable[..., Any], slots: tuple[int, ...], shared: bool) -> Body:
        """One body for all nodes that call the function with as many inputs: a large graph makes few of them."""
        key = (function, min(len(slots), 2), shared)
        body = self._positional.get(key)
        if body is None:
            body = self._positional[key] = _positional(function, len(slots), shared=shared)
        return body

    def _keyword_body(
        self,
        function: Callable[..., Any],
        call: Call,
        node: Node,
        parameters: tuple[str, ...],
        slots: tuple[int, ...],
    ) -> Body:
        share = self._frames.share
        params = dict(node.params)
        takes_all = call.anything
        # An input that the function does not name only orders the nodes.
        wanted = [(name, slot) for name, slot in zip(parameters, slots, strict=True) if takes_all or name in call.names]
        names = [self._graph.name(slot) for slot in slots]

        def body(task: NodeTask) -> Any:
            values = task.queue.values
            arguments = {name: share(values[slot]) for name, slot in wanted}
            if not call.context:
                return function(**arguments, **params)
            engine = self._resources.engine(
                node.engine or self._pipeline.engine or self._resources.project.engine or ""
            )
            context = NodeContext(task, engine, self._frames, dict(zip(names, (values[s] for s in slots), strict=True)))
            context.params = params
            try:
                return function(**arguments, **params, context=context)
            finally:
                context.close()

        return body


def _is_call(node: Node) -> bool:
    """Whether the node does nothing but call its function."""
    return node.function is not None and not (node.read or node.transform or node.validation or node.write)


def _positional(function: Callable[..., Any], inputs: int, *, shared: bool) -> Body:
    """Calls ``function`` with a node's inputs; each kind saves the list, or the look, that it can do without."""
    if not inputs:
        return lambda _: function()
    if shared:

        def shared_among(task: NodeTask) -> Any:
            queue = task.queue
            values, share = queue.values, queue.share
            return function(*[share(values[slot]) for slot in queue.graph.inputs[task.index]])

        return shared_among
    if inputs == 1:
        return lambda task: function(task.queue.values[task.queue.graph.inputs[task.index][0]])

    def several(task: NodeTask) -> Any:
        values, slots = task.queue.values, task.queue.graph.inputs[task.index]
        return function(*[values[slot] for slot in slots])

    return several


def _nothing(_: NodeTask) -> None:
    """The body of a node that does not run."""


class NodeBody:
    """A node with any of read, transform, validate and write.

    ``part`` names what it appends: the same for each attempt at the same work, in whichever run, and another for other
    work. ``lazily`` is how many nodes and askers will want the rows of its result, if its engine is lazy.
    ``hidden`` are the columns of which rules show no values.
    """

    def __init__(
        self,
        node: Node,
        engine: str,
        slots: tuple[int, ...],
        compute: Body | None,
        resources: Resources,
        frames: Frames,
        run_id: str,
        part: str,
        lazily: int | None = None,
        increments: Increments | None = None,
        samples: Samples | None = None,
        hidden: bool | frozenset[str] = False,
    ) -> None:
        self._hidden = hidden
        self._node = node
        self._increments = increments
        self._samples = samples
        self._lazily = lazily
        self._engine = engine
        self._slots = slots
        self._compute = compute
        self._resources = resources
        self._frames = frames
        self._run_id = run_id
        self._part = part
        self._steps = node.transform.steps if node.transform is not None else ()

    def __call__(self, task: NodeTask) -> Produced:
        """Do all parts of the node in order, in a namespace of its own."""
        engine = self._resources.engine(self._engine)
        context = NodeContext(task, engine, self._frames, self._inputs(task))
        try:
            if self._lazily is not None:
                open_session(task, context)
            if self._node.read is not None and self._node.read.chunk_rows is not None:
                return self._in_chunks(task, engine, context)
            frame = self._begin(task, engine, context)
            for position, step in enumerate(self._steps):
                frame = self._step(task, position, step, frame, context)
            return self._end(task, engine, context, frame)
        finally:
            context.close()

    def _inputs(self, task: NodeTask) -> dict[str, Any]:
        values = task.queue.values
        inputs = {name: values[slot] for name, slot in zip(self._node.depends_on, self._slots, strict=True)}
        if self._node.arguments:
            inputs.update((alias, inputs[name]) for alias, name in self._node.arguments.items())
        return inputs

    def _begin(self, task: NodeTask, engine: Engine, context: NodeContext) -> Any:
        """The first current frame: what the node reads, what its function computes, or its first input."""
        node = self._node
        if node.read is not None:
            begin = monotonic_ns()
            source = self._resources.source(node.read, self._engine)
            if self._increments is not None and node.read.incremental is not None:
                frame = self._increments.read(node.name, self._engine, engine, source)
            else:
                frame = engine.read(source)
            if self._lazily is None:
                # A file of a batch that was replaced under the reader: nothing was made of it yet.
                check_versions(source)
            self._tell(task, "read", 0, begin, engine, frame, {"source": str(source)})
            if self._samples is not None and (self._steps or node.validation is not None):
                self._samples.take(task, "read", frame, engine, self._engine)
            return frame
        if self._compute is not None:
            begin = monotonic_ns()
            value = self._compute(task)
            if value is None:
                raise TransformError(f"the function of node '{node.name}' returned nothing", remedy="Return a table.")
            frame = self._frames.adapt(value, engine, name=node.name)
            self._tell(task, "function", 0, begin, engine, frame, {})
            return frame
        if node.depends_on:
            return context.get(node.depends_on[0])
        return None

    def _step(self, task: NodeTask, position: int, step: Step, frame: Any, context: NodeContext) -> Any:
        task.check()
        begin = monotonic_ns()
        context.current = frame
        kind, name, detail = _describe(step)
        try:
            result = self._apply(step, frame, context)
        except Exception as error:
            failed = self._step_error(position, name, error)
            if failed is error:
                raise
            raise failed from (None if self._withholds(error) else error)
        if result is None:
            raise TransformError(
                "it returned nothing",
                where=f"node '{self._node.name}', step {position + 1} ({name})",
                remedy="A step returns the table that the next one works on.",
            )
        result = self._frames.adapt(result, context.engine, name=name)
        self._tell(task, kind, position, begin, context.engine, result, detail)
        return result

    def _withholds(self, error: Exception) -> bool:
        """Whether the error may quote values that must not show."""
        if not self._node.sensitive:
            return False
        if not isinstance(error, OdibiError):
            return True
        return any(getattr(each, "quotes_data", False) for each in causes(error))

    def _step_error(self, position: int, name: str, error: Exception) -> OdibiError:
        """What a failed step says of itself; its cause is chained by the caller."""
        where = f"node '{self._node.name}', step {position + 1} ({name})"
        if self._withholds(error):
            return withheld(self._node.name, f"step {position + 1} ({name})", error)
        if not isinstance(error, OdibiError):
            return TransformError(f"it failed{place_of(error)}: {type(error).__name__}: {error}", where=where)
        at = f"{where}, {error.where}" if error.where else where
        if isinstance(error, TransformError):
            return TransformError(error.what, where=at, remedy=error.remedy)
        error.add_note(f"in {where}")
        return error

    def _apply(self, step: Step, frame: Any, context: NodeContext) -> Any:
        if isinstance(step, Sql):
            return context.sql(step.sql)
        context.params = step.params
        if isinstance(step, Operation):
            return self._resources.operation(self._engine, step.operation, step.params).apply(frame, context)
        function = self._resources.function(step.function)
        kind, schema = frame_kind(function)
        call = getattr(context.engine, "call", None) if kind is not None and frame is not None else None
        if call is None:
            return self._call(step, frame, context)
        params = dict(step.params)
        if call_of(function).context:
            params["context"] = context
        # The function with its params and nothing of ours: it may have to travel.
        return call(partial(function, **params), frame, kind=kind, rowwise=is_rowwise(function), schema=schema)

    def _call(self, step: Function, frame: Any, context: NodeContext) -> Any:
        """The current frame as the first argument, ``params`` by keyword, ``context`` for those who name it."""
        function = self._resources.function(step.function)
        call = call_of(function)
        params: dict[str, Any] = dict(step.params)
        if call.context:
            params["context"] = context
        first = next((name for name in call.names if name != "context"), None)
        if frame is None or first is None or first in params:
            return function(**params)
        if call.names.index(first) < call.positional and call.names[0] == first:
            return function(frame, **params)
        return function(**{first: frame}, **params)

    def _end(self, task: NodeTask, engine: Engine, context: NodeContext, frame: Any) -> Produced:
        warnings: list[str] = []
        quarantined = 0
        node = self._node
        if self._lazily is not None and frame is not None:
            uses = self._lazily + (node.write is not None) + (node.validation is not None)
            frame = retained(engine, frame, uses, self._inputs(task).values(), self._frames, self._engine)  # type: ignore[arg-type]
        if node.validation is not None:
            whole = frame
            frame, warnings, quarantined = self._validate(task, engine, context, frame)
            if self._lazily is not None and frame is not whole:
                frame = retained(engine, frame, 1, [whole], self._frames, self._engine)  # type: ignore[arg-type]
        if self._samples is not None:
            self._samples.take(task, "result", frame, engine, self._engine)
        report = self._write(task, engine, frame) if self._node.write is not None else None
        return Produced(frame, engine.inspect(frame), report, warnings, quarantined)

    def _validate(self, task: NodeTask, engine: Engine, context: NodeContext, frame: Any) -> tuple[Any, list[str], int]:
        from odibi.run.validation import validate

        validation = self._node.validation
        assert validation is not None
        begin = monotonic_ns()
        try:
            report = validate(
                frame,
                validation,
                session=context.session,
                engine=engine,
                sensitive=self._hidden,
                run_id=self._run_id,
                node=self._node.name,
            )
        except ValidationFailed as failed:
            rules = [each["rule"] for each in failed.results if not each["passed"]]
            detail = {"rules": rules, "results": failed.results}
            self._tell(task, "validate", 0, begin, engine, frame, detail, failed=True)
            if self._samples is not None:
                self._samples.take(task, "result", frame, engine, self._engine)
            raise
        if report.bad is not None and validation.quarantine is not None:
            task.check()
            target = self._resources.quarantine(validation.quarantine, self._engine, self._part)
            engine.write(report.bad, target)
        detail = {"rules": [str(it) for it in report.results], "results": [it.plain() for it in report.results]}
        self._tell(task, "validate", 0, begin, engine, report.good, detail)
        if task.queue.emit is not None:
            now = monotonic_ns()
            for message in report.warnings:
                wall = task.queue.wall_offset + now / 1e9
                task.queue.emit(NodeWarned(self._run_id, now, wall, self._node.name, message))
        return report.good, list(report.warnings), report.quarantined

    def _write(self, task: NodeTask, engine: Engine, frame: Any) -> WriteReport:
        assert self._node.write is not None
        # A cancelled or timed-out attempt must not publish over the one that follows it.
        task.check()
        begin = monotonic_ns()
        target = self._resources.target(self._node.write, self._engine, self._part)
        try:
            report = engine.write(frame, target)
        except OdibiError as error:
            # Steps of a lazy engine fail here, in words that may quote rows.
            if self._lazily is None or not self._withholds(error):
                raise
            raise withheld(self._node.name, "write", error) from None
        self._tell(task, "write", 0, begin, engine, frame, {"target": str(target), "paths": report.paths})
        return report

    def _in_chunks(self, task: NodeTask, engine: Engine, context: NodeContext) -> Produced:
        """Read, transform and write some rows at a time; nothing is kept for nodes downstream."""
        read, write = self._node.read, self._node.write
        assert read is not None
        assert read.chunk_rows is not None
        assert write is not None
        source = self._resources.source(read, self._engine)
        target = self._resources.target(write, self._engine, self._part)
        begin = monotonic_ns()

        failed: list[Exception] = []

        def chunks(rows: int) -> Iterator[Any]:
            try:
                for chunk in engine.read_chunks(source, rows):
                    frame = chunk
                    for position, step in enumerate(self._steps):
                        frame = self._step(task, position, step, frame, context)
                    task.check()
                    yield frame
                # What was written so far is published after the last chunk, or not at all.
                check_versions(source)
            except Exception as error:
                failed.append(error)
                raise

        try:
            report = engine.write_chunks(chunks(read.chunk_rows), target)
        except Exception as error:
            # A writer may take a Conflict of what is read for one of its own, and make something else of it.
            if failed and failed[0] is not error:
                raise failed[0] from failed[0].__cause__
            raise
        if failed:
            raise failed[0]
        self._tell(task, "write", 0, begin, engine, None, {"target": str(target), "paths": report.paths})
        return Produced(None, None, report)

    def _tell(
        self,
        task: NodeTask,
        step: str,
        position: int,
        begin: int,
        engine: Engine,
        frame: Any,
        detail: Mapping[str, Any],
        *,
        failed: bool = False,
    ) -> None:
        queue = task.queue
        if queue.emit is None:
            return
        now = monotonic_ns()
        info = engine.inspect(frame) if frame is not None else None
        rows, schema = (None, ()) if info is None else (info.rows, info.schema)
        wall, seconds = queue.wall_offset + now / 1e9, (now - begin) / 1e9
        queue.emit(
            StepFinished(
                self._run_id, now, wall, self._node.name, step, position, seconds, rows, detail, schema, failed
            )
        )


def _describe(step: Step) -> tuple[str, str, Mapping[str, Any]]:
    """What a step is, in one word, in a few words, and in full."""
    if isinstance(step, Sql):
        return "sql", "sql", {"sql": step.sql}
    if isinstance(step, Operation):
        return "operation", f"operation '{step.operation}'", {"operation": step.operation, "params": step.params}
    name = step.function if isinstance(step.function, str) else getattr(step.function, "__qualname__", "function")
    return "function", f"function '{name}'", {"function": name, "params": step.params}
