"""What a command costs before it does anything, in CPU time."""

from __future__ import annotations

import json
import os
import resource
import subprocess
import sys
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from statistics import median

from benchmarks.figures import Report, Table, number
from benchmarks.settings import Settings, progress

BARE = "python -c pass"
MANY = "odibi plugins, 200 distributions, 30 plugins"
PLUGINS, DISTRIBUTIONS = 30, 200


def _many(folder: Path) -> dict[str, str]:
    """The environment of a command that finds many distributions, the plugins of which import pandas when imported."""
    site = folder / "site"
    for at in range(DISTRIBUTIONS):
        info = site / f"dist_{at}-1.0.dist-info"
        info.mkdir(parents=True)
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: dist-{at}\nVersion: 1.0\n")
        if at >= PLUGINS:
            continue
        (info / "entry_points.txt").write_text(f"[odibi]\nmany{at} = many{at}\n")
        package = site / f"many{at}"
        package.mkdir()
        (package / "__init__.py").write_text("import pandas\n")
        option = {"type": "string", "description": "An option.", "x-odibi": {"type": "str"}}
        properties = {f"option_{each}": option for each in range(20)}
        component = {
            "class": f"many{at}.storage:Storage",
            "about": "A storage.",
            "capabilities": {},
            "effects": [],
            "constants": {},
            "options": {"type": "object", "properties": properties, "required": []},
        }
        manifest = {
            "manifest": 1,
            "plugin": f"many{at}",
            "api": ">=1.0,<2",
            "components": {"storage": {f"many_{at}": component}},
            "hooks": [],
            "commands": {},
            "suites": {},
        }
        (package / "odibi-plugin.json").write_text(json.dumps(manifest, indent=1))
    for path in (*site.rglob("*"), site):  # as if installed long ago: what is found there may be kept
        os.utime(path, (1_600_000_000, 1_600_000_000))
    return {**os.environ, "PYTHONPATH": str(site), "XDG_CACHE_HOME": str(folder / "cache")}


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
        MANY: [str(scripts / "odibi"), "plugins"],
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
        environment = {name: _many(Path(elsewhere)) if name == MANY else None for name in wanted}
        for name, command in list(wanted.items()):
            # The first time also writes byte code and fills the disk's cache; and some commands do not work.
            error = _failure(command, elsewhere, environment[name])
            if error:
                table.note(f"'{name}' is left out: {error}")
                report.raw.append({"command": name, "left_out": error})
                del wanted[name]
        progress(f"startup: {len(wanted)} commands, {rounds} rounds")
        for _ in range(rounds):
            for name, command in wanted.items():
                times.setdefault(name, []).append(_cpu_seconds(command, elsewhere, environment[name]))
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


def _failure(command: Sequence[str], folder: str, environment: Mapping[str, str] | None) -> str:
    """Why the command does not work; empty if it does."""
    try:
        done = subprocess.run(
            command, cwd=folder, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False, env=environment
        )
    except OSError as error:
        return str(error.strerror)
    if not done.returncode:
        return ""
    lines = (done.stderr or done.stdout).strip().splitlines()
    return lines[-1] if lines else f"code {done.returncode}"


def _cpu_seconds(command: Sequence[str], folder: str, environment: Mapping[str, str] | None) -> float:
    """User and system time of the command and what it started."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(command, cwd=folder, capture_output=True, stdin=subprocess.DEVNULL, check=True, env=environment)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
