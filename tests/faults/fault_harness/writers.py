"""Programs that put files into a folder as many do at once: half-written, renamed, rewritten, removed."""

from __future__ import annotations

import csv
import json
import subprocess
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path

LINES = 20
"""Of each file, behind its header; each says which version it is of, and which line."""

_WRITER = """
import json, os, pathlib, random, sys, time
folder, log, number, files, rounds, lines = pathlib.Path(sys.argv[1]), sys.argv[2], *map(int, sys.argv[3:7])
seconds, chance = float(sys.argv[7]), random.Random(number)
said, there, version = open(log, "w"), [], 0

def write(name):
    global version
    version += 1
    text = [f"{number}-{version},{line}\\n" for line in range(lines)]
    draft = folder / f".{name}"
    with draft.open("w") as file:      # half of it first: a reader that sees the draft has half a file
        file.write("version,line\\n" + "".join(text[: lines // 2]))
        file.flush()
        file.write("".join(text[lines // 2 :]))
    if chance.random() < 0.3:
        os.utime(draft, (1_000_000_000 + version % 3,) * 2)   # as what is moved or unpacked keeps its time
    os.replace(draft, folder / name)
    tell("write", name, f"{number}-{version}")

def tell(*what):
    said.write(json.dumps(what) + "\\n")

for at in range(files):
    if at * rounds // files > (at - 1) * rounds // files:
        sys.stdin.readline()
    name = f"w{number}-{at:06}.csv"
    write(name)
    there.append(name)
    act = chance.random()
    if act < 0.15:
        write(chance.choice(there))
    elif act < 0.25:
        old, new = there.pop(chance.randrange(len(there))), f"w{number}-{at:06}-renamed.csv"
        os.rename(folder / old, folder / new)
        there.append(new)
        tell("rename", old, new)
    elif act < 0.35:
        name = there.pop(chance.randrange(len(there)))
        os.unlink(folder / name)
        tell("delete", name)
    time.sleep(chance.uniform(0, 2 * seconds * rounds / files))
said.close()
"""


class Writers:
    """Several of them, each with names of its own. They write in rounds, so that those who read get to do something
    however slow they are.

    Args:
        folder: where the files come.
        logs: a folder in which they tell what they did.
        count: how many there are.
        files: how many each of them creates.
        rounds: in how many rounds.
        seconds: about how long a round takes.
    """

    def __init__(self, folder: Path, logs: Path, count: int, files: int, rounds: int, seconds: float) -> None:
        self._logs = [logs / f"log-{number}" for number in range(count)]
        self.processes = [
            subprocess.Popen(
                [sys.executable, "-c", _WRITER, *map(str, (folder, log, at, files, rounds, LINES, seconds))],
                stdin=subprocess.PIPE,
            )
            for at, log in enumerate(self._logs)
        ]

    def __enter__(self) -> Writers:
        return self

    def __exit__(self, *_: object) -> None:
        for each in self.processes:
            each.kill()
            each.wait()
            assert each.stdin is not None
            each.stdin.close()

    def go_on(self) -> None:
        """Let the next round begin, once that before it is over."""
        for each in self.processes:
            assert each.stdin is not None
            each.stdin.write(b"\n")
            each.stdin.flush()

    def wait(self, timeout: float) -> None:
        """Wait for their end, which is to be a good one."""
        assert [each.wait(timeout) for each in self.processes] == [0] * len(self.processes)

    def left(self) -> dict[str, str]:
        """What they left: the name of each file to the version in it. Others may be gone before anybody sees them."""
        return {name: version for name, version, there in self._told() if there}

    def names(self) -> Counter[str]:
        """Each version with the number of names that it had, one after another."""
        return Counter(version for _, version, _ in self._told())

    def _told(self) -> Iterator[tuple[str, str, bool]]:
        """Each name that a version had, with the version, and whether it is still there."""
        there: dict[str, str] = {}
        for log in self._logs:
            for act, name, *more in map(json.loads, log.read_text("utf-8").splitlines()):
                before = there.pop(name, None)
                if before is not None:
                    yield name, before, False
                if act == "write":
                    there[name] = more[0]
                elif act == "rename":
                    assert before is not None
                    there[more[0]] = before
        for name, version in there.items():
            yield name, version, True


def versions_in(lines: Iterable[str], where: object) -> Counter[str]:
    """Each version whose lines are here, with how often it is; all of its lines must be, and equally often.

    Args:
        lines: of files of the writers, or of what was made of several, with one header.
        where: they are from, for the message.
    """
    found: dict[str, Counter[str]] = {}
    for version, line in list(csv.reader(lines))[1:]:
        found.setdefault(version, Counter())[line] += 1
    counts: Counter[str] = Counter()
    for version, each in found.items():
        assert each.keys() == set(map(str, range(LINES))), f"{where}: half of {version}, lines {sorted(each)}"
        assert len(set(each.values())) == 1, f"{where}: not all of {version} equally often, {each}"
        counts[version] = each["0"]
    return counts
