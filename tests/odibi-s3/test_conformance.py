"""The suite of storages, on moto's server, behind a proxy that can cut it off."""

from __future__ import annotations

from contextlib import contextmanager
from typing import ClassVar

import pytest

from odibi.testing.plugin import PluginSuite
from odibi_s3.conformance import S3Suite


class TestS3OnMoto(S3Suite):
    """All that a storage promises."""

    proxy: ClassVar = None

    @pytest.fixture(autouse=True)
    def _through_the_proxy(self, conformance_server, suite_proxy):
        type(self).proxy = suite_proxy

    def options(self, place):
        # moto answers 500 now and then to a request for an object that another thread is replacing.
        given = {**super().options(place), "retries": 10, "backoff": 0.01, "max_backoff": 0.1}
        return {**given, "endpoint": self.proxy.server.endpoint} if self.proxy else given

    @contextmanager
    def disconnected(self, place):
        if self.proxy is None:
            pytest.skip("the server is not behind a proxy of ours")
        with self.proxy.shut():
            yield


class TestS3Plugin(PluginSuite):
    """The package as a whole."""

    plugin = "s3"
