"""One mail by SMTP, with the standard library.

Certificates are verified. A server that sends a byte now and then keeps the mail no longer than its time, since the
connection is shut down then.
"""

from __future__ import annotations

import secrets
import smtplib
import socket
import ssl
import threading
from collections.abc import Sequence
from contextlib import suppress
from email.message import EmailMessage
from email.utils import formatdate
from typing import TYPE_CHECKING, NamedTuple

from odibi_alerts.posting import tls_context
from odibi_alerts.refusals import Refused, TryAgain

if TYPE_CHECKING:
    from odibi.contracts.secret import Secret


class Server(NamedTuple):
    """Who takes the mail.

    Attributes:
        host, port: where it is.
        security: ``starttls``, ``tls`` or ``none``.
        ca_file: certificates that are trusted instead of the system's.
    """

    host: str
    port: int
    security: str
    ca_file: str | None = None


def mail_of(sender: str, to: Sequence[str], subject: str, text: str, *, urgent: bool) -> EmailMessage:
    """A mail in plain text, from a program (RFC 3834)."""
    mail = EmailMessage()
    mail["Subject"] = subject
    mail["From"] = sender
    mail["To"] = ", ".join(to)
    mail["Date"] = formatdate()
    mail["Message-ID"] = f"<{secrets.token_hex(16)}@{sender.rpartition('@')[2]}>"
    mail["Auto-Submitted"] = "auto-generated"
    if urgent:
        mail["Importance"] = "high"
    mail.set_content(text)
    return mail


def send(mail: EmailMessage, server: Server, username: str | None, password: Secret | None, seconds: float) -> None:
    """Send one mail.

    Args:
        mail: what.
        server: by whom.
        username, password: as whom; not at all without.
        seconds: after which it is given up.

    Raises:
        TryAgain: it did not get through, or the server has no time now.
        Refused: the server does not take it, or not for all.
    """
    held: list[smtplib.SMTP] = []
    watchdog = threading.Timer(seconds, _shut, (held,))
    watchdog.daemon = True
    watchdog.start()
    try:
        _talk(mail, server, username, password, seconds, held)
    except smtplib.SMTPRecipientsRefused as error:
        codes = [code for code, _ in error.recipients.values()]
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


def _talk(
    mail: EmailMessage,
    where: Server,
    username: str | None,
    password: Secret | None,
    seconds: float,
    held: list[smtplib.SMTP],
) -> None:
    server = _connected(where, seconds, held)
    try:
        if where.security == "starttls":
            server.starttls(context=tls_context(where.ca_file))
        if username is not None and password is not None:
            server.login(username, password.reveal())
        refused = server.send_message(mail)
    finally:
        # What became of the mail is known by now, whatever the server says to this.
        with suppress(OSError):
            server.quit()
        server.close()
    if refused:
        raise Refused(f"it takes no mail for {len(refused)} of the addresses")


def _connected(where: Server, seconds: float, held: list[smtplib.SMTP]) -> smtplib.SMTP:
    """A server that has greeted; it is among the held ones before it does, which may take it long."""
    if where.security == "tls":
        encrypted = smtplib.SMTP_SSL.__new__(smtplib.SMTP_SSL)
        held.append(encrypted)
        context = tls_context(where.ca_file)
        smtplib.SMTP_SSL.__init__(encrypted, where.host, where.port, timeout=seconds, context=context)
        return encrypted
    server = smtplib.SMTP.__new__(smtplib.SMTP)
    held.append(server)
    smtplib.SMTP.__init__(server, where.host, where.port, timeout=seconds)
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
