"""What a command costs before it does anything, in CPU time."""

from __future__ import annotations

import resource
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median

from benchmarks.figures import Report, Table, number
from benchmarks.settings import Settings, progress

BARE = "python -c pass"


def commands() -> dict[str, Sequence[str]]:
    """By the name in the table; scripts are those beside this interpreter."""
    python = sys.executable
    scripts = Path(python).parent
    wanted: dict[str, Sequence[str]] = {
        BARE: [python, "-c", "pass"],
        "import odibi": [python, "-c", "import odibi"],
        "import click": [python, "-c", "import click"],
        "odibi --version": [str(scripts / "odibi"), "--version"],
        "odibi --help": [str(scripts / "odibi"), "--help"],
        "odibi plugins": [str(scripts / "odibi"), "plugins"],
    }
    for peer in ("dask", "kedro", "hamilton", "pipefunc-cli"):
        if (scripts / peer).exists():
            wanted[f"{peer} --help"] = [str(scripts / peer), "--help"]
    return wanted


def measure(settings: Settings) -> Report:
    """Every command in turns."""
    rounds = 2 if settings.quick else 15
    table = Table("startup: CPU time, ms", ["command", "median", "minimum", "over bare Python", "over 'import click'"])
    report = Report("startup", [table])
    times: dict[str, list[float]] = {}
    wanted = commands()
    with tempfile.TemporaryDirectory() as elsewhere:
        for name, command in list(wanted.items()):
            # The first time also writes byte code and fills the disk's cache; and some commands do not work.
            error = _failure(command, elsewhere)
            if error:
                table.note(f"'{name}' is left out: {error}")
                report.raw.append({"command": name, "left_out": error})
                del wanted[name]
        progress(f"startup: {len(wanted)} commands, {rounds} rounds")
        for _ in range(rounds):
            for name, command in wanted.items():
                times.setdefault(name, []).append(_cpu_seconds(command, elsewhere))
    bare = median(times[BARE])
    click = median(times.get("import click", [bare])) - bare
    for name, seconds in times.items():
        over = median(seconds) - bare
        table.rows.append(
            [
                name,
                number(median(seconds) * 1e3),
                number(min(seconds) * 1e3),
                number(over * 1e3) if name != BARE else "",
                number(over / click) if click > 0 and name != BARE else "",
            ]
        )
        report.raw.append({"command": name, "seconds": seconds})
    return report


def _failure(command: Sequence[str], folder: str) -> str:
    """Why the command does not work; empty if it does."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False
        )
    except OSError as error:
        return str(error.strerror)
    if not done.returncode:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"code {done.returncode}"


def _cpu_seconds(command: Sequence[str], folder: str) -> float:
    """User and system time of the command and what it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
