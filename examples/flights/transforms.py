"""The functions that odibi.yaml names. A function gets the node's current frame first and its params by keyword.

They work on pandas frames, a row at a time, and say so: on Spark they are called where the rows are.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from odibi import transform

if TYPE_CHECKING:
    import pandas as pd

ONE_NAME = {
    "AIRBUS INDUSTRIE": "AIRBUS",
    "CANADAIR LTD": "CANADAIR",
    "MCDONNELL DOUGLAS AIRCRAFT CO": "MCDONNELL DOUGLAS",
    "MCDONNELL DOUGLAS CORPORATION": "MCDONNELL DOUGLAS",
}
"""Spellings in the registry of planes to the maker's usual name."""


@transform(frame="pandas", rowwise=True)
def one_name_a_maker(planes: pd.DataFrame, column: str) -> pd.DataFrame:
    """Write each maker in one way."""
    return planes.assign(**{column: planes[column].replace(ONE_NAME)})


@transform(frame="pandas", rowwise=True)
def describe_weather(flights: pd.DataFrame, strong_wind: float, fog: float) -> pd.DataFrame:
    """Say in a word what the weather was like; the last of several words that fit counts.

    Args:
        flights: with ``precip`` (inches an hour), ``visib`` (miles) and ``wind_speed`` (miles an hour).
        strong_wind: from how many miles an hour wind counts.
        fog: below how many miles of sight it counts as fog.
    """
    weather = flights["visib"].isna().map({True: "unknown", False: "calm"})
    weather = weather.mask(flights["wind_speed"].ge(strong_wind).fillna(False), "wind")
    weather = weather.mask(flights["precip"].gt(0).fillna(False), "rain")
    weather = weather.mask(flights["visib"].lt(fog).fillna(False), "fog")
    return flights.assign(weather=weather)


@transform(frame="pandas", rowwise=True)
def grade(carriers: pd.DataFrame, column: str, marks: Mapping[str, float]) -> pd.DataFrame:
    """Give the best mark whose bound is reached, and ``D`` where none is.

    Args:
        carriers: a row each.
        column: what is graded.
        marks: each mark with the value from which it is given.
    """
    best_first = sorted(marks.items(), key=lambda mark: mark[1], reverse=True)

    def mark(value: float) -> str:
        return next((name for name, bound in best_first if value >= bound), "D")

    return carriers.assign(grade=carriers[column].map(mark))
