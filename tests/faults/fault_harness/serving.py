"""Projects that are served by processes of their own, in the way of those who start and kill them."""

from __future__ import annotations

import csv
import os
import random
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

SERVE = ("-m", "odibi", "serve", "--no-reload")


@contextmanager
def started(place: Path, name: str, *arguments: str) -> Iterator[subprocess.Popen[bytes]]:
    """A Python process in a folder, whose output is added to files there; killed in the end, if it still lives.

    Args:
        place: the folder.
        name: of the files, ``NAME.out`` and ``NAME.err``.
        arguments: of the interpreter.
    """
    with (place / f"{name}.out").open("ab") as out, (place / f"{name}.err").open("ab") as err:
        process = subprocess.Popen(
            [sys.executable, *arguments], cwd=place, stdout=out, stderr=err, env={**os.environ, "NO_COLOR": "1"}
        )
        try:
            yield process
        finally:
            process.kill()
            process.wait()


def until(holds: Callable[[], object], place: Path, patience: float) -> None:
    """Wait for something; that it does not come about in time is told with what the processes said."""
    deadline = time.monotonic() + patience
    while not holds():
        said = {path.name: path.read_text()[-2000:] for path in place.glob("*.err")}
        assert time.monotonic() < deadline, f"it does not come to be: {said}"
        time.sleep(0.001)


@contextmanager
def killed(place: Path, patience: float, chance: random.Random, most: float) -> Iterator[subprocess.Popen[bytes]]:
    """A service that is killed up to ``most`` seconds after the block: anywhere in what it does then."""
    with started(place, "serve", *SERVE) as service:
        yield service
        time.sleep(chance.uniform(0, most))
        service.send_signal(signal.SIGKILL)
        assert service.wait(patience) == -signal.SIGKILL, (place / "serve.err").read_text()[-2000:]


def parts(folder: Path) -> list[Path]:
    """The files of an output, as those see them who read it."""
    return sorted(folder.glob("[!._]*"))


def rows(folder: Path) -> Counter[tuple[str, ...]]:
    """What an output of CSV holds: each row with how often it is there."""
    found: Counter[tuple[str, ...]] = Counter()
    for path in parts(folder):
        with path.open() as file:
            found.update(tuple(row) for row in list(csv.reader(file))[1:])
    return found
