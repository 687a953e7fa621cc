"""Events: kept in order, known again by their key, consumed once by each stream, and taken over HTTP if signed."""

from __future__ import annotations

import http.client
import itertools
import json
import socket
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import attrs
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from odibi import option
from odibi.api import LoadedProject
from odibi.cli.main import main
from odibi.contracts.trigger import Batch, EventQueue, EventSource, TriggerSource
from odibi.errors import AccessDenied, ConfigError, Conflict, DataError, OdibiError, Transient
from odibi.model import Checkpoints, Node, Pipeline, Project, Trigger
from odibi.run.resources import Resources
from odibi.service import events
from odibi.service.events import Bell, StoreQueue
from odibi.service.http import LARGEST_REQUEST, ServiceServer
from odibi.service.service import Service
from odibi.testing.pipelines import host_with
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.trigger import IntervalSchedule

PATIENCE = 30.0
MOST = 100_000
SIGN = {"X-Sign": "right", "Content-Type": "application/json"}

_names = itertools.count()


@attrs.define(eq=False)
class Fired:
    """A source of events that are signed by a word."""

    word: str | None = option(None, help="The word.")
    patience: float = option(0.05, help="Seconds for which the queue is waited for.")
    max_bytes: int = option(MOST, help="Of a payload.")
    queue: EventQueue | None = None

    @property
    def signed(self) -> bool:
        return self.word is not None

    def attach(self, queue: EventQueue) -> None:
        self.queue = queue

    def accept(self, body: bytes, headers: Mapping[str, str]) -> Any:
        assert len(body) <= self.max_bytes
        if headers.get("x-sign") != self.word:
            raise AccessDenied("the word is wrong", remedy="Say the word.")
        try:
            return json.loads(body)
        except ValueError:
            raise DataError("it is no JSON", remedy="Send JSON.") from None

    def poll(self, offset: Any | None, stop: threading.Event) -> Iterator[Batch]:
        assert self.queue is not None
        while not stop.is_set():
            for number, payload in self.queue.after(offset, 1):
                offset = number
                yield Batch(f"event {number}", number, payload)
            self.queue.wait(self.patience, stop)

    def close(self) -> None:
        pass


HOST = {"checkpoint.memory": MemoryCheckpoints, "trigger.fired": Fired, "trigger.every": IntervalSchedule}


class Calls(list[Any]):
    """What a node was called with."""

    __hash__ = object.__hash__  # type: ignore[assignment]

    def __init__(self) -> None:
        super().__init__()
        self.gate = threading.Event()
        self.gate.set()

    def __call__(self, t: Any = None) -> int:
        assert self.gate.wait(PATIENCE)
        self.append(t)
        return len(self)


def eventually(holds: Callable[[], object], what: str = "it comes to be") -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, f"it does not come about that {what}"
        time.sleep(0.002)


def project(
    pipelines: Mapping[str, Callable[..., Any]],
    *,
    store: str = "",
    name: str = "shop",
    pipelines_of: tuple[str, ...] = (),
    enabled: bool = True,
    **options: Any,
) -> LoadedProject:
    """A trigger ``t`` of events that all of the pipelines consume, and a schedule that comes up once in a lifetime."""
    trigger = Trigger("fired", pipelines_of, retry_delay=0.01, enabled=enabled, options=options)
    never = Trigger("every", pipelines_of or tuple(pipelines), options={"every": 1e9})
    nodes = {
        key: Node("n", function=call, arguments={"t": "t"}, depends_on=("t",), version=f"{next(_names)}")
        for key, call in pipelines.items()
    }
    return LoadedProject(
        Project(
            name,
            root=Path("/"),
            engine=None,
            checkpoints=Checkpoints("memory", options={"name": store or f"events {next(_names)}"}),
            pipelines=tuple(Pipeline(key, (node,)) for key, node in nodes.items()),
            triggers={"t": trigger, "never": never},
        ),
        host=host_with(HOST),
    )


@contextmanager
def serving(*projects: LoadedProject) -> Iterator[Service]:
    service = Service(projects)
    service.start()
    try:
        eventually(lambda: service.leading, "it leads")
        yield service
    finally:
        service.stop(PATIENCE)


