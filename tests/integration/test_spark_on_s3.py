"""Spark reads and writes buckets by their addresses, each with the keys of its own connection, in one session."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.importorskip("pyspark")
pytest.importorskip("odibi_s3")

sys.path.insert(0, str(Path(__file__).parent))

from s3_servers import Server, moto_server
from spark_jars import NoJarsError, jars

ODIBI = Path(sys.executable).with_name("odibi")


@pytest.fixture(scope="module")
def s3a() -> list[Path]:
    try:
        return jars("s3a")
    except NoJarsError as error:
        pytest.skip(str(error))


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    with moto_server() as server:
        yield server


def connection(server: Server, bucket: str, secret: str) -> dict[str, object]:
    return {
        "type": "s3",
        "bucket": bucket,
        "endpoint": server.endpoint,
        "region": "us-east-1",
        "access_key_id": f"key-of-{bucket}",
        "secret_access_key": secret,
        "allow_http": True,
    }


def test_one_session_goes_to_several_buckets(s3a: list[Path], server: Server, tmp_path: Path) -> None:
    """What it was told of one of them is for that one alone, and shows nowhere."""
    secrets = ("s3cret-of-the-first", "s3cret-of-the-second")
    for bucket in ("first", "second"):
        server.make_bucket(bucket)
    rows = "id,region\n" + "".join(f"{at},{'EU' if at % 3 else 'US'}\n" for at in range(300))
    server.client().put_object(Bucket="first", Key="in/orders.csv", Body=rows.encode())
    count = "SELECT region, count(*) AS n FROM df GROUP BY region"
    project = {
        "project": "buckets",
        "engine": "spark",
        "engines": {
            "spark": {
                "master": "local[2]",
                "jars": [str(jar) for jar in s3a],
                "conf": {"spark.driver.memory": "1g", "spark.sql.shuffle.partitions": "2"},
            }
        },
        "connections": {
            name: connection(server, name, secret) for name, secret in zip(("first", "second"), secrets, strict=True)
        },
        "pipelines": [
            {
                "pipeline": "p",
                "nodes": [
                    {
                        "name": "orders",
                        "read": {"connection": "first", "path": "in/orders.csv"},
                        "write": {"connection": "second", "path": "out/orders", "format": "parquet"},
                    },
                    {
                        "name": "counts",
                        "depends_on": ["orders"],
                        "read": {"connection": "second", "path": "out/orders", "format": "parquet"},
                        "transform": {"steps": [count]},
                        "write": {"connection": "first", "path": "out/counts", "format": "json"},
                    },
                    {
                        "name": "again",
                        "depends_on": ["orders"],
                        "write": {"connection": "second", "path": "all", "format": "parquet", "mode": "append"},
                    },
                ],
            }
        ],
    }
    (tmp_path / "odibi.json").write_text(json.dumps(project), "utf-8")
    done = subprocess.run(
        [ODIBI, "run", tmp_path / "odibi.json"],
        capture_output=True,
        text=True,
        env={**os.environ, "NO_COLOR": "1", "PYSPARK_PYTHON": sys.executable},
        timeout=300,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    assert not [secret for secret in secrets if secret in said]
    found = [
        json.loads(line)
        for stat in server.client().list_objects_v2(Bucket="first", Prefix="out/counts/")["Contents"]
        if not stat["Key"].rpartition("/")[2].startswith(("_", "."))
        for line in server.client().get_object(Bucket="first", Key=stat["Key"])["Body"].read().decode().splitlines()
    ]
    assert sorted(found, key=lambda row: row["region"]) == [{"region": "EU", "n": 200}, {"region": "US", "n": 100}]
    appended = server.client().list_objects_v2(Bucket="second", Prefix="all/")["Contents"]
    assert [stat for stat in appended if stat["Key"].endswith(".parquet")]
    assert not [stat for stat in appended if "_temporary" in stat["Key"]]
