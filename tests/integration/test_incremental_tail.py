"""Runs that read of a CSV file that only grew what was appended: each row once, and none that was changed is missed."""

from __future__ import annotations

import logging
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

import odibi
from odibi.errors import RunFailed
from odibi.run.increments import pin_of, watermark_of

DEFINITION = """
import odibi
from odibi.contracts.format import WriteMode
from odibi.model import Incremental, Node, Read, Write

def pipeline(root, *more, late=()):
    read = Read("lake", "in.csv", format="csv", incremental=Incremental("id", *late))
    orders = Node("orders", read=read, write=Write("lake", "out", format="parquet", mode=WriteMode.APPEND))
    return odibi.Pipeline(
        "sales",
        [orders, *more],
        engine="pandas",
        cache={"type": "disk", "path": str(root / "cache")},
        checkpoints={"type": "sqlite", "path": str(root / "runs.db")},
        connections={"lake": {"type": "local", "base_path": str(root / "lake")}},
    )
"""
made: dict[str, Any] = {}
exec(DEFINITION, made)  # the same text is run by processes that are killed
pipeline: Callable[..., odibi.Pipeline] = made["pipeline"]
Node = made["Node"]

KILLED = f"""
import os, signal, sys
from pathlib import Path
{DEFINITION}
from odibi_local.checkpoints import SqliteCheckpoints
point, count = int(sys.argv[2]), [0]

def killed_at(owner, name):
    call = getattr(owner, name)
    def counting(*args, **named):
        count[0] += 1
        if count[0] == point:
            os.kill(os.getpid(), signal.SIGKILL)
        return call(*args, **named)
    setattr(owner, name, counting)

for name in ("append", "move", "finish"):
    killed_at(SqliteCheckpoints, name)
killed_at(os, "link")
pipeline(Path(sys.argv[1])).run()
"""

HEAD = "id,amount,note\n"


@pytest.fixture
def root(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> Path:
    caplog.set_level(logging.DEBUG, "odibi_pandas")
    (tmp_path / "lake").mkdir()
    return tmp_path


def row(at: int) -> str:
    return f"{at},{at}.5,text\n"


def grow(root: Path, *ids: int) -> None:
    """Append rows in place, as a logger does."""
    path = root / "lake/in.csv"
    with path.open("a") as file:
        file.write(("" if file.tell() else HEAD) + "".join(map(row, ids)))


def logged(root: Path) -> list[int]:
    """The ids that were appended, each as often as it was."""
    return sorted(value for file in (root / "lake/out").rglob("*.parquet") for value in pd.read_parquet(file)["id"])


def stored(root: Path) -> tuple[Any, Any]:
    """The watermark and the pin."""
    with pipeline(root)._loaded as loaded:
        store = loaded.resources().checkpoints()
        assert store is not None
        return store.offset(watermark_of("sales", "orders")), store.offset(pin_of("sales", "orders"))


def tails(caplog: pytest.LogCaptureFixture) -> int:
    """How often a tail alone was read since this was asked last."""
    count = sum("only grew since" in message for message in caplog.messages)
    caplog.clear()
    return count


def test_a_file_that_only_grows(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Its tail is read, each time; a forced run reads what is new, and that is nothing."""
    grow(root, 1, 2)
    pipeline(root).run()
    assert tails(caplog) == 0
    for at in (3, 4):
        grow(root, at)
        pipeline(root).run()
        assert tails(caplog) == 1
    pipeline(root).run(force=True)
    assert tails(caplog) == 1
    assert logged(root) == [1, 2, 3, 4]
    assert stored(root)[0]["mark"]["size"] == (root / "lake/in.csv").stat().st_size


def test_a_row_that_was_changed_in_its_place_comes_again(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """Though the file is larger than it was, and begins and ends as it did."""
    grow(root, *range(10, 60))
    pipeline(root).run()
    path = root / "lake/in.csv"
    path.write_text(path.read_text().replace(row(30), row(90)))
    grow(root, 91)
    pipeline(root).run()
    assert tails(caplog) == 0
    assert logged(root) == [*range(10, 60), 90, 91]
    path.write_text(HEAD + row(95) + row(1))
    pipeline(root).run()
    grow(root, 96)
    pipeline(root).run()
    assert tails(caplog) == 1
    assert logged(root)[-4:] == [90, 91, 95, 96]


def test_a_failed_run_is_repeated_from_where_it_began(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """With the rows that it had, of the tail alone, while more have come."""

    def fails(orders: Any) -> int:
        if (root / "broken").exists():
            raise ValueError("broken")
        seen.append(orders["id"].tolist())
        return len(orders)

    seen: list[list[int]] = []

    def sales() -> odibi.Pipeline:
        return pipeline(root, Node("fails", depends_on=("orders",), function=fails, cache=False))

    grow(root, 1, 2)
    sales().run()
    (root / "broken").touch()
    grow(root, 3)
    with pytest.raises(RunFailed):
        sales().run()
    _, pin = stored(root)
    assert pin["mark"]["size"] == len(HEAD) + sum(len(row(at)) for at in (1, 2, 3))
    grow(root, 4)
    (root / "broken").unlink()
    tails(caplog)
    sales().run(force=True)
    assert tails(caplog) == 1
    assert stored(root)[0]["mark"] == pin["mark"]
    sales().run()
    assert tails(caplog) == 1
    assert seen == [[1, 2], [3], [4]]
    assert logged(root) == [1, 2, 3, 4]


def test_late_rows_lie_in_what_was_read(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    """So all is read where they are looked for, and no mark is left for later."""
    for at in (10, 20, 15, 30):
        grow(root, at)
        pipeline(root, late=(10, ("id",))).run()
    assert (tails(caplog), "mark" in stored(root)[0]) == (0, False)
    assert logged(root) == [10, 15, 20, 30]
    grow(root, 40)
    pipeline(root).run()
    grow(root, 50)
    pipeline(root).run()
    assert tails(caplog) == 1
    assert logged(root) == [10, 15, 20, 30, 40, 50]


def test_what_an_older_version_kept_has_no_mark(root: Path, caplog: pytest.LogCaptureFixture) -> None:
    grow(root, 1)
    pipeline(root).run()
    told, _ = stored(root)
    with pipeline(root)._loaded as loaded:
        store = loaded.resources().checkpoints()
        assert store is not None
        lock = store.lock("sales")
        store.move({watermark_of("sales", "orders"): {it: told[it] for it in told if it != "mark"}}, lock=lock)
        lock.release()
    grow(root, 2)
    pipeline(root).run()
    assert tails(caplog) == 0
    assert logged(root) == [1, 2]


def test_a_kill_at_any_instant_loses_no_row_and_doubles_none(tmp_path: Path) -> None:
    """Also if the file has grown when the run is tried again."""
    killed = 0
    while True:
        root = tmp_path / str(killed)
        (root / "lake").mkdir(parents=True)
        grow(root, 1, 2)
        pipeline(root).run()
        grow(root, 3, 4)
        done = subprocess.run(
            [sys.executable, "-c", KILLED, str(root), str(killed + 1)],
            capture_output=True, text=True, timeout=120, check=False, env=os.environ,
        )  # fmt: skip
        if done.returncode != -signal.SIGKILL:
            assert done.returncode == 0, done.stderr
            break
        killed += 1
        grow(root, 5)
        for _ in range(2):
            pipeline(root).run()
        assert logged(root) == [1, 2, 3, 4, 5], f"killed at {killed}"
    assert killed >= 4