def waiting(made: LoadedProject) -> dict[str, Any]:
    """The events that are still there."""
    store = made.resources().checkpoints()
    assert store is not None
    return dict(store.offsets("!event/t/"))


# --- the queue --------------------------------------------------------------------------------------------------------


def test_events_come_in_order_behind_an_offset() -> None:
    queue = StoreQueue(MemoryCheckpoints(), "t")
    assert queue.after(None, 9) == []
    assert [queue.put(payload) for payload in ({"a": [1, None]}, None, "x")] == [1, 2, 3]
    assert queue.after(None, 9) == [(1, {"a": [1, None]}), (2, None), (3, "x")]
    assert queue.after(None, 2) == [(1, {"a": [1, None]}), (2, None)]
    assert queue.after(1, 1) == [(2, None)]
    assert queue.after(3, 1) == queue.after(17, 1) == []


def test_triggers_are_apart() -> None:
    store = MemoryCheckpoints()
    one, two = StoreQueue(store, "a"), StoreQueue(store, "a.b")
    assert (one.put("1", "k"), two.put("2", "k"), two.put("3")) == (1, 1, 2)
    assert (one.after(None, 9), two.after(None, 9)) == ([(1, "1")], [(1, "2"), (2, "3")])


class History(RuleBasedStateMachine):
    """Puts, with keys and without, and removals, beside a list that does the same."""

    remembered = 5

    def __init__(self) -> None:
        super().__init__()
        self.queue = StoreQueue(MemoryCheckpoints(), "t")
        self.there: dict[int, Any] = {}
        self.keys: OrderedDict[int, str | None] = OrderedDict()
        self.last = 0

    @rule(key=st.one_of(st.none(), st.sampled_from("abcdefgh")), payload=st.integers())
    def put(self, key: str | None, payload: int) -> None:
        known = [number for number, each in self.keys.items() if each == key and key is not None]
        number = self.queue.put(payload, key)
        if known:
            assert number == known[-1]
            return
        self.last += 1
        assert number == self.last
        self.there[number] = payload
        self.keys[number] = key
        if len(self.keys) > self.remembered:
            self.keys.popitem(last=False)

    @rule(upto=st.integers(0, 60))
    def forget(self, upto: int) -> None:
        self.queue.forget(upto)
        self.there = {number: payload for number, payload in self.there.items() if number > upto}

    @invariant()
    def all_are_there(self) -> None:
        assert self.queue.after(None, 1000) == sorted(self.there.items())
        for offset in (1, self.last // 2, self.last):
            assert self.queue.after(offset, 3) == [it for it in sorted(self.there.items()) if it[0] > offset][:3]


def test_histories(monkeypatch: pytest.MonkeyPatch) -> None:
    from hypothesis.stateful import run_state_machine_as_test

    monkeypatch.setattr(events, "REMEMBERED", History.remembered)
    monkeypatch.setattr(events, "_AT_ONCE", 2)
    run_state_machine_as_test(History, settings=settings(max_examples=60, stateful_step_count=40, deadline=None))


def test_what_is_kept_of_keys_does_not_grow(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "REMEMBERED", 10)
    store = MemoryCheckpoints()
    queue = StoreQueue(store, "t")
    for at in range(50):
        queue.put(at, f"key {at}")
    queue.forget(50)
    assert len(store.offsets("!event/")) == 2 + 2 * 10


def test_many_put_at_once() -> None:
    store = MemoryCheckpoints()

    def put(who: int) -> list[int]:
        queue = StoreQueue(store, "t")
        return [queue.put([who, at], f"{at}" if who % 2 else None) for at in range(20)]

    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(put, range(8)))
    found = StoreQueue(store, "t").after(None, 1000)
    assert [number for number, _ in found] == list(range(1, 20 * 4 + 20 + 1))
    for who in range(0, 8, 2):
        assert numbers[who] == [number for number, payload in found if payload[0] == who]
    assert numbers[1] == numbers[3] == numbers[5] == numbers[7]


