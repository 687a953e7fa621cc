"""``email``: messages by SMTP, over TLS unless one says otherwise."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING, Any, Literal

import attrs

from odibi.contracts.options import option
from odibi.contracts.secret import Secret
from odibi_alerts.addresses import check_mail_address
from odibi_alerts.alert import Alert
from odibi_alerts.hook import as_secret
from odibi_alerts.notice import clean, one_line
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
        check_mail_address(field.name, each)


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
        return partial(self._send, *self.texts(notice))

    def texts(self, notice: Notice) -> tuple[str, str, bool]:
        """The subject, the text, and whether it is urgent."""
        subject = one_line(filled_in(self.subject, notice), 200)
        if self.template is not None:
            text = filled_in(self.template, notice)
        else:
            facts = "\n".join(f"{label}: {said}" for label, said in notice.facts())
            text = "\n\n".join(part for part in (notice.title, facts, notice.errors) if part)
        return subject, clean(text, 20_000) + "\n", notice.urgent

    def _send(self, subject: str, text: str, urgent: bool, seconds: float) -> None:
        from odibi_alerts.mailing import Server, mail_of, send

        server = Server(self.host, self.port or _PORTS[self.security], self.security, self.ca_file)
        mail = mail_of(self.sender, self.to, subject, text, urgent=urgent)
        send(mail, server, self.username, self.password, seconds)
