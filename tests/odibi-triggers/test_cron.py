"""What cron expressions mean, beside croniter where no clock is put; and which are refused, and how."""

from __future__ import annotations

import subprocess
import sys
from datetime import UTC, datetime, timedelta

import pytest
from croniter import CroniterBadCronError, CroniterBadDateError, croniter
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi_triggers.cron import CronSchedule
from odibi_triggers.cron_fields import compiled

LAWS = settings(
    max_examples=400, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much]
)

MONTHS = ("jan", "feb", "MAR", "apr", "may", "Jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "TUE", "wed", "thu", "Fri", "sat")


def field(low, high, names=()):
    number = st.integers(low, high).map(str)
    one = st.one_of(number, st.sampled_from(names)) if names else number
    part = st.one_of(
        st.just("*"),
        one,
        one,
        st.builds("{}-{}".format, one, one),
        st.builds("{}-{}/{}".format, number, number, st.integers(1, 12)),
        st.builds("*/{}".format, st.integers(1, high + 3)),
        st.builds("{}/{}".format, number, st.integers(1, 12)),
    )
    return st.lists(part, min_size=1, max_size=3).map(",".join)


DAYS = st.one_of(
    field(1, 31), st.sampled_from(["*", "?", "L", "15,L", "1W", "15W", "W31", "31W", "29,30", "31", "l,30"])
)
COUNTED = st.builds("{}#{}".format, st.sampled_from(["0", "1", "5", "fri"]), st.integers(1, 5))
LAST = st.builds("L{}".format, st.integers(0, 6))
SPECIAL = st.lists(st.one_of(COUNTED, LAST), min_size=1, max_size=2).map(",".join)
WEEKS = st.one_of(field(0, 7, WEEKDAYS), st.just("*"), st.just("?"), SPECIAL)
FIVE = st.builds("{} {} {} {} {}".format, field(0, 59), field(0, 23), DAYS, field(1, 12, MONTHS), WEEKS)
SIX = st.builds("{} {}".format, FIVE, field(0, 59))
SEVEN = st.builds("{} {}".format, SIX, st.sampled_from(["*", "2030", "2024,2031", "2020-2040/7", "1999"]))
MOMENTS = st.datetimes(datetime(1990, 1, 1), datetime(2060, 1, 1), timezones=st.just(UTC))


def theirs(expression, moment, count):
    """What croniter says comes next; it gives up for good when it has found nothing in 50 years."""
    found = []
    walk = croniter(expression, moment, ret_type=datetime)
    try:
        for _ in range(count):
            found.append(walk.get_next())
    except CroniterBadDateError:
        found.append(None)
    return found


def ours(expression, moment, count):
    schedule, found = CronSchedule(cron=expression), []
    for _ in range(count):
        then = schedule.next_after(moment)
        found.append(then)
        if then is None:
            break
        moment = then
    return found


@LAWS
@given(st.one_of(FIVE, FIVE, SIX, SEVEN), MOMENTS)
def test_fires_are_those_of_croniter(expression, moment):
    try:
        expected = theirs(expression, moment, 6)
    except CroniterBadCronError:
        with pytest.raises(ValueError, match="no cron expression"):
            CronSchedule(cron=expression)
        return
    found = ours(expression, moment, 6)
    if expected[-1] is None and found[len(expected) - 1 :] != [None]:
        # Of '0 0 30 2 1#1' it looks for days that there are not, and does not say what else comes.
        assert set(expression) & set("#WL")
        return
    assert found[: len(expected)] == expected


@LAWS
@given(st.text(st.sampled_from("0123456789*/,-#?LWHRlwhr@ adilyfebmonsu\t\n.()²"), max_size=24))
def test_a_text_is_read_or_refused_with_a_sentence(text):
    said = "cron: "
    try:
        CronSchedule(cron=text).next_after(datetime(2026, 1, 1, tzinfo=UTC))
    except ValueError as error:
        said = str(error)
    assert said.startswith("cron: ")
    assert "\n" not in said
    assert "Traceback" not in said


@pytest.mark.parametrize(
    ("expression", "said"),
    [
        ("0 25 * * *", "its hour '25' is not to be read, or not within 0 to 23"),
        ("0 0 * * noday", "its weekday 'noday' is not to be read, or not within 0 to 7 or sun to sat"),
        ("0 0 * * 1#6", "its weekday '1#6'"),
        ("*/0 * * * *", "its minute '*/0'"),
        ("0 0 * *", "it has 4 fields; write it as in '30 2 * * mon-fri'"),
        ("midnight", "it has 1 field; write it as"),
        ("", "it has 0 fields"),
        ("@reboot", "the names are @yearly, @annually, @monthly, @weekly, @daily, @midnight and @hourly"),
        ("H 2 * * *", "leaves a time to chance with H or R; write the time"),
        ("0 R(1-3) * * *", "leaves a time to chance"),
        ("0 0 * * 1,2#3", "day-of-week field does not support mixing"),
    ],
)
def test_a_refusal_says_what_is_wrong_and_how_to_write_it(expression, said):
    with pytest.raises(ValueError, match=r"^cron: ") as caught:
        CronSchedule(cron=expression)
    assert said in str(caught.value)
    assert repr(expression) in str(caught.value)


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"zone": "Europe/Berlinn"}, "zone: there is no time zone 'Europe/Berlinn'; did you mean 'Europe/Berlin'?"),
        ({"zone": "berlin"}, "did you mean 'Europe/Berlin'?"),
        ({"zone": "Europe"}, "zone: there is no time zone 'Europe'"),
        ({"zone": "../etc/passwd"}, "zone: there is no time zone '../etc/passwd'; give an IANA name"),
        ({"zone": ""}, "zone: there is no time zone ''"),
        ({"start": "tomorrow"}, "start: 'tomorrow' is no moment in ISO 8601; write it as in '2026-01-31T06:00:00"),
        ({"until": "9999-12-31T23:30-09:00"}, "until: '9999-12-31T23:30-09:00' lies outside of the years 1 to 9999"),
    ],
)
def test_other_options_that_mean_nothing_are_refused(options, said):
    with pytest.raises(ValueError, match=r"^\w+: ") as caught:
        CronSchedule(cron="@daily", **options)
    assert said in str(caught.value)


