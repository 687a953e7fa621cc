"""The reference says what the code says."""

from __future__ import annotations

import inspect
import json
import re
import subprocess
import sys
from pathlib import Path

import jsonschema
import pytest

from odibi import hookspecs
from odibi.contracts import FAMILIES
from odibi.manifest import manifest_schema


def test_the_reference_is_as_the_code_would_write_it(root: Path) -> None:
    done = subprocess.run([sys.executable, root / "docs" / "generate.py", "--check"], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_page_of_the_reference_is_generated(root: Path) -> None:
    for path in (root / "docs" / "reference").rglob("*"):
        if path.suffix == ".md":
            assert "<!-- Written by docs/generate.py; change the code instead. -->" in path.read_text("utf-8"), path


HOOKS = [name for name in vars(hookspecs) if name.startswith("odibi_")]


@pytest.mark.parametrize("name", HOOKS)
def test_every_hook_and_each_of_its_arguments_is_documented(root: Path, name: str) -> None:
    page = (root / "docs/reference/hooks" / f"{name}.md").read_text("utf-8")
    arguments = list(inspect.signature(getattr(hookspecs, name)).parameters)
    signature = str(inspect.signature(getattr(hookspecs, name))).replace("'", "")
    assert f"def {name}{signature}" in page
    for argument in arguments:
        assert f"- `{argument}`: " in page


def test_the_schema_of_manifests_fits_those_that_are_there(root: Path) -> None:
    schema = manifest_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    found = list(root.glob("plugins/*/src/*/odibi-plugin.json"))
    assert len(found) >= 3
    for path in found:
        data = json.loads(path.read_text("utf-8"))
        jsonschema.validate(data, schema)
        for named in data["components"].values():
            for component in named.values():
                jsonschema.Draft202012Validator.check_schema(component["options"])
    data["hooks"] = "none"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.validate(data, schema)


@pytest.mark.parametrize("family", [*FAMILIES, "plugin"])
def test_each_test_of_a_suite_says_which_promise_it_holds(root: Path, family: str) -> None:
    page = (root / "docs/reference/suites" / f"{family}.md").read_text("utf-8")
    rows = re.findall(r"^\| `(test_\w+)` \| (.*) \|$", page, re.MULTILINE)
    assert len(rows) >= 5
    assert [name for name, promise in rows if len(promise.split()) < 2] == []
