"""The figures on the page about conformance are about the zoo as it is."""

from __future__ import annotations

import re
from pathlib import Path

from odibi.testing.zoo import families, zoo_of


def test_the_kill_rates_are_those_of_the_zoo_as_it_is(root: Path) -> None:
    text = (root / "docs/explanation/conformance.md").read_text("utf-8").partition("<!-- kill rates -->")[2]
    rows = re.findall(r"^\| (\w+) \| (\d+) \| (\d+) \| ([\d.]+) % \|$", text, re.MULTILINE)
    assert {family: int(defects) for family, defects, _, _ in rows} == {
        family: len(zoo_of(family).defects) for family in families()
    }
    for family, defects, refused, rate in rows:
        assert float(rate) == round(100 * int(refused) / int(defects), 1), family
        assert float(rate) >= 95, family
