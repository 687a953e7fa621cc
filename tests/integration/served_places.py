"""A project in a folder that is served by processes, and what its outputs hold."""

from __future__ import annotations

import csv
import json
import os
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import attrs

PATIENCE = 60.0


@attrs.frozen
class Place:
    """A project in a folder, and the command line in it.

    Args:
        folder: of the project.
        lake: the folder of its connection.
        log_file: to which services add what they say.
    """

    folder: Path
    lake: Path
    log_file: Path

    @classmethod
    def made(cls, folder: Path, project: str, functions: str, lake: Path | None = None) -> Place:
        """One that is laid out; by default with the lake inside."""
        made = cls(folder, lake or folder / "lake", folder / "serve.log")
        folder.mkdir(exist_ok=True)
        (made.lake / "in").mkdir(parents=True, exist_ok=True)
        (folder / "odibi.yaml").write_text(project)
        (folder / "transforms.py").write_text(functions)
        made.log_file.touch()
        return made

    def arrive(self, name: str, *ids: int) -> None:
        """Let a file arrive: written elsewhere, and renamed."""
        draft = self.lake / f"{name}.draft"
        draft.write_text("id\n" + "".join(f"{each}\n" for each in ids))
        draft.rename(self.lake / "in" / f"{name}.csv")

    def rows(self, name: str) -> Counter[str]:
        """What an output holds, with how often."""
        found: Counter[str] = Counter()
        for path in (self.lake / "out" / name).glob("[!._]*"):
            with path.open() as file:
                found.update(row[0] for row in list(csv.reader(file))[1:])
        return found

    def totals(self) -> Any:
        """What the pipeline wrote that comes after another."""
        path = self.lake / "out" / "totals.json"
        return json.loads(path.read_text()) if path.exists() else None

    @contextmanager
    def serving(
        self, *options: str, command: Sequence[str] = (), **environment: str
    ) -> Iterator[subprocess.Popen[str]]:
        """A service; killed at the end if it still runs. A ``command`` may start it in its own way."""
        log = self.log_file.open("a")
        process = subprocess.Popen(
            [*command, sys.executable, "-m", "odibi", "serve", *options],
            cwd=self.folder, stdin=subprocess.DEVNULL, stdout=log, stderr=log, text=True,
            env={**os.environ, **environment}, start_new_session=True,
        )  # fmt: skip
        try:
            yield process
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
            log.close()

    @property
    def log(self) -> str:
        """What the services have said."""
        return self.log_file.read_text()

    def odibi(self, *arguments: str, code: int = 0) -> str:
        """Run a command; what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", "odibi", *arguments],
            cwd=self.folder, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL, check=False,
        )  # fmt: skip
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout if code == 0 else done.stdout + done.stderr

    def stream(self, name: str) -> dict[str, Any]:
        """What the command line tells of a stream."""
        found: dict[str, Any] = json.loads(self.odibi("streams", "show", name, "--json"))
        return found


def eventually(holds: Callable[[], object], place: Place) -> None:
    deadline = time.monotonic() + PATIENCE
    while not holds():
        assert time.monotonic() < deadline, place.log[-4000:]
        time.sleep(0.02)