@pytest.mark.parametrize(
    ("payload", "words"),
    [
        (object(), "no JSON"),
        ({"x": float("nan")}, "no JSON"),
        (float("inf"), "no JSON"),
        ("x" * 99, "has 101 bytes, and 100 are allowed"),
        ("\u20ac" * 40, "has 122 bytes"),
        (json.loads("[" * 70 + "]" * 70), "more than 64 levels"),
        ([[]] * 10**5, "bytes"),
    ],
)
def test_what_is_no_payload_is_refused(payload: Any, words: str) -> None:
    queue = StoreQueue(MemoryCheckpoints(), "t")
    most = 1000 if "levels" in words else 100
    with pytest.raises(DataError, match=words) as caught:
        queue.put(payload, max_bytes=most)
    assert caught.value.remedy
    assert queue.last() == 0


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(),
                    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner)))  # fmt: skip
def test_any_payload_comes_back_as_it_was(payload: Any) -> None:
    queue = StoreQueue(MemoryCheckpoints(), "t")
    queue.put(payload)
    assert queue.after(None, 1) == [(1, payload)]


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_keys_have_a_length(key: str) -> None:
    with pytest.raises(DataError, match="the key has"):
        StoreQueue(MemoryCheckpoints(), "t").put(1, key)


@pytest.mark.parametrize("offset", ["2026-01-01", True, {"n": 1}])
def test_an_offset_of_something_else_is_an_error(offset: Any) -> None:
    with pytest.raises(DataError, match="not the number of an event"):
        StoreQueue(MemoryCheckpoints(), "t").after(offset, 1)


def test_one_who_waits_for_too_long_for_others_may_try_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "PATIENCE", 0.01)
    store = MemoryCheckpoints()
    held = store.lock("!event/t")
    with pytest.raises(Transient, match="others are putting events"):
        StoreQueue(store, "t").put(1)
    held.release()
    assert StoreQueue(store, "t").put(1) == 1


def test_one_who_has_lost_the_right_removes_nothing() -> None:
    store = MemoryCheckpoints()
    queue = StoreQueue(store, "t")
    queue.put(1)
    lock = store.lock("!service/shop")
    lock.release()
    with pytest.raises(Conflict):
        queue.forget(1, lock)
    assert queue.after(None, 1) == [(1, 1)]


def test_one_who_waits_is_told_at_once_within_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK", 10 * PATIENCE)  # so that looking never finds it
    store, bell, stop = MemoryCheckpoints(), Bell(), threading.Event()
    queue, other = StoreQueue(store, "t", bell), StoreQueue(store, "t", bell)
    for put_first in (True, False):
        offset = queue.last()
        assert queue.after(offset, 1) == []
        if put_first:  # between looking and waiting
            other.put(1)
        thread = threading.Thread(target=queue.wait, args=(10 * PATIENCE, stop))
        thread.start()
        if not put_first:
            other.put(1)
        thread.join(PATIENCE)
        assert not thread.is_alive()


def test_one_who_waits_sees_what_others_have_put_and_that_it_is_to_stop() -> None:
    store, stop = MemoryCheckpoints(), threading.Event()
    queue = StoreQueue(store, "t")
    assert queue.after(None, 1) == []
    for act in (lambda: StoreQueue(store, "t").put(1), stop.set):
        thread = threading.Thread(target=queue.wait, args=(10 * PATIENCE, stop))
        thread.start()
        act()
        thread.join(PATIENCE)
        assert not thread.is_alive()
        queue.after(None, 1)


# --- the service ------------------------------------------------------------------------------------------------------


def test_the_source_of_these_tests_is_one() -> None:
    assert isinstance(Fired(), EventSource)
    assert isinstance(Fired(), TriggerSource)


def test_each_stream_consumes_each_event_once_in_order() -> None:
    one, two = Calls(), Calls()
    made = project({"p": one, "q": two})
    assert made.fire("t", "before") == 1
    with serving(made):
        assert [made.fire("t", at) for at in range(5)] == [2, 3, 4, 5, 6]
        eventually(lambda: len(one) == len(two) == 6)
        eventually(lambda: not waiting(made), "what was consumed is removed")
    with serving(made):
        made.fire("t", "last")
        eventually(lambda: len(one) == len(two) == 7)
    assert one == two == ["before", 0, 1, 2, 3, 4, "last"]


def test_an_event_is_kept_until_the_last_stream_has_consumed_it() -> None:
    quick, slow = Calls(), Calls()
    slow.gate.clear()
    made = project({"p": quick, "q": slow})
    with serving(made) as service:
        for at in range(3):
            made.fire("t", at)
        eventually(lambda: len(quick) == 3 and service.running == 1)
        slow.gate.set()
        eventually(lambda: len(slow) == 3)
        eventually(lambda: not waiting(made), "all are removed")
    assert quick == slow == [0, 1, 2]


