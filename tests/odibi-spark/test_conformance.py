"""The engine under the conformance suite."""

from __future__ import annotations

import pytest

from odibi.testing.engine_base import Bench, people
from odibi_spark.conformance import SparkEngineSuite


@pytest.mark.filterwarnings("ignore:unclosed <socket:ResourceWarning")
class TestSparkEngine(SparkEngineSuite):
    def test_a_part_of_the_name_that_an_overwrite_had(self, bench: Bench) -> None:
        """Is added, and takes nothing away."""
        bench.write(people(1), "out/people", part="one")
        bench.write(people(2), "out/people", "append", part="one")
        bench.holds("out/people", people(1, 2))
