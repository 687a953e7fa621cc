"""The flights example gives the same tables on Spark as on pandas, and with one node moved to the other engine.

Tolerances, declared: numbers to a part in a billion, as sums are added up in another order; the order of rows; and of
integers that a CSV file shows, whether they are written ``7`` or ``7.0``.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("pyspark")
pd = pytest.importorskip("pandas")
dataset = pytest.importorskip("pyarrow.dataset")

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "flights"
ODIBI = Path(sys.executable).with_name("odibi")
TOLERANCE = 1e-9
TABLES = (
    *(f"bronze/{name}.parquet" for name in ("airlines", "airports", "flights", "planes", "weather")),
    *("silver/flights.parquet", "silver/flights_wide"),
    *("gold/delays_by_carrier_and_month.parquet", "gold/delay_matrix.csv", "gold/busiest_routes.csv"),
    *("gold/delays_by_weather.csv", "gold/delays_by_plane_age.csv", "gold/on_time.csv", "gold/carrier_scorecard.csv"),
)
QUARANTINE = ("airports.parquet", "flights.parquet", "weather.parquet")


def odibi(*arguments: str | Path, out: Path) -> str:
    settings = {"FLIGHTS_OUT": str(out), "NO_COLOR": "1", "COLUMNS": "160", "PYSPARK_PYTHON": sys.executable}
    done = subprocess.run(
        [ODIBI, *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd="/",
        env={**os.environ, **settings},
        timeout=540,
    )
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module", autouse=True)
def raw() -> None:
    subprocess.run([sys.executable, EXAMPLE / "fetch.py"], check=True, stdout=subprocess.DEVNULL)


@pytest.fixture(scope="module")
def on_pandas(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the example makes on the engine that it is written for."""
    out: Path = tmp_path_factory.mktemp("pandas")
    odibi("run", EXAMPLE / "odibi.yaml", out=out)
    return out


@pytest.fixture(scope="module")
def on_spark(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What it makes with ``--engine spark``."""
    out: Path = tmp_path_factory.mktemp("spark")
    said = odibi("run", EXAMPLE / "odibi.yaml", "--engine", "spark", out=out)
    assert "succeeded: 20 of 20 nodes" in said
    return out


def rows(place: Path) -> Any:
    """What is there as a pandas frame, in the order of its values."""
    parts = "hive" if place.name == "flights_wide" else None
    found = dataset.dataset(place, format=place.suffix[1:] or "parquet", partitioning=parts).to_table()
    frame = found.select(sorted(found.column_names)).to_pandas()
    for name in frame.columns:
        if isinstance(frame[name].dtype, pd.DatetimeTZDtype) or frame[name].dtype.kind == "M":
            frame[name] = pd.to_datetime(frame[name], utc=True).dt.as_unit("us").astype("int64")
    return frame.sort_values(list(frame.columns), ignore_index=True)


def assert_same(one: Path, other: Path) -> None:
    first, second = rows(one), rows(other)
    assert len(first) > 0
    pd.testing.assert_frame_equal(second, first, check_dtype=False, rtol=TOLERANCE)


@pytest.mark.parametrize("table", TABLES)
def test_spark_makes_the_table_that_pandas_makes(table: str, on_pandas: Path, on_spark: Path) -> None:
    assert_same(on_pandas / "lake" / table, on_spark / "lake" / table)


@pytest.mark.parametrize("table", QUARANTINE)
def test_the_same_rows_are_set_aside(table: str, on_pandas: Path, on_spark: Path) -> None:
    first, second = rows(on_pandas / "quarantine" / table), rows(on_spark / "quarantine" / table)
    told = [name for name in first.columns if name.startswith("_")]  # when, and by which run
    pd.testing.assert_frame_equal(
        second.drop(columns=told).sort_values(list(first.columns.drop(told)), ignore_index=True),
        first.drop(columns=told).sort_values(list(first.columns.drop(told)), ignore_index=True),
        check_dtype=False,
        rtol=TOLERANCE,
    )


def test_one_node_moves_to_spark(on_pandas: Path, tmp_path: Path) -> None:
    """Frames go from pandas to Spark and, with what it makes, back to pandas."""
    project = (EXAMPLE / "odibi.yaml").read_text("utf-8")
    project = project.replace("base_path: ./data/raw", f"base_path: {EXAMPLE}/data/raw")
    for node in ("on_time", "delays_by_carrier_and_month"):
        moved = project.replace(f"      - name: {node}\n", f"      - name: {node}\n        engine: spark\n", 1)
        assert moved != project
        project = moved
    (tmp_path / "odibi.yaml").write_text(project, "utf-8")
    shutil.copy(EXAMPLE / "transforms.py", tmp_path)
    out = tmp_path / "out"
    shutil.copytree(on_pandas / "lake" / "silver", out / "lake" / "silver")
    odibi("run", tmp_path / "odibi.yaml", "-p", "gold", out=out)
    for table in TABLES[7:]:
        assert_same(on_pandas / "lake" / table, out / "lake" / table)


def test_a_second_run_on_spark_does_nothing(on_spark: Path) -> None:
    """And so starts no Spark."""
    said = odibi("run", EXAMPLE / "odibi.yaml", "--engine", "spark", out=on_spark)
    assert "starting Spark" not in said
    assert "succeeded: 20 of 20 nodes" in said
    assert " reused" in said
    assert " succeeded  0" not in said
