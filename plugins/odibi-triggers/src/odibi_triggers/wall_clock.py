"""What clocks on the wall of a time zone show, reckoned in whole seconds.

A *wall* is what a clock shows, as the seconds from 1970-01-01 00:00 on that clock; an *instant* is seconds from 1970 in
UTC. Between two turns of the clocks ``wall = instant + offset`` holds: such a time is a :data:`Stretch`. Asking
:mod:`zoneinfo` costs about as much as all the rest of finding the next fire, so stretches are kept.
"""

from __future__ import annotations

from bisect import bisect_right
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo, available_timezones

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
DAY = 86400

Stretch = tuple[int, int, int, int]
"""Its first instant, the instant after its last, its offset, and the offset of the stretch before it. It may end, and
begin with the same offset, where no clock is put."""

_BLOCK = 25
"""Turns are looked up for 2**25 seconds, 388 days, at once."""

_STEP = DAY
"""How far apart a zone is asked for its offset. A clock that is put there and back in between would not be noticed; in
release 2026 of the time zone database no two turns since the beginning are less than 3.9 days apart."""

_REACH = 26 * 3600
"""More than any offset from UTC."""

_FIRST = -62135596800 + 2 * DAY
_LAST = 253402300799 - 2 * DAY
"""Instants that Python's calendar can show in all zones."""


class WallClock:
    """The clocks of a zone; may be shared by threads.

    Args:
        zone: its IANA name.

    Raises:
        ValueError: there is no such zone.
    """

    def __init__(self, zone: str) -> None:
        self._zone = _zone(zone)
        self._blocks: dict[int, tuple[list[int], list[Stretch]]] = {}

    def stretch(self, instant: int) -> Stretch:
        """The stretch that an instant lies in."""
        block = self._blocks.get(instant >> _BLOCK)
        if block is None:
            block = self._blocks[instant >> _BLOCK] = self._look(instant >> _BLOCK)
        return block[1][bisect_right(block[0], instant) - 1]

    def wall(self, instant: int) -> int:
        """What a clock shows."""
        return instant + self.stretch(instant)[2]

    def first_instant(self, wall: int) -> int:
        """The first instant at which a clock shows ``wall``, or at which it is put forward past it."""
        begin, end, offset, _ = self.stretch(wall - _REACH)
        while wall - offset >= end:
            begin, end, offset, _ = self.stretch(end)
        return max(begin, wall - offset)

    def _look(self, number: int) -> tuple[list[int], list[Stretch]]:
        """The stretches of a block. Those before it are looked at for as long as a turn there may count in it."""
        first, end = number << _BLOCK, (number + 1) << _BLOCK
        at = first - 2 * DAY
        begins, offsets = [at], [self._offset(at)]
        while at < end:
            then = min(at + _STEP, end)
            if self._offset(then - 1) != offsets[-1]:
                begins.append(self._turn(at, then - 1))
                offsets.append(self._offset(then - 1))
            at = then
        before = [offsets[0], *offsets[:-1]]
        return begins, list(zip(begins, [*begins[1:], end], offsets, before, strict=True))

    def _turn(self, early: int, late: int) -> int:
        """The first instant with the offset of ``late``, which ``early`` does not have or just has."""
        new = self._offset(late)
        early -= 1
        while late - early > 1:
            between = (early + late) // 2
            if self._offset(between) == new:
                late = between
            else:
                early = between
        return late

    def _offset(self, instant: int) -> int:
        shown = EPOCH + timedelta(seconds=min(max(instant, _FIRST), _LAST))
        offset = shown.astimezone(self._zone).utcoffset()
        return 0 if offset is None else offset // timedelta(seconds=1)


@lru_cache(maxsize=1024)
def wall_clock(zone: str) -> WallClock:
    """The clocks of a zone, the same for all who ask.

    Raises:
        ValueError: there is no such zone.
    """
    return WallClock(zone)


def _zone(name: str) -> ZoneInfo:
    try:
        return ZoneInfo(name)
    except (LookupError, ValueError, OSError):  # a name that is none, no path below the database's, or a folder there
        pass
    known = available_timezones()
    if not known:
        raise ValueError(f"there is no time zone database on this machine to look {name!r} up in; pip install tzdata")
    like = {zone.casefold(): zone for zone in known}
    like |= {zone.rpartition("/")[2].casefold(): zone for zone in sorted(known, reverse=True) if "/" in zone}
    from difflib import get_close_matches  # a slip is rare, and so is its import

    near = get_close_matches(name.replace(" ", "_").casefold(), like, n=1, cutoff=0.7)
    hint = f"did you mean {like[near[0]]!r}?" if near else "give an IANA name, such as 'Europe/Berlin'"
    raise ValueError(f"there is no time zone {name!r}; {hint}")
