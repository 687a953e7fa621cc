"""Random histories of a watched folder, beside a model: each complete version once, whatever is killed when."""

from __future__ import annotations

import itertools
import json
import os
import threading
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, rule, run_state_machine_as_test

from odibi.testing.reference.files import FileStorage
from odibi_triggers import ledger, watching
from odibi_triggers.file_watch import FileWatch

PATIENCE = 30.0
NAMES = st.sampled_from([f"{folder}{name}.csv" for folder in ("", "a/", "a/b/") for name in "xyz"])
OLD = 1_000_000_000
"""A time long ago, in seconds: as of what is moved or unpacked."""


class Folder:
    """What programs do to the folder."""

    def __init__(self, place: Path) -> None:
        self.place = place
        self.storage = FileStorage(str(place / "data"))
        self._numbers = itertools.count()

    def file(self, name: str) -> Path:
        return self.place / "data/in" / name

    def write(self, name: str, *, old: bool) -> None:
        file = self.file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}")
        draft.write_text(f"{next(self._numbers):06}", "utf-8")
        if old:
            os.utime(draft, (OLD, OLD))
        os.replace(draft, file)

    def rename(self, name: str, to: str) -> None:
        if self.file(name).exists():
            self.file(to).parent.mkdir(parents=True, exist_ok=True)
            os.replace(self.file(name), self.file(to))

    def versions(self) -> set[tuple[str, str]]:
        return {(stat.path, stat.etag) for stat in self.storage.list("in")}


def machine(suite_place: Path, options: dict[str, Any]) -> type[RuleBasedStateMachine]:
    numbers = itertools.count()

    class History(RuleBasedStateMachine):
        @initialize()
        def begin(self) -> None:
            self.folder = Folder(suite_place / str(next(numbers)))
            self.offset: Any = None
            self.consumed: set[tuple[str, str]] = set()
            self.restart()

        @rule()
        def restart(self) -> None:
            self.close()
            self.watch = FileWatch(
                connection=self.folder.storage, path="in", ledger=str(self.folder.place / "ledger"), **options
            )

        @rule(name=NAMES, old=st.booleans())
        def write(self, name: str, old: bool) -> None:
            self.folder.write(name, old=old)

        @rule(name=NAMES)
        def delete(self, name: str) -> None:
            self.folder.file(name).unlink(missing_ok=True)

        @rule(name=NAMES, to=NAMES)
        def rename(self, name: str, to: str) -> None:
            self.folder.rename(name, to)

        @rule(commit=st.integers(0, 4), meanwhile=st.lists(st.tuples(NAMES, st.booleans()), max_size=3))
        def consume(self, commit: int, meanwhile: list[tuple[str, bool]]) -> None:
            """Take all there is, while more comes; then be killed, with so many batches committed."""
            stop = threading.Event()
            timer = threading.Timer(PATIENCE, stop.set)
            timer.start()
            given: list[tuple[Any, set[tuple[str, str]]]] = []
            seen: set[tuple[str, str]] = set()
            polled = self.watch.poll(self.offset, stop)
            try:
                while self.folder.versions() - seen - self.consumed:
                    batch = next(polled, None)
                    assert batch is not None, "it ended, or did not give what is there"
                    files = [(file["path"], file["etag"]) for file in batch.payload["files"]]
                    assert len(set(files)) == len(files) <= options["max_files"]
                    assert not seen & set(files), "given twice in one poll"
                    assert not self.consumed & set(files), "given again though it was committed"
                    assert set(files) <= self.folder.versions(), "given though it is gone"
                    seen |= set(files)
                    given.append((json.loads(json.dumps(batch.offset)), set(files)))
                    if meanwhile:
                        name, there = meanwhile.pop()
                        if there:
                            self.folder.write(name, old=False)
                        else:
                            self.folder.file(name).unlink(missing_ok=True)
                stop.set()
                assert next(polled, None) is None
            finally:
                stop.set()
                timer.cancel()
                polled.close()  # type: ignore[attr-defined]
            for offset, files_of_it in given[:commit]:
                self.offset = offset
                self.consumed |= files_of_it

        def close(self) -> None:
            if hasattr(self, "watch"):
                self.watch.close()

        def teardown(self) -> None:
            self.close()

    return History


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """A ledger that writes, merges and forgets all the time; and no look is fresh enough."""
    monkeypatch.setattr(ledger, "TAIL", 2)
    monkeypatch.setattr(ledger, "FAN", 2)
    monkeypatch.setattr(ledger, "WASTE", 2)
    monkeypatch.setattr(watching, "FRESH", 0.0)


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize(
    "options",
    [
        {"complete": "rename", "max_files": 2},
        {"complete": "rename", "max_files": 100},
        {"complete": "stable", "settle": 0.01, "max_files": 3, "order": "path"},
    ],
    ids=str,
)
def test_each_version_is_given_once_if_its_batch_is_committed_and_at_least_once_if_not(
    options: dict[str, Any], tmp_path: Path
) -> None:
    run_state_machine_as_test(
        machine(tmp_path, options),
        settings=settings(
            max_examples=60, stateful_step_count=25, deadline=None, suppress_health_check=list(HealthCheck)
        ),
    )
