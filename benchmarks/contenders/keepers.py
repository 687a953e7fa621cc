"""Those who keep results and run nothing again; each used as its documentation says."""

from __future__ import annotations

import hashlib
import json
import os
import sqlite3
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

from benchmarks.contenders import Job, Once
from benchmarks.contenders.program import FRAMES, checked, functions_of, load_program


def look_ups(job: Job) -> Once:
    """One look-up a node in an SQLite database that is open: what knowing what is there costs at least."""
    wanted = _digests(job)
    connection = sqlite3.connect(job.folder / "results.db", isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("CREATE TABLE IF NOT EXISTS results (node TEXT PRIMARY KEY, fingerprint TEXT, record TEXT)")
    record = json.dumps({"state": "succeeded", "started": 1.0, "finished": 2.0, "seconds": 1.0, "worker": "worker 1"})
    with connection:
        connection.execute("BEGIN")
        connection.executemany(
            "INSERT OR REPLACE INTO results VALUES (?, ?, ?)", [(*each, record) for each in wanted.items()]
        )
        connection.execute("COMMIT")
    query = "SELECT fingerprint, record FROM results WHERE node = ?"

    def once() -> None:
        execute = connection.execute
        for node, digest in wanted.items():
            if execute(query, (node,)).fetchone()[0] != digest:
                raise AssertionError(f"another digest of {node}")

    return once


def diskcache(job: Job) -> Once:
    """One look-up a node in a cache on disk, which gives the value; nobody checks whether it is still right."""
    program = load_program(job.shape, job.values, job.folder)
    functions = functions_of(program, job.shape)
    keys = list(_digests(job).values())
    cache = import_module("diskcache").Cache(str(job.folder / "diskcache"))

    def once() -> None:
        values: list[Any] = []
        for key, function, sources in zip(keys, functions, job.shape.inputs, strict=True):
            value = cache.get(key)
            if value is None:
                value = function(*[values[source] for source in sources])
                cache.set(key, value)
            values.append(value)

    return checked(functions, once)


def joblib(job: Job) -> Once:
    """``Memory.cache`` around each function: digests of the arguments, and the function's code compared."""
    program = load_program(job.shape, job.values, job.folder)
    functions = functions_of(program, job.shape)
    memory = import_module("joblib").Memory(str(job.folder / "joblib"), verbose=0)
    cached = [memory.cache(function) for function in functions]

    def once() -> None:
        values: list[Any] = []
        for function, sources in zip(cached, job.shape.inputs, strict=True):
            values.append(function(*[values[source] for source in sources]))

    return checked(functions, once)


def hamilton(job: Job) -> Once:
    """A driver with its cache: digests of the code of each node and of the data it is given."""
    os.environ["HAMILTON_TELEMETRY_ENABLED"] = "false"
    program = load_program(job.shape, job.values, job.folder)
    driver = import_module("hamilton.driver")
    built = (
        driver.Builder()
        .with_modules(program)
        .with_adapters(import_module("hamilton.base").DictResult())
        .with_cache(path=str(job.folder / "hamilton"))
        .build()
    )
    names = job.shape.names()
    wanted = [names[leaf] for leaf in job.shape.leaves()]

    def once() -> None:
        built.execute(wanted)

    return checked(functions_of(program, job.shape), once)


def doit(job: Job, *, contents: bool = False) -> Once:
    """Tasks with files as dependencies and targets, run by doit's main program in this process.

    Its own checker goes by the time stamp of a file, and by size and MD5 only where that has changed.
    """
    program = load_program(job.shape, job.values, job.folder)
    functions = functions_of(program, job.shape)
    files = Files(job)
    tasks = [
        {
            "name": name,
            "actions": [(files.run, [at, functions[at]])],
            "file_dep": [str(path) for path in files.read_by(at)],
            "targets": [str(files.made[at])],
        }
        for at, name in enumerate(job.shape.names())
    ]

    def task_node() -> Any:
        yield from (dict(task) for task in tasks)

    config = {"dep_file": str(job.folder / "doit.db"), "verbosity": 0, "reporter": "zero"}
    if contents:
        config["check_file_uptodate"] = _contents_checker()
    main = import_module("doit.doit_cmd").DoitMain
    loader = import_module("doit.cmd_base").ModuleTaskLoader

    def once() -> None:
        code = main(loader({"task_node": task_node, "DOIT_CONFIG": dict(config)})).run(["run"])
        if code:
            raise AssertionError(f"doit ended with code {code}")

    return checked(functions, once)


def doit_contents(job: Job) -> Once:
    """The same with a checker, as its documentation allows, that always goes by MD5."""
    return doit(job, contents=True)


def _contents_checker() -> type:
    dependency = import_module("doit.dependency")

    class Contents(dependency.MD5Checker):  # type: ignore[misc, name-defined]
        def check_modified(self, path: str, _: object, state: tuple[float, int, str]) -> bool:
            return bool(state[2] != dependency.get_file_md5(path))

    return Contents


def snakemake(job: Job) -> Once:
    """A rule a kind of node, through its Python API: time stamps, code, parameters and the set of inputs."""
    files = Files(job)
    for path in files.made:
        path.write_bytes(b"1")
    rules = job.folder / "Snakefile"
    rules.write_text(SNAKEFILE.format(inputs=[list(each) for each in job.shape.inputs], leaves=job.shape.leaves()))
    api = import_module("snakemake.api")
    types = import_module("snakemake.settings.types")
    # It waits a tenth of a second for each file that it touches, which is of no use here.
    import_module("snakemake.executors.touch").Executor.SLEEPING_TIME = 0

    def run(executor: str, *, all_of_it: bool = False) -> int:
        done: list[str] = []
        output = api.OutputSettings(quiet={types.Quietness.ALL})
        with api.SnakemakeApi(output) as made:
            workflow = made.workflow(api.ResourceSettings(cores=1), snakefile=rules, workdir=job.folder)
            workflow.dag(types.DAGSettings(forceall=all_of_it)).execute_workflow(executor=executor, updated_files=done)
        return len(done)

    if (count := run("touch", all_of_it=True)) < len(job.shape):
        raise AssertionError(f"{count} of {len(job.shape)} nodes were made")

    def once() -> None:
        if count := run("local"):
            raise AssertionError(f"{count} nodes ran again")

    once()
    return once


SNAKEFILE = """\
INPUTS = {inputs!r}

rule all:
    input: [f"made/n{{each}}" for each in {leaves!r}]

rule node:
    input: lambda wildcards: [f"made/n{{each}}" for each in INPUTS[int(wildcards.n)]] or [f"given/n{{wildcards.n}}"]
    output: "made/n{{n}}"
    shell: "cat {{input}} > {{output}}"
"""


class Files:
    """What nodes leave in files, and what those read that have no inputs."""

    def __init__(self, job: Job) -> None:
        self._job = job
        names = job.shape.names()
        (job.folder / "given").mkdir(exist_ok=True)
        (job.folder / "made").mkdir(exist_ok=True)
        self.given = [job.folder / "given" / name for name in names]
        self.made = [job.folder / "made" / name for name in names]
        for at, sources in enumerate(job.shape.inputs):
            if not sources and not self.given[at].exists():
                self.given[at].write_text(f"{at}\n", "utf-8")

    def read_by(self, at: int) -> list[Path]:
        """The files that a node reads."""
        return [self.made[source] for source in self._job.shape.inputs[at]] or [self.given[at]]

    def run(self, at: int, function: Callable[..., Any]) -> None:
        """Run a node: read its inputs, call the function, write what it returns."""
        value = function(*[self._read(source) for source in self._job.shape.inputs[at]])
        if self._job.values == FRAMES:
            value.to_parquet(self.made[at])
        else:
            self.made[at].write_text(json.dumps(value), "utf-8")

    def _read(self, at: int) -> Any:
        if self._job.values == FRAMES:
            return import_module("pandas").read_parquet(self.made[at])
        return json.loads(self.made[at].read_text("utf-8"))


def _digests(job: Job) -> dict[str, str]:
    return {name: hashlib.sha256(name.encode()).hexdigest() for name in job.shape.names()}
