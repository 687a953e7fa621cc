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

WRITERS = 4
FILES, KILLS = (10_000, 50) if FULL else (600, 6)
SEED = 20_260_131
PATIENCE = 600.0 if FULL else 60.0

WRITER = """
import json, os, pathlib, random, sys, time
folder, log, number, files, seconds = sys.argv[1], sys.argv[2], int(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])
folder, chance = pathlib.Path(folder), random.Random(number)
said, there, version = open(log, "w"), [], 0

def write(name):
    global version
    version += 1
    text = f"{number}-{version} "
    draft = folder / f".{name}"
    with draft.open("w") as file:      # half of it first: a reader that sees the draft has half a file
        file.write("<" + text * 50)
        file.flush()
        file.write(text * 50 + ">")
    if chance.random() < 0.3:
        os.utime(draft, (1_000_000_000 + version % 3,) * 2)   # as what is moved or unpacked keeps its time
    os.replace(draft, folder / name)
    tell("write", name, text.strip())

def tell(*what):
    said.write(json.dumps(what) + "\\n")

for at in range(files):
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
    time.sleep(chance.uniform(0, 2 * seconds / files))
said.close()
"""

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


def expected(logs: list[Path]) -> dict[str, str]:
    """What the writers left: each path with the version in it. The rest may have been replaced before it was seen."""
    there: dict[str, str] = {}
    for log in logs:
        for act, name, *more in map(json.loads, log.read_text("utf-8").splitlines()):
            if act == "write":
                there[f"in/{name}"] = more[0]
            elif act == "rename":
                there[f"in/{more[0]}"] = there.pop(f"in/{name}")
            else:
                del there[f"in/{name}"]
    return there


@pytest.mark.skipif(sys.platform != "linux", reason="kills and notices as on Linux")
def test_each_complete_version_is_processed_once_though_the_consumer_is_killed(tmp_path: Path) -> None:
    chance = random.Random(SEED)
    (tmp_path / "data/in").mkdir(parents=True)
    logs = [tmp_path / f"log-{number}" for number in range(WRITERS)]
    each = FILES // WRITERS
    writers = [started(WRITER, tmp_path / "data/in", log, number, each, 0.8 * KILLS) for number, log in enumerate(logs)]
    processes, kills, between = list(writers), 0, 0
    try:
        for _ in range(KILLS):
            consumer = started(CONSUMER, tmp_path)
            processes.append(consumer)
            before = len(commits(tmp_path))
            deadline = time.monotonic() + PATIENCE
            while len(commits(tmp_path)) == before and consumer.poll() is None and time.monotonic() < deadline:
                if all(writer.poll() is not None for writer in writers):
                    break  # nothing new may come any more
                time.sleep(0.005)
            with pytest.raises(subprocess.TimeoutExpired):
                consumer.wait(chance.uniform(0, 0.4))
            consumer.kill()
            consumer.wait(PATIENCE)
            kills += 1
            between += len(commits(tmp_path)) > before
        assert all(writer.wait(PATIENCE) == 0 for writer in writers)
        last = started(CONSUMER, tmp_path)
        processes.append(last)
        wanted = set(expected(logs).items())
        deadline = time.monotonic() + PATIENCE
        while missing := wanted - processed(tmp_path).keys():
            assert time.monotonic() < deadline, f"{len(missing)} never came, such as {sorted(missing)[:3]}"
            assert last.poll() is None, "the consumer has ended by itself"
            time.sleep(0.05)
    finally:
        for process in processes:
            process.kill()
            process.wait()
    assert kills == KILLS
    assert between > KILLS // 2, "killed before they did anything"
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
                assert text[0] == "<", f"{path} was given half-written"
                assert text[-1] == ">", f"{path} was given half-written"
                words = text.strip("<>").split()
                assert len(words) == 100, f"{path} was given half-written"
                assert len(set(words)) == 1, f"{path} is a mixture"
                found[path, words[0]] += 1
    return found
