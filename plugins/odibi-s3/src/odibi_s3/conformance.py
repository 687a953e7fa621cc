"""What the storage is held to, on any server: moto's, Ceph's, Amazon's.

The environment says which: ``ODIBI_S3_TEST_ENDPOINT``, ``ODIBI_S3_TEST_KEY``, ``ODIBI_S3_TEST_SECRET``, and
``ODIBI_S3_TEST_BUCKET``, a bucket that exists. Each test uses a folder of its own in it; nothing removes them. Needs
boto3, which looks at the objects without the storage.
"""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any, ClassVar

import pytest

from odibi.testing.storage import StorageSuite
from odibi_s3.storage import S3Storage

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

ENDPOINT, KEY, SECRET, BUCKET = (f"ODIBI_S3_TEST_{name}" for name in ("ENDPOINT", "KEY", "SECRET", "BUCKET"))


class S3Suite(StorageSuite):
    """The suite of storages, on the server that the environment names."""

    component = S3Storage
    sizes: ClassVar[tuple[int, ...]] = (5 << 20, 10 << 20)

    def options(self, place: Path) -> Mapping[str, Any]:
        """A folder of the bucket."""
        if not os.environ.get(ENDPOINT):
            pytest.skip(f"{ENDPOINT} names no server")
        return {
            "bucket": os.environ[BUCKET],
            "prefix": self._prefix(place),
            "endpoint": os.environ[ENDPOINT],
            "region": "us-east-1",
            "access_key_id": os.environ[KEY],
            "secret_access_key": os.environ[SECRET],
            "part_size": 5 << 20,
            "parallel": 2,
        }

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """By boto3."""
        client = self._boto3()
        try:
            answer = client.get_object(Bucket=os.environ[BUCKET], Key=f"{self._prefix(place)}/{path}")
        except client.exceptions.NoSuchKey:
            return None
        return bytes(answer["Body"].read())

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """By boto3."""
        self._boto3().put_object(Bucket=os.environ[BUCKET], Key=f"{self._prefix(place)}/{path}", Body=data)

    def _prefix(self, place: Path) -> str:
        return f"suite/{hashlib.sha256(str(place).encode()).hexdigest()[:24]}"

    @staticmethod
    def _boto3() -> Any:
        return boto3_client(os.environ[ENDPOINT], os.environ[KEY], os.environ[SECRET])


_clients: dict[tuple[str, str, str], Any] = {}


def boto3_client(endpoint: str, key: str, secret: str) -> Any:
    """A client of boto3, made once; left out where boto3 is not installed."""
    boto3 = pytest.importorskip("boto3")
    config = pytest.importorskip("botocore.config").Config(s3={"addressing_style": "path"})
    given = (endpoint, key, secret)
    if given not in _clients:
        _clients[given] = boto3.client(
            "s3",
            endpoint_url=endpoint,
            aws_access_key_id=key,
            aws_secret_access_key=secret,
            region_name="us-east-1",
            config=config,
        )
    return _clients[given]
