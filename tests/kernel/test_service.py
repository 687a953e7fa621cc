"""The service, on a clock that the tests turn, with the kit's reference store and triggers."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, ClassVar
from uuid import uuid4

import attrs
import pytest

from odibi.api import LoadedProject
from odibi.contracts import Batch
from odibi.errors import AccessDenied, Conflict, NotFound, OdibiError, OptionError, Transient
from odibi.model import Checkpoints, ComponentConfig, Misfire, Mode, Node, Overlap, Pipeline, Project, Trigger
from odibi.run.executors import InlineExecutor
from odibi.service.service import Service
from odibi.service.streams import DEATHS, InFlight, Stream
from odibi.testing.clock import Clock
from odibi.testing.pipelines import host_with
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.trigger import FolderSource, IntervalSchedule

PATIENCE = 30.0
BEGIN = "2026-03-01T00:00:00+00:00"


@attrs.frozen
class FromEnd(IntervalSchedule):
    """Counts from the end of the last run."""

    from_end = True

    def next_after(self, moment: Any) -> Any:
        from datetime import timedelta

        return moment + timedelta(seconds=self.every)


@attrs.define
class Resting(FolderSource):
    """Says by a file whether it has anything more to give."""

    @property
    def at_rest(self) -> bool:
        return (self.folder / ".rest").exists()

    def names(self) -> list[str]:
        return [each for each in super().names() if each != ".rest"]


@attrs.define
class Cluster(InlineExecutor):
    """An executor that cannot be built as long as something is the matter."""

    matter: ClassVar[list[BaseException]] = []

    def __attrs_post_init__(self) -> None:
        for error in self.matter[:1]:
            raise error


HOST = host_with(
    {
        "checkpoint.memory": MemoryCheckpoints,
        "trigger.every": IntervalSchedule,
        "trigger.delay": FromEnd,
        "trigger.folder": FolderSource,
        "trigger.resting": Resting,
        "executor.cluster": Cluster,
    }
)


@attrs.define(eq=False)
class Turned(Clock):
    """A clock that knows whether the threads that wait on it have looked at the time as it is now."""

    looked: dict[int, float] = attrs.field(factory=dict, init=False)
    resting: set[int] = attrs.field(factory=set, init=False)

    def __call__(self) -> float:
        me, now = threading.get_ident(), self.now
        if me in self.resting:
            self.resting.discard(me)
            self.looked[me] = now
        return now

    def wait(self, event: threading.Event, seconds: float | None = None) -> bool:
        me = threading.get_ident()
        self.looked.setdefault(me, self.now)
        self.resting.add(me)
        return Clock.wait(self, event, seconds)

    def step(self, seconds: float, threads: int = 1) -> None:
        """Let time pass, and the threads do what is due."""
        self.settle(threads)
        self.advance(seconds)
        self.settle(threads)

    def put(self, moment: str) -> None:
        """Set the clock, as somebody does; the threads see it when they next look."""
        self.settle()
        self.set(moment)
        self.advance(1)
        self.settle()

    def settle(self, threads: int = 1) -> None:
        """Wait until the threads have looked, and wait again."""
        eventually(lambda: sum(self.looked[each] == self.now for each in list(self.resting)) >= threads)


def eventually(holds: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.002)


@pytest.fixture(autouse=True)
def _nothing_unforeseen(caplog: pytest.LogCaptureFixture) -> Iterator[None]:
    """What the service does not know how to deal with, it logs with a traceback, and goes on."""
    yield
    unforeseen = [it for it in caplog.get_records("call") if it.exc_info is not None]
    assert not [it.getMessage() for it in unforeseen if it.msg not in FORESEEN]


FORESEEN = ("%s: the run could not be begun", "%s: it could not be tried", "'%s' could not be looked at")


class Calls:
    """What a node was called with; it can be held up, and made to fail."""

    def __init__(self) -> None:
        self.payloads: list[Any] = []
        self.fail: Callable[[Any], BaseException | None] = lambda _: None
        self.gate: threading.Event | None = None

    def __call__(self, trigger: Any = None) -> int:
        self.payloads.append(trigger)
        if self.gate is not None:
            assert self.gate.wait(PATIENCE)
        error = self.fail(trigger)
        if error is not None:
            raise error
        return len(self.payloads)

    @property
    def moments(self) -> list[str]:
        return [each["moment"][11:19] for each in self.payloads]


def pipeline(name: str, calls: Calls, *, after: tuple[str, ...] = (), trigger: str = "t") -> Pipeline:
    node = Node("n", function=calls, arguments={} if after else {"trigger": trigger},
                depends_on=() if after else (trigger,), version=uuid4().hex)  # fmt: skip
    return Pipeline(name, (node,), after=after)


def project(
    pipelines: tuple[Pipeline, ...], triggers: dict[str, Trigger], store: str = "", name: str = "shop"
) -> LoadedProject:
    checkpoints = Checkpoints("memory", options={"name": store or uuid4().hex})
    return LoadedProject(
        Project(name, root=Path("/"), engine=None, checkpoints=checkpoints, pipelines=pipelines, triggers=triggers),
        host=HOST,
    )


def on_cluster(made: LoadedProject) -> LoadedProject:
    return LoadedProject(attrs.evolve(made.project, executor=ComponentConfig("cluster")), host=HOST)


def every(seconds: float, **settings: Any) -> Trigger:
    return Trigger("every", options={"every": seconds}, **settings)


@contextmanager
def serving(*projects: LoadedProject, clock: Turned, drain: float = 30.0, **options: Any) -> Iterator[Service]:
    service = Service(projects, clock=clock, **options)
    service.start()
    try:
        clock.settle()
        yield service
    finally:
        service.stop(drain)


def pass_time(clock: Turned, service: Service, seconds: float, step: float = 1.0) -> None:
    """Let time pass as it does: bit by bit, and what is due has its turn."""
    for _ in range(round(seconds / step)):
        clock.step(step)
        eventually(service.idle)


# --- moments ----------------------------------------------------------------------------------------------------------


def test_a_schedule_runs_its_pipeline_at_each_moment() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    with serving(project((pipeline("p", calls),), {"t": every(10)}), clock=clock) as service:
        pass_time(clock, service, 35)
        assert calls.moments == ["00:00:10", "00:00:20", "00:00:30"]
        assert [each["previous"][11:19] for each in calls.payloads] == ["00:00:00", "00:00:10", "00:00:20"]
        [status] = service.status()
        assert (status.name, status.state) == ("p/t", "waiting")
        assert status.next == clock() + 5


def test_each_pipeline_of_a_trigger_has_a_stream_of_its_own() -> None:
    one, two, other, clock = Calls(), Calls(), Calls(), Turned.at(BEGIN)
    pipelines = (pipeline("one", one), pipeline("two", two), pipeline("other", other))
    triggers = {"t": every(10, pipelines=("one", "two"))}
    with serving(project(pipelines, triggers), clock=clock) as service:
        pass_time(clock, service, 20)
        assert one.moments == two.moments == ["00:00:10", "00:00:20"]
        assert other.payloads == []
        assert [status.name for status in service.status()] == ["one/t", "two/t"]


@pytest.mark.parametrize(("triggers", "after", "mode", "said"), [
    ({}, False, Mode.BATCH, "add some under 'triggers' in the project file, such as a 'cron' or a 'file_watch'"),
    ({}, False, Mode.STREAM, "('mode: stream') is run by: odibi run"),
    ({"t": Trigger("every", enabled=False, options={"every": 1})}, False, Mode.BATCH, "remove 'enabled: false' from"),
    ({"t": Trigger("every", options={"every": 1})}, False, Mode.BATCH, ""),
    ({}, True, Mode.BATCH, ""),
], ids=["none", "stream", "disabled", "one", "after"])  # fmt: skip
def test_that_nothing_will_ever_begin_is_told(
    triggers: dict[str, Trigger], after: bool, mode: Mode, said: str, caplog: pytest.LogCaptureFixture
) -> None:
    pipelines = [attrs.evolve(pipeline("p", Calls(), after=("o",)), mode=mode), pipeline("o", Calls(), after=("x",))]
    if not after:
        pipelines = [attrs.evolve(each, after=()) for each in pipelines]
    made = project(tuple(pipelines), triggers)
    with serving(made, clock=Turned.at(BEGIN)):
        pass
    warnings = [it.getMessage() for it in caplog.records if it.levelname == "WARNING"]
    assert len(warnings) == bool(said)
    assert all(said in each for each in warnings)


def test_a_trigger_that_is_not_enabled_starts_nothing() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    with serving(project((pipeline("p", calls),), {"t": every(10, enabled=False)}), clock=clock) as service:
        pass_time(clock, service, 30)
        assert (calls.payloads, service.status()) == ([], [])


@pytest.mark.parametrize(
    ("misfire", "grace", "wanted"),
    [
        (Misfire.LATEST, None, ["00:02:00", "00:02:10"]),
        (Misfire.ALL, None, [f"00:{at // 60:02}:{at % 60:02}" for at in range(20, 131, 10)]),
        (Misfire.ALL, 25.0, ["00:01:40", "00:01:50", "00:02:00", "00:02:10"]),
        (Misfire.SKIP, None, ["00:02:00", "00:02:10"]),
    ],
)
def test_moments_that_passed_while_no_service_ran(misfire: Misfire, grace: float | None, wanted: list[str]) -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    made = project((pipeline("p", calls),), {"t": every(10, misfire=misfire, grace=grace)}, store)
    with serving(made, clock=clock) as service:
        pass_time(clock, service, 10)
    clock.advance(112)
    calls.payloads.clear()
    with serving(made, clock=clock) as service:
        eventually(service.idle)
        pass_time(clock, service, 8)
        eventually(lambda: len(calls.payloads) >= len(wanted))
        assert calls.moments == wanted


def test_moments_long_past_are_skipped_when_that_is_wanted() -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    made = project((pipeline("p", calls),), {"t": every(3600, misfire=Misfire.SKIP)}, store)
    with serving(made, clock=clock):
        pass
    clock.advance(3 * 3600 + 1800)
    with serving(made, clock=clock) as service:
        eventually(service.idle)
        assert calls.payloads == []
        pass_time(clock, service, 1800, step=600)
        assert calls.moments == ["04:00:00"]


def test_a_first_service_makes_up_for_nothing() -> None:
    calls, clock = Calls(), Turned.at("2026-03-01T00:00:05+00:00")
    with serving(project((pipeline("p", calls),), {"t": every(10, misfire=Misfire.ALL)}), clock=clock) as service:
        eventually(service.idle)
        assert calls.payloads == []


def test_of_moments_that_come_while_the_pipeline_runs_the_newest_waits() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    with serving(project((pipeline("p", calls),), {"t": every(10)}), clock=clock) as service:
        for _ in range(40):
            clock.step(1)
        eventually(lambda: len(calls.payloads) == 1)
        calls.gate.set()
        eventually(service.idle)
        assert calls.moments == ["00:00:10", "00:00:40"]
        assert [each["previous"][11:19] for each in calls.payloads] == ["00:00:00", "00:00:10"], "no time is left out"


def test_moments_that_are_all_wanted_all_wait() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    with serving(project((pipeline("p", calls),), {"t": every(10, misfire=Misfire.ALL)}), clock=clock) as service:
        for _ in range(40):
            clock.step(1)
        calls.gate.set()
        eventually(service.idle)
        assert calls.moments == ["00:00:10", "00:00:20", "00:00:30", "00:00:40"]
        assert [each["previous"][11:19] for each in calls.payloads] == ["00:00:00", *calls.moments[:-1]]


def test_moments_can_be_skipped_while_the_pipeline_runs_and_stay_so() -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    calls.gate = threading.Event()
    made = project((pipeline("p", calls),), {"t": every(10, overlap=Overlap.SKIP)}, store)
    with serving(made, clock=clock) as service:
        for _ in range(45):
            clock.step(1)
        calls.gate.set()
        eventually(service.idle)
        assert calls.moments == ["00:00:10"]
    with serving(made, clock=clock) as service:
        eventually(service.idle)
        assert calls.moments == ["00:00:10"], "what was passed over was not missed"
        pass_time(clock, service, 10)
        assert calls.moments == ["00:00:10", "00:00:50"]


def test_the_previous_run_can_be_cancelled() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    first = pipeline("p", calls).nodes[0]
    nodes = (first, Node("m", function=lambda n: n, depends_on=("n",)))
    made = project((Pipeline("p", nodes),), {"t": every(10, overlap=Overlap.CANCEL_PREVIOUS)})
    with serving(made, clock=clock) as service:
        for _ in range(10):
            clock.step(1)
        eventually(lambda: len(calls.payloads) == 1)
        for _ in range(10):
            clock.step(1)
        calls.gate.set()
        eventually(service.idle)
        assert calls.moments == ["00:00:10", "00:00:20"]
        stream, resources = stream_of(made)
        assert [run.state for run in stream.store.runs("p")] == ["succeeded", "cancelled"]
        assert stream.offset() == "2026-03-01T00:00:20+00:00"
        resources.close()


def test_a_delay_counts_from_the_end_of_the_run() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    with serving(project((pipeline("p", calls),), {"t": Trigger("delay", options={"every": 10})}), clock=clock) as it:
        for _ in range(35):
            clock.step(1)
        eventually(lambda: len(calls.payloads) == 1)
        calls.gate.set()
        eventually(it.idle)
        eventually(lambda: it.status()[0].next == clock() + 10)
        pass_time(clock, it, 10)
        assert calls.moments == ["00:00:10", "00:00:45"]


def test_a_clock_that_is_put_forward_and_back() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    with serving(project((pipeline("p", calls),), {"t": every(600)}), clock=clock) as service:
        pass_time(clock, service, 600, step=60)
        clock.put("2026-03-01T01:10:30+00:00")
        eventually(service.idle)
        clock.put("2026-03-01T00:10:32+00:00")
        pass_time(clock, service, 3600, step=60)
        assert calls.moments == ["00:10:00", "01:10:00"], "no moment is run twice"
        pass_time(clock, service, 600, step=60)
        assert calls.moments == ["00:10:00", "01:10:00", "01:20:00"]


def test_a_schedule_can_be_fired() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    with serving(project((pipeline("p", calls),), {"t": every(3600)}), clock=clock) as service:
        service.fire("p/t")
        eventually(lambda: len(calls.payloads) == 1)
        with pytest.raises(KeyError, match="p/x"):
            service.fire("p/x")


# --- what fails -------------------------------------------------------------------------------------------------------


def test_a_moment_whose_run_fails_is_passed_over() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.fail = lambda payload: ValueError("no") if payload["moment"].endswith("00:10+00:00") else None
    with serving(project((pipeline("p", calls),), {"t": every(10)}), clock=clock) as service:
        pass_time(clock, service, 20)
        assert calls.moments == ["00:00:10", "00:00:20"]


def test_a_moment_is_tried_again_if_that_is_wanted() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.fail = lambda _: ValueError("no") if len(calls.payloads) < 3 else None
    trigger = every(3600, max_attempts=3, retry_delay=4)
    with serving(project((pipeline("p", calls),), {"t": trigger}), clock=clock) as service:
        clock.advance(3600)
        eventually(lambda: service.status()[0].state == "retrying")
        assert "no" in service.status()[0].error
        pass_time(clock, service, 3)
        assert len(calls.payloads) == 1
        clock.advance(1)
        eventually(lambda: len(calls.payloads) == 2)
        eventually(lambda: service.status()[0].state == "retrying")
        pass_time(clock, service, 7)
        assert len(calls.payloads) == 2, "the second delay is twice as long"
        clock.advance(1)
        eventually(lambda: service.status()[0].state == "waiting")
        assert calls.moments == ["01:00:00"] * 3


def test_what_passes_is_waited_for_and_not_counted() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.fail = lambda _: Transient("the storage is away") if len(calls.payloads) < 6 else None
    trigger = every(100_000, max_attempts=1, retry_delay=1)
    with serving(project((pipeline("p", calls),), {"t": trigger}), clock=clock) as service:
        clock.advance(100_000)
        for count in range(1, 6):
            eventually(lambda count=count: len(calls.payloads) == count)  # type: ignore[misc]
            eventually(lambda: service.status()[0].state == "retrying")
            clock.advance(2 ** (count - 1))
        eventually(lambda: service.status()[0].state == "waiting")
        assert len(calls.payloads) == 6


def test_what_waits_behind_a_moment_that_is_put_off_keeps_its_place() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.fail = lambda _: Transient("away") if len(calls.payloads) == 1 else None
    made = project((pipeline("p", calls),), {"t": every(10, misfire=Misfire.ALL, retry_delay=25)})
    with serving(made, clock=clock) as service:
        for _ in range(34):
            clock.step(1)
            eventually(lambda: service.idle())
        assert calls.moments == ["00:00:10"]
        for _ in range(6):
            clock.step(1)
            eventually(lambda: service.idle())
        assert calls.moments == ["00:00:10", "00:00:10", "00:00:20", "00:00:30", "00:00:40"]
        stream, resources = stream_of(made)
        assert stream.offset() == "2026-03-01T00:00:40+00:00"
        resources.close()


def test_a_moment_that_is_put_off_with_others_behind_it_goes_first() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    calls.fail = lambda _: Transient("away") if len(calls.payloads) == 1 else None
    made = project((pipeline("p", calls),), {"t": every(10, misfire=Misfire.ALL, retry_delay=2)})
    with serving(made, clock=clock) as service:
        for _ in range(25):
            clock.step(1)
        calls.gate.set()
        eventually(lambda: service.status()[0].state == "retrying")
        pass_time(clock, service, 2)
        eventually(lambda: len(calls.payloads) == 3)
        assert calls.moments == ["00:00:10", "00:00:10", "00:00:20"]


@pytest.fixture(name="matter")
def _matter() -> Iterator[list[BaseException]]:
    """Of the cluster."""
    yield Cluster.matter
    Cluster.matter.clear()


@pytest.mark.parametrize("error", [
    AccessDenied("the key has expired"), NotFound("there is no cluster"), OptionError("executor", []), TypeError("odd")
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_what_lasts_and_keeps_a_run_from_beginning_counts(
    tmp_path: Path, matter: list[BaseException], error: BaseException
) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    made = on_cluster(project((pipeline("p", calls),), {"t": folder(tmp_path, retry_delay=5)}))
    matter.append(error)
    (tmp_path / "1").touch()
    stream, resources = stream_of(made)
    with serving(made, clock=clock) as service:
        for failures in (1, 2):
            eventually(lambda failures=failures: (it := stream.in_flight()) and it.failures == failures)  # type: ignore[misc]
            eventually(lambda: service.status()[0].state == "retrying")
            clock.advance(20)
        eventually(lambda: stream.offset() == "1")
        matter.clear()
        (tmp_path / "2").touch()
        eventually(lambda: names(calls) == ["2"])
    [letter] = stream.dead()
    assert (letter.batch.id, letter.attempts, letter.run_id) == ("1", 3, "")
    assert str(error) in letter.error
    resources.close()


@pytest.mark.parametrize("error", [
    Transient("the cluster is busy"), Conflict("the pipeline runs"), ConnectionError("no network"), MemoryError(),
    RuntimeError("can't start new thread"),
], ids=lambda error: type(error).__name__)  # fmt: skip
def test_what_passes_and_keeps_a_run_from_beginning_does_not_count(
    tmp_path: Path, matter: list[BaseException], error: BaseException
) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    made = on_cluster(project((pipeline("p", calls),), {"t": folder(tmp_path, retry_delay=1, max_attempts=1)}))
    matter.append(error)
    (tmp_path / "1").touch()
    with serving(made, clock=clock) as service:
        for count in range(6):
            eventually(lambda count=count: put_off_by(service) == count + 1)  # type: ignore[misc]
            eventually(lambda: service.status()[0].state == "retrying")
            assert str(error) in service.status()[0].error
            if count == 5:
                matter.clear()
            clock.advance(2**count)
        eventually(lambda: names(calls) == ["1"])
        eventually(lambda: service.status()[0].state == "waiting")
    stream, resources = stream_of(made)
    assert (list(stream.dead()), stream.offset()) == ([], "1")
    resources.close()


def test_what_is_put_off_waits_a_little_even_if_there_is_to_be_no_pause(
    tmp_path: Path, matter: list[BaseException]
) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    made = on_cluster(project((pipeline("p", calls),), {"t": folder(tmp_path, retry_delay=0)}))
    matter.append(Conflict("another run goes on"))
    (tmp_path / "1").touch()
    with serving(made, clock=clock) as service:
        for count, pause in enumerate((0.1, 0.2, 0.4), 1):
            eventually(lambda count=count: put_off_by(service) >= count)  # type: ignore[misc]
            eventually(lambda: service.status()[0].state == "retrying")
            clock.step(pause / 2)
            eventually(service.idle)
            assert put_off_by(service) == count
            clock.advance(pause)
        matter.clear()
        clock.advance(1)
        eventually(lambda: names(calls) == ["1"])


def put_off_by(service: Service) -> int:
    return service.counts.read().attempts.get(("shop", "p/t", "put_off"), 0)


def test_an_error_that_nobody_thought_of_is_tried_again() -> None:
    calls, clock, made_observers = Calls(), Turned.at(BEGIN), []

    def observers() -> tuple[()]:
        made_observers.append(1)
        if len(made_observers) == 1:
            raise RuntimeError("no observers today")
        return ()

    made = project((pipeline("p", calls),), {"t": every(3600, retry_delay=5)})
    with serving(made, clock=clock, observers=observers) as service:
        clock.step(3600)
        eventually(lambda: service.status()[0].state == "retrying")
        assert "no observers today" in service.status()[0].error
        pass_time(clock, service, 5)
        eventually(lambda: calls.moments == ["01:00:00"])


# --- sources ----------------------------------------------------------------------------------------------------------


def folder(place: Path, **settings: Any) -> Trigger:
    return Trigger("folder", options={"folder": str(place), "interval": 0.01}, **settings)


def stream_of(made: LoadedProject, name: str = "t") -> tuple[Stream, Any]:
    resources = made.resources()
    store = resources.checkpoints()
    assert store is not None
    return Stream(store, "p", name), resources


def names(calls: Calls) -> list[str]:
    return [Path(each).name for each in calls.payloads]


def test_each_batch_of_a_source_is_consumed_once(tmp_path: Path) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    made = project((pipeline("p", calls),), {"t": folder(tmp_path)})
    for at in range(3):
        (tmp_path / f"{at}").touch()
    with serving(made, clock=clock):
        eventually(lambda: len(calls.payloads) == 3)
    for at in range(3, 5):
        (tmp_path / f"{at}").touch()
    with serving(made, clock=clock):
        eventually(lambda: len(calls.payloads) == 5)
    assert names(calls) == ["0", "1", "2", "3", "4"]
    stream, resources = stream_of(made)
    assert (stream.offset(), stream.in_flight()) == ("4", None)
    resources.close()


def test_a_batch_that_fails_again_and_again_is_given_up_and_can_be_replayed(tmp_path: Path) -> None:
    from odibi.service.replay import replayed

    calls, clock = Calls(), Turned.at(BEGIN)
    calls.fail = lambda payload: ValueError("bad rows") if payload.endswith("1") else None
    made = project((pipeline("p", calls),), {"t": folder(tmp_path, retry_delay=5)})
    for at in range(3):
        (tmp_path / f"{at}").touch()
    with serving(made, clock=clock) as service:
        for count in (2, 3, 4):
            eventually(lambda count=count: len(calls.payloads) >= count)  # type: ignore[misc]
            if count < 4:
                eventually(lambda: service.status()[0].state == "retrying")
            clock.advance(20)
        eventually(lambda: len(calls.payloads) == 5)
        eventually(service.idle)
    assert names(calls) == ["0", "1", "1", "1", "2"]
    stream, resources = stream_of(made)
    [letter] = stream.dead()
    assert (letter.batch, letter.attempts) == (Batch("1", "1", str(tmp_path / "1")), 3)
    assert "bad rows" in letter.error
    assert stream.offset() == "2"
    assert "bad rows" in replayed(made["p"], stream, letter)
    assert list(stream.dead()) == [letter]
    calls.fail = lambda _: None
    assert replayed(made["p"], stream, letter) == ""
    assert (list(stream.dead()), stream.offset()) == ([], "2")
    resources.close()


def test_a_batch_in_flight_goes_first_as_it_was(tmp_path: Path) -> None:
    """Not what the source would make of the same files by now."""
    calls, clock = Calls(), Turned.at(BEGIN)
    made = project((pipeline("p", calls),), {"t": folder(tmp_path)})
    for name in ("1", "3"):
        (tmp_path / name).touch()
    stream, resources = stream_of(made)
    stream.begin(InFlight(Batch("two at once", "2", "1 and 2")))
    with serving(made, clock=clock):
        eventually(lambda: len(calls.payloads) == 2)
    assert calls.payloads == ["1 and 2", str(tmp_path / "3")]
    assert (stream.offset(), stream.in_flight()) == ("3", None)
    resources.close()


def test_a_batch_that_takes_the_process_with_it_is_given_up(tmp_path: Path) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    made = project((pipeline("p", calls),), {"t": folder(tmp_path)})
    (tmp_path / "2").touch()
    stream, resources = stream_of(made)
    batch = InFlight(Batch("1", "1", "poison"))
    for _ in range(DEATHS + 1):
        batch = stream.begin(batch)
    with serving(made, clock=clock):
        eventually(lambda: calls.payloads)
    assert names(calls) == ["2"]
    [letter] = stream.dead()
    assert letter.batch.payload == "poison"
    assert "died" in letter.error
    resources.close()


def test_a_source_that_fails_is_listened_to_again(tmp_path: Path) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    place = tmp_path / "place"
    place.write_text("a file where the folder should be")
    with serving(project((pipeline("p", calls),), {"t": folder(place)}), clock=clock):
        place.unlink()
        place.mkdir()
        (place / "1").touch()
        eventually(lambda: calls.payloads)


def test_a_service_is_not_idle_before_its_sources_are_at_rest(tmp_path: Path) -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    trigger = Trigger("resting", options={"folder": str(tmp_path), "interval": 0.01})
    with serving(project((pipeline("p", calls),), {"t": trigger}), clock=clock) as service:
        (tmp_path / "1").touch()
        eventually(lambda: calls.payloads)
        eventually(service.idle)
        assert service.idle_for == 0
        (tmp_path / ".rest").touch()
        eventually(lambda: service.idle_for > 0.05)
        (tmp_path / ".rest").unlink()
        assert service.idle_for == 0


# --- pausing, stopping, standing by -----------------------------------------------------------------------------------


def test_a_paused_stream_starts_nothing_until_it_goes_on() -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    made = project((pipeline("p", calls),), {"t": every(10)}, store)
    with serving(made, clock=clock) as service:
        service.pause("p/t")
        pass_time(clock, service, 60)
        assert (calls.payloads, service.status()[0].state) == ([], "paused")
    with serving(made, clock=clock) as service:
        pass_time(clock, service, 60)
        assert calls.payloads == [], "it stays so"
        service.pause("p/t", paused=False)
        eventually(lambda: calls.payloads)
        pass_time(clock, service, 10)
        assert calls.moments == ["00:02:00", "00:02:10"]


def test_a_schedule_goes_on_after_a_pause_with_something_left_to_try() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.fail = lambda _: ValueError("no") if len(calls.payloads) == 1 else None
    made = project((pipeline("p", calls),), {"t": every(10, max_attempts=3, retry_delay=5)})
    with serving(made, clock=clock) as service:
        pass_time(clock, service, 12)
        eventually(lambda: service.status()[0].state == "retrying")
        service.pause("p/t")
        pass_time(clock, service, 30)
        assert len(calls.payloads) == 1
        service.pause("p/t", paused=False)
        eventually(lambda: len(calls.payloads) >= 2)
        pass_time(clock, service, 20)
        assert calls.moments[-2:] == ["00:00:50", "00:01:00"]


def test_moments_that_are_all_wanted_outlast_a_pause() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    made = project((pipeline("p", calls),), {"t": every(10, misfire=Misfire.ALL)})
    with serving(made, clock=clock) as service:
        for _ in range(35):
            clock.step(1)
        service.pause("p/t")
        calls.gate.set()
        eventually(service.idle)
        pass_time(clock, service, 20)
        assert calls.moments == ["00:00:10"]
        service.pause("p/t", paused=False)
        pass_time(clock, service, 5)
        eventually(lambda: len(calls.payloads) >= 6)
        assert calls.moments == [f"00:{at // 60:02}:{at % 60:02}" for at in range(10, 61, 10)]
        assert [each["previous"][11:19] for each in calls.payloads[1:]] == calls.moments[:-1]


def test_a_store_that_is_away_when_the_service_begins_is_waited_for() -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    made = project((pipeline("p", calls),), {"t": every(10)}, store)
    service = Service([made], clock=clock)
    opened, away = service._served[0].store, [True]

    class Away:
        """The store, whose first look-up fails."""

        def __getattr__(self, name: str) -> Any:
            if name == "offsets" and away:
                away.clear()
                raise Transient("the store is away")
            return getattr(opened, name)

    service._served[0].store = Away()  # type: ignore[assignment]
    service.start()
    clock.settle()
    assert not service.leading
    pass_time(clock, service, 12)
    eventually(lambda: calls.moments == ["00:00:10"])
    assert service.leading
    service.stop()


def test_what_somebody_else_pauses_is_seen() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    made = project((pipeline("p", calls),), {"t": every(10)})
    stream, resources = stream_of(made)
    with serving(made, clock=clock) as service:
        stream.pause()
        pass_time(clock, service, 30)
        assert (calls.payloads, service.status()[0].state) == ([], "paused")
        stream.pause(paused=False)
        pass_time(clock, service, 2)
        assert calls.moments == ["00:00:30"]
    resources.close()


def test_stopping_lets_what_runs_finish() -> None:
    calls, clock = Calls(), Turned.at(BEGIN)
    calls.gate = threading.Event()
    service = Service([project((pipeline("p", calls),), {"t": every(10)})], clock=clock)
    service.start()
    clock.settle()
    clock.advance(10)
    eventually(lambda: calls.payloads)
    stopped: list[bool] = []
    stopper = threading.Thread(target=lambda: stopped.append(service.stop()))
    stopper.start()
    assert not service.wait(0.05)
    calls.gate.set()
    stopper.join(PATIENCE)
    assert stopped == [True]
    assert service.wait(0)
    assert not [each for each in threading.enumerate() if each.name.startswith(("odibi-service", "odibi-watch"))]


def test_of_two_services_one_works_and_the_other_takes_over() -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    first, second = (project((pipeline("p", calls),), {"t": every(10)}, store) for _ in range(2))
    one, two = Service([first], clock=clock), Service([second], clock=clock)
    one.start()
    eventually(lambda: one.leading)
    two.start()
    clock.settle(2)
    for _ in range(10):
        clock.advance(1)
        clock.settle(2)
    eventually(lambda: len(calls.payloads) == 1)
    assert (one.leading, two.leading) == (True, False)
    assert two.status() == []
    one.stop()
    for _ in range(10):
        clock.step(1)
    eventually(lambda: two.leading and len(calls.payloads) == 2)
    two.stop()
    assert calls.moments == ["00:00:10", "00:00:20"]


def test_a_service_that_was_taken_over_from_stops_at_once() -> None:
    calls, clock, store = Calls(), Turned.at(BEGIN), uuid4().hex
    made = project((pipeline("p", calls),), {"t": every(10)}, store)
    with serving(made, clock=clock) as service:
        service._served[0].lock.release()  # type: ignore[union-attr]  # as if its lease had run out
        other = project((pipeline("p", calls),), {"t": every(10)}, store)
        stream, resources = stream_of(other)
        taken = stream.store.lock("!service/shop")
        pass_time(clock, service, 30)
        assert (service.leading, service.status(), calls.payloads) == (False, [], [])
        taken.release()
        pass_time(clock, service, 2)
        assert service.leading
        eventually(lambda: calls.moments == ["00:00:30"])
        resources.close()


# --- pipelines after others -------------------------------------------------------------------------------------------


def test_a_pipeline_runs_after_all_those_it_comes_after() -> None:
    one, two, last, clock = Calls(), Calls(), Calls(), Turned.at(BEGIN)
    pipelines = (pipeline("one", one), pipeline("two", two, trigger="u"), pipeline("last", last, after=("one", "two")))
    triggers = {"t": every(10, pipelines=("one",)), "u": every(40, pipelines=("two",))}
    made = project(pipelines, triggers)
    with serving(made, clock=clock) as service:
        pass_time(clock, service, 30)
        assert (len(one.payloads), len(last.payloads)) == (3, 0)
        pass_time(clock, service, 12)
        eventually(lambda: len(last.payloads) == 1)
        pass_time(clock, service, 30)
        assert len(last.payloads) == 1, "the second has not run again since"


def test_a_pipeline_does_not_run_after_one_that_failed() -> None:
    first, last, clock = Calls(), Calls(), Turned.at(BEGIN)
    first.fail = lambda _: ValueError("no") if len(first.payloads) == 1 else None
    pipelines = (pipeline("first", first), pipeline("last", last, after=("first",)))
    with serving(project(pipelines, {"t": every(10, pipelines=("first",))}), clock=clock) as service:
        pass_time(clock, service, 10)
        assert last.payloads == []
        pass_time(clock, service, 10)
        eventually(lambda: len(last.payloads) == 1)


# --- projects ---------------------------------------------------------------------------------------------------------


def test_a_project_that_was_loaded_anew_takes_the_place_of_the_former() -> None:
    calls, other, clock, store = Calls(), Calls(), Turned.at(BEGIN), uuid4().hex
    calls.gate = threading.Event()
    made = project((pipeline("p", calls),), {"t": every(10)}, store)
    with serving(made, clock=clock) as service:
        for _ in range(10):
            clock.step(1)
        eventually(lambda: calls.payloads)
        again = project((pipeline("p", other),), {"t": every(7)}, store)
        service.reload(again)
        clock.step(1)
        assert other.payloads == [], "what runs ends first"
        calls.gate.set()
        eventually(service.idle)
        pass_time(clock, service, 10)
        assert calls.moments == ["00:00:10"]
        assert other.moments == [each["moment"][11:19] for each in other.payloads]
        assert len(other.payloads) >= 1
        with pytest.raises(OdibiError, match="the project served is 'shop'"):
            service.reload(project((pipeline("p", other),), {}, name="another"))


def test_projects_need_a_store_and_names_of_their_own() -> None:
    bare = LoadedProject(Project("bare", engine=None, pipelines=(pipeline("p", Calls()),)), host=HOST)
    with pytest.raises(OdibiError, match="checkpoints: sqlite"):
        Service([bare])
    with pytest.raises(OdibiError, match="two projects are called 'shop'"):
        Service([project((pipeline("p", Calls()),), {}) for _ in range(2)])
