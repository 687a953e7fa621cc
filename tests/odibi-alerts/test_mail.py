"""Mail to a real server, over TLS and without, with a password and without, and to servers that do not behave."""

from __future__ import annotations

import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from email import message_from_bytes, policy
from typing import Any

import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, Session

from odibi_alerts.mail import EmailAlert
from odibi_alerts.notice import Notice
from odibi_alerts.refusals import Refused, TryAgain

NOTICE = Notice("on_failure", "shop", "größe", "r1", 1.0, 0.0, "failed", 1.0, 1, {"failed": 1}, failed=1)


class Mailbox:
    """Keeps what comes in; answers as it is told."""

    def __init__(self) -> None:
        self.taken: list[Any] = []
        self.answer = "250 OK"
        self.refused: set[str] = set()
        self.users: list[str] = []

    async def handle_RCPT(self, _s: SMTP, _e: Session, envelope: Envelope, address: str, _o: list[str]) -> str:
        if address in self.refused:
            return "550 no such user"
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, _s: SMTP, _e: Session, envelope: Envelope) -> str:
        if self.answer.startswith("250"):
            self.taken.append(message_from_bytes(envelope.original_content or b"", policy=policy.default))
        return self.answer

    def authenticate(self, _s: SMTP, _e: Session, _n: Envelope, _m: str, data: Any) -> AuthResult:
        self.users.append(data.login.decode())
        return AuthResult(success=data.password == b"s3cret", handled=False)


class AnyPort(Controller):
    """On a port that the system chooses."""

    def _trigger_server(self) -> None:
        server: Any = self.server
        self.port = server.sockets[0].getsockname()[1]
        super()._trigger_server()  # type: ignore[no-untyped-call]


@pytest.fixture
def served() -> Iterator[Callable[..., tuple[Mailbox, int]]]:
    """Starts a server."""
    running: list[Controller] = []

    def start(**more: Any) -> tuple[Mailbox, int]:
        box = Mailbox()
        controller = AnyPort(box, hostname="localhost", port=0, authenticator=box.authenticate, **more)
        controller.start()
        running.append(controller)
        return box, controller.port

    yield start
    for each in running:
        each.stop()


def send(port: int, seconds: float = 10.0, **more: Any) -> None:
    options = {"host": "localhost", "port": port, "sender": "odibi@example.com", "to": ["ann@example.com"], **more}
    EmailAlert(**options).message(NOTICE)(seconds)


def test_mail_in_clear(served: Any) -> None:
    box, port = served()
    send(port, security="none", to=["ann@example.com", "bob@example.com"])
    (mail,) = box.taken
    assert mail["Subject"] == "[odibi] größe of shop failed after 1 s"
    assert mail["To"] == "ann@example.com, bob@example.com"
    assert mail["Auto-Submitted"] == "auto-generated"
    assert "Run: r1" in mail.get_content()


def test_mail_over_starttls_with_a_password(served: Any, authority: Any) -> None:
    box, port = served(tls_context=authority.context, require_starttls=True)
    send(port, ca_file=str(authority.file), username="ann", password="s3cret")
    assert (len(box.taken), box.users) == (1, ["ann"])


def test_mail_over_tls(served: Any, authority: Any) -> None:
    box, port = served(ssl_context=authority.context)
    send(port, security="tls", ca_file=str(authority.file))
    assert len(box.taken) == 1


@pytest.mark.parametrize("security", ["starttls", "tls"])
def test_a_certificate_that_nobody_vouches_for_is_refused(served: Any, authority: Any, security: str) -> None:
    context: ssl.SSLContext = authority.context
    box, port = served(**({"tls_context": context} if security == "starttls" else {"ssl_context": context}))
    with pytest.raises(Refused, match="certificate is not trusted"):
        send(port, security=security, username="ann", password="s3cret")
    assert (box.taken, box.users) == ([], [])


def test_nothing_is_sent_in_clear_where_starttls_is_asked_for(served: Any) -> None:
    box, port = served()
    with pytest.raises(Refused, match="STARTTLS"):
        send(port)
    assert box.taken == []


def test_a_wrong_password_is_refused_without_being_quoted(served: Any, authority: Any) -> None:
    box, port = served(tls_context=authority.context)
    with pytest.raises(Refused, match="it answered 535") as caught:
        send(port, ca_file=str(authority.file), username="ann", password="wr0ng")
    assert "wr0ng" not in str(caught.value)
    assert box.taken == []


def test_some_answers_pass_and_others_do_not(served: Any) -> None:
    box, port = served()
    box.answer = "451 come again"
    with pytest.raises(TryAgain, match="it answered 451"):
        send(port, security="none")
    box.answer = "554 never"
    with pytest.raises(Refused, match="it answered 554"):
        send(port, security="none")


def test_addresses_that_nobody_has(served: Any) -> None:
    box, port = served()
    box.refused = {"bob@example.com"}
    with pytest.raises(Refused, match="no mail for 1 of the addresses"):
        send(port, security="none", to=["ann@example.com", "bob@example.com"])
    assert len(box.taken) == 1
    with pytest.raises(Refused, match="none of the addresses"):
        send(port, security="none", to=["bob@example.com"])


@pytest.mark.parametrize("greeting", [b"", b"2"], ids=["silent", "byte by byte"])
@pytest.mark.parametrize("security", ["starttls", "none"])
def test_a_server_that_does_not_greet_is_given_up(greeting: bytes, security: str) -> None:
    over = threading.Event()
    with socket.create_server(("127.0.0.1", 0)) as listening:

        def serve() -> None:
            taken, _ = listening.accept()
            with taken:
                while not over.wait(0.02):
                    try:
                        taken.sendall(greeting)
                    except OSError:
                        return

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            with pytest.raises(TryAgain):
                send(listening.getsockname()[1], 0.2, host="127.0.0.1", security=security)
        finally:
            over.set()
            thread.join()
