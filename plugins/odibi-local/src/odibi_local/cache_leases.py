"""Leases of a disk cache: the right to compute a key, for a while.

Tokens come from one counter, so they grow for each key whatever becomes of its leases. It begins with the clock, in
microseconds, and never falls behind it: an index that was lost and begun anew hands out larger tokens than the lost one
did. All functions work in a transaction of the caller's.

A lease ends with its time, and before that with the process that holds it, if that died on this machine: whoever goes
on after a crash need not wait for what the dead one was about to compute.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import attrs

from odibi.contracts.cache import Lease
from odibi.errors import Conflict
from odibi_local.processes import Process, is_alive, this_process

if TYPE_CHECKING:
    import sqlite3

_LARGEST = 1 << 62
_REMEMBERED = 7 * 86400.0
"""Seconds after their end for which leases are remembered; a put under an older one is refused."""


def is_held(db: sqlite3.Connection, key: str, now: float) -> bool:
    """Whether somebody holds a lease of ``key``, by a clock that did not go back meanwhile; a look, no more."""
    found = _row(db, key)
    return found is not None and found[1] <= now < found[2] and _lives(found[3])


def take(db: sqlite3.Connection, key: str, now: float, expires: float) -> Lease | None:
    """A new lease of ``key``; ``None`` while somebody holds one."""
    found = _row(db, key)
    if found is not None:
        _, granted, until, holder = found
        if now < until and not _lives(holder):
            until = _GIVEN_BACK
        if now < granted and now < until:
            # The clock went back behind its beginning, by nobody knows how much: it gets its full time from now on,
            # and not the years it might take the clock to come back to where it was.
            db.execute("UPDATE leases SET granted = ?, expires = ? WHERE key = ?", (now, now + (until - granted), key))
            return None
        if now < until:
            return None
    (last,) = db.execute("SELECT coalesce(max(CAST(token AS INTEGER)), 0) FROM tally").fetchone()
    token = min(max(last + 1, int(now * 1e6)), _LARGEST)
    db.execute("UPDATE tally SET token = ?", (token,))
    db.execute("DELETE FROM leases WHERE key = ?", (key,))
    holder = json.dumps(attrs.astuple(this_process()))
    row = (key, token, now, expires, holder)
    db.execute("INSERT INTO leases (key, token, granted, expires, holder) VALUES (?, ?, ?, ?, ?)", row)
    return Lease(key, token, expires)


def renew(db: sqlite3.Connection, lease: Lease, now: float, expires: float) -> Lease | None:
    """The lease until ``expires``; ``None`` if it was given back, or lost to a newer one.

    One whose time is up, but which nobody took over, goes on: its holder was only slow.
    """
    found = _row(db, lease.key)
    if found is None or found[0] != lease.token or found[2] == _GIVEN_BACK:
        return None
    db.execute("UPDATE leases SET granted = ?, expires = ? WHERE key = ?", (now, expires, lease.key))
    return Lease(lease.key, lease.token, expires)


def release(db: sqlite3.Connection, lease: Lease) -> None:
    """Give a lease back, if it is still the newest of its key. Its token stays, so that newer ones are larger."""
    db.execute("UPDATE leases SET expires = NULL WHERE key = ? AND token = ?", (lease.key, lease.token))


def check(db: sqlite3.Connection, lease: Lease) -> None:
    """Refuse what is done under a lease that is not the newest of its key.

    Raises:
        Conflict: it is not.
    """
    found = _row(db, lease.key)
    if found is None or found[0] != lease.token:
        raise Conflict(
            "the lease was lost to a newer one",
            where=lease.key,
            remedy="Take what the other has put there; renew a lease before its time is up.",
        )


def forget(db: sqlite3.Connection, now: float) -> None:
    """Remove leases that ended long ago."""
    db.execute(
        "DELETE FROM leases WHERE granted < :then AND (expires IS NULL OR expires < :then)",
        {"then": now - _REMEMBERED},
    )


_GIVEN_BACK = float("-inf")


def _lives(holder: str) -> bool:
    """Whether the process may still live; one that cannot be made out is taken to."""
    try:
        return is_alive(Process(*json.loads(holder)))
    except (ValueError, TypeError, OverflowError):
        return True


def _row(db: sqlite3.Connection, key: str) -> tuple[int, float, float, str] | None:
    """Token, begin, end and holder of the newest lease of ``key``."""
    ask = (
        "SELECT CAST(token AS INTEGER), CAST(granted AS REAL), CAST(expires AS REAL), CAST(holder AS TEXT)"
        " FROM leases WHERE key = ?"
    )
    found = db.execute(ask, (key,)).fetchone()
    if found is None:
        return None
    token, granted, expires, holder = found
    return token or 0, granted or 0.0, _GIVEN_BACK if expires is None else expires, holder or ""
