"""Checks that need more than a file: plugins that are broken, secrets that are not known yet, functions in reach."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import attrs
import pytest

import odibi
from odibi import hookimpl, option
from odibi.config.check import check_project
from odibi.config.load import load_project
from odibi.contracts import Secret
from odibi.errors import ConfigError, PluginBroken
from odibi.host import Host


@attrs.frozen
class Vault:
    url: str = option("", help="Its address.")


@attrs.frozen
class Account:
    key: str = option(help="The key.", secret=True, validator=attrs.validators.matches_re("[a-f]+"))
    user: Secret | None = option(default=None, help="The user.")  # noqa: RUF009 - an attrs field
    port: int = option(1, help="The port.")


def plugin(**storages: str) -> SimpleNamespace:
    def odibi_storages() -> dict[str, str]:
        return storages

    def odibi_secrets() -> dict[str, str]:
        return {"vault": f"{__name__}:Vault"}

    return SimpleNamespace(odibi_storages=hookimpl(odibi_storages), odibi_secrets=hookimpl(odibi_secrets))


NODES = "pipelines: [{pipeline: p, nodes: [{name: a, function: 'builtins:list'}]}]\n"


def checked(tmp_path: Path, text: str, host: Host) -> list[str]:
    file = tmp_path / "odibi.yaml"
    file.write_text(f"project: p\n{text}{NODES}")
    return [str(problem).replace(str(tmp_path), "") for problem in check_project(load_project(file), host)]


@pytest.fixture(name="host")
def _host(monkeypatch: pytest.MonkeyPatch) -> Host:
    import sys

    # The test modules are not importable by name, as a plugin's are.
    module = type(sys)("components_of_check")
    module.Account, module.Vault = Account, Vault  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "components_of_check", module)
    given = plugin(account="components_of_check:Account", gone="no_such_module_for_check:X")
    given.odibi_secrets = hookimpl(lambda: {"vault": "components_of_check:Vault"})
    return Host(plugins=[given], discover=False)


def test_a_secret_that_is_not_known_yet_fits(tmp_path: Path, host: Host) -> None:
    text = "secrets: {kv: vault}\nconnections:\n  a: {type: account, key: '${secret:kv/k}', user: 'x-${secret:kv/u}'}\n"
    assert checked(tmp_path, text, host) == []


def test_a_literal_is_held_against_the_validator_without_showing(tmp_path: Path, host: Host) -> None:
    (line,) = checked(tmp_path, "connections: {a: {type: account, key: 'zzzz'}}\n", host)
    assert line == "/odibi.yaml:2:39: the secret given as 'key' is not valid"


def test_every_option_of_every_connection(tmp_path: Path, host: Host) -> None:
    text = "connections:\n  a: {type: account, key: abc, prt: 1}\n  b: {type: account, port: x}\n"
    assert checked(tmp_path, text, host) == [
        "/odibi.yaml:3:32: unknown option 'prt'. Did you mean 'port'?",
        "/odibi.yaml:4:6: missing option 'key'. Add it: the key.",
        "/odibi.yaml:4:28: expected a whole number, found 'x'",
    ]


def test_a_broken_plugin_that_is_needed_stops_the_check(tmp_path: Path, host: Host) -> None:
    with pytest.raises(PluginBroken):
        checked(tmp_path, "connections: {a: {type: gone}}\n", host)


def test_checking_builds_nothing(tmp_path: Path, host: Host, monkeypatch: pytest.MonkeyPatch) -> None:
    built = []
    monkeypatch.setattr(Account, "__init__", lambda self, **options: built.append(options))
    assert checked(tmp_path, "connections: {a: {type: account, key: abc}}\n", host) == []
    assert built == []


def test_nodes_in_thousands(tmp_path: Path, host: Host) -> None:
    nodes = "".join(
        f"- {{name: n{i}, depends_on: [{f'n{i - 1}' if i else ''}], function: 'builtins:sorted'}}\n"
        for i in range(3000)
    )
    file = tmp_path / "odibi.yaml"
    file.write_text(f"project: p\npipelines:\n- pipeline: p\n  nodes:\n{nodes.replace('- ', '  - ')}")
    loaded = load_project(file)
    assert len(loaded.project.pipelines[0].nodes) == 3000
    assert len(check_project(loaded, host)) == 3000  # "sorted" has no parameter of that name, and needs one


def test_mistakes_of_text_and_of_meaning_are_told_in_one_go(tmp_path: Path) -> None:
    """But not what only follows from a misspelt key: ``one`` has no read left, and that is not its mistake."""
    (tmp_path / "odibi.yaml").write_text(
        "project: p\n"
        "connections:\n"
        "  lake: {type: local, base_path: .}\n"
        "loging: {level: DEBUG}\n"
        "pipelines:\n"
        "  - pipeline: p\n"
        "    nodes:\n"
        "      - {name: one, reed: {connection: lake, path: a.csv}}\n"
        "      - {name: two, depends_on: [onne], function: nothing_such}\n"
    )
    with pytest.raises(ConfigError) as caught:
        odibi.load(tmp_path, host=Host(discover=False))
    told = [(problem.where.line, problem.what) for problem in caught.value.problems if problem.where]
    assert [line for line, _ in told] == [3, 4, 8, 9, 9]
    assert "unknown key 'loging'" in told[1][1]
    assert "unknown key 'reed'" in told[2][1]
    assert any("onne" in what for line, what in told if line == 9)
    assert any("nothing_such" in what for line, what in told if line == 9)
