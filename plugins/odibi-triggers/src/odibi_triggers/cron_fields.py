"""Cron expressions as bit masks.

croniter reads an expression, and what it means is croniter's: see :func:`compiled`. But its search steps through the
fields with relative dates, and costs tens of microseconds. Here each field becomes a mask of bits, once. Which days of
a month fire depends on its length and the weekday that it begins with, so there are 28 sorts of months, and a mask for
each says all that days and weekdays may say. What comes next is then a few shifts.

What is found is a *wall*, see :mod:`odibi_triggers.wall_clock`; of zones nothing is known here.
"""

from __future__ import annotations

import re
from calendar import isleap
from datetime import date
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import attrs

from odibi_triggers.wall_clock import DAY

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence

_EPOCH_DAY = date(1970, 1, 1).toordinal()
_LAST_YEAR = 9999
_FIRST_DAY = 1
_ALL_HOURS = (1 << 24) - 1
_LENGTHS = (31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31)

_SORTS = range(28, 32)

_NAMES = ("minute", "hour", "day", "month", "weekday", "second", "year")
_MEANT = ("0 to 59", "0 to 23", "1 to 31", "1 to 12 or jan to dec", "0 to 7 or sun to sat", "0 to 59", "1970 to 2099")
_EXAMPLE = "write it as in '30 2 * * mon-fri', which is minute, hour, day, month and weekday"
_CHANCE = re.compile(r"[hr](\(.*|/.*)?", re.IGNORECASE)


@attrs.frozen
class CronFields:
    """When a clock on the wall shows a time that an expression means.

    Attributes:
        seconds, minutes, hours, months: a bit for each that is meant.
        days: the same by the sort of a month: four for each weekday it may begin with (Monday first), of 28 to 31 days.
        years: those that are meant, in order; ``None`` for all.
        every_hour: whether no hour of the day is left out.
    """

    seconds: int
    minutes: int
    hours: int
    months: int
    days: tuple[int, ...]
    years: tuple[int, ...] | None

    every_hour: bool = attrs.field(init=False)
    _first: int = attrs.field(init=False, repr=False, eq=False)

    @every_hour.default
    def _has_every_hour(self) -> bool:
        return self.hours == _ALL_HOURS

    @_first.default
    def _first_time(self) -> int:
        return (_lowest(self.hours) * 60 + _lowest(self.minutes)) * 60 + _lowest(self.seconds)

    def next_from(self, wall: int) -> int | None:
        """The first wall at or after ``wall`` that is meant; ``None`` if there is none up to the year 9999."""
        number, second = divmod(wall, DAY)
        number += _EPOCH_DAY
        if number < _FIRST_DAY:
            number, second = _FIRST_DAY, 0
        try:
            today = date.fromordinal(number)
        except (ValueError, OverflowError):
            return None
        year, month, day = today.year, today.month, today.day
        length = _length(year, month)
        weekday = (number - day) % 7  # of the month's first day: the first day of the calendar was a Monday
        left = self._days_of(year, month, weekday, length) >> day
        if left & 1:
            time = self._time_from(second)
            if time is not None:
                return (number - _EPOCH_DAY) * DAY + time
        left &= ~1
        if left:
            return (number + _lowest(left) - _EPOCH_DAY) * DAY + self._first
        found = self._day_after(year, month, weekday, length, number - day)
        return None if found is None else (found - _EPOCH_DAY) * DAY + self._first

    def _day_after(self, year: int, month: int, weekday: int, length: int, before: int) -> int | None:
        """The first day meant in the months after one, of which ``before`` is the day before its first."""
        if not self.months:
            return None
        last = _LAST_YEAR if self.years is None else self.years[-1]
        while True:
            before += length
            weekday = (weekday + length) % 7
            month += 1
            if month > 12:
                year, month = year + 1, 1
                if year > last:
                    return None
            length = _length(year, month)
            days = self._days_of(year, month, weekday, length)
            if days:
                return before + _lowest(days)

    def _days_of(self, year: int, month: int, weekday: int, length: int) -> int:
        if not self.months >> month & 1 or (self.years is not None and year not in self.years):
            return 0
        return self.days[weekday * 4 + length - 28]

    def _time_from(self, second: int) -> int | None:
        """The first time of a day at or after one, as seconds; ``None`` if the day has none."""
        hour, rest = divmod(second, 3600)
        if self.hours >> hour & 1:
            minute, rest = divmod(rest, 60)
            if self.minutes >> minute & 1:
                left = self.seconds >> rest
                if left:
                    return second + _lowest(left)
            left = self.minutes >> minute + 1
            if left:
                return hour * 3600 + (minute + 1 + _lowest(left)) * 60 + self._first % 60
        left = self.hours >> hour + 1
        if left:
            return (hour + 1 + _lowest(left)) * 3600 + self._first % 3600
        return None


