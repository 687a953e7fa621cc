"""``email``: messages by SMTP, over TLS unless one says otherwise."""

from __future__ import annotations

import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from email.headerregistry import Address
from email.message import EmailMessage
from email.utils import formatdate, make_msgid
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.contracts.option import option
from odibi.contracts.secret import Secret
from odibi_alerts.alert import Alert
from odibi_alerts.hook import as_secret
from odibi_alerts.notice import clean, one_line
from odibi_alerts.posting import tls_context
from odibi_alerts.refusals import Refused, TryAgain
from odibi_alerts.templates import check_template, filled_in

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi_alerts.notice import Notice

_PORTS = {"starttls": 587, "tls": 465, "none": 25}


def _addresses(given: str | Sequence[str]) -> tuple[str, ...]:
    return (given,) if isinstance(given, str) else tuple(given)


def _valid(_: object, field: Any, value: str | Sequence[str]) -> None:
    if not value:
        raise ValueError(f"{field.name}: there is no address")
    for each in _addresses(value):
        try:
            address = Address(addr_spec=each)
        except Exception:  # the parser of the standard library raises whatever it trips over
            address = Address()
        if not address.username or not address.domain or not each.isascii():
            raise ValueError(f"{field.name}: {each!r} is no address; write it as name@example.com")


def _password(given: Secret | str | None) -> Secret | None:
    return None if given is None else as_secret(given)


def _with_user(it: Any, _: object, value: Secret | None) -> None:
    if (value is None) != (it.username is None):
        raise ValueError("password: a username and a password go together")
    if value is not None and it.security == "none":
        raise ValueError("password: it would be sent for all to read; use security: starttls or tls")


@attrs.define(eq=False)
class EmailAlert(Alert):
    """Sends mail."""

    host: str = option(help="The SMTP server.", validator=attrs.validators.min_len(1))
    port: int | None = option(None, help="Its port; 587 by default, 465 for tls, and 25 for none.")
    security: Literal["starttls", "tls", "none"] = option(
        "starttls",
        help="starttls and tls verify the server and encrypt; with none all can be read on the way.",
        validator=attrs.validators.in_(("starttls", "tls", "none")),
    )
    sender: str = option(help="The address it comes from.", aliases=("from",), validator=_valid)
    to: str | Sequence[str] = option(help="One address, or several.", converter=_addresses, validator=_valid)
    subject: str = option(
        "[odibi] {title}",
        help="The subject; fields as in template.",
        validator=lambda _, field, value: check_template(field.name, value),
    )
    username: str | None = option(None, help="Whom to log in as.")
    password: Secret | None = option(  # noqa: RUF009 - what it makes is a field
        None, help="With which password.", secret=True, converter=_password, validator=_with_user
    )
    ca_file: str | None = option(
        None, help="Certificates, in PEM, that are trusted instead of the system's.", is_path=True
    )

    name = "email"

    def message(self, notice: Notice) -> Callable[[float], None]:
        """A mail in plain text."""
        return partial(self._send, self.mail(notice))

    def mail(self, notice: Notice) -> EmailMessage:
        """What is sent."""
        mail = EmailMessage()
        mail["Subject"] = one_line(filled_in(self.subject, notice), 200)
        mail["From"] = self.sender
        mail["To"] = ", ".join(self.to)
        mail["Date"] = formatdate()
        mail["Message-ID"] = make_msgid(domain=self.sender.rpartition("@")[2])
        mail["Auto-Submitted"] = "auto-generated"
        if notice.urgent:
            mail["Importance"] = "high"
        if self.template is not None:
            text = filled_in(self.template, notice)
        else:
            facts = "\n".join(f"{label}: {said}" for label, said in notice.facts())
            text = "\n\n".join(part for part in (notice.title, facts, notice.errors) if part)
        mail.set_content(clean(text, 20_000) + "\n")
        return mail

    def _send(self, mail: EmailMessage, seconds: float) -> None:
        held: list[smtplib.SMTP] = []
        watchdog = threading.Timer(seconds, _shut, (held,))
        watchdog.daemon = True
        watchdog.start()
        try:
            self._talk(mail, seconds, held)
        except smtplib.SMTPRecipientsRefused as error:
            codes = sorted({code for code, _ in error.recipients.values()})
            raise _refused("it takes mail for none of the addresses", max(codes)) from None
        except smtplib.SMTPResponseException as error:
            raise _refused(f"it answered {error.smtp_code}", error.smtp_code) from None
        except smtplib.SMTPNotSupportedError:
            raise Refused("it does not know STARTTLS, or how to log in") from None
        except ssl.SSLCertVerificationError as error:
            raise Refused(f"its certificate is not trusted: {error.verify_message}") from None
        except (OSError, smtplib.SMTPException) as error:
            words = getattr(error, "strerror", None) or type(error).__name__
            raise TryAgain(f"it cannot be reached: {words}") from None
        finally:
            watchdog.cancel()
            watchdog.join()

    def _talk(self, mail: EmailMessage, seconds: float, held: list[smtplib.SMTP]) -> None:
        server = _connected(self.host, self.port, self.security, self.ca_file, seconds, held)
        try:
            if self.security == "starttls":
                server.starttls(context=tls_context(self.ca_file))
            if self.username is not None and self.password is not None:
                server.login(self.username, self.password.reveal())
            refused = server.send_message(mail)
        finally:
            # What became of the mail is known by now, whatever the server says to this.
            with suppress(OSError, smtplib.SMTPException):
                server.quit()
            server.close()
        if refused:
            raise Refused(f"it takes no mail for {len(refused)} of {len(self.to)} addresses")


def _connected(
    host: str, port: int | None, security: str, ca_file: str | None, seconds: float, held: list[smtplib.SMTP]
) -> smtplib.SMTP:
    """A server that has greeted; it is among the held ones before it does, which may take it long."""
    port = port or _PORTS[security]
    if security == "tls":
        encrypted = smtplib.SMTP_SSL.__new__(smtplib.SMTP_SSL)
        held.append(encrypted)
        smtplib.SMTP_SSL.__init__(encrypted, host, port, timeout=seconds, context=tls_context(ca_file))
        return encrypted
    server = smtplib.SMTP.__new__(smtplib.SMTP)
    held.append(server)
    smtplib.SMTP.__init__(server, host, port, timeout=seconds)
    return server


def _refused(words: str, code: int) -> Refused | TryAgain:
    """Codes from 500 stay as they are (RFC 5321, 4.2.1); others pass, as does what is none, of a server cut short."""
    return Refused(words) if code >= 500 else TryAgain(words)


def _shut(servers: list[smtplib.SMTP]) -> None:
    for server in servers:
        opened = server.sock
        if opened is not None:
            with suppress(OSError):
                socket.socket.shutdown(opened, socket.SHUT_RDWR)
