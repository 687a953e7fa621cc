"""Broken project files, each with exactly the lines that it must give; good ones that must load unchanged."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import jsonschema
import pytest
import yaml

from odibi.config.check import check_project
from odibi.config.load import Loaded, load_project
from odibi.config.schema import project_schema
from odibi.errors import ConfigError
from odibi.host import Host
from odibi.model import Backoff, OnError, OnFail, Operation, Sql, WriteMode

CORPUS = Path(__file__).parent / "corpus_config"
BAD = sorted(path.name for path in (CORPUS / "bad").iterdir() if (CORPUS / "bad" / f"{path.name}.expected").exists())
GOOD = sorted(path.name for path in (CORPUS / "good").iterdir() if path.suffix in (".yaml", ".json", ".toml"))
ENVIRON = {"CONTAINER": "silver", "ACCOUNT_KEY": "c2VjcmV0LWtleQ==", "HOOK_URL": "https://hooks.example/T0/B0"}


@pytest.fixture(scope="module", name="host")
def _host() -> Iterator[Host]:
    """A host with the corpus's own components and nothing else."""
    sys.path.insert(0, str(CORPUS))
    try:
        yield Host(plugins=["config_components"], discover=False)
    finally:
        sys.path.remove(str(CORPUS))


def outcome(name: str, host: Host) -> str:
    try:
        loaded = load_project(name, environ={})
    except ConfigError as error:
        return str(error)
    return "\n".join(map(str, check_project(loaded, host)))


def test_corpus_is_large_enough() -> None:
    assert len(BAD) >= 60


@pytest.mark.parametrize("name", BAD)
def test_broken_project_says_what_where_and_what_to_do(name: str, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(CORPUS / "bad")
    assert outcome(name, host) == Path(f"{name}.expected").read_text(encoding="utf-8").rstrip("\n")


@pytest.mark.parametrize("name", GOOD)
def test_good_project_has_no_problems(name: str, host: Host) -> None:
    loaded = load_project(CORPUS / "good" / name, environ=ENVIRON)
    assert check_project(loaded, host) == []


def load(name: str, env: str | None = None) -> Loaded:
    return load_project(CORPUS / "good" / name, env=env, environ=ENVIRON)


def test_odibi2_example_means_what_it_says() -> None:
    project = load("odibi2.yaml").project
    read, clean, save = project.pipelines[0].nodes
    assert read.read is not None
    assert (read.read.connection, read.read.format, read.read.path) == ("local", "csv", "sales.csv")
    assert read.read.options == {"header": True}
    assert clean.transform is not None
    assert isinstance(clean.transform.steps[0], Sql)
    assert isinstance(clean.transform.steps[2], Operation)
    assert clean.validation is not None
    assert clean.validation.ranges["amount"].max == 1000000
    assert clean.validation.allowed_values == {"region": ("EU", "US")}
    assert (clean.sensitive, clean.on_error) == (("region",), OnError.FAIL_LATER)
    assert save.write is not None
    assert save.write.mode is WriteMode.OVERWRITE
    assert project.retry is not None
    assert project.retry.backoff is Backoff.EXPONENTIAL
    assert project.story is not None
    assert project.connections["local"].options == {"base_path": "./data"}
    assert set(project.functions) == {"add_tax", "tidy", "make_calendar", "join_up"}


def test_values_keep_what_was_written() -> None:
    loaded = load("odibi2_long.yaml")
    project, (flights, _, per_day) = loaded.project, loaded.project.pipelines[0].nodes
    assert project.version == "1.10"
    assert project.logging.metadata == {"team": "data", "cost_center": "007"}
    assert project.connections["cloud"].options["port"] == 443
    assert flights.read is not None
    assert flights.read.options == {"sep": ";", "header": "yes"}
    assert per_day.transform is not None
    assert per_day.transform.steps[2].params == {"on": ["carrier", 100000.0, 1.5, "no", "2013-01-01"]}  # type: ignore[union-attr]
    assert per_day.validation is not None
    assert per_day.validation.unique == (("carrier", "flight"),)
    assert per_day.validation.on_fail is OnFail.QUARANTINE
    assert (per_day.timeout, per_day.tags) == (600.0, ("daily",))


def test_merge_keys_and_aliases() -> None:
    _, b, c = load("anchors.yaml").project.pipelines[0].nodes
    assert b.read is not None
    assert (b.read.path, b.read.connection, b.read.options) == ("b.csv", "lake", {"header": True})
    assert c.read is not None
    assert c.read.path == "a.csv"


def test_imports_come_first_and_environments_last() -> None:
    plain, test = load("parts.toml"), load("parts.toml", env="test")
    assert [pipeline.name for pipeline in plain.project.pipelines] == ["first", "own"]
    assert plain.project.connections["lake"].options["base_path"] == "data"
    assert test.project.connections["lake"].options["base_path"] == "elsewhere"
    assert plain.project.executor.options == {"workers": 4}
    assert [path.name for path in plain.sources] == ["connections.yaml", "pipelines.yaml", "parts.toml"]


def test_variables_and_escapes() -> None:
    (node,) = load("project.json").project.pipelines[0].nodes
    assert node.read is not None
    assert node.read.path == "2013-01-01/a.csv"
    assert node.transform is not None
    assert node.transform.steps == (Sql("SELECT '${x}' AS x FROM df"),)


class _Text(yaml.SafeLoader):
    """Dates as text, as Odibi reads them."""


_Text.yaml_implicit_resolvers = {
    first: [(tag, pattern) for tag, pattern in resolvers if not tag.endswith("timestamp")]
    for first, resolvers in yaml.SafeLoader.yaml_implicit_resolvers.items()
}


@pytest.mark.parametrize("with_host", [True, False])
@pytest.mark.parametrize("name", ["odibi2.yaml", "odibi2_long.yaml", "anchors.yaml", "project.json"])
def test_good_projects_fit_the_schema(name: str, host: Host, *, with_host: bool) -> None:
    schema = project_schema(host if with_host else None)
    jsonschema.Draft202012Validator.check_schema(schema)
    data = yaml.load((CORPUS / "good" / name).read_text(encoding="utf-8"), Loader=_Text)
    jsonschema.validate(data, schema)


@pytest.mark.parametrize(
    "name",
    [
        "unknown_top_key.yaml", "unknown_node_keys.yaml", "wrong_types.yaml", "write_mode.yaml", "step_kinds.yaml",
        "connection_without_type.yaml", "validation_shapes.yaml", "pipelines_is_mapping.yaml", "no_project.yaml",
        "environment_shapes.yaml",
    ],
)  # fmt: skip
def test_schema_rejects_wrong_shapes(name: str) -> None:
    data = yaml.safe_load((CORPUS / "bad" / name).read_text(encoding="utf-8"))
    assert not jsonschema.Draft202012Validator(project_schema()).is_valid(data)


@pytest.mark.parametrize(
    "name", ["connection_options.yaml", "format_options.yaml", "unknown_operation.yaml", "unknown_connection_type.yaml"]
)
def test_schema_knows_the_options_of_components(name: str, host: Host) -> None:
    data = yaml.safe_load((CORPUS / "bad" / name).read_text(encoding="utf-8"))
    if name == "format_options.yaml":
        data["pipelines"][0]["nodes"][0]["read"]["format"] = "csv"
    schema = project_schema(host)
    if name == "unknown_operation.yaml":
        del data["pipelines"][0]["nodes"][0]["transform"]["steps"][0]
    assert jsonschema.Draft202012Validator(project_schema()).is_valid(data)
    assert not jsonschema.Draft202012Validator(schema).is_valid(data)