@lru_cache(maxsize=1 << 14)
def compiled(expression: str) -> CronFields:
    """An expression, as croniter reads it by default: five fields, a sixth for seconds, a seventh for years.

    If both day and weekday are said, either is enough; but a ``#``, a weekday with ``L``, or a ``W`` counts alone, or
    together with another such.

    Raises:
        ValueError: croniter refuses it, or it leaves something to chance.
    """
    text = expression.strip()
    if any(_CHANCE.fullmatch(part) for field in text.split() for part in field.split(",")):
        raise ValueError(f"{expression!r} leaves a time to chance with H or R; write the time")
    read = _read(text)
    if isinstance(read, Exception):
        raise ValueError(f"{expression!r} is no cron expression: {_reason(text, read)}")
    expanded: list[list[Any]] = read.expanded
    weekdays: Mapping[Any, Collection[Any]] = read.nth_weekday_of_month
    nearest: Collection[int] = getattr(read, "nearest_weekday", ())
    minutes, hours, days, months, weekday = expanded[:5]
    masks = tuple(_days(days, weekday, weekdays, nearest))
    meant = _mask(months, range(1, 13))
    years = None
    if len(expanded) > 6 and "*" not in expanded[6]:
        years = tuple(sorted(expanded[6]))
    return CronFields(
        seconds=_mask(expanded[5], range(60)) if len(expanded) > 5 else 1,
        minutes=_mask(minutes, range(60)),
        hours=_mask(hours, range(24)),
        # In 400 years, after which the calendar begins anew, every month begins with every weekday; so does a leap
        # February. A month that is left here comes within 40 years, and no search goes further than that.
        months=_bits(month for month in range(1, 13) if meant >> month & 1 and _can_fire(masks, month)),
        days=masks,
        years=years,
    )


def _read(text: str) -> Any:
    """What croniter makes of it, or why it refuses it."""
    # Here, as its import takes longer than that of all else together.
    from croniter import croniter  # type: ignore[import-untyped]

    try:
        return croniter(text, 0.0)
    except (ValueError, LookupError, TypeError, AttributeError, ArithmeticError) as error:
        return error


def _reason(text: str, error: Exception) -> str:
    fields = text.split()
    if text.startswith("@"):
        return "the names are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly"
    if not 5 <= len(fields) <= 7:
        found = "1 field" if len(fields) == 1 else f"{len(fields)} fields"
        return f"it has {found}; {_EXAMPLE}, and a sixth field may say the second and a seventh the year"
    for at, field in enumerate(fields):
        alone = ["*"] * len(fields)
        alone[at] = field
        wrong = _read(" ".join(alone))
        # What it understands but cannot do, it says well itself.
        if isinstance(wrong, Exception) and type(wrong).__name__ != "CroniterUnsupportedSyntaxError":
            return f"its {_NAMES[at]} {field!r} is not to be read, or not within {_MEANT[at]}; {_EXAMPLE}"
    return f"{' '.join(str(error).split())}; {_EXAMPLE}"


def _days(
    days: Collection[Any],
    weekdays: Collection[Any],
    counted: Mapping[Any, Collection[Any]],
    nearest: Collection[int],
) -> Iterator[int]:
    """The days of each sort of month, in the order of :attr:`CronFields.days`."""
    by_day = _mask(days, range(1, 32))
    by_weekday = _weekday_masks(frozenset(weekdays))
    either = "*" not in days and "*" not in weekdays
    for first in range(7):
        for length in _SORTS:
            day, weekday = by_day | (1 << length if "l" in days else 0), by_weekday[first]
            if nearest:
                day = _bits(_working_day(first, length, each) for each in nearest)
            if counted:
                weekday = _bits(_counted(first, length, counted))
            if not either or (nearest and counted):
                found = day & weekday
            elif nearest or counted:
                found = day if nearest else weekday
            else:
                found = day | weekday
            yield found & (2 << length) - 2


@lru_cache(maxsize=1 << 7)
def _weekday_masks(weekdays: frozenset[Any]) -> tuple[int, ...]:
    """Days up to the 31st by the weekday of the first."""
    return tuple(
        _bits(day for day in range(1, 32) if "*" in weekdays or _weekday(first, day) in weekdays) for first in range(7)
    )


def _weekday(first: int, day: int) -> int:
    """As cron counts: Sunday is 0."""
    return (first + day) % 7


def _counted(first: int, length: int, counted: Mapping[Any, Collection[Any]]) -> Iterable[int]:
    """The days that are the nth such weekday of the month, or (``l``) the last."""
    for weekday, which in counted.items():
        same = [day for day in range(1, length + 1) if weekday in ("*", _weekday(first, day))]
        for nth in which:
            chosen = same[-1:] if nth == "l" else same[nth - 1 : nth]
            yield from chosen


def _working_day(first: int, length: int, day: int) -> int:
    """The day from Monday to Friday that is nearest to a day, in the same month."""
    day = min(day, length)
    match _weekday(first, day):
        case 6:
            return day - 1 if day > 1 else day + 2
        case 0:
            return day + 1 if day < length else day - 2
    return day


def _can_fire(masks: Sequence[int], month: int) -> bool:
    lengths = (28, 29) if month == 2 else (_LENGTHS[month - 1],)
    return any(masks[first * 4 + length - 28] for first in range(7) for length in lengths)


def _length(year: int, month: int) -> int:
    return 29 if month == 2 and isleap(year) else _LENGTHS[month - 1]


def _mask(values: Collection[Any], everything: range) -> int:
    return _bits(everything if "*" in values else (value for value in values if value in everything))


def _bits(values: Iterable[int]) -> int:
    found = 0
    for value in values:
        found |= 1 << value
    return found


def _lowest(mask: int) -> int:
    return (mask & -mask).bit_length() - 1
