"""What a run costs that finds nothing to do, from the start of the process to its end."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from time import perf_counter

import attrs

from benchmarks.contenders import Job, is_installed
from benchmarks.contenders.keepers import SNAKEFILE, Files
from benchmarks.contenders.program import INTS, program_text
from benchmarks.contenders.project import DOIT, HAMILTON, JOBLIB, ODIBI, write_project
from benchmarks.figures import Report, Samples, Table, number, spread
from benchmarks.settings import Settings, progress
from benchmarks.shapes import Shape, layered

OURS, IMPORTS, BARE = "odibi run", "its imports alone", "python -c pass"
ALLOWED = 0.1
"""Seconds that a run may take beyond half as much again as its imports."""

_WATCH = """\
import json, sys
from odibi.cli.main import main
code = main(["run", "odibi.yaml"])
with open("modules.json", "w") as file:
    json.dump(list(sys.modules), file)
sys.exit(code)
"""

_IMPORT = """\
import json, sys
from importlib import import_module
with open("modules.json") as file:
    names = json.load(file)
for name in names:
    if name not in sys.modules:
        import_module(name)
"""


@attrs.frozen
class Command:
    """One that is measured.

    Attributes:
        name: as the table shows it.
        words: what is run.
        folder: where.
        unchanged: whether what it printed says that nothing was run.
        note: what a reader has to know.
        before: how often it is run before it is measured.
    """

    name: str
    words: Sequence[str]
    folder: Path
    unchanged: Callable[[str], bool] = lambda _: True
    note: str = ""
    before: int = 1


def measure(settings: Settings) -> Report:
    """Every command in turns."""
    size, rounds = (30, 1) if settings.quick else (1_000, 15)
    shape = layered(size)
    table = Table(
        f"warm-process: {size:,} nodes and nothing to do, whole processes, ms, median (minimum to maximum)",
        ["process", "by the clock", "CPU, user", "CPU, system", f"/ {IMPORTS}", f"/ {OURS}"],
    )
    report = Report("warm-process", [table])
    found: dict[str, Samples] = {}
    with tempfile.TemporaryDirectory() as folder:
        commands = list(_commands(shape, Path(folder), table))
        progress(f"warm-process: {len(commands)} commands, {rounds} rounds")
        for _ in range(rounds):
            for command in commands:
                _, spent = _run(command)
                samples = found.setdefault(command.name, Samples())
                samples.take(
                    {"seconds": [spent["wall"]], "parts": {"user": [spent["user"]], "system": [spent["system"]]}}
                )
    for who, samples in found.items():
        table.rows.append(_row(who, samples, found))
        report.raw.append({"process": who, "nodes": size, "seconds": samples.seconds, **samples.parts})
    if OURS in found:
        allowed = 1.5 * found[IMPORTS].median + ALLOWED
        table.note(
            f"to be: '{OURS}' less than 1.5 times '{IMPORTS}' and 100 ms: {number(found[OURS].median / allowed)} of it"
        )
    return report


def _commands(shape: Shape, folder: Path, table: Table) -> Sequence[Command]:
    """Those that are there, each prepared: it has run, and has shown that it runs nothing again."""
    python = sys.executable
    commands = [Command(BARE, [python, "-c", "pass"], folder)]
    for command in (*_ours(shape, folder / "project"), *_scripts(shape, folder, table), *_tools(shape, folder, table)):
        progress(f"warm-process: {command.name}, not yet measured")
        try:
            said = [_run(command)[0] for _ in range(command.before)][-1]
        except OSError as error:
            table.note(f"{command.name} is left out: {error.strerror}")
            continue
        except subprocess.CalledProcessError as error:
            lines = (error.output or "").strip().splitlines() or [f"code {error.returncode}"]
            table.note(f"{command.name} is left out: {lines[-1][:150]}")
            continue
        if not command.unchanged(said):
            table.note(f"{command.name} is left out: it runs nodes again")
            continue
        if command.note:
            table.note(f"{command.name}: {command.note}")
        commands.append(command)
    return commands


def _ours(shape: Shape, folder: Path) -> Sequence[Command]:
    """``odibi run``, and what it imports."""
    write_project(shape, folder)
    python = sys.executable
    script = str(Path(python).parent / "odibi")
    progress(f"warm-process: {OURS} for the first time")
    _run(Command(OURS, [script, "run", "odibi.yaml"], folder))
    # What is loaded is seen at the end of a run in which nothing is left to do.
    _run(Command("modules", [python, "-c", _WATCH], folder))
    count = len(json.loads((folder / "modules.json").read_text("utf-8")))
    counts = f"{len(shape) + 1} reused"
    return (
        Command(
            OURS,
            [script, "run", "odibi.yaml"],
            folder,
            lambda said: counts in said.replace(",", ""),
            "a project file with that many SQL nodes over one CSV file, some written to Parquet files",
        ),
        Command(
            IMPORTS,
            [python, "-c", _IMPORT],
            folder,
            note=f"the {count} modules that are in sys.modules at the end of that run, and nothing else",
        ),
        Command("odibi --help", [script, "--help"], folder),
    )


def _scripts(shape: Shape, folder: Path, table: Table) -> Sequence[Command]:
    """Programs of a graph of the same form, whose nodes are functions that add numbers."""
    text = program_text(shape, INTS)
    names = shape.names()
    known = {"inputs": shape.inputs, "leaves": [names[leaf] for leaf in shape.leaves()], "count": len(shape)}
    commands = []
    for name, needs, script in (
        ("odibi script", "odibi", ODIBI),
        ("joblib script", "joblib", JOBLIB),
        ("hamilton script", "hamilton", HAMILTON),
    ):
        if not is_installed(needs):
            table.note(f"{name} is left out: '{needs}' is not installed")
            continue
        place = folder / name.replace(" ", "-")
        place.mkdir()
        (place / "program.py").write_text(text, "utf-8")
        (place / "main.py").write_text(script.format(**known), "utf-8")
        commands.append(Command(name, [sys.executable, "-W", "ignore", "main.py"], place, before=2))
    return commands


def _tools(shape: Shape, folder: Path, table: Table) -> Sequence[Command]:
    """Command line tools with a graph of the same form, whose nodes are files."""
    scripts = Path(sys.executable).parent
    doit, snakemake = folder / "doit", folder / "snakemake"
    for place in (doit, snakemake):
        place.mkdir()
        made = Files(Job(shape, 1, INTS, place)).made
        if place is snakemake:
            for path in made:
                path.write_bytes(b"1")
    (doit / "program.py").write_text(program_text(shape, INTS), "utf-8")
    (doit / "dodo.py").write_text(DOIT.format(inputs=shape.inputs), "utf-8")
    rules = SNAKEFILE.format(inputs=[list(each) for each in shape.inputs], leaves=shape.leaves())
    (snakemake / "Snakefile").write_text(rules, "utf-8")
    nothing = "Nothing to be done"
    commands = (
        Command("doit", [str(scripts / "doit")], doit, lambda said: said.count("\n-- ") + 1 >= len(shape), before=2),
        Command(
            "snakemake", [str(scripts / "snakemake"), "--cores", "1"], snakemake, lambda said: nothing in said, before=2
        ),
    )
    for command in commands:
        if not is_installed(command.name):
            table.note(f"{command.name} is left out: '{command.name}' is not installed")
    return [command for command in commands if is_installed(command.name)]


def _run(command: Command) -> tuple[str, Mapping[str, float]]:
    """What the process printed, and what it took."""
    environment = os.environ | {"HAMILTON_TELEMETRY_ENABLED": "false", "NO_COLOR": "1"}
    begin = perf_counter()
    child = subprocess.Popen(
        command.words,
        cwd=command.folder,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert child.stdout is not None
    said = child.stdout.read()
    _, status, usage = os.wait4(child.pid, 0)
    wall = perf_counter() - begin
    child.returncode = os.waitstatus_to_exitcode(status)
    child.stdout.close()
    if child.returncode:
        raise subprocess.CalledProcessError(child.returncode, command.words, said)
    return said, {"wall": wall, "user": usage.ru_utime, "system": usage.ru_stime}


def _row(who: str, samples: Samples, found: Mapping[str, Samples]) -> list[str]:
    parts = [number(median(samples.parts[part]) * 1e3) for part in ("user", "system")]
    over = [number(samples.median / found[other].median) if other in found else "" for other in (IMPORTS, OURS)]
    return [who, spread(samples), *parts, *over]
