"""How soon a file that arrived is given, among many that were consumed, and what waiting costs; beside watchfiles."""

from __future__ import annotations

import json
import os
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from pathlib import Path
from typing import Any

import attrs

from benchmarks.figures import Report, Table, number
from benchmarks.settings import Settings, progress

PATIENCE = 300.0


def measure(settings: Settings) -> Report:
    """In a folder of 100,000 files, 500 that are renamed into place; with ``quick`` 1,000 and 20."""
    report = Report("file-watch")
    table = Table("file-watch: a file renamed into place", ["who", "ms, p50", "p99", "most", "idle CPU, %"])
    report.tables.append(table)
    for needed in ("watchfiles", "odibi_triggers", "odibi_local"):
        try:
            import_module(needed)
        except ImportError as error:
            table.note(f"nothing is measured: {error}")
            return report
    files, arrivals, idle = (1_000, 20, 1.0) if settings.quick else (100_000, 500, 30.0)
    with tempfile.TemporaryDirectory() as name:
        root = Path(name)
        folder = root / "data/in"
        folder.mkdir(parents=True)
        progress(f"file-watch: making {files:,} files")
        for at in range(files):
            (folder / f"{at:07}.csv").touch()
        for who, watching in {"odibi": _odibi, "watchfiles": _watchfiles}.items():
            progress(f"file-watch: {who}")
            with watching(root, files) as heard:
                delays = [_arrive(folder, f"{who}-{at:05}.csv", heard) for at in range(arrivals)]
                begin, cpu = time.perf_counter(), time.process_time()
                time.sleep(idle)  # what is measured is that nothing happens
                share = (time.process_time() - cpu) / (time.perf_counter() - begin)
            table.rows.append([who, *_quantiles(delays), number(100 * share)])
            report.raw.append({"who": who, "files": files, "seconds": delays, "idle": share, **heard.more})
            if heard.more:
                table.note(
                    f"{who}: all {files:,} given in {number(heard.more['first'])} s, in batches of 1,000, each with "
                    f"its segment on disk; the largest offset has {heard.more['offset']:,} bytes"
                )
    table.note(f"{files:,} files are there; from the return of the rename to the batch, or to what watchfiles yields")
    table.note("watchfiles: watch() with the same steps, which neither remembers nor looks at the file")
    table.note("to be: p99 below 100 ms, and idle below 1 %")
    return report


@attrs.define
class Heard:
    """When files were heard of.

    Attributes:
        names: of the files, to the time.
        more: further figures.
    """

    names: dict[str, float] = attrs.field(factory=dict)
    more: dict[str, Any] = attrs.field(factory=dict)
    _news: threading.Condition = attrs.field(factory=threading.Condition)

    def tell(self, *names: str) -> None:
        now = time.perf_counter()
        with self._news:
            self.names.update(dict.fromkeys(names, now))
            self._news.notify_all()

    def wait(self, condition: Callable[[], bool]) -> None:
        with self._news:
            if not self._news.wait_for(condition, PATIENCE):
                raise RuntimeError("it was never heard of")


def _arrive(folder: Path, name: str, heard: Heard) -> float:
    draft = folder / f".{name}"
    draft.write_bytes(b"a,b\n1,2\n")
    draft.replace(folder / name)
    begin = time.perf_counter()
    heard.wait(lambda: name in heard.names)
    return heard.names[name] - begin


@contextmanager
def _odibi(root: Path, files: int) -> Iterator[Heard]:
    from odibi_local.storage import LocalStorage
    from odibi_triggers.file_watch import FileWatch

    heard, stop = Heard(), threading.Event()
    storage = LocalStorage(base_path=str(root / "data"))
    watch = FileWatch(connection=storage, path="in", complete="rename", ledger=str(root / "ledger"))

    def poll() -> None:
        for batch in watch.poll(None, stop):
            size = len(json.dumps(batch.offset))
            heard.more["offset"] = max(size, heard.more.get("offset", 0))
            heard.tell(*(os.path.basename(file["path"]) for file in batch.payload["files"]))  # noqa: PTH119

    begin = time.perf_counter()
    with _thread(poll, stop):
        heard.wait(lambda: len(heard.names) >= files)
        heard.more["first"] = time.perf_counter() - begin
        yield heard
    watch.close()


@contextmanager
def _watchfiles(root: Path, files: int) -> Iterator[Heard]:
    from watchfiles import watch

    from odibi_triggers.notices import DEBOUNCE, STEP

    heard, stop = Heard(), threading.Event()

    def poll() -> None:
        told = watch(
            root / "data/in", debounce=DEBOUNCE, step=STEP, stop_event=stop, rust_timeout=100, yield_on_timeout=True
        )
        for changes in told:
            heard.tell("begun", *(os.path.basename(path) for _, path in changes))  # noqa: PTH119

    with _thread(poll, stop):
        heard.wait(lambda: "begun" in heard.names)
        yield heard


@contextmanager
def _thread(run: Callable[[], None], stop: threading.Event) -> Iterator[None]:
    thread = threading.Thread(target=run, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stop.set()
        thread.join(PATIENCE)


def _quantiles(delays: list[float]) -> list[str]:
    found = sorted(delays)
    return [number(1e3 * found[min(len(found) - 1, int(len(found) * share))]) for share in (0.5, 0.99, 1.0)]
