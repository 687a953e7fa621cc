"""What observers are told of the places of nodes, and of alerts: addresses, and no secrets."""

from __future__ import annotations

from pathlib import Path

import attrs

import odibi
from odibi import option
from odibi.contracts.observer import RunFacts
from odibi.events import Event, RunStarted
from odibi.testing.pipelines import host_with
from odibi.testing.reference.engine import RowsEngine
from odibi.testing.reference.format import JsonLines
from odibi.testing.reference.observer import EventList
from odibi.testing.reference.storage import FolderMemoryStorage

PROJECT = """\
project: p
engine: rows
connections:
  lake: {type: memory, name: lake-pl4nted}
  other: {type: memory}
alerts: [{type: told, url: 'https://hooks.example/T0/pl4nted-token'}]
pipelines:
  - pipeline: q
    nodes:
      - {name: a, read: {connection: lake, path: raw/a.jsonl}, write: {connection: other, path: b.jsonl}}
      - {name: c, depends_on: [a], write: {connection: lake, path: c.jsonl}}
"""


@attrs.define
class Told:
    """Takes the options of an alert."""

    url: str = option(help="Where to.", secret=True)
    on_events: tuple[str, ...] = option((), help="What for.")

    def handle(self, event: Event) -> None:
        pass

    def close(self) -> None:
        pass


def facts_of(tmp_path: Path) -> RunFacts:
    (tmp_path / "odibi.yaml").write_text(PROJECT)
    components: dict[str, type] = {
        "storage.memory": FolderMemoryStorage,
        "engine.rows": RowsEngine,
        "format.rows.jsonl": JsonLines,
        "observer.told": Told,
    }
    loaded = odibi.load(tmp_path / "odibi.yaml", host=host_with(components))
    loaded.redactor.register("lake-pl4nted")
    lake = FolderMemoryStorage(name="lake-pl4nted")
    lake.write("raw/a.jsonl", b'{"id": 1}\n')
    seen = EventList()
    assert loaded.run(observers=[seen]).ok
    (started,) = seen.events(RunStarted)
    assert started.facts is not None
    return started.facts


def test_the_addresses_of_what_nodes_read_and_write(tmp_path: Path) -> None:
    facts = facts_of(tmp_path)
    assert facts.places("a") == ("odibi-memory://***/raw/a.jsonl", "odibi-memory:///b.jsonl")
    assert facts.places("c") == ("", "odibi-memory://***/c.jsonl")
    assert facts.places("nobody") == ("", "")


def test_the_address_of_an_alert_is_masked(tmp_path: Path) -> None:
    config = facts_of(tmp_path).config()
    assert config["alerts"] == [{"type": "told", "url": "***"}]
