"""What reading and writing objects on S3 costs over the library that does it, and beside s3fs."""

from __future__ import annotations

import os
from collections.abc import Callable
from importlib import import_module
from typing import Any

from benchmarks import s3_server
from benchmarks.contenders import is_installed
from benchmarks.figures import NOTHING, Report, Samples, Table, both_ratios, cpu, number, spread
from benchmarks.settings import Settings, progress
from benchmarks.turns import in_turns

OURS, OBSTORE, S3FS = "odibi", "obstore", "s3fs"
KEYS = ("a-key", "a-secret")
BUCKET = "benchmark"
Act = Callable[[], Any]


def measure(settings: Settings) -> Report:
    """An object of 100 MB, and one of 100 kB; with ``quick`` of 7 MB and 1 kB."""
    report = Report("s3")
    for needed in ("obstore", "odibi_s3"):
        try:
            import_module(needed)
        except ImportError as error:
            table = Table("s3", ["act"])
            table.note(f"nothing is measured: {error}")
            report.tables.append(table)
            return report
    sizes = ((7_000_000, 1), (1000, 3)) if settings.quick else ((100_000_000, 9), (100_000, 50))
    with s3_server.running() as endpoint:
        for size, rounds in sizes:
            progress(f"s3: {size:,} bytes")
            report.tables.append(_compare(report, endpoint, size, rounds))
    notes = report.tables[-1]
    notes.note("speeds are of medians, by the clock | by CPU time of the client")
    notes.note("server: benchmarks/s3_server.py, on loopback, in memory, which checks nothing")
    notes.note("obstore: get().bytes(), copied to bytes; put(); as they are by default")
    notes.note("s3fs: cat_file() and pipe_file(), without checksums, its cache of listings off")
    notes.note("to be: odibi's speed at least 0.8 of obstore's, and above that of s3fs")
    return report


def _compare(report: Report, endpoint: str, size: int, rounds: int) -> Table:
    headings = ["act", "ms, median (range)", "CPU ms", "MB/s", "speed / obstore", "speed / s3fs"]
    table = Table(f"s3: an object of {size:,} bytes", headings)
    data = os.urandom(size)
    for what, acts in _acts(endpoint, data, table).items():
        found = in_turns(acts, rounds)
        for who, samples in found.items():
            beside = [_speed(samples, found.get(other)) for other in (OBSTORE, S3FS)]
            row = [f"{what}, {who}", spread(samples), cpu(samples), number(size / 1e6 / samples.median)]
            table.rows.append([*row, *beside])
            report.raw.append({"act": what, "who": who, "bytes": size, "seconds": samples.seconds})
    return table


def _speed(samples: Samples, other: Samples | None) -> str:
    return NOTHING if other is None or other is samples else both_ratios(other, samples)


def _acts(endpoint: str, data: bytes, table: Table) -> dict[str, dict[str, Act]]:
    import obstore
    from obstore.store import S3Store

    from odibi_s3.storage import S3Storage

    key, secret = KEYS
    ours = S3Storage(bucket=BUCKET, endpoint=endpoint, access_key_id=key, secret_access_key=secret, region="us-east-1")
    bare = S3Store(
        BUCKET,
        endpoint=endpoint,
        access_key_id=key,
        secret_access_key=secret,
        region="us-east-1",
        client_options={"allow_http": True},
    )
    obstore.put(bare, "data", data)

    def opened() -> bytes:
        with ours.open("data") as file:
            return file.read()

    def created() -> None:
        view = memoryview(data)
        with ours.create("ours") as file:
            for begin in range(0, len(data), 1 << 20):
                file.write(view[begin : begin + (1 << 20)])

    reads: dict[str, Act] = {
        OURS: lambda: ours.read("data"),
        f"{OURS} open": opened,
        OBSTORE: lambda: bytes(obstore.get(bare, "data").bytes()),
    }
    writes: dict[str, Act] = {
        OURS: lambda: ours.write("ours", data),
        f"{OURS} create": created,
        OBSTORE: lambda: obstore.put(bare, "theirs", data),
    }
    if is_installed("s3fs"):
        import s3fs

        files = s3fs.S3FileSystem(
            key=key,
            secret=secret,
            endpoint_url=endpoint,
            client_kwargs={"region_name": "us-east-1"},
            config_kwargs={
                "request_checksum_calculation": "when_required",
                "response_checksum_validation": "when_required",
            },
            use_listings_cache=False,
        )
        reads[S3FS] = lambda: files.cat_file(f"{BUCKET}/data")
        writes[S3FS] = lambda: files.pipe_file(f"{BUCKET}/s3fs", data)
    else:
        table.note("s3fs is left out: it is not installed")
    for who, read in reads.items():
        if read() != data:
            raise AssertionError(f"{who} does not read what was written")
    return {"read": reads, "write": writes}