def test_a_paused_stream_keeps_what_it_has_not_consumed() -> None:
    one, two = Calls(), Calls()
    made = project({"p": one, "q": two})
    with serving(made) as service:
        service.pause("q/t")
        made.fire("t", 1)
        made.fire("t", 2)
        eventually(lambda: len(one) == 2)
        made.fire("t", 3)  # after a look at what can be removed
        eventually(lambda: len(one) == 3)
        assert len(waiting(made)) == 3
        service.pause("q/t", paused=False)
        eventually(lambda: len(two) == 3)
    assert two == [1, 2, 3]


def test_a_pipeline_that_is_added_begins_with_what_is_there() -> None:
    one, two = Calls(), Calls()
    store = f"events {next(_names)}"
    made = project({"p": one, "q": two}, store=store, pipelines_of=("p",))
    with serving(made) as service:
        made.fire("t", "gone")
        eventually(lambda: one == ["gone"] and not waiting(made))
        service.pause("p/t")
        made.fire("t", "there")
        service.reload(project({"p": one, "q": two}, store=store))
        eventually(lambda: two == ["there"])
        made.fire("t", "new")
        eventually(lambda: two == ["there", "new"])
        service.pause("p/t", paused=False)
        eventually(lambda: one == ["gone", "there", "new"])


def test_a_pipeline_that_is_taken_away_is_not_waited_for() -> None:
    one, two = Calls(), Calls()
    store = f"events {next(_names)}"
    made = project({"p": one, "q": two}, store=store)
    with serving(made) as service:
        service.pause("q/t")
        made.fire("t", 1)
        eventually(lambda: one == [1])
        service.reload(project({"p": one, "q": two}, store=store, pipelines_of=("p",)))
        eventually(lambda: not waiting(made), "it is removed")


def test_a_key_that_is_known_fires_nothing() -> None:
    calls = Calls()
    made = project({"p": calls})
    with serving(made):
        assert made.fire("t", 1, "k") == 1
        eventually(lambda: calls == [1] and not waiting(made))
        assert made.fire("t", 1, "k") == 1
        assert made.fire("t", 2, "other") == 2
        eventually(lambda: len(calls) == 2)
    assert calls == [1, 2]


def test_an_event_whose_run_fails_is_given_up_and_the_next_goes_on() -> None:
    calls = Calls()

    def fail(t: Any) -> int:
        if t == "bad":
            raise ValueError(t)
        return calls(t)

    made = project({"p": fail})
    with serving(made) as service:
        made.fire("t", "bad")
        made.fire("t", "good")
        eventually(lambda: calls == ["good"])
        eventually(lambda: not waiting(made))
        assert service.status()[-1].name == "p/t"
    store = made.resources().checkpoints()
    assert store is not None
    (letter,) = store.offsets("p/t!dead/").values()
    assert letter["payload"] == "bad"


def test_the_run_begins_at_once_within_the_process(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(events, "LOOK", 10 * PATIENCE)
    calls = Calls()
    made = project({"p": calls}, patience=10 * PATIENCE)
    with serving(made):
        for at in range(3):
            made.fire("t", at)
            eventually(lambda at=at: len(calls) == at + 1)  # type: ignore[misc]


def test_what_cannot_be_fired_is_said() -> None:
    made = project({"p": Calls()})
    with pytest.raises(ConfigError, match="there is no trigger 'tt'.* Did you mean 't'"):
        made.fire("tt")
    with pytest.raises(OdibiError, match="of type 'every', and takes no events") as caught:
        made.fire("never")
    assert "odibi run" in caught.value.remedy
    with pytest.raises(DataError, match="bytes"):
        made.fire("t", "x" * MOST)
    with pytest.raises(Conflict, match="switched off"):
        project({"p": Calls()}, enabled=False).fire("t")
    without = attrs.evolve(made.project, checkpoints=None)
    with pytest.raises(OdibiError, match="no checkpoint store|has none") as caught:
        LoadedProject(without, host=host_with(HOST)).fire("t")
    assert "checkpoints: sqlite" in caught.value.remedy


# --- HTTP -------------------------------------------------------------------------------------------------------------


@attrs.frozen
class Said:
    status: int
    data: Any


@contextmanager
def listening(service: Service, token: str | None = None) -> Iterator[Callable[..., Said]]:
    server = ServiceServer(service, token=token)
    server.start()
    port = urlsplit(server.url).port

    def post(
        path: str, body: bytes = b"1", headers: Mapping[str, str] = SIGN, method: str = "POST", **more: str
    ) -> Said:
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE)
        try:
            connection.request(method, path, body, {**headers, **{k.replace("_", "-"): v for k, v in more.items()}})
            answer = connection.getresponse()
            return Said(answer.status, json.loads(answer.read()))
        finally:
            connection.close()

    try:
        yield post
    finally:
        server.close()


