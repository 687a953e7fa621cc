"""Projects that keep stories, on the kit's engine of rows and its storage in memory; no other plugin is needed."""

from __future__ import annotations

import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import odibi
import odibi_story
from odibi.api import LoadedProject
from odibi.run.dispatch import settle
from odibi.testing.pipelines import host_with
from odibi.testing.reference.engine import RowsEngine
from odibi.testing.reference.format import JsonLines
from odibi.testing.reference.storage import MemoryStorage, forget, shelf
from odibi_story.places import FolderPlace
from odibi_story.record import RunStory
from odibi_story.shelf import Shelf

COMPONENTS = {"engine.rows": RowsEngine, "format.rows.jsonl": JsonLines, "storage.memory": MemoryStorage}

Load = Callable[..., LoadedProject]


@pytest.fixture
def lake(request: pytest.FixtureRequest) -> Iterator[MemoryStorage]:
    """A storage in memory, which the projects of this test name ``lake``."""
    name = request.node.nodeid
    storage = MemoryStorage(name=name)
    shelf(name).objects.clear()
    yield storage
    forget(name)


@pytest.fixture
def load(tmp_path: Path, lake: MemoryStorage) -> Iterator[Load]:
    """Writes a project and its functions into the test's folder, and loads it; given no text, loads it again."""
    loaded: list[LoadedProject] = []

    def make(text: str = "", functions: str = "") -> LoadedProject:
        file = tmp_path / "odibi.yaml"
        if text:
            head = f"connections: {{lake: {{type: memory, name: {lake.name!r}}}}}\nproject: shop\n"
            file.write_text(head + textwrap.dedent(text), "utf-8")
        if functions:
            (tmp_path / "transforms.py").write_text(textwrap.dedent(functions), "utf-8")
        loaded.append(odibi.load(file, host=host_with(COMPONENTS, plugins=[odibi_story])))
        return loaded[-1]

    yield make
    for project in loaded:
        project.close()


@pytest.fixture
def stories(tmp_path: Path) -> Callable[[], list[RunStory]]:
    """The stories in the test's folder, the newest first, once all observers have caught up."""

    def read() -> list[RunStory]:
        assert not settle(30)
        return [story for _, story in Shelf(FolderPlace(tmp_path / "stories")).each()]

    return read
