"""Where the keys come from, if the options of a connection do not hold them.

The first that there is: the options; the profile that they name; ``AWS_ACCESS_KEY_ID`` and its companions; a web
identity or a container's credentials, if the environment names one; the profile ``AWS_PROFILE`` or ``default``; and
last the metadata service of the machine. What is neither an option nor in a file is left to the client library.
"""

from __future__ import annotations

import configparser
import os
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import attrs

from odibi.errors import AccessDenied

Provider = Callable[[], dict[str, Any]]
"""What the client library asks for keys, again when they expire."""

_LONGEST = 1 << 20
"""Characters of a file with profiles; nobody has as many."""

_LOOK_AGAIN = timedelta(minutes=15)
"""How long the keys of a file are taken for valid before it is read again: other programs write new ones to it."""

_ELSEWHERE = (
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
)
_NOT_STATIC = (
    "role_arn",
    "sso_session",
    "sso_start_url",
    "credential_process",
    "web_identity_token_file",
    "login_session",
)


@attrs.frozen
class Keys:
    """An access key.

    Attributes:
        access_key_id: its public part.
        secret_access_key: its secret part.
        session_token: what temporary keys have beside it.
    """

    access_key_id: str
    secret_access_key: str = attrs.field(repr=False)
    session_token: str | None = attrs.field(default=None, repr=False)

    def given(self, until: datetime | None = None) -> dict[str, Any]:
        """As the client library wants them."""
        return {
            "access_key_id": self.access_key_id,
            "secret_access_key": self.secret_access_key,
            "token": self.session_token,
            "expires_at": until,
        }


@attrs.frozen
class Found:
    """What is known of the keys before anything is asked.

    Attributes:
        keys: as they are now; ``None`` if the client library finds some.
        provider: gives them to the client library; ``None`` likewise.
        region: of the profile, if it says one.
    """

    keys: Keys | None = None
    provider: Provider | None = None
    region: str | None = None


def find(explicit: Keys | None, profile: str | None, environment: Mapping[str, str] | None = None) -> Found:
    """Look where the keys are.

    Args:
        explicit: those of the options.
        profile: the one that the options name.
        environment: variables; those of the process by default.

    Raises:
        AccessDenied: the profile is not there, cannot be read, or holds no keys.
    """
    environ = os.environ if environment is None else environment
    if explicit is not None:
        return Found(explicit, explicit.given)
    name = profile or environ.get("AWS_PROFILE") or "default"
    if profile is None:
        if environ.get("AWS_ACCESS_KEY_ID") and environ.get("AWS_SECRET_ACCESS_KEY"):
            keys = Keys(
                environ["AWS_ACCESS_KEY_ID"], environ["AWS_SECRET_ACCESS_KEY"], environ.get("AWS_SESSION_TOKEN")
            )
            return Found(keys, keys.given, _settings(name, environ).get("region"))
        if any(environ.get(each) for each in _ELSEWHERE):
            return Found(region=_settings(name, environ).get("region"))
    must = profile is not None or bool(environ.get("AWS_PROFILE"))
    settings = _settings(name, environ)
    keys_there = _keys(settings)
    if keys_there is None:
        if must:
            raise _useless(name, settings)
        return Found(region=settings.get("region"))

    def again() -> dict[str, Any]:
        keys = _keys(_settings(name, environ))
        if keys is None:
            raise _useless(name, {})
        return keys.given(datetime.now(UTC) + _LOOK_AGAIN)

    return Found(keys_there, again, settings.get("region"))


def _keys(settings: Mapping[str, str]) -> Keys | None:
    identity, secret = settings.get("aws_access_key_id"), settings.get("aws_secret_access_key")
    return Keys(identity, secret, settings.get("aws_session_token")) if identity and secret else None


def _settings(profile: str, environ: Mapping[str, str]) -> dict[str, str]:
    """What both files say of a profile; the one for credentials wins."""
    home = Path(environ.get("HOME") or Path.home()) / ".aws"
    config = Path(environ.get("AWS_CONFIG_FILE") or home / "config").expanduser()
    credentials = Path(environ.get("AWS_SHARED_CREDENTIALS_FILE") or home / "credentials").expanduser()
    section = profile if profile == "default" else f"profile {profile}"
    return {**_section(config, section), **_section(credentials, profile)}


def _section(path: Path, section: str) -> dict[str, str]:
    try:
        with path.open(encoding="utf-8") as file:
            text = file.read(_LONGEST)
    except (FileNotFoundError, NotADirectoryError):
        return {}
    except (OSError, UnicodeDecodeError) as error:
        reason = getattr(error, "strerror", None) or "it is not text"
        raise AccessDenied(
            f"the file with profiles cannot be read ({reason})", where=str(path), remedy="Give yourself the right to."
        ) from None
    parser = configparser.RawConfigParser(strict=False, default_section="\0", delimiters=("=",))
    broken = False
    try:
        parser.read_string(text)
    except configparser.Error:
        broken = True  # its message quotes the line, which may hold a secret
    if broken:
        raise AccessDenied("the file with profiles is malformed", where=str(path), remedy="Look at its lines.")
    return dict(parser.items(section)) if parser.has_section(section) else {}


def _useless(profile: str, settings: Mapping[str, str]) -> AccessDenied:
    for name in _NOT_STATIC:
        if settings.get(name):
            return AccessDenied(
                f"the profile gets its keys by {name!r}, which is not supported",
                where=f"profile {profile}",
                remedy="Export temporary keys to the environment: aws configure export-credentials --format env.",
            )
    return AccessDenied(
        "the profile is not there, or holds no keys",
        where=f"profile {profile}",
        remedy="Check its name, and the files in ~/.aws.",
    )
