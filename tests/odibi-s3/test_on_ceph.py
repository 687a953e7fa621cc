"""The suite of storages on Ceph's gateway, a real one. Set ``ODIBI_CEPH=1`` to have it run."""

from __future__ import annotations

import pytest
from s3_servers import ceph_gateway, has_ceph

from odibi_s3.conformance import S3Suite

BUCKET = "odibi-ceph"


@pytest.fixture(scope="module")
def gateway(tmp_path_factory):
    if not has_ceph():
        pytest.skip("Ceph is not installed")
    with ceph_gateway(tmp_path_factory.mktemp("ceph")) as server:
        server.make_bucket(BUCKET)
        yield server


class TestS3OnCeph(S3Suite):
    """All that a storage promises."""

    @pytest.fixture(autouse=True)
    def _on_ceph(self, gateway, monkeypatch):
        for name, value in (("ENDPOINT", gateway.endpoint), ("KEY", gateway.key), ("SECRET", gateway.secret)):
            monkeypatch.setenv(f"ODIBI_S3_TEST_{name}", value)
        monkeypatch.setenv("ODIBI_S3_TEST_BUCKET", BUCKET)

    @pytest.mark.xfail(
        reason="16.2 drops a plain write that meets a conditional one, though it acknowledges both: see the README",
        strict=False,  # it is a race
    )
    def test_a_plain_write_counts_as_a_change(self, storage, other):
        """What it does wrong: boto3 alone shows it."""
        super().test_a_plain_write_counts_as_a_change(storage, other)
