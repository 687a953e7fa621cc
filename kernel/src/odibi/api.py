"""The Python API: load a project, or write a pipeline, and run it.

.. code-block:: python

    import odibi

    odibi.load("odibi.yaml").run()


    @odibi.node
    def orders(): ...


    @odibi.node
    def totals(orders): ...


    odibi.Pipeline("sales", [orders, totals]).run()["totals"]
"""

from __future__ import annotations

import threading
import weakref
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, overload

import attrs

from odibi import model
from odibi.errors import ConfigError, OdibiError, Problem
from odibi.functions import inputs_of
from odibi.graph import Graph, build_graph
from odibi.plan import Plan, make_plan
from odibi.redact import Redactor
from odibi.run.batches import check_batches, files_read
from odibi.run.dispatch import PATIENCE, settle
from odibi.run.facts import Facts
from odibi.run.handle import EventLog, RunHandle
from odibi.run.resources import Resources
from odibi.run.run import Run, has_state, new_run_id, nothing_to_resume
from odibi.structure import did_you_mean

if TYPE_CHECKING:
    from odibi.contracts.executor import Executor
    from odibi.contracts.observer import Observer
    from odibi.contracts.trigger import Batch, FileVersion
    from odibi.fingerprint import Fingerprints
    from odibi.host import Host
    from odibi.run.dispatch import Listener
    from odibi.run.meter_project import ProjectMeter
    from odibi.run.observers import ProjectObservers
    from odibi.run.result import RunResult
    from odibi.run.state import RunState
    from odibi.service.events import Bell, StoreQueue

__all__ = ["LoadedProject", "Pipeline", "ProjectResult", "load", "node", "run"]

F = TypeVar("F", bound=Callable[..., Any])

_MARK = "__odibi_node__"


@overload
def node(function: F, /) -> F: ...
@overload
def node(
    *,
    name: str | None = None,
    depends_on: Sequence[str] | None = None,
    params: Mapping[str, Any] | None = None,
    arguments: Mapping[str, str] | None = None,
    **settings: Any,
) -> Callable[[F], F]: ...
def node(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    depends_on: Sequence[str] | None = None,
    params: Mapping[str, Any] | None = None,
    arguments: Mapping[str, str] | None = None,
    **settings: Any,
) -> Any:
    """Make a function a node: its parameters are its inputs, what it returns is its result.

    The function itself is given back, so that it can be called and tested as before.

    Args:
        name: the node's; by default the function's.
        depends_on: its inputs in order; by default its parameters without a default, ``params`` and ``context`` left
            out. Inputs that are no parameters only order the nodes.
        params: values of further parameters.
        arguments: parameter to input, where their names differ.
        settings: further fields of :class:`odibi.Node`, such as ``retry``, ``timeout``, ``write``, ``tags``.
    """

    def mark(target: Any) -> Any:
        made = _node_of(target, name, depends_on, params or {}, arguments or {}, settings)
        setattr(target, _MARK, made)
        return target

    return mark if function is None else mark(function)


def _node_of(
    function: Callable[..., Any],
    name: str | None,
    depends_on: Sequence[str] | None,
    params: Mapping[str, Any],
    arguments: Mapping[str, str],
    settings: Mapping[str, Any],
) -> model.Node:
    known = {field.name for field in attrs.fields(model.Node)}
    wrong = sorted(set(settings) - known)
    if wrong:
        raise TypeError(f"odibi.node() has no setting '{wrong[0]}'; it has: {', '.join(sorted(known))}")
    inputs = tuple(depends_on) if depends_on is not None else inputs_of(function, params, arguments)
    return model.Node(
        name or function.__name__,
        depends_on=inputs,
        function=function,
        params=dict(params),
        arguments=dict(arguments),
        **settings,
    )


@attrs.frozen
class ProjectResult(Sequence["RunResult"]):
    """What came of running several pipelines, in the order in which they ran.

    Attributes:
        runs: one a pipeline; pipelines after one that failed did not run.
    """

    runs: tuple[RunResult, ...]

    @property
    def ok(self) -> bool:
        """Whether all of them succeeded."""
        return all(run.ok for run in self.runs)

    def __len__(self) -> int:
        return len(self.runs)

    def __getitem__(self, index: Any) -> Any:
        if isinstance(index, str):
            return next(run for run in self.runs if run.pipeline == index)
        return self.runs[index]

    def __iter__(self) -> Iterator[RunResult]:
        return iter(self.runs)


