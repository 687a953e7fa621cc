"""A project to be disturbed, and how to see what its outputs hold."""

from __future__ import annotations

import csv
import os
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import attrs

from fault_harness.processes import Launcher

RUN = ("run", "--executor", "inline")
"""One node after another in one thread, so that the calls of every run come in the same order."""

OWN = ".odibi-"
"""How every name begins that is Odibi's own business and no reader's."""


class Unreadable(Exception):
    """What is there can be seen by readers, and is no data."""


@attrs.frozen
class Table:
    """What readers find at an output; equal tables hold the same rows, each as often.

    Attributes:
        columns: names with types, in their order.
        rows: with how often each comes.
    """

    columns: Sequence[tuple[str, str]]
    rows: Mapping[tuple[str, ...], int]

    def plus(self, other: Table) -> Table:
        """The rows of both."""
        return attrs.evolve(self, rows=Counter(self.rows) + Counter(other.rows))

    def __str__(self) -> str:
        return f"{sum(self.rows.values())} rows of {', '.join(f'{name} {kind}' for name, kind in self.columns)}"


Value = Table | None
"""What is at an output; ``None`` if there is nothing."""


@attrs.frozen
class Output:
    """Where a pipeline writes.

    Attributes:
        path: below the connection's base: an object, or a folder of parts.
        base: the connection's base, below the project.
        ignored: columns that differ from run to run.
    """

    path: str
    base: str = "lake"
    ignored: Sequence[str] = ()

    def read(self, project: Path) -> Value:
        """What a reader finds there that knows nothing of Odibi, such as DuckDB, Spark or ``ls``.

        It sees the files whose names do not begin with a dot or an underscore, nor those of the folders above them.

        Raises:
            Unreadable: one of them is no whole file of its format, or they do not go together.
        """
        base = project / self.base / self.path
        whole: Table | None = None
        for path in sorted(_shown(base)):
            table = _table(path, base, self.ignored)
            if whole is not None and table.columns != whole.columns:
                raise Unreadable(f"{path.relative_to(project)} has other columns: {table}; before {whole}")
            whole = table if whole is None else whole.plus(table)
        return whole


def _shown(base: Path) -> Iterator[Path]:
    if base.is_file():
        yield base
    for folder, folders, files in os.walk(base):
        folders[:] = [name for name in folders if not name.startswith((".", "_"))]
        yield from (Path(folder, name) for name in files if not name.startswith((".", "_")))


def _table(path: Path, base: Path, ignored: Sequence[str]) -> Table:
    import pyarrow as pa
    import pyarrow.parquet as pq

    folders = [part.partition("=")[::2] for part in path.relative_to(base).parts[:-1] if "=" in part]
    try:
        if path.suffix == ".csv":
            with path.open(newline="", encoding="utf-8") as file:
                head, *rows = list(csv.reader(file, strict=True))
            if any(len(row) != len(head) for row in rows) or not path.read_bytes().endswith(b"\n"):
                raise ValueError("a row is not whole")
            columns = [(name, "text") for name in head]
        else:
            # Not as a data set of one file: that would take columns from the names of folders above.
            table = pq.ParquetFile(pa.BufferReader(path.read_bytes())).read()
            columns = [(field.name, str(field.type)) for field in table.schema]
            rows = [list(map(repr, row.values())) for row in table.to_pylist()]
    except (pa.ArrowException, OSError, ValueError, csv.Error) as error:
        raise Unreadable(f"{path.name} cannot be read: {error}") from error
    kept = [at for at, (name, _) in enumerate(columns) if name not in ignored]
    values = tuple(value for _, value in folders)
    return Table(
        (*((name, "folder") for name, _ in folders), *(columns[at] for at in kept)),
        Counter((*values, *(row[at] for at in kept)) for row in rows),
    )


@attrs.frozen
class Scenario:
    """A project, and the run of it that is to be disturbed.

    Attributes:
        name: for people.
        config: the text of ``odibi.yaml``.
        inputs: writes what the project reads into its folder, before the first run.
        change: changes what it reads, between the earlier runs and the run that is disturbed.
        outputs: where it writes; every output there is, or lost rows go unseen.
        transforms: the text of ``transforms.py``.
        earlier: how many runs come before.
        arguments: of the run that is disturbed.
        resume: of the run that makes good.
        again: of the run after that; it has to change nothing.
        prepare: instead of ``earlier``: whatever has to be done before, given the launcher and the folder.
        journal: whether the project keeps one. It has to be readable after every
            disturbance; and the run after the one that makes good, ``again``, which prints JSON, has nothing to do.
    """

    name: str
    config: str
    inputs: Callable[[Path], Any]
    outputs: Sequence[Output]
    change: Callable[[Path], Any] | None = None
    transforms: str = ""
    earlier: int = 0
    arguments: Sequence[str] = RUN
    resume: Sequence[str] = RUN
    again: Sequence[str] = RUN
    prepare: Callable[[Launcher, Path], Any] | None = None
    journal: bool = False

    def lay(self, folder: Path, launcher: Launcher) -> None:
        """Make the project in ``folder``, up to the point where the run comes that is to be disturbed."""
        folder.mkdir(parents=True, exist_ok=True)
        (folder / "odibi.yaml").write_text(self.config, encoding="utf-8")
        if self.transforms:
            (folder / "transforms.py").write_text(self.transforms, encoding="utf-8")
        self.inputs(folder)
        for _ in range(self.earlier):
            ended = launcher.run(self.resume, folder)
            if ended.code:
                raise AssertionError(f"{self.name}: a run before the disturbed one fails: {ended}")
        if self.prepare is not None:
            self.prepare(launcher, folder)
        if self.change is not None:
            self.change(folder)

    def values(self, folder: Path) -> dict[str, Value]:
        """What every output holds.

        Raises:
            Unreadable: one of them is torn.
        """
        return {output.path: output.read(folder) for output in self.outputs}

    def strays(self, folder: Path) -> list[str]:
        """What the listing of a storage shows of Odibi's own files, or hides of others; should be nothing."""
        from odibi_local.storage import LocalStorage

        wrong = []
        for base in sorted({output.base for output in self.outputs}):
            listed = (
                {stat.path for stat in LocalStorage(base_path=str(folder / base)).list()}
                if (folder / base).exists()
                else set()
            )
            wrong += [f"a listing shows {path}" for path in sorted(listed) if OWN in path]
            shown = {path.relative_to(folder / base).as_posix() for path in _shown(folder / base)}
            wrong += [f"a listing does not show {path}" for path in sorted(shown - listed)]
        return wrong

    def __str__(self) -> str:
        return self.name


def own_files(folder: Path) -> list[str]:
    """Drafts and staging folders below ``folder``: what a run that failed in an orderly way must not leave."""
    found = []
    for above, folders, files in os.walk(folder):
        found += [
            os.path.relpath(os.path.join(above, name), folder)
            for name in [*folders, *files]
            if name.startswith((".odibi-tmp-", ".odibi-stage-"))
        ]
    return sorted(found)
