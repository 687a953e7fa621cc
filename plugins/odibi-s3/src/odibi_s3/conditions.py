"""Writes under a condition, on servers that may not heed it, over connections that may lose the answer.

**Whether the server heeds conditions** is found out once, before the first such write to a server that is not Amazon's
own: several servers take the headers and ignore them, and one takes them in its own way (without the quotes that
belong to an etag). An object that nobody lists is written, and must not be written again.

**A lost answer.** A conditional write whose answer was lost may have been done. Sent again, it would meet its own
object and be refused: a lost race that nobody won. So the client library, which sends such requests again by itself,
is told not to, and each write carries a mark that no other write has, and the etag that it was to replace. After an
answer that leaves it open, and when a later attempt is refused, the object is looked at. With our mark, the write was
done. With the mark of one that replaced what ours was to replace, ours was not, and never will be: the race is lost.
With anything else, ours may have been done and replaced since, or not: then the answer is
:class:`~odibi.errors.Transient`, not :class:`~odibi.errors.Conflict`, as nobody can know that it lost.

Ceph's gateway answers "500 UnknownError" to a writer that loses a race, so that all this is not as rare as it sounds.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from secrets import token_hex
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, NotFound, StorageError, Transient
from odibi_s3.failures import Busy
from odibi_s3.keys import PROBE, joined

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer

    from odibi.contracts.storage import When
    from odibi_s3.client import Client

_OVER = "/"
"""Between a mark and the etag that is replaced, which is empty where nothing is."""


@attrs.frozen
class Heeds:
    """What a server does with conditions.

    Attributes:
        absent: refuses to write where something is, if it is told to.
        match: writes only over the etag that it is told.
        quoted: wants the etag in quotes.
    """

    absent: bool = True
    match: bool = True
    quoted: bool = True


@attrs.define
class Conditions:
    """Conditional writes to a bucket.

    Attributes:
        prefix: below which objects may be written to find out.
        known: what the server heeds, if that needs not be found out.
        retries, backoff, max_backoff: as the client has them, in seconds.
        sleep: waits.
    """

    prefix: str
    known: Heeds | None
    retries: int
    backoff: float
    max_backoff: float
    sleep: Callable[[float], None] = time.sleep
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False)

    def write(self, client: Client, key: str, data: Buffer, when: When, where: str) -> str:
        """Write an object if ``when`` holds; its etag.

        Raises:
            Conflict: it does not hold.
            Transient: nobody can know whether the object was written.
            StorageError: the server would ignore the condition.
        """
        etag = self._header(client, when, where)
        over = when.etag if isinstance(when, Match) else ""
        mark, unsure, attempt = f"{token_hex(16)}{_OVER}{over}", False, 0
        while True:
            try:
                return client.put_if(key, data, etag, mark, where)
            except Conflict:
                if not unsure:
                    raise
                done = _is_done(client, key, mark, where)
                if done is not None:
                    return done
                raise _unknown(where) from None
            except Transient as error:
                last = error
            if not isinstance(last, Busy):
                unsure = True
                with suppress(Transient):
                    done = _is_done(client, key, mark, where)
                    if done is not None:
                        return done
            if attempt >= self.retries:
                raise last
            most = min(self.backoff * 2**attempt, self.max_backoff)
            self.sleep(random.uniform(most / 2, most))  # noqa: S311 - nothing depends on who could guess it
            attempt += 1

    def heeds(self, client: Client) -> Heeds:
        """What the server heeds; found out now, if it is not known."""
        if self.known is None:
            with self._lock:
                if self.known is None:
                    self.known = _find_out(client, joined(self.prefix, f"{PROBE}{token_hex(8)}"))
        return self.known

    def _header(self, client: Client, when: When, where: str) -> str | None:
        heeds = self.heeds(client)
        if when is ABSENT:
            if not heeds.absent:
                raise _unheeded("If-None-Match", where)
            return None
        if not isinstance(when, Match):
            raise TypeError(f"when must be ALWAYS, ABSENT or Match, not {when!r}")
        if not heeds.match:
            raise _unheeded("If-Match", where)
        if not _could_be_an_etag(when.etag):
            raise Conflict("the object never had such an etag", where=where, remedy="Read it again and decide anew.")
        return f'"{when.etag}"' if heeds.quoted else when.etag


def _is_done(client: Client, key: str, mark: str, where: str) -> str | None:
    """The etag of what was written with a mark; ``None`` if that cannot be told.

    Raises:
        Conflict: it was not written, as another write replaced what it was to replace.
    """
    try:
        head = client.head(key, where)
    except NotFound:
        return None
    if head.mark == mark:
        return head.etag
    if head.mark is not None and _OVER in head.mark and head.mark.partition(_OVER)[2] == mark.partition(_OVER)[2]:
        raise Conflict("another writer was faster", where=where, remedy="Read it again and decide anew.")
    return None


def _unknown(where: str) -> Transient:
    return Transient(
        "the answer to a conditional write was lost, and the object has changed since",
        where=where,
        remedy="Read it, and decide anew.",
    )


def _find_out(client: Client, key: str) -> Heeds:
    where = key
    first = client.put_if(key, b"1", None, token_hex(16), where)
    try:
        absent = _is_refused(client, key, None)
        if not absent:
            first = client.head(key, where).etag
        other = "0" * 32
        for quoted in (True, False):
            # Each write is of another content than what is there, so that the etag differs.
            taken = not _is_refused(client, key, _header_of(first, quoted), content=b"2")
            if taken:
                return Heeds(absent, _is_refused(client, key, _header_of(other, quoted)), quoted)
        return Heeds(absent, match=False)
    finally:
        with suppress(StorageError):
            client.delete(key, where)


def _is_refused(client: Client, key: str, etag: str | None, content: bytes = b"3") -> bool:
    try:
        client.put_if(key, content, etag, token_hex(16), key)
    except Conflict:
        return True
    return False


def _header_of(etag: str, quoted: bool) -> str:
    return f'"{etag}"' if quoted else etag


def _could_be_an_etag(text: str) -> bool:
    """Whether it can be sent: of printable ASCII, and not a list, nor the star that means any."""
    return bool(text) and text.isascii() and text.isprintable() and not set('"*, ') & set(text)


def _unheeded(header: str, where: str) -> StorageError:
    return StorageError(
        f"the server ignores {header}, so that two writers could both believe they won",
        where=where,
        remedy="Use a server, or a bucket without versions, that heeds it.",
    )
