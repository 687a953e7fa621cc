"""Offsets that are moved outside of a run are moved whole or not at all, and for good, wherever the process stops."""

from __future__ import annotations

import random
import shutil
from collections.abc import Mapping
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from fault_harness import FULL
from fault_harness.powerloss import Disk
from fault_harness.processes import Zygote
from fault_harness.scenario import RUN
from fault_harness.scenarios import CARELESS, config, orders
from fault_harness.survival import STATES, failed, points_of

if TYPE_CHECKING:
    from odibi.contracts.checkpoint import CheckpointStore

SEED = 19_690_720

MOVES = """
from pathlib import Path

{made}


def writes(df):
    store = made()
    lock = store.lock("etl")
    store.move({{"a": 2, "b/c": [2], "dead/1": None, "dead/2": 2}}, lock=lock)
    Path("moved").touch()
    store.move({{"a": 3, "dead/2": None}})
    Path("moved again").touch()
    store.close()
    return df
"""
MADE = {
    "sqlite": """
def made():
    from odibi_local.checkpoints import SqliteCheckpoints

    return SqliteCheckpoints(path="state/runs.db")
""",
    "storage": """
def made():
    from odibi_local.storage import LocalStorage
    from odibi_objects.checkpoint import StorageCheckpoints

    return StorageCheckpoints(connection=LocalStorage(base_path="state"), parallel=1)
""",
}
SHOWN = (
    {"a": 1, "dead/1": 1},
    {"a": 2, "b/c": [2], "dead/2": 2},
    {"a": 3, "b/c": [2]},
)
"""What is to be seen before the moves, and after each of them."""


def opened(kind: str, project: Path) -> CheckpointStore:
    if kind == "sqlite":
        from odibi_local.checkpoints import SqliteCheckpoints

        return SqliteCheckpoints(path=str(project / "state" / "runs.db"))
    from odibi_local.storage import LocalStorage
    from odibi_objects.checkpoint import StorageCheckpoints

    return StorageCheckpoints(connection=LocalStorage(base_path=str(project / "state")), parallel=1)


def problems(kind: str, project: Path, least: int, what: str) -> list[str]:
    """What is wrong with what was moved; ``least`` moves have returned."""
    with closing(opened(kind, project)) as store:
        found = dict(store.offsets())
        if found not in SHOWN[least:]:
            return [f"{what}: after {least} moves there is {found}"]
        lock = store.lock("etl", wait=30.0)
        wrong = [] if _agrees(store, found) else [f"{what}: it is not the same for whoever comes next"]
        store.move({"a": 9, "dead/2": None}, lock=lock)
        after = {**found, "a": 9}
        after.pop("dead/2", None)
        return wrong if _agrees(store, after) else [*wrong, f"{what}: no move is possible any more"]


def _agrees(store: CheckpointStore, offsets: Mapping[str, Any]) -> bool:
    names = {name for shown in SHOWN for name in shown}
    return dict(store.offsets()) == offsets and all(store.offset(name) == offsets.get(name) for name in names)


@pytest.fixture(name="project", params=sorted(MADE))
def _project(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A project whose only node moves offsets; the same again from a copy beside it."""
    if request.param == "storage":
        pytest.importorskip("odibi_objects")
    project = tmp_path / "project"
    project.mkdir()
    (project / "state").mkdir()
    (project / "odibi.yaml").write_text(config(CARELESS))
    (project / "transforms.py").write_text(MOVES.format(made=MADE[request.param]))
    orders(0, 3)(project)
    with closing(opened(request.param, project)) as store:
        store.move(SHOWN[0])
        assert store.offsets() == SHOWN[0]
    shutil.copytree(project, tmp_path / "copy")
    return request.param, project


def again(project: Path) -> Path:
    shutil.rmtree(project)
    shutil.copytree(project.with_name("copy"), project)
    return project


def returned(project: Path) -> int:
    return sum((project / name).exists() for name in ("moved", "moved again"))


def test_a_kill_at_any_call_leaves_moves_whole(project: tuple[str, Path], zygote: Zygote) -> None:
    kind, folder = project
    ended = zygote.run(RUN, folder)
    assert (ended.code, returned(folder)) == (0, 2), str(ended)
    assert problems(kind, folder, 2, "undisturbed") == []
    points = points_of(ended.calls, full=FULL)
    wrong, seen = [], set()
    for point in points:
        ended = zygote.run(RUN, again(folder), point.fault)
        least = returned(folder)
        seen.add(least)
        wrong += problems(kind, folder, least, f"{kind}, killed {point}")
    assert seen == {0, 1, 2}
    failed(wrong, len(points))


@pytest.mark.parametrize("state", STATES)
def test_a_move_that_returned_survives_a_power_cut(project: tuple[str, Path], zygote: Zygote, state: str) -> None:
    kind, folder = project
    disk = Disk(folder)
    ended = zygote.run(RUN, folder, payload=True)
    assert (ended.code, returned(folder)) == (0, 2), str(ended)
    disk.follow(ended.calls)
    STATES[state](disk, random.Random(SEED)).put(folder, disk.now())
    failed(problems(kind, folder, 2, f"{kind}, with a power cut leaving {state}"), 1)
