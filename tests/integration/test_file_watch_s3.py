"""Watching a bucket: nobody tells of changes, times are whole seconds, and the ledger lies there too."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from s3_servers import Server, moto_server

pytest.importorskip("moto")
from odibi_s3.storage import S3Storage
from odibi_triggers import ledger
from odibi_triggers.file_watch import FileWatch

PATIENCE = 60.0


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with moto_server() as running:
        yield running


@pytest.fixture
def bucket(server: Server) -> Iterator[S3Storage]:
    storage = S3Storage(
        bucket=server.make_bucket(f"watched-{uuid4().hex[:8]}"),
        endpoint=server.endpoint,
        access_key_id=server.key,
        secret_access_key=server.secret,
        region="us-east-1",
    )
    yield storage
    storage.close()


def given(watch: FileWatch, offset: Any, n: int) -> tuple[list[str], Any]:
    """The first files, and the offset behind them."""
    stop, found = threading.Event(), list[str]()
    timer = threading.Timer(PATIENCE, stop.set)
    timer.start()
    try:
        for batch in watch.poll(offset, stop):
            found += [file["path"] for file in batch.payload["files"]]
            offset = batch.offset
            if len(found) >= n:
                stop.set()
    finally:
        timer.cancel()
        watch.close()
    return found, offset


@pytest.mark.parametrize(
    "options",
    [{"complete": "rename"}, {"complete": "stable", "settle": 0.2}, {"complete": "marker"}],
    ids=lambda options: options["complete"],
)
def test_objects_are_given_once_by_whoever_goes_on(
    options: dict[str, Any], bucket: S3Storage, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(ledger, "TAIL", 5)

    def arrive(name: str, content: bytes = b"x") -> str:
        bucket.write(f"in/{name}", content)
        if options["complete"] == "marker":
            bucket.write(f"in/{name}.done", b"")
        return f"in/{name}"

    def watch() -> FileWatch:  # on any machine: nothing but the bucket is shared
        return FileWatch(
            connection=bucket, ledger_connection=bucket, path="in", interval=0.1, max_files=7, order="path", **options
        )

    first = [arrive(f"{at:03}.csv") for at in range(40)]
    found, offset = given(watch(), None, len(first))
    assert found == first
    second = [arrive("003.csv", b"rewritten"), arrive("017a.csv")]
    found, offset = given(watch(), offset, len(second))
    assert found == second
    assert len(offset["segments"]) > 0
    bucket.delete("in/001.csv")
    third = [arrive("zzz.csv")]
    found, offset = given(watch(), offset, len(third))
    assert found == third