class Pipeline:
    """A pipeline that can be run.

    Args:
        name: its name.
        nodes: functions marked with :func:`node`, or :class:`odibi.Node` objects.
        engine: for nodes that read, write or transform and name none.
        connections: by name; a :class:`odibi.Connection`, or its options with their ``type``.
        cache: where results are kept: the name of a cache, or its options with their ``type``.
        checkpoints: where runs are recorded: the name of a checkpoint store, or its options with their ``type``, and
            those of :class:`odibi.model.Checkpoints`.
        host: the plugins to use; by default all that are installed.
        settings: further fields of :class:`odibi.model.Pipeline`: ``retry``, ``timeout``, ``on_error``, ``tags``.
    """

    def __init__(
        self,
        name: str,
        nodes: Iterable[Callable[..., Any] | model.Node] = (),
        *,
        engine: str | None = "pandas",
        connections: Mapping[str, model.Connection | Mapping[str, Any]] | None = None,
        cache: str | Mapping[str, Any] | None = None,
        checkpoints: str | Mapping[str, Any] | None = None,
        host: Host | None = None,
        **settings: Any,
    ) -> None:
        project = model.Project(
            name,
            root=Path.cwd(),
            engine=engine,
            connections={key: _connection(key, value) for key, value in (connections or {}).items()},
            cache=None if cache is None else model.ComponentConfig(*_typed("cache", cache)),
            checkpoints=None if checkpoints is None else _checkpoints(checkpoints),
        )
        self.model = model.Pipeline(name, tuple(map(_as_node, nodes)), **settings)
        self._outlined: tuple[tuple[Any, ...], Plan] | None = None
        self._fingerprints: tuple[model.Pipeline, Fingerprints] | None = None
        self._loaded = LoadedProject(project, host=host)

    @classmethod
    def _of(cls, pipeline: model.Pipeline, loaded: LoadedProject) -> Pipeline:
        self = cls.__new__(cls)
        self.model = pipeline
        self._outlined = None
        self._fingerprints = None
        self._loaded = loaded
        return self

    @property
    def name(self) -> str:
        """Its name."""
        return self.model.name

    @property
    def loaded(self) -> LoadedProject:
        """The project that it is of."""
        return self._loaded

    def add(self, *nodes: Callable[..., Any] | model.Node) -> Pipeline:
        """Add nodes; returns the pipeline itself."""
        self.model = attrs.evolve(self.model, nodes=(*self.model.nodes, *map(_as_node, nodes)))
        return self

    def node(self, function: Any = None, /, **settings: Any) -> Any:
        """As :func:`odibi.node`, and add the node to this pipeline."""

        def mark(target: Any) -> Any:
            self.add(node(**settings)(target))
            return target

        return mark if function is None else mark(function)

    def graph(self, inputs: Iterable[str] = ()) -> Graph:
        """The checked graph.

        Args:
            inputs: names that a run would be handed.

        Raises:
            GraphError: the nodes make none.
        """
        return build_graph(self.model.nodes, dict.fromkeys((*self._brought(None), *inputs)))

    def _brought(self, batches: Mapping[str, Batch] | None) -> dict[str, Any]:
        """What triggers bring to nodes that name them: the payload of a batch, or nothing in a run without one."""
        consumed = batches or {}
        triggers = {*self._loaded.project.triggers, *consumed}
        if not triggers:
            return {}
        names = sorted(triggers & _loose_ends(self.model))
        return {name: consumed[name].payload if name in consumed else None for name in names}

    def plan(
        self,
        *,
        select: Iterable[str] = (),
        targets: Sequence[str] | None = None,
        inputs: Mapping[str, Any] | Iterable[str] = (),
        force: bool = False,
        cache: bool = True,
        resume: str | bool = False,
        batches: Mapping[str, Batch] | None = None,
    ) -> Plan:
        """What a run would do with each node, and why; takes the same choices as :meth:`run`.

        Nothing is run or changed, and no data is read; storages are asked for the versions of what is there.
        """
        names = tuple(inputs)
        given = {**self._brought(batches), **(inputs if isinstance(inputs, Mapping) else {})}
        outline = self._outline(select, targets, dict.fromkeys((*given, *names)))
        resources = self._loaded._consuming(self, batches)
        try:
            if not has_state(outline, resources):
                return outline
            state = self._state(
                outline,
                resources,
                new_run_id(),
                force=force,
                use_cache=cache,
                resume=resume,
                given=given,
                batches=batches,
                lock=False,
            )
            state.close()
            return state.plan
        finally:
            resources.close()

    def _outline(self, select: Iterable[str], targets: Sequence[str] | None, inputs: Iterable[str]) -> Plan:
        """The plan before anything is known of earlier runs."""
        key = (self.model, tuple(select), None if targets is None else tuple(targets), tuple(inputs))
        # A pipeline is often run again as it was; nothing in a plan is changed by running it.
        if self._outlined is None or self._outlined[0][0] is not self.model or self._outlined[0][1:] != key[1:]:
            self._outlined = (key, make_plan(self.model, select=key[1], targets=key[2], given=key[3]))
        return self._outlined[1]

    def _state(self, outline: Plan, resources: Resources, run_id: str, **choices: Any) -> RunState:
        if self._fingerprints is None or self._fingerprints[0] is not self.model:
            from odibi.fingerprint import Fingerprints

            self._fingerprints = (self.model, Fingerprints(self.model, resources))
        from odibi.run.state import RunState

        return RunState(outline, self.model, resources, run_id, fingerprints=self._fingerprints[1], **choices)

    def run(
        self,
        *,
        select: Iterable[str] = (),
        targets: Sequence[str] | None = None,
        inputs: Mapping[str, Any] | None = None,
        workers: int | None = None,
        executor: str | Executor | None = None,
        observers: Sequence[Observer] = (),
        check: bool = True,
        force: bool = False,
        cache: bool = True,
        resume: str | bool = False,
        offsets: Mapping[str, Any] | None = None,
        batches: Mapping[str, Batch] | None = None,
    ) -> RunResult:
        """Run it, here and now.

        Args:
            select: what to run, as :meth:`odibi.graph.Graph.select` takes it; all by default.
            targets: the nodes whose values are wanted; they and what they need are run.
            inputs: values by name, instead of nodes or for names that no node makes.
            workers: how many nodes may run at once; the executor's own number by default.
            executor: the name of one, or one built; by default what the project says.
            observers: told every event.
            check: raise if the run fails.
            force: run every node that was selected, whatever earlier runs left.
            cache: take results from the project's cache, and put them there.
            resume: go on with this run, or with the last one if ``True`` and it did not succeed: what it finished is
                not done again.
            offsets: stream to how far it is consumed if the run succeeds: recorded in one transaction with its end.
            batches: trigger to the batch that the run consumes. A ``read`` whose ``stream`` is that trigger reads the
                files of the batch alone, and an input of that name, which no node makes, is its payload; without a
                batch, the read reads all that its path means, and the input is ``None``. The offset of the batch is
                recorded with the end of the run, as the stream ``"PIPELINE/TRIGGER"``; one without moves none. A run of
                the same batches that did not succeed is gone on with, unless ``force`` is given.

        Raises:
            RunFailed: a node failed, and ``check`` is true.
            GraphError: the nodes make no graph, or a name is not known.
            Conflict: another run of the pipeline goes on.
            ConfigError: there is no trigger of a batch's name.
            DataError: a batch says its files in a way that is not known.
            NotFound: there is no run to resume of that id.
            KeyboardInterrupt: it came during the run.
        """
        kept = {"force": force, "use_cache": cache, "resume": resume, "offsets": offsets, "batches": batches}
        made, close = self._loaded._prepare(self, select, targets, inputs, workers, executor, observers, kept)
        try:
            result = made.execute()
        finally:
            close()
        return result.raise_for_failure() if check else result

    def stream(
        self,
        *,
        max_iterations: int | None = None,
        sleep_seconds: float | None = None,
        checkpoint_interval: int | None = None,
        stop: threading.Event | None = None,
        **choices: Any,
    ) -> Iterator[RunResult]:
        """Run it again and again, and give the result of each run.

        A run that fails does not end it; what the caller raises, or ``stop``, does, after the run that goes on.

        Args:
            max_iterations, sleep_seconds, checkpoint_interval: see :class:`odibi.model.Continuous`; by default what the
                pipeline says.
            stop: set it, from any thread, to end the iteration.
            choices: what :meth:`run` takes.
        """
        from odibi.run.continuous import iterations

        said: dict[str, Any] = {
            "max_iterations": max_iterations, "sleep_seconds": sleep_seconds, "checkpoint_interval": checkpoint_interval
        }  # fmt: skip
        how = attrs.evolve(self.model.continuous, **{key: value for key, value in said.items() if value is not None})
        resources = self._loaded.resources()
        try:
            runs = partial(self.run, **{"check": False, **choices})
            yield from iterations(runs, how, resources.checkpoints(), stop or threading.Event())
        finally:
            resources.close()

    def start(
        self,
        *,
        select: Iterable[str] = (),
        targets: Sequence[str] | None = None,
        inputs: Mapping[str, Any] | None = None,
        workers: int | None = None,
        executor: str | Executor | None = None,
        observers: Sequence[Observer] = (),
        force: bool = False,
        cache: bool = True,
        resume: str | bool = False,
        offsets: Mapping[str, Any] | None = None,
        batches: Mapping[str, Batch] | None = None,
    ) -> RunHandle:
        """Start it and return at once; takes what :meth:`run` takes."""
        log = EventLog()
        kept = {"force": force, "use_cache": cache, "resume": resume, "offsets": offsets, "batches": batches}
        made, close = self._loaded._prepare(self, select, targets, inputs, workers, executor, [*observers, log], kept)
        return RunHandle(made, log, after=close)

    def __repr__(self) -> str:
        return f"<Pipeline '{self.name}' of {len(self.model.nodes)} nodes>"


