"""A service that watches a folder and is killed at any instant processes each complete version of a file once."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import pytest
from fault_harness import FULL
from fault_harness.writers import Writers, versions_in

WRITERS = 4
FILES, KILLS = (10_000, 50) if FULL else (600, 6)
SEED = 20_260_131
PATIENCE = 600.0 if FULL else 60.0

CONSUMER = """
import json, os, pathlib, sys, threading
from odibi.errors import NotFound
from odibi_local.storage import LocalStorage
from odibi_triggers import ledger
from odibi_triggers.file_watch import FileWatch

ledger.TAIL, ledger.FAN = 20, 2   # so that it writes and merges segments all the time
root = pathlib.Path(sys.argv[1])
storage = LocalStorage(base_path=str(root / "data"))
watch = FileWatch(connection=storage, path="in", complete="rename", max_files=25, ledger=str(root / "ledger"))
commits, offset = root / "commits", None
content = commits.read_bytes() if commits.exists() else b""
whole = content[: content.rfind(b"\\n") + 1]   # a line that a kill has torn was not committed
if whole:
    offset = json.loads(whole.splitlines()[-1])["offset"]
file = open(commits, "r+b" if commits.exists() else "w+b")
file.truncate(len(whole))
file.seek(len(whole))
for batch in watch.poll(offset, threading.Event()):
    done = []
    for it in batch.payload["files"]:
        try:
            text = storage.read(it["path"]).decode()
            same = storage.stat(it["path"]).etag == it["etag"]
        except NotFound:
            same = False
        done.append([it["path"], it["etag"], text if same else None])
    file.write(json.dumps({"id": batch.id, "offset": batch.offset, "done": done}).encode() + b"\\n")
    file.flush()
    os.fsync(file.fileno())
"""


def started(code: str, *arguments: object) -> subprocess.Popen[bytes]:
    return subprocess.Popen([sys.executable, "-c", code, *map(str, arguments)])


def commits(root: Path) -> list[dict[str, Any]]:
    file = root / "commits"
    content = file.read_bytes() if file.exists() else b""
    return [json.loads(line) for line in content[: content.rfind(b"\n") + 1].splitlines()]


@pytest.mark.skipif(sys.platform != "linux", reason="kills and notices as on Linux")
def test_each_complete_version_is_processed_once_though_the_consumer_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    (tmp_path / "data/in").mkdir(parents=True)
    processes, between = [], 0
    try:
        with Writers(tmp_path / "data/in", tmp_path, WRITERS, FILES // WRITERS, KILLS, 0.8) as writers:
            for _ in range(KILLS):
                consumer = started(CONSUMER, tmp_path)
                processes.append(consumer)
                before = len(commits(tmp_path))
                writers.go_on()
                deadline = time.monotonic() + PATIENCE
                while len(commits(tmp_path)) == before and consumer.poll() is None:
                    assert time.monotonic() < deadline, "it consumes nothing"
                    time.sleep(0.005)
                with pytest.raises(subprocess.TimeoutExpired):
                    consumer.wait(chance.uniform(0, 0.4))
                consumer.kill()
                consumer.wait(PATIENCE)
                between += len(commits(tmp_path)) > before
            writers.wait(PATIENCE)
        last = started(CONSUMER, tmp_path)
        processes.append(last)
        wanted = {(f"in/{name}", version) for name, version in writers.left().items()}
        deadline = time.monotonic() + PATIENCE
        while missing := wanted - processed(tmp_path).keys():
            assert time.monotonic() < deadline, f"{len(missing)} never came, such as {sorted(missing)[:3]}"
            assert last.poll() is None, "the consumer has ended by itself"
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert between == KILLS, "killed before they did anything"
    twice = {what: times for what, times in processed(tmp_path).items() if times > 1}
    assert not twice, f"processed more than once: {twice}"
    versions = Counter((path, etag) for commit in commits(tmp_path) for path, etag, _ in commit["done"])
    assert max(versions.values()) == 1
    assert len({commit["id"] for commit in commits(tmp_path)}) == len(commits(tmp_path))
    print(f"{len(versions)} versions, {len(wanted)} of them last ones, in {len(commits(tmp_path))} batches")


def processed(root: Path) -> Counter[tuple[str, str]]:
    """How often each version of a path was read whole."""
    found: Counter[tuple[str, str]] = Counter()
    for commit in commits(root):
        for path, _, text in commit["done"]:
            if text is not None:
                found.update((path, version) for version in versions_in(text.splitlines(), path).elements())
    return found