@pytest.fixture(autouse=True)
def _closing_is_quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("odibi.service.http.LOOK", 0.01)


def test_an_event_over_http_is_kept_and_run() -> None:
    calls = Calls()
    made = project({"p": calls}, word="right")
    with serving(made) as service, listening(service, token="a-token") as post:
        assert post("/events/t", b'{"id": 7}') == Said(202, {"event": 1})
        assert post("/events/shop/t", b"2", Idempotency_Key="k") == Said(202, {"event": 2})
        assert post("/events/t?x=y", b"3", Idempotency_Key=" k") == Said(202, {"event": 2})
        assert post("/events/t", b"4", {**SIGN, "Content-Type": "application/vnd.x+json; charset=utf-8"}).status == 202
        eventually(lambda: len(calls) == 3)
    assert calls == [{"id": 7}, 2, 4]


@pytest.mark.parametrize(
    ("path", "body", "headers", "method", "status"),
    [
        ("/events/t", b"1", {"Content-Type": "application/json"}, "POST", 401),
        ("/events/t", b"1", {**SIGN, "X-Sign": "wrong"}, "POST", 401),
        ("/events/t", b"1", {"Authorization": "Bearer a-token", "Content-Type": "application/json"}, "POST", 401),
        ("/events/t", b"{", SIGN, "POST", 400),
        ("/events/t", b"1e999", SIGN, "POST", 400),
        ("/events/t", b"[" * 70 + b"]" * 70, SIGN, "POST", 400),
        ("/events/t", b"1", {**SIGN, "Idempotency-Key": "x" * 256}, "POST", 400),
        ("/events/t", b"1", {**SIGN, "Content-Length": "x"}, "POST", 400),
        ("/events/%ff", b"1", SIGN, "POST", 400),
        ("/events/t", b"1", {"X-Sign": "right"}, "POST", 415),
        ("/events/t", b"1", {**SIGN, "Content-Type": "text/plain"}, "POST", 415),
        ("/events/t", b"1", SIGN, "GET", 405),
        ("/events/t", b"1", SIGN, "PUT", 405),
        ("/events/other", b"1", SIGN, "POST", 404),
        ("/events/never", b"1", SIGN, "POST", 404),
        ("/events/else/t", b"1", SIGN, "POST", 404),
        ("/events/a/b/c", b"1", SIGN, "POST", 401),  # no such page; and these ask for the token
        ("/events/", b"1", SIGN, "POST", 401),
        ("/events/t", b" " * (MOST + 1), SIGN, "POST", 413),
        ("/events/t", iter([b"1"]), SIGN, "POST", 411),
    ],
)
def test_what_is_not_taken_over_http(path: str, body: Any, headers: dict[str, str], method: str, status: int) -> None:
    made = project({"p": Calls()}, word="right")
    with serving(made) as service, listening(service, token="a-token") as post:
        said = post(path, body, headers, method)
        assert said.status == status, said
        assert set(said.data) == {"error", "remedy"}
        assert all(said.data.values())
        assert not waiting(made)
        assert post("/events/t").data == {"event": 1}


def test_an_event_may_be_as_large_as_its_trigger_allows_and_no_larger() -> None:
    assert MOST > LARGEST_REQUEST
    made = project({"p": Calls()}, word="right")
    with serving(made) as service, listening(service) as post:
        assert post("/events/t", b'"' + b"x" * (MOST - 2) + b'"').status == 202
        assert post("/events/t", b'"' + b"x" * (MOST - 1) + b'"').status == 413