def _as_node(item: Callable[..., Any] | model.Node) -> model.Node:
    if isinstance(item, model.Node):
        return item
    made = getattr(item, _MARK, None)
    if isinstance(made, model.Node):
        return made
    if callable(item):
        return _node_of(item, None, None, {}, {}, {})
    raise TypeError(f"a pipeline is made of functions and odibi.Node objects, not of {type(item).__name__}")


def _connection(name: str, value: model.Connection | Mapping[str, Any]) -> model.Connection:
    if isinstance(value, model.Connection):
        return value
    return model.Connection(name, *_typed(f"connection '{name}'", value, "local"))


def _typed(what: str, value: str | Mapping[str, Any], example: str = "disk") -> tuple[str, dict[str, Any]]:
    """A component's name and options."""
    options = {"type": value} if isinstance(value, str) else dict(value)
    kind = options.pop("type", None)
    if not isinstance(kind, str):
        raise ConfigError([Problem(f"{what} has no 'type'.", None, f"Give one, such as '{example}'.")])
    return kind, options


def _checkpoints(value: str | Mapping[str, Any]) -> model.Checkpoints:
    kind, options = _typed("checkpoints", value, "sqlite")
    own = {key: options.pop(key) for key in ("resume", "keep_last", "wait") if key in options}
    return model.Checkpoints(kind, options=options, **own)


