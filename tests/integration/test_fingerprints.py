"""Fingerprints are the same wherever, whenever and in whatever order the same project is looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import odibi
from odibi.fingerprint import Fingerprint, Fingerprints
from odibi.sources import SourceVersions

FUNCTIONS = """
from helper import RATES, convert

WORDS = {"b", "a", "c"}

def numbers():
    import pandas as pd
    return pd.DataFrame({"word": sorted(WORDS), "n": [1, 2, 3]})

def priced(frame, *, currency, **more):
    return frame.assign(price=convert(frame["n"], currency, RATES))
"""
HELPER = """
RATES = {"usd": 1.1, "eur": 1.0, "gbp": 0.86}

def convert(values, currency, rates):
    return values * rates[currency] if currency in {"usd", "eur", "gbp"} else values
"""
PROGRAM = """
import json, sys
import odibi
plan = odibi.load("odibi.json")["main"].plan()
print(json.dumps([[made.value, made.whole, made.volatile] for made in plan.prints]))
print(sorted(name for name in ("pandas", "pyarrow", "duckdb") if name in sys.modules))
"""


def project(params: dict[str, Any], *, turned: bool = False) -> dict[str, Any]:
    items = list(params.items())
    write = [("connection", "lake"), ("path", "out.parquet"), ("options", {"compression": "zstd", "row_group_size": 9})]
    priced = [
        ("name", "priced"),
        ("depends_on", ["numbers"]),
        ("transform", {"steps": [{"function": "priced", "params": dict(items[::-1] if turned else items)}]}),
        ("write", dict(write[::-1] if turned else write)),
    ]
    return {
        "project": "p",
        "connections": {"lake": {"type": "local", "base_path": "lake"}},
        "checkpoints": {"type": "sqlite", "path": "runs.db"},
        "pipelines": [
            {
                "pipeline": "main",
                "nodes": [
                    {"name": "numbers", "function": "numbers"},
                    dict(priced[::-1] if turned else priced),
                    {"name": "sql", "depends_on": ["priced"], "transform": {"steps": ["SELECT * FROM priced"]}},
                ],
            }
        ],
    }


def lay_out(folder: Path, params: dict[str, Any], *, turned: bool = False) -> Path:
    folder.mkdir(parents=True)
    (folder / "transforms.py").write_text(FUNCTIONS)
    (folder / "helper.py").write_text(HELPER)
    (folder / "odibi.json").write_text(json.dumps(project(params, turned=turned)))
    return folder


def told(folder: Path, seed: str) -> tuple[str, str]:
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM],
        cwd=folder,
        capture_output=True,
        text=True,
        check=True,
        env={"PYTHONHASHSEED": seed, "PATH": "/usr/bin:/bin", "HOME": str(folder)},
    )
    prints, modules = done.stdout.splitlines()
    return prints, modules


PARAMS = {"currency": "usd", "more": [1, 2.5, None, True], "nested": {"b": "ü", "a": [{"z": 1, "y": 2}]}}


def test_other_processes_seeds_orders_and_folders_give_the_same(tmp_path: Path) -> None:
    first, modules = told(lay_out(tmp_path / "here", PARAMS), "0")
    assert modules == "[]"
    for at, seed in enumerate(("1", "77", "random")):
        again = told(lay_out(tmp_path / f"far/away{at}", PARAMS, turned=at % 2 == 0), seed)
        assert again[0] == first
    assert len({whole for _, whole, _ in json.loads(first)}) == 3
    assert not any(volatile for _, _, volatile in json.loads(first))


def test_they_differ_as_soon_as_a_helper_of_a_helper_does(tmp_path: Path) -> None:
    here = lay_out(tmp_path / "here", PARAMS)
    there = lay_out(tmp_path / "there", PARAMS)
    (there / "helper.py").write_text(HELPER.replace("1.1", "1.2"))
    one, other = (json.loads(told(folder, "0")[0]) for folder in (here, there))
    assert one[0] == other[0]
    assert one[1] != other[1]
    assert one[2] != other[2]


def prints_of(folder: Path) -> list[Fingerprint]:
    loaded = odibi.load(folder / "odibi.json")
    resources = loaded.resources()
    pipeline = loaded["main"]
    try:
        return Fingerprints(pipeline.model, resources).of(
            pipeline.graph(), SourceVersions(resources.storage), lambda *_: "n"
        )
    finally:
        resources.close()
        loaded.close()


words = st.text(st.characters(exclude_characters="$"), max_size=6)
plain = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.floats(allow_nan=False, allow_infinity=False) | words,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(words.filter(bool), inner, max_size=3),
    max_leaves=6,
)


@given(params=st.dictionaries(st.sampled_from(["a", "b", "c", "d"]), plain, min_size=1, max_size=4))
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_the_order_of_keys_never_counts_and_values_always_do(
    params: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> None:
    base = tmp_path_factory.mktemp("fp")
    one = prints_of(lay_out(base / "a", {"currency": "eur", **params}))
    other = prints_of(lay_out(base / "b", {"currency": "eur", **params}, turned=True))
    assert [each.whole for each in one] == [each.whole for each in other]
    changed = prints_of(lay_out(base / "c", {"currency": "eur", **params, "a": ["something else"]}))
    assert changed[1].value != one[1].value
    assert changed[0].value == one[0].value
