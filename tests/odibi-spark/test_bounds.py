"""Bounds on Spark, where the suite does not look: types at their ends, moments, and what Parquet is asked for."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from odibi.contracts import Bound, Source
from odibi.errors import DataError
from odibi.testing.reference.files import FileStorage
from odibi_spark.bounds import newest, within
from odibi_spark.formats.parquet import ParquetFormat

BERLIN = ZoneInfo("Europe/Berlin")
LONG = Decimal(12345678901234567890123456789012345678)


@pytest.mark.parametrize(
    ("values", "kind", "above", "upto", "meant"),
    [
        ([-(2**63), 0, 2**63 - 1], pa.int64(), -(2**63), None, [1, 2]),
        ([-(2**63), 0, 2**63 - 1], pa.int64(), 2**63, None, []),
        ([-(2**63), 0, 2**63 - 1], pa.int64(), -(2**63) - 1, 2**63, [0, 1, 2]),
        ([-(2**63), 0, 2**63 - 1], pa.int64(), None, -(2**63) - 1, []),
        ([1, 2, 3], pa.int32(), 1, 2**40, [1, 2]),
        ([1.5, float("nan"), float("inf"), None], pa.float64(), 1.0, None, [0, 2]),
        ([0.1, 0.2], pa.float32(), 0.10000000149011612, None, [1]),
        ([LONG, LONG + 1], pa.decimal128(38, 0), LONG, None, [1]),
        ([Decimal("1.50"), Decimal("1.51")], pa.decimal128(5, 2), Decimal("1.5"), Decimal("1E+50"), [1]),
        ([dt.date(1, 1, 1), dt.date(1500, 1, 1)], pa.date32(), dt.date(1, 1, 1), dt.date(1500, 1, 1), [1]),
        (
            [dt.datetime(1500, 1, 1, microsecond=1), dt.datetime(2024, 3, 31, 2, 30)],
            pa.timestamp("us"),
            dt.datetime(1500, 1, 1),
            dt.datetime(2024, 3, 31, 2, 30),
            [0, 1],
        ),
        (
            # The hour that there is twice.
            [dt.datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=BERLIN), dt.datetime(2024, 10, 27, 1, 30, tzinfo=dt.UTC)],
            pa.timestamp("us", "UTC"),
            dt.datetime(2024, 10, 27, 2, 30, fold=0, tzinfo=BERLIN),
            dt.datetime(2024, 10, 27, 2, 30, fold=1, tzinfo=BERLIN),
            [1],
        ),
    ],
)
def test_rows_that_are_meant(
    as_frame: Callable[..., Any], values: list[Any], kind: pa.DataType, above: Any, upto: Any, meant: list[int]
) -> None:
    frame = as_frame({"v": values, "at": list(range(len(values)))}, v=kind)
    bound = Bound("v", above, upto)
    for foreign in (False, True):
        found = within(frame, bound, "here", foreign=foreign).toArrow()
        assert sorted(found["at"].to_pylist()) == meant
    greatest = newest(frame, "v")
    known = [value for value in values if value is not None and value == value]
    assert greatest == pa.scalar(max(known), kind).as_py()
    Bound("v", greatest).check(bound.kind, "here")


def test_a_name_that_is_no_word(as_frame: Callable[..., Any]) -> None:
    frame = as_frame({"it's `at`.v": [1, 2]})
    assert within(frame, Bound("it's `at`.v", 1), "here").count() == 1
    assert newest(frame, "it's `at`.v") == 2


def test_a_collation_has_no_order_of_ours(spark: Any) -> None:
    frame = spark.sql("SELECT 'a' COLLATE UTF8_LCASE AS v")
    with pytest.raises(DataError, match="nothing can be bound by"):
        newest(frame, "v")


def test_parquet_is_asked_for_no_more(spark_engine: Any, tmp_path: Path) -> None:
    pq.write_table(pa.table({"id": list(range(100)), "name": [f"n{at}" for at in range(100)]}), tmp_path / "a.parquet")
    storage: Any = FileStorage(str(tmp_path))
    for bound in (Bound("id", 5, 7), Bound("name", "n5", "n7")):
        source = Source(storage, "lake", ParquetFormat(), "parquet", "a.parquet", after=bound)
        frame = spark_engine.read(source)
        plan = str(frame._jdf.queryExecution().executedPlan().toString()).replace(" ", "")
        assert f"GreaterThan({bound.column},{bound.above})" in plan
        assert f"LessThanOrEqual({bound.column},{bound.upto})" in plan
