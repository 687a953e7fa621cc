"""``odibi serve`` on a folder that many programs write to, killed again and again: each complete version comes once."""

from __future__ import annotations

import random
import sys
from collections import Counter
from pathlib import Path

import pytest
from fault_harness import FULL
from fault_harness.serving import SERVE, killed, parts, started, until
from fault_harness.writers import Writers, versions_in

import odibi

pytest.importorskip("odibi_local")
pytest.importorskip("odibi_pandas")
pytest.importorskip("odibi_triggers")

WRITERS = 4
FILES, KILLS = (10_000, 50) if FULL else (240, 4)
ROUND = 1.0 if FULL else 2.0
"""Seconds that the writers take for what they write about each of the services."""
SEED = 20_260_307
PATIENCE = 300.0

PROJECT = """
project: shop
engine: pandas
checkpoints: {type: sqlite, keep_last: 100000}  # all runs stay on record
connections:
  lake: {type: local, base_path: ./lake}
triggers:
  landing: {type: file_watch, connection: lake, path: "in/*.csv", complete: rename, max_files: 25, pipelines: [orders],
            retry_delay: 0.01}
pipelines:
  - pipeline: orders
    nodes:
      - name: orders
        read: {connection: lake, path: "in/*.csv", stream: landing}
        write: {connection: lake, path: out/orders, format: csv, mode: append}
"""


def consumed(place: Path) -> Counter[str]:
    """Each version in the output, with how often it is there."""
    found: Counter[str] = Counter()
    for path in parts(place / "lake/out/orders"):
        with path.open() as file:
            found.update(versions_in(file, path.name))
    return found


@pytest.mark.skipif(sys.platform != "linux", reason="kills and notices as on Linux")
def test_each_complete_version_is_appended_once_though_the_service_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    output = tmp_path / "lake/out/orders"
    (tmp_path / "lake/in").mkdir(parents=True)
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    between = 0
    with Writers(tmp_path / "lake/in", tmp_path, WRITERS, FILES // WRITERS, KILLS, ROUND) as writers:
        for at in range(KILLS):
            before = len(parts(output))
            if at % 4 == 3:  # anywhere while it starts, too
                with killed(tmp_path, PATIENCE, chance, 1.5):
                    writers.go_on()
                continue
            # The others do something first: a batch that takes the process with it again and again is given up. Most
            # are killed as soon as a part is there, when that is not on record yet.
            with killed(tmp_path, PATIENCE, chance, 0.3 if at % 4 == 2 else 0.0) as service:
                writers.go_on()
                until(lambda: len(parts(output)) > before or service.poll() is not None, tmp_path, PATIENCE)  # noqa: B023
            between += len(parts(output)) > before
        writers.wait(PATIENCE)
    with started(tmp_path, "serve", *SERVE, "--idle", "1s") as service:
        assert service.wait(PATIENCE) == 0, (tmp_path / "serve.err").read_text()[-2000:]

    assert between >= KILLS // 2, "killed before they did anything"
    found, names = consumed(tmp_path), writers.names()
    missing = set(writers.left().values()) - found.keys()
    assert not missing, f"{len(missing)} never came, such as {sorted(missing)[:3]}"
    assert found.keys() <= names.keys()
    more = {version: count for version, count in found.items() if count > names[version]}
    assert not more, f"appended more often than there were files of it: {more}"

    with odibi.load(tmp_path / "odibi.yaml") as project:
        store = project.resources().checkpoints()
        assert store is not None
        assert not store.offsets("orders/landing!"), "a batch is in flight, or was given up"
        runs = [run.detail["batches"]["landing"] for run in store.runs("orders") if run.state == "succeeded"]
    given = Counter((file["path"], file["etag"]) for batch in runs for file in batch["payload"]["files"])
    assert max(given.values()) == 1, "a version was given twice"
    assert len({batch["id"] for batch in runs}) == len(runs)
    print(f"{len(found)} of {len(names)} versions, {len(writers.left())} of them last ones, in {len(runs)} batches")
