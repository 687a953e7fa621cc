"""``odibi serve`` as users run it: processes, signals, files that arrive, a second service that stands by."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections import Counter
from datetime import datetime, timedelta
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from served_places import PATIENCE, Place, eventually

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_triggers")

PROJECT = """
project: shop
engine: pandas
checkpoints: sqlite
connections:
  lake: {type: local, base_path: ./lake}
triggers:
  landing: {type: file_watch, connection: lake, path: "in/*.csv", complete: rename, pipelines: [orders], retry_delay: 0}
  tick: {type: interval, every: 250ms, misfire: all, pipelines: [ticks]}
pipelines:
  - pipeline: orders
    nodes:
      - name: orders
        read: {connection: lake, path: "in/*.csv", stream: landing}
        transform: {steps: [{function: checked}]}
        write: {connection: lake, path: out/orders, format: csv, mode: append}
  - pipeline: ticks
    nodes:
      - {name: told, depends_on: [tick], function: same}
      - name: ticked
        depends_on: [told]
        function: moment
        write: {connection: lake, path: out/ticks, format: csv, mode: append}
  - pipeline: totals
    after: [orders]
    nodes:
      - name: totals
        read: {connection: lake, path: out/orders, format: csv}
        transform: {steps: ["select count(*) as n from df"]}
        write: {connection: lake, path: out/totals.json}
"""

FUNCTIONS = """
from pathlib import Path

import pandas as pd


def checked(df):
    if (df["id"] < 0).any():
        raise ValueError("an id is negative")
    if (df["id"] == 999).any():
        import time

        Path("slow").touch()
        while Path("slow").exists():
            time.sleep(0.01)
    return df


def same(tick):
    return tick


def moment(told):
    return pd.DataFrame({"moment": [told["moment"]]})
