"""Requests that get through, that do not, and that are tried again."""

from __future__ import annotations

import email.utils
import socket
import time
from typing import Any

import pytest

from odibi_alerts import outbox
from odibi_alerts.addresses import check_url
from odibi_alerts.outbox import deliver
from odibi_alerts.posting import post, seconds_of, tls_context
from odibi_alerts.refusals import Refused, TryAgain


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(outbox, "FIRST_PAUSE", 0.01)


def send(server: Any, seconds: float = 10.0, **how: Any) -> None:
    post(server.url, b"{}", {"Content-Type": "application/json"}, seconds=seconds, **how)


def test_what_is_sent_arrives(server: Any) -> None:
    send(server, method="PUT")
    (taken,) = server.taken
    assert (taken.method, taken.path, taken.body) == ("PUT", "/services/T0/pl4nted-token", b"{}")
    assert taken.headers["content-type"] == "application/json"


@pytest.mark.parametrize("status", [408, 425, 429, 500, 502, 503, 599])
def test_some_answers_pass(server: Any, status: int) -> None:
    server.answers = [(status, {})]
    with pytest.raises(TryAgain, match=str(status)):
        send(server)


@pytest.mark.parametrize("status", [400, 401, 403, 404, 410, 413])
def test_others_do_not(server: Any, status: int) -> None:
    server.answers = [(status, {})]
    with pytest.raises(Refused, match=f"it answered {status} "):
        send(server)


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
def test_no_redirect_is_followed(server: Any, status: int) -> None:
    server.answers = [(status, {"Location": server.url + "/elsewhere"})]
    with pytest.raises(Refused, match="redirects are not followed"):
        send(server)
    assert len(server.taken) == 1


def test_it_is_tried_again_until_it_gets_through(server: Any) -> None:
    server.answers = [(500, {}), (503, {}), (429, {"Retry-After": "0"})]
    deliver(lambda seconds: send(server, seconds), timeout=5, deadline=30)
    assert len(server.taken) == 4


def test_it_waits_as_long_as_the_server_asks(server: Any) -> None:
    server.answers = [(429, {"Retry-After": "1"})]
    begin = time.monotonic()
    deliver(lambda seconds: send(server, seconds), timeout=5, deadline=30)
    assert time.monotonic() - begin >= 1
    assert len(server.taken) == 2


def test_it_does_not_wait_longer_than_it_has_time(server: Any) -> None:
    server.answers = [(429, {"Retry-After": "3600"})]
    with pytest.raises(TryAgain, match="429"):
        deliver(lambda seconds: send(server, seconds), timeout=5, deadline=30)
    assert len(server.taken) == 1


def test_what_is_refused_is_not_tried_again(server: Any) -> None:
    server.answers = [(404, {})]
    with pytest.raises(Refused):
        deliver(lambda seconds: send(server, seconds), timeout=5, deadline=30)
    assert len(server.taken) == 1


def test_a_server_that_hangs_is_given_up(server: Any) -> None:
    server.hold.clear()
    with pytest.raises(TryAgain, match="cannot be reached"):
        send(server, 0.1)


def test_a_server_that_answers_byte_by_byte_is_given_up(server: Any) -> None:
    server.drip = True
    with pytest.raises(TryAgain, match="cannot be reached"):
        send(server, 0.2)


def test_nobody_listens() -> None:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))  # and listens not
        with pytest.raises(TryAgain, match="cannot be reached: Connection refused"):
            post(f"http://127.0.0.1:{held.getsockname()[1]}/x", b"", {}, seconds=5)


def test_a_certificate_that_nobody_vouches_for_is_refused(safe_server: Any) -> None:
    with pytest.raises(Refused, match="certificate is not trusted"):
        send(safe_server, context=tls_context(None))
    assert safe_server.taken == []


def test_authorities_of_a_file_are_trusted(safe_server: Any, authority: Any) -> None:
    send(safe_server, context=tls_context(str(authority.file)))
    assert len(safe_server.taken) == 1


def test_a_server_with_tls_that_answers_byte_by_byte_is_given_up(safe_server: Any, authority: Any) -> None:
    safe_server.drip = True
    with pytest.raises(TryAgain, match="cannot be reached"):
        send(safe_server, 0.5, context=tls_context(str(authority.file)))


@pytest.mark.parametrize(
    "url",
    [
        "",
        "hooks.example/x",
        "ftp://hooks.example/s3cret",
        "file:///etc/passwd",
        "https:///s3cret",
        "https://user:s3cret@hooks.example",
        "https://hooks.example/s3cret more",
        "https://hooks.example/s3cret\n",
        "https://hooks.example:s3cret/",
        "https://höoks.example/s3cret",
    ],
)
def test_what_is_no_address_is_refused_without_being_quoted(url: str) -> None:
    with pytest.raises(ValueError, match="^url: ") as caught:
        check_url(url)
    assert "s3cret" not in str(caught.value)
    assert caught.value.__cause__ is None


def test_the_time_that_a_server_asks_for() -> None:
    assert seconds_of(None) == 0
    assert seconds_of("7") == 7
    assert seconds_of("soon") == 0
    assert 50 < seconds_of(email.utils.formatdate(time.time() + 60, usegmt=True)) <= 60
    assert seconds_of("Wed, 21 Oct 2015 07:28:00 GMT") == 0
