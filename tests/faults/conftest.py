"""What the tests of faults share: the library that makes calls fail, and the processes that run with it."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from fault_harness import FULL
from fault_harness.processes import Fresh, Zygote
from fault_harness.scenario import Scenario
from fault_harness.scenarios import BIG, CHAIN, CHAIN_ON_STORAGE, TWO_NODES, UPSERT
from fault_harness.shim import CannotBuild, build
from fault_harness.survival import Survivor


@pytest.fixture(scope="session", name="library")
def _library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if sys.platform != "linux":
        pytest.skip("the library that makes calls fail is for Linux")
    try:
        return build(tmp_path_factory.mktemp("shim"))
    except CannotBuild as error:
        pytest.skip(str(error))


@pytest.fixture(scope="session", name="fresh")
def _fresh(library: Path) -> Fresh:
    return Fresh(library)


@pytest.fixture(scope="session", name="zygote")
def _zygote(library: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Zygote]:
    pytest.importorskip("odibi_local")
    pytest.importorskip("odibi_pandas")
    zygote = Zygote(library, tmp_path_factory.mktemp("zygote"))
    try:
        for scenario in (TWO_NODES, BIG, UPSERT, CHAIN, CHAIN_ON_STORAGE):  # all that any scenario imports
            project = tmp_path_factory.mktemp("warm")
            scenario.lay(project, zygote)
            zygote.warm(scenario.arguments, project)
        yield zygote
    finally:
        zygote.close()


@pytest.fixture(scope="session", name="survivors")
def _survivors() -> dict[str, Survivor]:
    """Scenarios that are laid out, by name: what they do undisturbed needs to be found out but once."""
    return {}


@pytest.fixture(name="survivor")
def _survivor(
    scenario: Scenario, zygote: Zygote, survivors: dict[str, Survivor], tmp_path_factory: pytest.TempPathFactory
) -> Survivor:
    if scenario.name not in survivors:
        survivors[scenario.name] = Survivor(scenario, zygote, tmp_path_factory.mktemp("scenario"), thorough=FULL)
    return survivors[scenario.name]
