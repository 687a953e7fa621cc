"""Who may send an event, what is one, and what a project says wrongly of it."""

from __future__ import annotations

import hmac
import json
import threading
import time
from hashlib import sha256
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi.contracts.secret import Secret
from odibi.errors import AccessDenied, DataError
from odibi_triggers import signatures
from odibi_triggers.event import EventTrigger

SECRET = "It's a Secret to Everybody"
BODY = b'{"id": 1}'


def odibi(body: bytes = BODY, when: float | None = None, secret: str = SECRET) -> dict[str, str]:
    at = str(int(time.time() if when is None else when))
    signed = hmac.new(secret.encode(), at.encode() + b"." + body, sha256).hexdigest()
    return {"x-odibi-signature": f"t={at},v1={signed}"}


def github(body: bytes = BODY, secret: str = SECRET) -> dict[str, str]:
    return {"x-hub-signature-256": f"sha256={hmac.new(secret.encode(), body, sha256).hexdigest()}"}


def trigger(**options: Any) -> EventTrigger:
    return EventTrigger(**{"secret": Secret(SECRET), **options})


def test_what_is_signed_rightly_is_taken() -> None:
    assert trigger().accept(BODY, odibi()) == {"id": 1}
    assert trigger(signature="github").accept(BODY, github()) == {"id": 1}
    assert trigger(secret=SECRET).signed


def test_githubs_own_example() -> None:
    """Of https://docs.github.com/webhooks/using-webhooks/validating-webhook-deliveries."""
    signed = {"x-hub-signature-256": "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17"}
    signatures.check_github(Secret(SECRET), b"Hello, World!", signed)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"x-odibi-signature": ""},
        {"x-odibi-signature": odibi()["x-odibi-signature"].partition(",")[2]},
        {"x-odibi-signature": odibi()["x-odibi-signature"] + ",v1=" + "0" * 64},
        {"x-odibi-signature": odibi()["x-odibi-signature"].replace("v1", "v0")},
        {"x-odibi-signature": "t=" + "9" * 5000 + ",v1=" + "0" * 64},
        {"x-odibi-signature": f"t=\u0661,v1={'0' * 64}"},
        odibi(secret="another"),
        odibi(body=BODY + b" "),
        github(),
    ],
)
def test_what_is_not_signed_rightly_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(AccessDenied) as caught:
        trigger().accept(BODY, headers)
    assert caught.value.remedy
    assert SECRET not in str(caught.value)


@pytest.mark.parametrize("headers", [{}, odibi(), github(body=b""), {"x-hub-signature-256": "sha256=" + "0" * 64}])
def test_what_is_not_signed_as_by_github_is_refused(headers: dict[str, str]) -> None:
    with pytest.raises(AccessDenied):
        trigger(signature="github").accept(BODY, headers)


@given(st.binary(), st.binary(), st.integers(-(10**6), 10**6))
def test_no_other_body_and_no_other_time_has_the_signature(body: bytes, other: bytes, later: int) -> None:
    signed = odibi(body)
    signatures.check_odibi(Secret(SECRET), body, signed, 300)
    if other != body:
        with pytest.raises(AccessDenied):
            signatures.check_odibi(Secret(SECRET), other, signed, 300)
    at, _, rest = signed["x-odibi-signature"].removeprefix("t=").partition(",")
    if later:
        with pytest.raises(AccessDenied):
            signatures.check_odibi(Secret(SECRET), body, {"x-odibi-signature": f"t={int(at) + later},{rest}"}, 1e9)


@pytest.mark.parametrize(("off", "taken"), [(-310, False), (-200, True), (200, True), (310, False), (-(10**9), False)])
def test_what_was_recorded_is_of_no_use_later(off: float, taken: bool) -> None:
    headers = odibi(when=time.time() + off)
    if taken:
        trigger().accept(BODY, headers)
        return
    with pytest.raises(AccessDenied, match="more than 300 s away"):
        trigger().accept(BODY, headers)
    trigger(tolerance="20000w").accept(BODY, headers)


def test_without_a_secret_nothing_is_taken_over_http() -> None:
    for options in ({}, {"signature": "none"}, {"signature": "github"}):
        source = EventTrigger(**options)
        assert not source.signed
        for headers in (odibi(), odibi(secret=""), github(secret="")):
            with pytest.raises(AccessDenied, match="nothing to check who sends it"):
                source.accept(BODY, headers)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"\xff", b"NaN", b'{"x": -Infinity}', b"1 2", b"[" * 10**5, b"\xef\xbb\xbf1"]
)
def test_what_is_no_json_is_refused(body: bytes) -> None:
    with pytest.raises(DataError) as caught:
        trigger().accept(body, odibi(body))
    assert caught.value.remedy


def test_an_event_has_a_size() -> None:
    body = json.dumps("x" * 98).encode()
    assert trigger(max_bytes=100).accept(body, odibi(body)) == "x" * 98
    with pytest.raises(DataError, match="has 100 bytes, and 99 are allowed"):
        trigger(max_bytes=99).accept(body, odibi(body))
    assert EventTrigger(max_bytes="1MiB").max_bytes == EventTrigger().max_bytes == 2**20


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"secret": ""}, "it is empty"),
        ({"secret": "x", "signature": "none"}, "signs nothing with 'none'"),
        ({"max_bytes": "1GiB"}, "more than 16MiB"),
        ({"max_bytes": 0}, "no size"),
        ({"max_events": 0}, "too few"),
        ({"tolerance": 0}, "no duration"),
        ({"signature": "md5"}, "signature"),
    ],
)
def test_what_a_project_says_wrongly(options: dict[str, Any], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        EventTrigger(**options)


def test_its_secret_does_not_show() -> None:
    assert SECRET not in repr(trigger())


def test_several_events_make_a_batch_whose_id_says_which() -> None:
    class Queue:
        def __init__(self, *payloads: Any) -> None:
            self.payloads = list(enumerate(payloads, 1))

        def after(self, offset: int | None, limit: int) -> list[tuple[int, Any]]:
            return [each for each in self.payloads if each[0] > (offset or 0)][:limit]

        def wait(self, seconds: float, stop: threading.Event) -> None:
            stop.set()

    def batches(queue: Queue, most: int) -> list[Any]:
        source = EventTrigger(max_events=most)
        source.attach(queue)
        return list(source.poll(None, threading.Event()))

    three = batches(Queue("a", None, {"c": 1}), 2)
    assert [(it.offset, it.payload) for it in three] == [(2, {"events": ["a", None]}), (3, {"events": [{"c": 1}]})]
    assert [it.payload for it in batches(Queue("a", None), 1)] == ["a", None]
    other = batches(Queue("a", "b"), 1)
    assert other[0].id == batches(Queue("a", None), 1)[0].id
    assert other[1].id != batches(Queue("a", None), 1)[1].id
