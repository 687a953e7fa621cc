"""A server of S3 on loopback for all tests of a session, and a bucket on it."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

sys.path.insert(0, str(Path(__file__).parents[1] / "integration"))
sys.path.insert(0, str(Path(__file__).parent))

for _name in [name for name in os.environ if name.startswith("AWS_")]:  # nobody's own keys and servers
    del os.environ[_name]
os.environ["AWS_EC2_METADATA_DISABLED"] = "true"
os.environ["AWS_SHARED_CREDENTIALS_FILE"] = os.environ["AWS_CONFIG_FILE"] = os.devnull


# Ceph is a server for a machine that somebody has set up for it, and takes minutes.
collect_ignore = [] if os.environ.get("ODIBI_CEPH") else ["test_on_ceph.py"]


@pytest.fixture(scope="session")
def server():
    """moto's server."""
    pytest.importorskip("moto")
    from s3_servers import moto_server

    with moto_server() as running:
        yield running


@pytest.fixture(scope="session")
def conformance_server(server):
    """What the suite reads from the environment."""
    given = {"ENDPOINT": server.endpoint, "KEY": server.key, "SECRET": server.secret}
    given["BUCKET"] = server.make_bucket("odibi-suite")
    names = {f"ODIBI_S3_TEST_{name}": value for name, value in given.items()}
    if "ODIBI_S3_TEST_ENDPOINT" in os.environ:  # pointed at another server
        yield
        return
    os.environ.update(names)
    yield
    for name in names:
        del os.environ[name]


@pytest.fixture(scope="session")
def suite_proxy(server):
    """Between the suite and the server, so that it can be cut off; none if that is not ours."""
    if "ODIBI_S3_TEST_ENDPOINT" in os.environ and os.environ["ODIBI_S3_TEST_ENDPOINT"] != server.endpoint:
        yield None
        return
    from s3_servers import Proxy

    proxy = Proxy(server)
    yield proxy
    proxy.close()


@pytest.fixture
def proxy(server):
    """A proxy before the server, which can spoil what passes."""
    from s3_servers import Proxy

    proxy = Proxy(server)
    yield proxy
    proxy.close()


@pytest.fixture
def spoiled(proxy, options):
    """The options of a storage behind the proxy."""
    return {**options, "endpoint": proxy.server.endpoint, "retries": 3}


@pytest.fixture
def bucket(server):
    """A new bucket."""
    return server.make_bucket(f"odibi-{uuid4().hex[:16]}")


@pytest.fixture
def options(server, bucket):
    """Of a storage in that bucket, which does not wait long."""
    return {
        "bucket": bucket,
        "endpoint": server.endpoint,
        "region": "us-east-1",
        "access_key_id": server.key,
        "secret_access_key": server.secret,
        "part_size": 5 << 20,
        "backoff": 0.01,
        "max_backoff": 0.05,
        "timeout": 20.0,
    }


@pytest.fixture
def boto(server):
    """The way past the storage."""
    client = server.client()
    yield client
    client.close()
