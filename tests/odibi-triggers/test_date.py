"""Moments that are given."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from odibi_triggers.date import DateSchedule

MOMENTS = st.datetimes(datetime(1900, 1, 1), datetime(2200, 1, 1), timezones=st.timezones())


@given(st.lists(MOMENTS, min_size=1, max_size=8))
def test_each_fires_once_in_the_order_of_time(moments):
    schedule = DateSchedule(at=[it.isoformat() for it in moments])
    expected = sorted({it.astimezone(UTC) for it in map(datetime.fromisoformat, (it.isoformat() for it in moments))})
    found, moment = [], datetime.min.replace(tzinfo=UTC)
    while (moment := schedule.next_after(moment)) is not None:
        found.append(moment)
    assert found == expected


@pytest.mark.parametrize(
    ("text", "zone", "expected"),
    [
        ("2026-05-01", "Europe/Berlin", "2026-04-30T22:00:00+00:00"),
        ("2026-05-01T06:00:00.25", "Asia/Kolkata", "2026-05-01T00:30:00.250000+00:00"),
        ("2026-05-01T06:00Z", "Asia/Kolkata", "2026-05-01T06:00:00+00:00"),
        ("2024-10-27T02:30", "Europe/Berlin", "2024-10-27T00:30:00+00:00"),
        ("2024-03-31T02:30:00.25", "Europe/Berlin", "2024-03-31T01:00:00+00:00"),
        ("2011-12-30T12:00", "Pacific/Apia", "2011-12-30T10:00:00+00:00"),
    ],
)
def test_a_text_without_an_offset_is_what_the_zone_shows(text, zone, expected):
    found = DateSchedule(at=text, zone=zone).next_after(datetime(1990, 1, 1, tzinfo=UTC))
    assert found.isoformat() == expected


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"at": []}, "at: there is no moment"),
        ({"at": "2026-05-01T06:00"}, "at: '2026-05-01T06:00' does not say its time zone"),
        ({"at": ["2026-05-01T06:00Z", "soon"]}, "at: 'soon' is no moment in ISO 8601"),
        ({"at": "2026-05-01T06:00", "zone": "Mars"}, "zone: there is no time zone 'Mars'"),
        (
            {"at": "0001-01-01T00:00", "zone": "Asia/Tokyo"},
            "at: '0001-01-01T00:00' lies outside of the years",
        ),
    ],
)
def test_options_that_mean_nothing_are_refused(options, said):
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - what it says is looked at
        DateSchedule(**options)
    assert said in str(caught.value)


def test_nothing_comes_after_the_last():
    schedule = DateSchedule(at="9999-12-31T23:59:59.999999+00:00")
    last = datetime.max.replace(tzinfo=UTC)
    assert schedule.next_after(last - timedelta(microseconds=1)) == last
    assert schedule.next_after(last) is None