class LoadedProject:
    """A project with its plugins: what :func:`load` returns.

    Args:
        project: the model.
        host: the plugins; by default all that are installed, without those that the project blocks.
        redactor: knows the secrets that were met while loading.
        files: what it was read from.
        words: what names it on a command line; empty if no file stands for it.
    """

    def __init__(
        self,
        project: model.Project,
        *,
        host: Host | None = None,
        redactor: Redactor | None = None,
        files: Sequence[Path] = (),
        words: Sequence[str] = (),
    ) -> None:
        self.project = project
        self.files = tuple(files)
        self.words = tuple(words)
        self.redactor = redactor if redactor is not None else Redactor()
        self._host = host
        self._pipelines: tuple[Pipeline, ...] | None = None
        self._stores: Resources | None = None
        self._observers: ProjectObservers | None = None
        self._meter: ProjectMeter | None = None
        self._bells: dict[str, Bell] = {}

    def resources(self) -> Resources:
        """What builds connections, engines and the rest; for the caller to close.

        The cache and the checkpoint store stay open from run to run, until :meth:`close`.
        """
        return self._resources()

    def _resources(self, files: Mapping[str, tuple[FileVersion, ...]] | None = None) -> Resources:
        return Resources(self.project, self.host, self.redactor, stores=self._lasting(), files=files)

    def _lasting(self) -> Resources:
        """The resources that stay open from run to run."""
        if self._stores is None:
            self._stores = Resources(self.project, self.host, self.redactor)
            weakref.finalize(self, self._stores.close)
        return self._stores

    def _watching(self, plan: Plan, state: RunState | None) -> list[tuple[Observer, Listener]]:
        """The observers that the project asks for, for one more run, and what measures it."""
        found: list[tuple[Observer, Listener]] = []
        project = self.project
        if project.observers or project.alerts or project.story:
            if self._observers is None:
                from odibi.run.observers import ProjectObservers

                self._observers = ProjectObservers(self._lasting())
            found += self._observers.of_run()
        measuring = self._metering()
        measured = measuring.of_run(plan) if measuring is not None else None
        if measured is None:
            return found
        if state is not None:
            state.appended = measured[0].appended
        return [*found, measured]

    def _metering(self) -> ProjectMeter | None:
        """What measures the project's runs, if it has a metric sink."""
        if self._meter is None and self.project.metrics:
            from odibi.run.meter_project import ProjectMeter

            self._meter = ProjectMeter(self._lasting())
            weakref.finalize(self, self._meter.close)
        return self._meter

    def scrapes(self) -> list[str]:
        """What its metric sinks hold that Prometheus can read, each in Prometheus' text format."""
        metering = self._metering()
        return metering.scrapes() if metering is not None else []

    def _consuming(self, pipeline: Pipeline, batches: Mapping[str, Batch] | None) -> Resources:
        """The resources of a run that consumes batches."""
        if not batches:
            return self._resources()
        check_batches(batches, self.project.triggers)
        return self._resources(files_read(pipeline.model, batches))

    def close(self) -> None:
        """Close the cache, the checkpoint store and metric sinks; may be called twice, and the project still be used.

        Observers of the project that are busy with a run that is over get a few seconds to finish, and so do sinks.
        """
        if self._observers is not None or self._meter is not None:
            settle(PATIENCE)
        if self._meter is not None:
            self._meter.close()
        if self._stores is not None:
            self._stores.close()

    def __enter__(self) -> LoadedProject:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def host(self) -> Host:
        """The plugins, looked for when they are first needed."""
        if self._host is None:
            from odibi.host import Host

            self._host = Host(block=self.project.plugins.block, prefer=self.project.plugins.prefer)
        return self._host

    @property
    def pipelines(self) -> tuple[Pipeline, ...]:
        """The pipelines, in the order in which they run."""
        if self._pipelines is None:
            self._pipelines = tuple(Pipeline._of(pipeline, self) for pipeline in self.project.pipelines)
        return self._pipelines

    def __getitem__(self, name: str) -> Pipeline:
        """The pipeline called ``name``.

        Raises:
            ConfigError: there is none.
        """
        for pipeline in self.pipelines:
            if pipeline.name == name:
                return pipeline
        known = ", ".join(pipeline.name for pipeline in self.project.pipelines) or "none"
        raise ConfigError([Problem(f"there is no pipeline '{name}'; the project has: {known}.")])

    def run(
        self,
        pipelines: str | Sequence[str] | None = None,
        *,
        select: Iterable[str] = (),
        targets: Sequence[str] | None = None,
        inputs: Mapping[str, Any] | None = None,
        workers: int | None = None,
        executor: str | Executor | None = None,
        observers: Sequence[Observer] = (),
        check: bool = True,
        force: bool = False,
        cache: bool = True,
        resume: str | bool = False,
    ) -> ProjectResult:
        """Run pipelines one after another; the first that fails is the last that runs.

        Args:
            pipelines: their names; all by default. With ``select`` or ``targets`` only those that hold a match run,
                each with what it holds.
            select, targets, inputs, workers, executor, observers, check, force, cache, resume: as in
                :meth:`Pipeline.run`.
        """
        names = [pipelines] if isinstance(pipelines, str) else pipelines or ()
        results: list[RunResult] = []
        for pipeline, held, aimed in self.choose(names, select, targets):
            result = pipeline.run(
                select=held,
                targets=aimed,
                inputs=inputs,
                workers=workers,
                executor=executor,
                observers=observers,
                check=check,
                force=force,
                cache=cache,
                resume=resume,
            )
            results.append(result)
            if not result.ok:
                break
        return ProjectResult(tuple(results))

    def fire(self, trigger: str, payload: Any = None, key: str | None = None) -> int:
        """Fire a trigger that takes events, such as one of ``type: event``.

        The event is in the checkpoint store when this returns. The service that serves the project, now or later, runs
        each pipeline of the trigger with it, once; at once if that is a service of this very project in this process,
        within a second otherwise.

        Args:
            trigger: its name.
            payload: what the pipelines are run with; JSON values.
            key: of an event that may be fired more than once, by one who does not know whether it was: among the last
                1,000 events, nothing is added for a key that is known.

        Returns:
            The event's number; for a key that is known, that of the first.

        Raises:
            ConfigError: the project has no trigger of that name.
            DataError: the payload is no JSON, or larger than the trigger allows.
            NotFound: the trigger takes no events.
            Conflict: it is switched off.
            OdibiError: the project has no checkpoint store.
            StorageError: the store fails. Try again with the same key.
        """
        from odibi.service.firing import fire

        return fire(self, trigger, payload, key)

    def events(self, trigger: str) -> StoreQueue:
        """The events of a trigger that wait, whether the project has a trigger of that name or not.

        Raises:
            OdibiError: the project has no checkpoint store.
        """
        from odibi.service.events import Bell, StoreQueue

        store = self.resources().checkpoints()
        if store is None:
            raise OdibiError(
                "events are kept in a checkpoint store, and the project has none",
                where=f"project '{self.project.name}'",
                remedy="Add 'checkpoints: sqlite' to the project file.",
            )
        return StoreQueue(store, trigger, self._bells.setdefault(trigger, Bell()))

    def choose(
        self,
        pipelines: Sequence[str] = (),
        select: Iterable[str] = (),
        targets: Sequence[str] | None = None,
    ) -> list[tuple[Pipeline, list[str], list[str] | None]]:
        """The pipelines in question, each with the selections and targets that it holds.

        Raises:
            ConfigError: a pipeline is not known, or a selection or target is in none of them.
        """
        wanted = [self[name] for name in dict.fromkeys(pipelines)] if pipelines else list(self.pipelines)
        expressions = [part.strip() for text in select for part in text.split(",") if part.strip()]
        if not expressions and targets is None:
            return [(pipeline, [], None) for pipeline in wanted]
        chosen: list[tuple[Pipeline, list[str], list[str] | None]] = []
        missing = dict.fromkeys([*expressions, *(targets or ())])
        for pipeline in wanted:
            held = [expression for expression in expressions if _matches(pipeline, expression)]
            names = {node.name for node in pipeline.model.nodes}
            aimed = [name for name in targets or () if name in names]
            for found in (*held, *aimed):
                missing.pop(found, None)
            if (held or not expressions) and (aimed or targets is None):
                chosen.append((pipeline, held, aimed if targets is not None else None))
        if missing:
            raise ConfigError(_unmatched(wanted, list(missing), targets or ()))
        if not chosen:
            raise ConfigError([Problem("no pipeline holds both a selected node and a target.")])
        return chosen

    def _prepare(
        self,
        pipeline: Pipeline,
        select: Iterable[str],
        targets: Sequence[str] | None,
        inputs: Mapping[str, Any] | None,
        workers: int | None,
        executor: str | Executor | None,
        observers: Sequence[Observer],
        kept: Mapping[str, Any],
    ) -> tuple[Run, Callable[[], None]]:
        resources = self._consuming(pipeline, kept["batches"])
        given = {**pipeline._brought(kept["batches"]), **(inputs or {})}
        plan = pipeline._outline(select, targets, given)
        built, owned = self._executor(executor, workers)
        state: RunState | None = None
        run_id = new_run_id()

        def close() -> None:
            if owned:
                built.close()
            if state is not None:
                state.close()
            resources.close()

        try:
            if has_state(plan, resources):
                state = pipeline._state(plan, resources, run_id, given=given, **kept)
                plan = state.plan
            elif kept["resume"]:
                raise nothing_to_resume(pipeline.name)
            command = self._command(pipeline.name, select, targets, inputs, kept)
            made = Run(
                plan,
                pipeline.model,
                resources,
                built,
                observers=observers,
                given=given,
                run_id=run_id,
                state=state,
                watching=self._watching(plan, state),
                facts=Facts(
                    plan,
                    pipeline.model,
                    self.project,
                    self.redactor,
                    self.files,
                    command,
                    self._lasting().storage,
                ),
            )
        except BaseException:
            close()
            raise
        return made, close

    def _command(
        self,
        pipeline: str,
        select: Iterable[str],
        targets: Sequence[str] | None,
        inputs: Mapping[str, Any] | None,
        kept: Mapping[str, Any],
    ) -> list[str]:
        """The words that run the same again; none if they cannot say it: of values that were handed in, and batches."""
        if not self.words or inputs or kept["batches"]:
            return []
        words = ["odibi", "run", *self.words, "--pipeline", pipeline]
        words += [word for each in select for word in ("--select", each)]
        words += [word for each in targets or () for word in ("--target", each)]
        words += ["--force"] if kept["force"] else []
        return words if kept["use_cache"] else [*words, "--no-cache"]

    def _executor(self, executor: str | Executor | None, workers: int | None) -> tuple[Executor, bool]:
        """The executor, and whether it is ours to close."""
        if executor is not None and not isinstance(executor, str):
            if workers is not None:
                raise ValueError("give the number of workers to the executor that you built")
            return executor, False
        config = self.project.executor
        name = executor or config.type
        options = dict(config.options) if name == config.type else {}
        if workers is not None:
            options.pop("max_workers", None)
            options["workers"] = workers
            if name == "inline":
                name = "threads" if workers > 1 else "inline"
        if name == "inline":
            options.pop("workers", None)
        return self.host.build("executor", name, options), True


