"""The engine under the conformance suite."""

from __future__ import annotations

import pytest

from odibi_spark.conformance import SparkEngineSuite


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
class TestSparkEngine(SparkEngineSuite):
    pass
