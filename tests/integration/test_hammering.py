"""Eight processes at one cache and one checkpoint store: every value right, each computed once, no lock left behind.

``ODIBI_HAMMER_SECONDS`` says for how long; a few seconds by default.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections import Counter
from pathlib import Path

from odibi.contracts.cache import Cache
from odibi.contracts.checkpoint import CheckpointStore
from odibi.host import Host

SECONDS = float(os.environ.get("ODIBI_HAMMER_SECONDS", "4"))
PROCESSES = 8
PIPELINES = ("etl", "etl_daily", "reports")

WORKER = """
import hashlib, json, os, random, sys, time
from odibi.errors import Conflict
from odibi.host import Host
from odibi.run.flight import Flights, get_or_compute

me, folder, seconds = int(sys.argv[1]), sys.argv[2], float(sys.argv[3])
host, chance = Host(), random.Random(me)
cache = host.build("cache", "disk", {"path": f"{folder}/cache"})
store = host.build("checkpoint", "sqlite", {"path": f"{folder}/runs.db"})
flights = Flights(cache)
log = os.open(f"{folder}/computed", os.O_WRONLY | os.O_CREAT | os.O_APPEND)
done = {"values": 0, "runs": {}, "refused": 0}

def content(key):
    return hashlib.sha256(key.encode()).digest() * (1 + int(key[1:]) % 700)

def value(key):
    def get():
        found = cache.get(key)
        return found is not None, None if found is None else bytes(found.data)
    def compute(lease):
        os.write(log, f"{key}\\n".encode())
        time.sleep(chance.uniform(0, 0.003))  # long enough for others to come
        cache.put(key, lambda file: file.write(content(key)), label="bytes", lease=lease)
        return content(key)
    assert get_or_compute(cache, key, get, compute, flights) == content(key), key
    done["values"] += 1

def run(at):
    pipeline = chance.choice(PIPELINES)
    try:
        lock = store.lock(pipeline)
    except Conflict:
        done["refused"] += 1
        return
    assert lock.held()
    inside = f"{folder}/inside-{pipeline}"
    os.close(os.open(inside, os.O_CREAT | os.O_EXCL))  # fails if anybody else holds the lock
    run_id = f"{time.time_ns():020d}-{me}"
    store.begin(run_id, pipeline, {"by": me}, lock=lock)
    many = chance.randrange(1, 6)
    for n in range(many):
        store.append(run_id, [{"node": f"n{n}", "fingerprint": f"{me}-{at}", "n": n}])
    store.finish(run_id, "succeeded", {f"stream-{pipeline}": run_id}, records=[{"last": many}])
    os.unlink(inside)
    lock.release()
    done["runs"][run_id] = [pipeline, many]

print("ready", flush=True)
sys.stdin.readline()
until, at = time.monotonic() + seconds, 0
while time.monotonic() < until:
    at += 1
    value(f"k{int((seconds - (until - time.monotonic())) * 40) + chance.randrange(8)}")
    if at % 5 == 0:
        run(at)
flights.close()
cache.close()
store.close()
print(json.dumps(done))
""".replace("PIPELINES", repr(PIPELINES))


def test_eight_processes_at_one_cache_and_one_store(tmp_path: Path) -> None:
    command = [sys.executable, "-c", WORKER]
    workers = [
        subprocess.Popen(
            [*command, str(me), str(tmp_path), str(SECONDS)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for me in range(PROCESSES)
    ]
    for worker in workers:
        assert worker.stdout is not None
        assert worker.stdout.readline() == "ready\n"
    for worker in workers:
        assert worker.stdin is not None
        worker.stdin.write("go\n")
        worker.stdin.flush()
    told = [json.loads(worker.communicate(timeout=SECONDS * 10 + 60)[0]) for worker in workers]
    assert [worker.returncode for worker in workers] == [0] * PROCESSES

    computed = Counter((tmp_path / "computed").read_text().split())
    assert len(computed) > SECONDS * 10
    assert {key: times for key, times in computed.items() if times > 1} == {}
    cache: Cache = Host().build("cache", "disk", {"path": str(tmp_path / "cache")})
    assert {entry.key for entry in cache.entries()} == set(computed)
    assert list(cache.verify()) == []
    for key in computed:
        lease = cache.lease(key, 1.0)
        assert lease is not None
        cache.release(lease)
    assert cache.stats().corrupt == 0
    cache.close()

    store: CheckpointStore = Host().build("checkpoint", "sqlite", {"path": str(tmp_path / "runs.db")})
    runs = {run_id: told_of for each in told for run_id, told_of in each["runs"].items()}
    assert len(runs) > PROCESSES
    found = list(store.runs())
    assert {run.run_id for run in found} == set(runs)
    assert {run.state for run in found} == {"succeeded"}
    for run_id, (pipeline, many) in runs.items():
        record = store.load(run_id)
        assert record.pipeline == pipeline
        assert [outcome.get("n") for outcome in record.outcomes[:-1]] == list(range(many))
        assert record.outcomes[-1] == {"last": many}
    for pipeline in PIPELINES:
        last = max(run_id for run_id, (name, _) in runs.items() if name == pipeline)
        assert store.offset(f"stream-{pipeline}") == last
        store.lock(pipeline).release()
    store.close()