def _matches(pipeline: Pipeline, expression: str) -> bool:
    try:
        build_graph(pipeline.model.nodes, _loose_ends(pipeline.model)).select([expression])
    except ConfigError:
        return False
    return True


def _loose_ends(pipeline: model.Pipeline) -> set[str]:
    """Inputs that no node makes; a run may be given them."""
    made = {node.name for node in pipeline.nodes}
    return {name for node in pipeline.nodes for name in node.depends_on} - made


def _unmatched(pipelines: Sequence[Pipeline], missing: Sequence[str], targets: Sequence[str]) -> Iterator[Problem]:
    nodes = [node for pipeline in pipelines for node in pipeline.model.nodes]
    names = [node.name for node in nodes]
    groups = [f"tag:{tag}" for node in nodes for tag in node.tags] + [f"layer:{it.layer}" for it in nodes if it.layer]
    for each in missing:
        kind = "target" if each in targets else "selection"
        known = names if kind == "target" else [*names, *dict.fromkeys(groups)]
        yield Problem(f"the {kind} '{each}' matches no node.", None, did_you_mean(each.strip("+"), known))


def load(
    path: str | Path = "odibi.yaml",
    *,
    env: str | None = None,
    engine: str | None = None,
    environ: Mapping[str, str] | None = None,
    host: Host | None = None,
) -> LoadedProject:
    """Load and check a project.

    Args:
        path: the project file, its folder, or a step table.
        env: one of the project's ``environments``.
        engine: instead of the project's, for nodes and pipelines that name none.
        environ: variables for ``${VAR}``; by default the process's.
        host: the plugins to use; by default all that are installed.

    Raises:
        ConfigError: with every mistake in the project.
        PluginError: a plugin that the project needs is broken.
    """
    from odibi.config.check import check_project
    from odibi.config.load import load_project

    found = load_project(Path(path), env=env, environ=environ, lenient=True)
    if engine is not None:
        found = attrs.evolve(found, project=attrs.evolve(found.project, engine=engine))
    words = [str(path), *(("--env", env) if env else ()), *(("--engine", engine) if engine else ())]
    loaded = LoadedProject(found.project, host=host, redactor=found.redactor, files=found.sources, words=words)
    if engine is not None:
        loaded.host.component("engine", engine)  # asked for by name, so it must be there even if no node needs it
    problems = check_project(found, loaded.host)
    if problems:
        raise ConfigError(problems)
    loaded.host.configure(found.project)
    return loaded


def run(path: str | Path = "odibi.yaml", *, env: str | None = None, **choices: Any) -> ProjectResult:
    """:func:`load` and :meth:`LoadedProject.run` in one."""
    return load(path, env=env).run(**choices)
