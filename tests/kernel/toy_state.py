"""A plugin with the least that reuse needs: a checkpoint store, a cache, a storage and an engine, all over plain files.

Written into a distribution of its own by the tests that run whole projects without any real plugin.
"""

from __future__ import annotations

import fcntl
import hashlib
import io
import json
import os
import time
from pathlib import Path
from typing import Any

import attrs

from odibi import hookimpl, option
from odibi.contracts import (
    Cached,
    CacheEntry,
    CacheStats,
    Column,
    FrameInfo,
    Lease,
    RunRecord,
    Stat,
    WriteReport,
)
from odibi.errors import AccessDenied, Conflict, NotFound


@hookimpl
def odibi_checkpoints() -> dict[str, str]:
    return {"toy": "toy_state:Store"}


@hookimpl
def odibi_caches() -> dict[str, str]:
    return {"toy": "toy_state:Cache"}


@hookimpl
def odibi_storages() -> dict[str, str]:
    return {"toy": "toy_state:Storage"}


@hookimpl
def odibi_engines() -> dict[str, str]:
    return {"toy": "toy_state:Engine"}


@hookimpl
def odibi_formats() -> dict[str, str]:
    return {"toy.lines": "toy_state:Lines"}


class _Lock:
    def __init__(self, path: Path, pipeline: str) -> None:
        path.touch()
        self._file = path.open("r+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            self._file.close()
            raise Conflict(f"another run of '{pipeline}' goes on", remedy="Wait for it.") from error
        self.token = int(self._file.read() or 0) + 1
        self._file.seek(0)
        self._file.write(str(self.token))
        self._file.flush()

    def held(self) -> bool:
        return not self._file.closed

    def release(self) -> None:
        self._file.close()


@attrs.frozen
class Store:
    """A file of JSON lines that says what happened, read anew whenever it is asked."""

    path: str = option("runs", help="Folder.")

    def _journal(self) -> Path:
        folder = Path(self.path)
        folder.mkdir(parents=True, exist_ok=True)
        return folder / "journal"

    def _add(self, **entry: Any) -> None:
        with self._journal().open("a") as file:
            file.write(json.dumps(entry) + "\n")

    def _entries(self) -> list[dict[str, Any]]:
        journal = self._journal()
        return [json.loads(line) for line in journal.read_text().splitlines()] if journal.exists() else []

    def _all(self) -> dict[str, RunRecord]:
        found: dict[str, RunRecord] = {}
        for it in self._entries():
            run_id = it["run"]
            if it["op"] == "begin":
                found[run_id] = RunRecord(run_id, it["pipeline"], "running", it["at"], None, it["detail"], [])
            elif it["op"] == "append":
                found[run_id] = attrs.evolve(found[run_id], outcomes=[*found[run_id].outcomes, *it["records"]])
            elif it["op"] == "finish":
                found[run_id] = attrs.evolve(found[run_id], state=it["state"], finished=it["at"])
        gone = {it["run"] for it in self._entries() if it["op"] == "remove"}
        alive = {run_id: each for run_id, each in found.items() if run_id not in gone}
        return {run_id: self._told(each) for run_id, each in alive.items()}

    def _told(self, record: RunRecord) -> RunRecord:
        if record.state != "running":
            return record
        path = self._lock_file(record.pipeline)
        with path.open() as file:
            try:
                fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
            except OSError:
                if int(path.read_text()) == record.detail["token"]:
                    return record
        return attrs.evolve(record, state="interrupted")

    def _lock_file(self, pipeline: str) -> Path:
        return self._journal().with_name(f"{hashlib.md5(pipeline.encode()).hexdigest()}.lock")

    def lock(self, pipeline: str, *, wait: float = 0.0) -> _Lock:
        deadline = time.monotonic() + wait
        while True:
            try:
                return _Lock(self._lock_file(pipeline), pipeline)
            except Conflict:
                if time.monotonic() > deadline:
                    raise
            self._journal().with_name("somebody waits").touch()
            time.sleep(0.01)

    def begin(self, run_id: str, pipeline: str, detail: Any, *, lock: Any = None, sync: bool = True) -> None:
        self._add(op="begin", run=run_id, pipeline=pipeline, detail={**detail, "token": lock.token}, at=time.time())

    def append(self, run_id: str, records: Any) -> None:
        self._add(op="append", run=run_id, records=list(records))

    def finish(self, run_id: str, state: str, offsets: Any = None, *, records: Any = ()) -> None:
        self.append(run_id, records)
        self._add(op="finish", run=run_id, state=state, at=time.time(), offsets=dict(offsets or {}))

    def load(self, run_id: str) -> RunRecord:
        found = self._all().get(run_id)
        if found is None:
            raise NotFound("there is no such run", where=run_id)
        return found

    def runs(self, pipeline: str | None = None, *, limit: int | None = None) -> Any:
        newest = sorted(self._all().values(), key=lambda each: each.run_id, reverse=True)
        fitting = [attrs.evolve(each, outcomes=()) for each in newest if pipeline in (None, each.pipeline)]
        return iter(fitting[:limit])

    def latest(self, pipeline: str, *, states: Any = ()) -> RunRecord | None:
        fitting = [each for each in self.runs(pipeline) if not states or each.state in states]
        return self.load(fitting[0].run_id) if fitting else None

    def results(self, pipeline: str) -> dict[str, Any]:
        found = {}
        of = {it["run"]: it["pipeline"] for it in self._entries() if it["op"] == "begin"}
        for it in self._entries():
            for record in it.get("records", ()):
                if of[it["run"]] == pipeline and "fingerprint" in record:
                    found[record["node"]] = {**record, "run_id": it["run"]}
        return found

    def prune(self, keep_last: int, pipeline: str | None = None) -> int:
        names = [pipeline] if pipeline else {each.pipeline for each in self.runs()}
        gone = [each for name in names for each in list(self.runs(name))[keep_last:] if each.state != "running"]
        for each in gone:
            self.remove(each.run_id)
        return len(gone)

    def remove(self, run_id: str) -> None:
        if self.load(run_id).state == "running":
            raise Conflict("the run goes on", where=run_id)
        self._add(op="remove", run=run_id)

    def offset(self, stream: str) -> Any:
        return self.offsets().get(stream)

    def offsets(self, prefix: str = "") -> dict[str, Any]:
        moved = {stream: value for it in self._entries() for stream, value in it.get("offsets", {}).items()}
        found = sorted(stream for stream, value in moved.items() if value is not None and stream.startswith(prefix))
        return {stream: moved[stream] for stream in found}

    def move(self, offsets: Any, *, lock: Any = None) -> None:
        self._add(op="move", run="", offsets=dict(offsets))

    def close(self) -> None:
        pass


@attrs.frozen
class Cache:
    """Two files an entry: the content, and what is known of it."""

    path: str = option("cache", help="Folder.")

    def _known(self) -> dict[str, CacheEntry]:
        folder = Path(self.path)
        found = [CacheEntry(**json.loads(file.read_text())) for file in sorted(folder.glob("*.json"))]
        return {entry.key: entry for entry in found}

    def _content(self, key: str) -> Path:
        return Path(self.path) / f"{key}.data"

    def _is_sound(self, entry: CacheEntry) -> bool:
        return hashlib.sha256(self._content(entry.key).read_bytes()).hexdigest() == entry.checksum

    def get(self, key: str) -> Cached | None:
        entry = self._known().get(key)
        if entry is None or not self._is_sound(entry) or (entry.expires or time.time() + 1) <= time.time():
            return None
        return Cached(memoryview(self._content(key).read_bytes()), entry.label)

    def find(self, keys: Any) -> set[str]:
        now = time.time()
        return {key for key, entry in self._known().items() if key in keys and (entry.expires or now + 1) > now}

    def put(self, key: str, writer: Any, ttl: float | None = None, *, label: str = "", lease: Any = None) -> CacheEntry:
        content = io.BytesIO()
        writer(content)
        Path(self.path).mkdir(parents=True, exist_ok=True)
        self._content(key).write_bytes(content.getvalue())
        now = time.time()
        checksum = hashlib.sha256(content.getvalue()).hexdigest()
        entry = CacheEntry(
            key, len(content.getvalue()), now, now, checksum, label, now + ttl if ttl is not None else None
        )
        self._content(key).with_suffix(".json").write_text(json.dumps(attrs.asdict(entry)))
        return entry

    def delete(self, key: str) -> None:
        self._content(key).unlink(missing_ok=True)
        self._content(key).with_suffix(".json").unlink(missing_ok=True)

    def entries(self) -> Any:
        return iter(self._known().values())

    def _remove(self, entries: list[CacheEntry]) -> list[CacheEntry]:
        for entry in entries:
            self.delete(entry.key)
        return entries

    def verify(self) -> Any:
        return iter(self._remove([entry for entry in self._known().values() if not self._is_sound(entry)]))

    def purge_expired(self) -> int:
        now = time.time()
        return len(self._remove([it for it in self._known().values() if it.expires is not None and it.expires <= now]))

    def evict(self, max_bytes: int) -> int:
        oldest, gone = sorted(self._known().values(), key=lambda each: each.used), []
        while oldest and sum(each.size for each in oldest) > max_bytes:
            gone.append(oldest.pop(0))
        return len(self._remove(gone))

    def lease(self, key: str, ttl: float) -> Lease:
        return Lease(key, 1, time.time() + ttl)

    def renew(self, lease: Lease, ttl: float) -> Lease:
        return attrs.evolve(lease, expires=time.time() + ttl)

    def release(self, lease: Lease) -> None:
        pass

    def stats(self) -> CacheStats:
        entries = self._known().values()
        return CacheStats(len(entries), sum(each.size for each in entries), 3, 1, len(entries), 0, 0)

    def close(self) -> None:
        pass


@attrs.frozen
class Storage:
    """The files of one folder."""

    base: str = option(".", help="Folder.")
    password: str = option("", help="Of no use.", secret=True)

    def _stat(self, path: str) -> Stat:
        found = (Path(self.base) / path).stat()
        return Stat(path, found.st_size, found.st_mtime, f"{found.st_mtime_ns}-{found.st_size}")

    def stat(self, path: str) -> Stat:
        if path == "locked.lines":
            raise AccessDenied(
                f"nobody gets in with {self.password} today, whoever they are and wherever they are from"
            )
        if not (Path(self.base) / path).is_file():
            raise NotFound("there is no such file", where=path)
        return self._stat(path)

    def list(self, prefix: str = "") -> Any:
        base = Path(self.base)
        files = sorted(file for file in (base / prefix).rglob("*") if file.is_file())
        return (self._stat(file.relative_to(base).as_posix()) for file in files)

    def read(self, path: str) -> bytes:
        return (Path(self.base) / self.stat(path).path).read_bytes()

    def write(self, path: str, data: bytes) -> Stat:
        (Path(self.base) / path).parent.mkdir(parents=True, exist_ok=True)
        (Path(self.base) / path).write_bytes(data)
        return self._stat(path)

    def uri(self, path: str) -> str:
        return f"file://{os.path.abspath(self.base)}/{path}"

    def close(self) -> None:
        pass


@attrs.frozen
class Lines:
    """A frame is a list, a row a line."""

    extensions = (".lines",)


@attrs.frozen
class Engine:
    """Reads and writes files of lines."""

    frame_type = "builtins:list"
    dialect = "toy"

    def read(self, source: Any) -> list[str]:
        return source.storage.read(source.path).decode().splitlines()

    def write(self, frame: list[str], target: Any) -> WriteReport:
        stat = target.storage.write(target.path, "\n".join(frame).encode())
        return WriteReport(len(frame), stat.size, (stat.path,), etags={stat.path: stat.etag})

    def write_arrow(self, frame: list[str], file: Any) -> None:
        file.write(json.dumps(frame).encode())

    def read_arrow(self, data: memoryview) -> list[str]:
        return json.loads(bytes(data))

    def inspect(self, frame: list[str]) -> FrameInfo:
        return FrameInfo(len(frame), (Column("line", "string"),))

    def share(self, frame: list[str]) -> list[str]:
        return frame

    def close(self) -> None:
        pass