@pytest.mark.parametrize("expression", ["0 0 30 2 *", "0 0 31 2,4,6,9,11 *", "* * 30 feb ? */5", "0 0 29 2 * 0 2023"])
def test_what_never_fires_says_so_without_a_search(expression):
    schedule = CronSchedule(cron=expression, zone="Europe/Berlin")
    assert compiled(expression).months == 0 or expression.endswith(" 2023")
    for year in (1, 1970, 2026, 9999):
        assert schedule.next_after(datetime(year, 1, 1, tzinfo=UTC) + timedelta(days=60)) is None


def test_the_rarest_there_is_is_found():
    """The fifth Sunday of February: from 2004 on every 28 years, but 40 where a leap year is left out."""
    found = ours("0 0 * 2 0#5", datetime(2004, 3, 1, tzinfo=UTC), 6)
    assert [each.year for each in found] == [2032, 2060, 2088, 2128, 2156, 2184]


def test_start_and_until_belong_to_it():
    schedule = CronSchedule(
        cron="0 6 * * *", zone="Europe/Berlin", start="2026-05-01T06:00", until="2026-05-02T06:00:00.5+02:00"
    )
    first = schedule.next_after(datetime(1, 1, 1, tzinfo=UTC))
    assert first == datetime(2026, 5, 1, 4, tzinfo=UTC)
    second = schedule.next_after(first)
    assert second == datetime(2026, 5, 2, 4, tzinfo=UTC)
    assert schedule.next_after(second) is None
    late = CronSchedule(cron="0 6 * * *", start="2026-05-01T06:00:00.000001")
    assert late.next_after(first) == datetime(2026, 5, 2, 6, tzinfo=UTC)


@pytest.mark.parametrize("year", [1, 2, 9999])
@pytest.mark.parametrize("zone", ["UTC", "Pacific/Kiritimati", "Pacific/Pago_Pago", "Europe/Berlin"])
@pytest.mark.parametrize("cron", ["* * * * *", "30 2 * * *", "0 0 1 1 *", "0 0 29 2 *", "* * * * * *"])
def test_the_ends_of_the_calendar_are_no_error(cron, zone, year):
    schedule = CronSchedule(cron=cron, zone=zone)
    for moment in (datetime(year, 1, 1, tzinfo=UTC), datetime(year, 12, 31, 23, 59, 59, 999999, UTC)):
        found = schedule.next_after(moment)
        assert found is None or found > moment


def test_an_expression_is_compiled_once():
    assert compiled("*/5 1-3 * * mon") is compiled("*/5 1-3 * * mon")


def test_croniter_is_imported_when_a_schedule_is_made():
    """Its import takes longer than starting the command line may."""
    code = (
        "import sys, odibi_triggers.cron as it; assert 'croniter' not in sys.modules; "
        "it.CronSchedule(cron='@daily'); assert 'croniter' in sys.modules"
    )
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
