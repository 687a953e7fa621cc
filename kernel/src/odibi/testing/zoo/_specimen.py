"""The test module in which a specimen of the zoo is tested, in a process of its own; see ``_trial``."""

from __future__ import annotations

import os

from odibi.testing.zoo import suite_of

TestSpecimen = suite_of(os.environ["ODIBI_SPECIMEN"])
