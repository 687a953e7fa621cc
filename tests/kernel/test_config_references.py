"""``${...}``, environments, imports and secrets."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from odibi.config.load import load_project
from odibi.contracts import Secret
from odibi.errors import ConfigError
from odibi.redact import Redactor, looks_secret
from odibi.references import SecretRef, Template

NODES = "pipelines:\n  - pipeline: main\n    nodes:\n      - {name: a, read: {connection: lake, path: a.csv}}\n"


def options(tmp_path: Path, text: str, **environ: str) -> dict[str, Any]:
    """The options of a connection written as ``text``."""
    file = tmp_path / "odibi.yaml"
    file.write_text(
        f"project: p\nvars: {{name: v, deep: {{er: 7}}}}\nconnections:\n  lake:\n    type: local\n{text}\n{NODES}"
    )
    return dict(load_project(file, environ=environ).project.connections["lake"].options)


@pytest.mark.parametrize(
    ("written", "value"),
    [
        ("${PORT}", 8080),
        ('"${PORT}"', "8080"),
        ("${RATIO}", 0.5),
        ("${FLAG}", True),
        ("${WORD}", "True"),
        ("${NULL}", "null"),
        ("${CODE}", "007"),
        ("${EMPTY}", ""),
        ("${EMPTY:-5}", 5),
        ("${UNSET:-}", ""),
        ("${UNSET:-a: b, c}", "a: b, c"),
        ("{a: ${PORT}, b: [${UNSET:-x, y}]}", {"a": 8080, "b": ["x, y"]}),
        ("in ${PORT}/${env:WORD}", "in 8080/True"),
        ("$${PORT}", "${PORT}"),
        ("${YAML}", "[a]: {b"),
        ("${NESTED}", "${PORT}"),
        ("${vars.name}/${vars.deep.er}", "v/7"),
        ("${vars.deep.er}", 7),
        ("plain # ${UNSET}", "plain"),
    ],
)
def test_references_are_replaced_after_parsing(tmp_path: Path, written: str, value: Any) -> None:
    environ = {"PORT": "8080", "RATIO": "0.5", "FLAG": "true", "WORD": "True", "NULL": "null", "CODE": "007",
               "EMPTY": "", "YAML": "[a]: {b", "NESTED": "${PORT}"}  # fmt: skip
    found = options(tmp_path, f"    x: {written}", **environ)["x"]
    assert found == value
    assert type(found) is type(value)


@settings(max_examples=100)
@given(value=st.text(max_size=30).filter(lambda text: "\0" not in text))
def test_no_value_can_become_structure(value: str, tmp_path_factory: pytest.TempPathFactory) -> None:
    folder = tmp_path_factory.getbasetemp()
    assert options(folder, '    x: "${V}"\n    y: [1, ${V}]', V=value) in (
        {"x": value, "y": [1, value]},
        {"x": value, "y": [1, _number(value)]},
    )


def _number(text: str) -> Any:
    for kind in (int, float):
        try:
            return kind(text, 0) if kind is int else kind(text)  # type: ignore[call-overload]
        except ValueError:
            continue
    return text == "true"


def test_secrets_wait_until_a_component_is_built(tmp_path: Path) -> None:
    found = options(tmp_path, "    key: ${secret:kv/storage-key}\n    header: Bearer ${secret:kv/token}")
    assert found["key"] == SecretRef("kv", "storage-key")
    assert found["header"] == Template(("Bearer ", SecretRef("kv", "token")))


def test_environment_that_is_not_there(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text("project: p\nenvironments: {prod: {}, dev: {}}\n")
    with pytest.raises(ConfigError, match=r"there is no environment 'prd'\. Did you mean 'prod'\?"):
        load_project(file, env="prd")


def test_variables_of_other_environments_are_not_asked_for(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text("project: p\nconnections: {lake: {type: local}}\n"
                    "environments: {prod: {connections: {lake: {base_path: '${PROD_DIR}'}}}}\n")  # fmt: skip
    assert load_project(file, environ={}).project.connections["lake"].options == {}
    with pytest.raises(ConfigError, match=r"odibi\.yaml:3:55: the environment variable 'PROD_DIR' is not set"):
        load_project(file, env="prod", environ={})


def test_environment_merges_deeply_and_replaces_lists(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text(
        "project: p\nalerts: [{type: a}, {type: b}]\n"
        "connections: {lake: {type: local, auth: {user: a, host: h}}}\n"
        "environments:\n  dev: {engine: other, alerts: [], connections: {lake: {auth: {user: b}}, sea: {type: s}}}\n"
    )
    project = load_project(file, env="dev", environ={}).project
    assert project.engine == "other"
    assert project.alerts == ()
    assert project.connections["lake"].options == {"auth": {"user": "b", "host": "h"}}
    assert set(project.connections) == {"lake", "sea"}


def test_an_import_that_two_files_need_counts_once(tmp_path: Path) -> None:
    (tmp_path / "base.yaml").write_text("connections: {lake: {type: local}}\n")
    (tmp_path / "one.yaml").write_text("imports: base.yaml\n")
    (tmp_path / "two.yaml").write_text("imports: [base.yaml]\ndescription: two\n")
    (tmp_path / "odibi.yaml").write_text("project: p\nimports: ['${PART}.yaml', two.yaml]\n")
    loaded = load_project(tmp_path / "odibi.yaml", environ={"PART": "one"})
    assert loaded.project.description == "two"
    assert [path.name for path in loaded.sources] == ["base.yaml", "one.yaml", "two.yaml", "odibi.yaml"]


# --- secrets do not leave -------------------------------------------------------------------------------------------


def test_what_looks_secret_is_masked(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text(
        "project: p\nconnections:\n"
        "  lake: {type: x, account_key: inline-key, url: '${URL}', auth: {password: ${PW}}, n: ${API_TOKEN}}\n"
        "pipelines:\n  - {pipeline: p, nodes: [{name: a, function: f, params: {key: column_name}}]}\n"
    )
    loaded = load_project(file, environ={"PW": "pass word", "URL": "https://x", "API_TOKEN": "tok-123"})
    shown = loaded.redactor.redact("inline-key https://x pass word pass%20word tok-123 column_name")
    assert shown == "*** https://x *** *** *** column_name"


def test_no_secret_in_an_error(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text(
        "project: p\nretry: {delay: '${DB_PASSWORD}', backoff: '${DB_PASSWORD}'}\nowner: [${DB_PASSWORD}]\n"
    )
    with pytest.raises(ConfigError) as caught:
        load_project(file, environ={"DB_PASSWORD": "hunter22"})
    assert len(caught.value.problems) == 3
    assert "hunter22" not in str(caught.value)
    assert "'***'" in str(caught.value)


def test_projects_do_not_share_secrets(tmp_path: Path) -> None:
    one, two = tmp_path / "one.yaml", tmp_path / "two.yaml"
    one.write_text("project: p\nconnections: {a: {type: x, password: first-one}}\n")
    two.write_text("project: p\nconnections: {a: {type: x, password: other-one}}\n")
    assert load_project(two).redactor.redact("first-one other-one") == "first-one ***"
    assert load_project(one).redactor.redact("first-one other-one") == "*** other-one"


@pytest.mark.parametrize(
    "name",
    ["password", "DB_PASSWORD", "account_key", "accountKey", "AZURE_STORAGE_KEY", "api_key", "sas_token",
     "clientSecret", "connection_string", "AZURE_STORAGE_CONNECTION_STRING", "key", "SLACK_WEBHOOK_URL", "token"],
)  # fmt: skip
def test_names_that_look_secret(name: str) -> None:
    assert looks_secret(name)


@pytest.mark.parametrize(
    "name",
    [
        "primary_key",
        "partition_key",
        "key_vault_name",
        "secret_name",
        "keys",
        "keyword",
        "monkey",
        "account",
        "host",
        "",
    ],
)
def test_names_that_do_not(name: str) -> None:
    assert not looks_secret(name)


def test_short_values_are_masked_only_whole() -> None:
    redactor = Redactor()
    redactor.register("abc")
    assert redactor.redact("abc") == "***"
    assert redactor.redact("abcdef") == "abcdef"


def test_everything_is_scrubbed() -> None:
    redactor = Redactor()
    redactor.register(Secret('top "secret" <1>'))
    raw = 'top "secret" <1>'
    value = {"a": [f"x{raw}", {"b": raw.encode()}], raw: (1, None, True, Secret(raw)), "e": ValueError(raw)}
    shown = repr(redactor.scrub(value)) + str(redactor.scrub(value)["e"])
    assert "secret" not in shown
    assert redactor.processor(None, "info", {"event": f"got {raw}"}) == {"event": "got ***"}
    assert (
        redactor.redact('top \\"secret\\" <1> top &quot;secret&quot; &lt;1&gt; top+%22secret%22+%3C1%3E')
        == "*** *** ***"
    )


def test_exceptions_are_scrubbed_with_all_they_hold() -> None:
    redactor = Redactor()
    redactor.register("hunter22")
    cause = RuntimeError("no hunter22")
    error = ConfigError("the key hunter22")
    error.add_note("note hunter22")
    error.__cause__, cause.__context__ = cause, error  # a circle
    redactor.scrub_exception(error)
    shown = f"{error} {error.problems} {error.__notes__} {cause} {error.what}"
    assert "hunter22" not in shown
    assert shown.count("***") >= 5


class Request:
    def __repr__(self) -> str:
        return "<Request with hunter22>"


@pytest.mark.parametrize(
    "held",
    [{"password": "hunter22"}, ("a", ["hunter22"]), {"hunter22"}, b"hunter22", Request(), {"deep": [{"x": Request()}]}],
    ids=lambda held: type(held).__name__,
)
def test_what_an_exception_holds_is_scrubbed_however_it_holds_it(held: object) -> None:
    redactor = Redactor()
    redactor.register("hunter22")
    error = ValueError(held, 7)
    error.held = held  # type: ignore[attr-defined]
    redactor.scrub_exception(error)
    assert "hunter22" not in f"{error} {error!r} {error.held!r}"  # type: ignore[attr-defined]
    assert error.args[1] == 7


def test_what_shows_no_secret_stays_as_it_is() -> None:
    redactor = Redactor()
    redactor.register("hunter22")
    held = [{"a": 1}, {1, 2}, (1,), object(), Secret("hunter22"), KeyError("other")]
    error = ValueError(*held)
    error.held = held  # type: ignore[attr-defined]
    redactor.scrub_exception(error)
    assert all(one is other for one, other in zip(error.args, held, strict=True))
    assert error.held is held  # type: ignore[attr-defined]


@given(st.text(min_size=4, max_size=20).filter(str.strip), st.text(max_size=20), st.text(max_size=20))
def test_a_registered_value_is_never_left(secret: str, before: str, after: str) -> None:
    redactor = Redactor()
    redactor.register(secret)
    kept = redactor.redact(f"{before}{secret}{after}").replace("***", "\0")
    assert secret not in kept


def test_the_address_of_an_alert_is_a_secret_however_it_is_written(tmp_path: Path) -> None:
    file = tmp_path / "odibi.yaml"
    file.write_text(
        "project: p\nvars: {team: t3am}\n"
        "alerts:\n"
        "  - {type: a, url: 'https://hooks.example/T0/plain-one'}\n"
        "  - {type: b, url: 'https://hooks.example/${vars.team}/${PART}'}\n"
        "  - {type: c, url: '${secret:safe/hook}'}\n"
        "  - {type: d, url: 'https://hooks.example/${secret:safe/hook}'}\n"
    )
    loaded = load_project(file, environ={"PART": "of-a-variable"})
    plain, joined, whole, template = [alert.url for alert in loaded.project.alerts]
    assert plain == "https://hooks.example/T0/plain-one"
    assert joined == "https://hooks.example/t3am/of-a-variable"
    assert whole == SecretRef("safe", "hook")
    assert isinstance(template, Template)
    for text in (plain, joined, "of-a-variable"):
        assert loaded.redactor.redact(f"it is {text}!") == "it is ***!"