"""


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place.made(tmp_path, PROJECT, FUNCTIONS)


def test_files_moments_and_pipelines_after_others(place: Place) -> None:
    place.arrive("a", 1, 2)
    with place.serving() as service:
        eventually(lambda: place.rows("orders") == Counter(["1", "2"]), place)
        place.arrive("b", 3)
        eventually(lambda: place.rows("orders") == Counter(["1", "2", "3"]), place)
        eventually(lambda: place.totals() == [{"n": 3}], place)
        eventually(lambda: len(place.rows("ticks")) >= 4, place)
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0
    ticks = place.rows("ticks")
    assert set(ticks.values()) == {1}
    assert "Traceback" not in place.log


def test_sigterm_lets_what_runs_finish(place: Place) -> None:
    with place.serving() as service:
        place.arrive("slow", 999)
        eventually((place.folder / "slow").exists, place)
        service.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping" in place.log, place)
        assert service.poll() is None
        (place.folder / "slow").unlink()
        assert service.wait(PATIENCE) == 0
    assert place.rows("orders") == Counter(["999"])
    assert place.stream("orders/landing")["batch"] is None


def test_a_drain_that_takes_too_long_is_cut_short_and_gone_on_with(place: Place) -> None:
    with place.serving("--drain", "200ms") as service:
        place.arrive("slow", 999)
        eventually((place.folder / "slow").exists, place)
        service.send_signal(signal.SIGTERM)
        eventually(lambda: "stopping what still runs" in place.log, place)
        (place.folder / "slow").unlink()
        assert service.wait(PATIENCE) == 130
    with place.serving() as service:
        eventually(lambda: (place.folder / "slow").exists() or place.rows("orders"), place)
        (place.folder / "slow").unlink(missing_ok=True)
        eventually(lambda: place.rows("orders") == Counter(["999"]), place)


def test_another_service_takes_over_from_one_that_dies(place: Place) -> None:
    with place.serving() as first:
        eventually(lambda: len(place.rows("ticks")) >= 2, place)
        with place.serving() as second:
            eventually(lambda: "standing by" in place.log, place)
            place.arrive("slow", 999)
            eventually((place.folder / "slow").exists, place)
            before = len(place.rows("ticks"))
            os.killpg(first.pid, signal.SIGKILL)
            first.wait()
            eventually(lambda: len(place.rows("ticks")) >= before + 8, place)
            (place.folder / "slow").unlink()
            eventually(lambda: place.rows("orders"), place)
            place.arrive("more", 1)
            eventually(lambda: len(place.rows("orders")) == 2, place)
            second.send_signal(signal.SIGTERM)
            assert second.wait(PATIENCE) == 0
    assert place.rows("orders") == Counter(["999", "1"])
    moments = sorted(place.rows("ticks"))
    assert set(place.rows("ticks").values()) == {1}
    begin, end = (datetime.fromisoformat(each) for each in (moments[0], moments[-1]))
    assert len(moments) == (end - begin) / timedelta(milliseconds=250) + 1, "with misfire: all, none is missing"


def test_a_batch_that_nobody_can_read_is_given_up_and_replayed(place: Place) -> None:
    place.arrive("bad", -1)
    with place.serving():
        eventually(lambda: "giving up" in place.log, place)
        place.arrive("good", 5)
        eventually(lambda: place.rows("orders") == Counter(["5"]), place)
        [letter] = place.stream("orders/landing")["given_up"]
        assert letter["attempts"] == 3
        assert "negative" in letter["error"]
        told = place.odibi("streams", "replay", "orders/landing", code=1)
        assert "negative" in told
        (place.folder / "transforms.py").write_text(FUNCTIONS.replace('(df["id"] < 0).any()', "False"))
        assert "succeeded" in place.odibi("streams", "replay", "orders/landing", letter["batch"]["id"])
    assert place.rows("orders") == Counter(["5", "-1"])
    assert place.stream("orders/landing")["given_up"] == []


def test_a_stream_is_paused_and_reset_from_outside(place: Place) -> None:
    with place.serving():
        eventually(lambda: len(place.rows("ticks")) >= 2, place)
        place.odibi("streams", "pause", "ticks/tick")
        eventually(lambda: "ticks/tick is paused" in place.log, place)
        place.arrive("a", 1)
        eventually(lambda: place.rows("orders"), place)
        refused = place.odibi("streams", "reset", "orders/landing", code=1)
        assert "a service serves the project" in refused
        assert place.stream("ticks/tick")["state"] == "paused"
        place.odibi("streams", "resume", "ticks/tick")
        eventually(lambda: "ticks/tick goes on" in place.log, place)
    place.odibi("streams", "reset", "orders/landing")
    with place.serving("--idle", "5s"):
        eventually(lambda: place.log.count("orders/landing: run") >= 2, place)
    assert place.rows("orders") == Counter(["1"]), "the same batch appends the same part"


def test_a_project_is_loaded_anew_when_it_changes(place: Place) -> None:
    with place.serving() as service:
        eventually(lambda: len(place.rows("ticks")) >= 2, place)
        (place.folder / "odibi.yaml").write_text("project: shop\npipelines: nonsense\n")
        eventually(lambda: "is not taken over" in place.log, place)
        before = len(place.rows("ticks"))
        eventually(lambda: len(place.rows("ticks")) > before, place)
        (place.folder / "odibi.yaml").write_text(PROJECT.replace("project: shop", "project: another"))
        eventually(lambda: "the project served is 'shop'" in place.log, place)
        (place.folder / "odibi.yaml").write_text(PROJECT.replace("path: out/ticks", "path: out/other"))
        eventually(lambda: place.rows("other"), place)
        place.arrive("a", 1)
        eventually(lambda: place.rows("orders") == Counter(["1"]), place)
        service.send_signal(signal.SIGINT)
        assert service.wait(PATIENCE) == 0
    assert "moment with its zone" in place.odibi("streams", "reset", "ticks/tick", "--to", '"tomorrow"', code=2)
    assert not place.rows("other").keys() & place.rows("ticks").keys()


def test_it_answers_over_http(place: Place) -> None:
    def asked(path: str, token: str) -> tuple[int, str]:
        request = urllib.request.Request(
            url + path, headers={} if token is None else {"Authorization": f"Bearer {token}"}
        )
        try:
            with urllib.request.urlopen(request, timeout=PATIENCE) as answer:
                return answer.status, answer.read().decode()
        except urllib.error.HTTPError as error:
            with error:
                return error.code, error.read().decode()

    with place.serving("--http", "127.0.0.1:0", ODIBI_HTTP_TOKEN="tok-5ecret-tok") as service:
        eventually(lambda: "listening on http" in place.log, place)
        url = place.log.split("listening on ")[1].split()[0]
        eventually(lambda: asked("/ready", "tok-5ecret-tok")[0] == 200, place)
        assert asked("/metrics", "wrong")[0] == 401
        ran = 'odibi_service_runs_total{project="shop",pipeline="ticks"'
        eventually(lambda: ran in asked("/metrics", "tok-5ecret-tok")[1], place)
        service.send_signal(signal.SIGTERM)
        assert service.wait(PATIENCE) == 0
    assert "5ecret" not in place.log
    refused = place.odibi("serve", "--http", "0.0.0.0:0", code=1)
    assert "token" in refused


def test_moments_of_the_past(place: Place) -> None:
    span = ("--from", "2026-01-01T00:00:00", "--to", "2026-01-01T00:00:01")
    listed = place.odibi("backfill", "ticks/tick", *span, "--dry-run").splitlines()
    assert len(listed) == 4
    assert place.odibi("backfill", "ticks/tick", *span).count("succeeded") == 4
    assert place.odibi("backfill", "ticks/tick", *span).count("done before") == 4
    assert place.odibi("backfill", "ticks/tick", *span, "--again").count("succeeded") == 4
    assert sorted(place.rows("ticks")) == sorted(listed)
    assert set(place.rows("ticks").values()) == {1}
    assert place.stream("ticks/tick")["offset"] is None, "the stream itself is not moved"
    assert "only schedules" in place.odibi("backfill", "orders/landing", *span, code=1)
    assert "no such stream" in place.odibi("backfill", "orders/nothing", *span, code=1)


def test_what_cannot_be_served_is_told(place: Place) -> None:
    (place.folder / "odibi.yaml").write_text(PROJECT.replace("checkpoints: sqlite\n", ""))
    assert "checkpoints: sqlite" in place.odibi("serve", code=1)
    (place.folder / "odibi.yaml").write_text(PROJECT.replace("every: 250ms", "every: soon"))
    told = place.odibi("serve", code=2)
    assert "odibi.yaml:" in told
    assert "Traceback" not in told


def test_what_would_surprise_is_said_beforehand(place: Place) -> None:
    place.arrive("a", 1)
    told = place.odibi("run", "-p", "orders", "-p", "nothing", code=2)
    assert "reads all that there is" not in told, "nothing is run"
    done = subprocess.run(
        [sys.executable, "-m", "odibi", "run", "-p", "orders", "--json"],
        cwd=place.folder, capture_output=True, text=True, timeout=PATIENCE, check=True,
    )  # fmt: skip
    assert done.stderr.startswith("warning: node 'orders' reads all that there is, as this run consumes no batch of 'l")
    assert all(json.loads(line) for line in done.stdout.splitlines())
    begin = PROJECT.index("triggers:")
    (place.folder / "odibi.yaml").write_text(
        PROJECT[:begin] + "pipelines: [{pipeline: p, nodes: [{name: n, function: same}]}]\n"
    )
    (place.folder / "transforms.py").write_text("def same(): return 1\n")
    with place.serving("--idle", "10ms") as service:
        assert service.wait(PATIENCE) == 0
    assert "nothing will ever start a pipeline of 'shop': it has no triggers; add some" in place.log