def test_an_event_without_a_length_is_not_taken() -> None:
    made = project({"p": Calls()}, word="right")
    with serving(made) as service:
        server = ServiceServer(service)
        server.start()
        try:
            with socket.create_connection(("127.0.0.1", urlsplit(server.url).port), PATIENCE) as connection:
                connection.sendall(
                    b"POST /events/t HTTP/1.1\r\nHost: hooks.example\r\nX-Sign: right\r\nContent-Type: "
                    b"application/json\r\n\r\n"
                )
                answer = b"".join(iter(lambda: connection.recv(4096), b""))
        finally:
            server.close()
    assert answer.startswith(b"HTTP/1.1 411 ")


def test_without_a_signature_nothing_is_taken_over_http() -> None:
    made = project({"p": Calls()})
    with serving(made) as service, listening(service) as post:
        said = post("/events/t")
        assert (said.status, made.fire("t")) == (403, 1)
        assert "secret" in said.data["remedy"]


def test_a_name_that_two_projects_have_is_said_with_the_project() -> None:
    one, two = Calls(), Calls()
    made = [project({"p": one}, word="right"), project({"p": two}, word="right", name="other")]
    with serving(*made) as service, listening(service) as post:
        said = post("/events/t")
        assert said.status == 409
        assert "/events/PROJECT/t" in said.data["remedy"]
        assert post("/events/other/t", b"5").data == {"event": 1}
        eventually(lambda: two == [5])
    assert one == []


def test_a_trigger_that_is_switched_off_takes_nothing_over_http() -> None:
    made = project({"p": Calls()}, word="right", enabled=False)
    with serving(made) as service, listening(service) as post:
        assert post("/events/t").status == 409


def test_one_that_stands_by_takes_events_for_the_one_that_leads() -> None:
    calls = Calls()
    store = f"events {next(_names)}"
    by = Service([project({"p": Calls()}, store=store, word="right")])
    with serving(project({"p": calls}, store=store, word="right")), listening(by) as post:
        assert post("/events/t", b"8").status == 202
        eventually(lambda: calls == [8])
        by.stop()
        assert post("/events/t", b"9").status == 503


@pytest.mark.parametrize(("error", "status"), [(Transient("hunter2 is away"), 503), (OdibiError("hunter2"), 500)])
def test_a_trigger_that_cannot_be_built_is_no_missing_one(
    monkeypatch: pytest.MonkeyPatch, error: OdibiError, status: int
) -> None:
    made = project({"p": Calls()}, word="right")
    with serving(made) as service, listening(service) as post:

        def broken(*_: Any) -> Any:
            raise error

        with monkeypatch.context() as patch:
            patch.setattr(Resources, "trigger", broken)
            said = post("/events/t")
        assert said.status == status
        assert "hunter2" not in str(said)  # it may be anybody who asks
        assert post("/events/t").status == 202


def test_a_store_that_fails_is_said_and_nothing_of_it_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    made = project({"p": Calls()}, word="right")
    with serving(made) as service, listening(service) as post:

        def broken(*_: Any, **__: Any) -> Any:
            raise Transient("the disk is away")

        with monkeypatch.context() as patch:
            patch.setattr(MemoryCheckpoints, "lock", broken)
            said = post("/events/t")
        assert said.status == 503
        assert said.data["error"] == "the disk is away"
        assert post("/events/t").data == {"event": 1}


# --- the command line -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("fire", "t", "--payload", "{", "--project", "."), 1, "the payload is no JSON"),
        (("fire", "t", "--payload", "1", "--file", "x"), 2, "say the same"),
        (("fire", "t", "--file", "missing.json"), 1, "missing.json: it cannot be read"),
        (("fire", "x"), 2, "there is no trigger 'x'"),
    ],
)
def test_the_command_says_what_is_wrong(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...], code: int, words: str,
) -> None:  # fmt: skip
    (tmp_path / "transforms.py").write_text("def one():\n    return 1\n")
    (tmp_path / "odibi.yaml").write_text(
        "project: shop\nengine: null\npipelines: [{pipeline: p, nodes: [{name: n, function: one}]}]\n"
    )
    monkeypatch.chdir(tmp_path)
    assert main(arguments) == code
    said = capsys.readouterr().err
    assert words in said
    assert "Traceback" not in said
