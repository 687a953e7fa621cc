"""A zoo of broken plugins. Whatever they do, the host works, and says who did what and what helps.

A plugin that ends the process from below (``os._exit``, a signal, a segmentation fault in a C library) is out of
reach: nothing in the same process survives that.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import textwrap

import pytest

from odibi.errors import ComponentNotFound, PluginBroken, PluginConflict
from odibi.host import Host

STORAGE = """
import attrs

@attrs.define
class Good:
    size: int = 1

NotAClass = 3
"""

HEALTHY = """
from odibi import hookimpl

@hookimpl
def odibi_storages():
    return {"healthy": "healthy_storage:Good"}
"""


def plugin(body: str, head: str = "") -> str:
    return f"{head}\nfrom odibi import hookimpl\n\n@hookimpl\ndef odibi_storages():\n    {body}\n"


# name of the beast: (status, what the cause says, what the remedy says, its source)
AT_LOADING = {
    "raises": (
        "quarantined",
        r"ValueError: boom \(.*raises\.py, line 1\)",
        "pip install -U odibi-raises",
        "raise ValueError('boom')",
    ),
    "exits": ("quarantined", r"it called sys\.exit\(0\)", "pip install -U odibi-exits", "import sys; sys.exit(0)"),
    "generator_exit": ("quarantined", "GeneratorExit", "pip install -U", "raise GeneratorExit"),
    "own_base_exception": (
        "quarantined",
        "Rude: no",
        "pip install -U",
        "class Rude(BaseException): pass\nraise Rude('no')",
    ),
    "unprintable": (
        "quarantined",
        "Odd: .its message cannot",
        "pip install -U",
        "class Odd(Exception):\n  def __str__(self): raise OSError\nraise Odd",
    ),
    "recursion": ("quarantined", "RecursionError", "pip install -U", "def f(): f()\nf()"),
    "memory": ("quarantined", "MemoryError", "pip install -U", "raise MemoryError"),
    "syntax": ("quarantined", r"SyntaxError.*syntax\.py, line 1", "pip install -U odibi-syntax", "def (:"),
    "null_bytes": ("quarantined", "SyntaxError", "pip install -U", "x = 1\0"),
    "missing_dependency": (
        "quarantined",
        "it needs 'no_such_lib', which is not installed",
        "pip install no-such-lib",
        "import no_such_lib.deep",
    ),
    "missing_own_module": (
        "quarantined",
        "its module 'missing_own_module.part' is not there",
        "--force-reinstall odibi-missing-own-module",
        "import missing_own_module.part",
    ),
    "newer_kernel": (
        "incompatible",
        "needs another version of the kernel",
        "pip install -U odibi-kernel odibi-newer-kernel",
        "from odibi.contracts import NotYetInvented",
    ),
    "too_new": (
        "incompatible",
        "works with versions >=99.0 of the plugin interface",
        "pip install -U odibi-kernel",
        plugin("return {}", "ODIBI_API = '>=99.0'"),
    ),
    "too_old": (
        "incompatible",
        "works with versions >=0.1,<0.9 of",
        "pip install -U odibi-too-old",
        plugin("return {}", "ODIBI_API = '>=0.1,<0.9'"),
    ),
    "api_gibberish": (
        "quarantined",
        "its ODIBI_API is 'new'",
        "pip install -U",
        plugin("return {}", "ODIBI_API = 'new'"),
    ),
    "api_number": ("quarantined", "its ODIBI_API is 1.0", "pip install -U", plugin("return {}", "ODIBI_API = 1.0")),
    "typo_in_hook": (
        "quarantined",
        "implements 'odibi_storags', which is not a hook",
        "Did you mean 'odibi_storages'",
        "from odibi import hookimpl\n@hookimpl\ndef odibi_storags(): return {}",
    ),
    "unknown_family": (
        "quarantined",
        "implements 'odibi_teapots', which is not a hook",
        "",
        "from odibi import hookimpl\n@hookimpl\ndef odibi_teapots(): return {}",
    ),
    "unknown_argument": (
        "quarantined",
        "its hooks do not fit.*flavour",
        "pip install -U",
        "from odibi import hookimpl\n@hookimpl\ndef odibi_event(flavour): pass",
    ),
    "hook_raises": (
        "quarantined",
        r"its odibi_storages failed: KeyError: 'x' \(.*hook_raises\.py, line 6\)",
        "pip install -U odibi-hook-raises",
        plugin("return {}['x']"),
    ),
    "hook_exits": (
        "quarantined",
        r"its odibi_storages failed: it called sys\.exit\('bye'\)",
        "pip install -U",
        plugin("raise SystemExit('bye')"),
    ),
    "hook_gives_nothing": (
        "quarantined",
        "its odibi_storages gave nothing, not a mapping",
        "pip install -U",
        plugin("pass"),
    ),
    "hook_gives_list": ("quarantined", "gave a list, not a mapping", "pip install -U", plugin("return ['a']")),
    "hook_gives_generator": ("quarantined", "gave a generator, not a mapping", "pip install -U", plugin("yield {}")),
    "name_is_number": (
        "quarantined",
        "gave the name 7, which is not one word",
        "pip install -U",
        plugin("return {7: 'a:B'}"),
    ),
    "name_with_space": ("quarantined", "gave the name 'a b'", "pip install -U", plugin("return {'a b': 'a:B'}")),
    "target_without_class": (
        "quarantined",
        "gave 'healthy_storage' for 'x', which is not like",
        "pip install -U",
        plugin("return {'x': 'healthy_storage'}"),
    ),
    "target_is_class": ("quarantined", "gave <class 'dict'> for 'x'", "pip install -U", plugin("return {'x': dict}")),
    "warned_to_death": (
        "quarantined",
        "UserWarning: old",
        "pip install -U",
        "import warnings\nwarnings.simplefilter('error')\nwarnings.warn('old')",
    ),
}


@pytest.fixture
def healthy(zoo):
    zoo.add("odibi-healthy", healthy=HEALTHY, healthy_storage=STORAGE)
    return zoo


def distribution_of(name: str) -> str:
    return f"odibi-{name.replace('_', '-')}"


@pytest.mark.parametrize("name", AT_LOADING)
def test_a_plugin_that_fails_to_load_is_set_aside_and_named(name, healthy, recwarn):
    status, cause, remedy, source = AT_LOADING[name]
    healthy.add(distribution_of(name), "1.2.3", requires=("no-such-lib>=2; python_version>'3'",), **{name: source})

    host = Host()

    info = next(info for info in host.plugins() if info.name == name)
    assert (info.distribution, info.version, info.status) == (distribution_of(name), "1.2.3", status)
    assert re.search(cause, info.cause)
    assert remedy in info.remedy
    assert info.remedy
    (line,) = host.problems()
    assert line == f"plugin {name!r} ({distribution_of(name)} 1.2.3) is {status}: {info.cause}. {info.remedy}"
    assert host.build("storage", "healthy", {"size": 3}).size == 3
    assert name not in [plugin for plugin, _, _ in host.plugin_set()]


@pytest.mark.parametrize("name", AT_LOADING)
def test_a_plugin_given_by_hand_must_load(name, zoo, recwarn):
    _, cause, _, source = AT_LOADING[name]
    (zoo.folder / f"{name}.py").write_text(source)
    with pytest.raises(PluginBroken, match=cause) as caught:
        Host([name], discover=False)
    assert f"plugin {name!r}" in str(caught.value)
    assert f"pip install -U {name}" not in str(caught.value)


def test_the_interrupt_of_the_user_is_not_caught(zoo):
    zoo.add("odibi-interrupted", interrupted="raise KeyboardInterrupt")
    with pytest.raises(KeyboardInterrupt):
        Host()
    assert type(sys.stdout).__module__ != "odibi.host.firewall"


@pytest.mark.parametrize(
    ("value", "cause"),
    [
        ("no_such_module", "its module 'no_such_module' is not there"),
        ("no.such.module", "its module 'no' is not there"),
        ("healthy:nothing", "'healthy' has no 'nothing'"),
        ("healthy:odibi_storage", "'healthy' has no 'odibi_storage'. Did you mean 'odibi_storages'?"),
        ("", "it cannot be imported: ValueError"),
    ],
)
def test_an_entry_point_that_leads_nowhere(value, cause, healthy):
    healthy.add("odibi-lost", "0.1", points={"lost": value})
    host = Host()
    (line,) = host.problems()
    assert "plugin 'lost' (odibi-lost 0.1) is quarantined" in line
    assert cause in line
    assert host.build("storage", "healthy")


def test_damaged_metadata_are_told_and_hide_nothing(healthy):
    healthy.raw("odibi-damaged", "3", "[odibi]\nthis is no entry point")
    bad = healthy.folder / "unrelated-1.dist-info"
    bad.mkdir()
    (bad / "entry_points.txt").write_bytes(b"\xff\xfe[odibi]")
    host = Host()
    (line,) = host.problems()
    assert line.startswith("plugin 'odibi-damaged' (odibi-damaged) is quarantined: its metadata are damaged")
    assert "pip install --force-reinstall odibi-damaged" in line
    assert host.build("storage", "healthy")


def component_plugin(target: str) -> str:
    return plugin(f"return {{'beast': {target!r}}}")


IN_COMPONENT = {
    "import_raises": ("x = 1 / 0", "Beast", "ZeroDivisionError", "pip install -U odibi-beast"),
    "import_exits": ("import sys; sys.exit(3)", "Beast", r"it called sys\.exit\(3\)", "pip install -U odibi-beast"),
    "no_class": (
        "class Baest: pass",
        "Beast",
        "'beast_storage' has no 'Beast'. Did you mean 'Baest'",
        "pip install -U",
    ),
    "not_a_class": ("Beast = 3", "Beast", "'beast_storage:Beast' is not a class", "pip install -U odibi-beast"),
    "missing_dependency": (
        "import no_such_lib",
        "Beast",
        "it needs 'no_such_lib', which is not installed",
        "pip install no-such-lib",
    ),
    "missing_own_part": (
        "import beast_storage.part",
        "Beast",
        "its module 'beast_storage.part' is not there",
        "--force-reinstall",
    ),
}


@pytest.mark.parametrize("name", IN_COMPONENT)
def test_a_component_that_cannot_be_imported(name, healthy, capfd):
    source, attribute, cause, remedy = IN_COMPONENT[name]
    target = f"beast_storage:{attribute}"
    healthy.add(
        "odibi-beast",
        "4.5",
        requires=("no-such-lib",),
        beast=component_plugin(target),
        beast_storage="print('noise')\n" + source,
    )
    host = Host()
    assert host.problems() == []
    with pytest.raises(PluginBroken, match=cause) as caught:
        host.build("storage", "beast")
    assert str(caught.value).startswith("storage 'beast': the plugin 'beast' (odibi-beast 4.5) is installed, but ")
    assert remedy in caught.value.remedy
    assert caught.value.exit_code == 3
    assert host.build("storage", "healthy")
    assert capfd.readouterr() == ("", "")


def test_a_module_that_is_not_there_is_told_from_a_dependency_that_is_not(zoo):
    zoo.add("odibi-beast", beast=component_plugin("nowhere_storage:Beast"))
    with pytest.raises(PluginBroken, match="its module 'nowhere_storage' is not there") as caught:
        Host().build("storage", "beast")
    assert "--force-reinstall odibi-beast" in caught.value.remedy


# --- two of a kind --------------------------------------------------------------------------------------------------


@pytest.fixture
def rivals(healthy):
    for letter in "ab":
        healthy.add(
            f"odibi-{letter}",
            f"{ord(letter)}.0",
            **{f"rival_{letter}": component_plugin(f"rival_storage_{letter}:Good")},
            **{f"rival_storage_{letter}": STORAGE},
        )
    return healthy


def test_two_plugins_that_claim_one_component(rivals):
    host = Host()
    assert host.problems() == []
    assert host.build("storage", "healthy")
    with pytest.raises(PluginConflict) as caught:
        host.build("storage", "beast")
    text = str(caught.value)
    assert text.startswith("storage 'beast': ")
    assert "odibi-a 97.0" in text
    assert "odibi-b 98.0" in text
    assert "storage.beast: odibi-a" in caught.value.remedy
    assert host.conflicts() == [text]
    remarks = [info.remarks for info in host.plugins() if info.name.startswith("rival")]
    assert [len(found) for found in remarks] == [1, 1]
    assert "odibi-a 97.0" in remarks[0][0]


@pytest.mark.parametrize(
    ("arguments", "winner"),
    [
        ({"prefer": {"storage.beast": "odibi-b"}}, "b"),
        ({"prefer": {"storage.beast": "Odibi_A"}}, "a"),
        ({"block": ["rival_a"]}, "b"),
        ({"block": ["odibi-b"]}, "a"),
        ({"block": ["ODIBI.B"]}, "a"),
        ({"plugins": ["rival_b"]}, "b"),
    ],
)
def test_what_settles_a_conflict(arguments, winner, rivals):
    host = Host(**arguments)
    assert host.component("storage", "beast").__module__ == f"rival_storage_{winner}"
    assert host.conflicts() == []


def test_preferring_a_distribution_that_has_no_part_in_it_settles_nothing(rivals):
    with pytest.raises(PluginConflict):
        Host(prefer={"storage.beast": "odibi-c"}).component("storage", "beast")


@pytest.fixture
def namesakes(healthy):
    for letter in "ab":
        healthy.add(
            f"odibi-{letter}",
            points={"twin": f"twin_{letter}"},
            **{f"twin_{letter}": component_plugin(f"twin_storage_{letter}:Good").replace("beast", f"beast_{letter}")},
            **{f"twin_storage_{letter}": STORAGE},
        )
    return healthy


def test_two_plugins_of_one_name(namesakes):
    host = Host()
    assert host.build("storage", "healthy")
    twins = [info for info in host.plugins() if info.name == "twin"]
    assert [info.status for info in twins] == ["quarantined", "quarantined"]
    assert all("odibi-a 1.0" in info.cause and "odibi-b 1.0" in info.cause for info in twins)
    with pytest.raises(PluginConflict) as caught:
        host.build("storage", "beast_a")
    assert "odibi-a 1.0" in str(caught.value)
    assert "odibi-b 1.0" in str(caught.value)
    assert "plugin.twin: odibi-a" in caught.value.remedy


@pytest.mark.parametrize("arguments", [{"prefer": {"plugin.twin": "odibi-b"}}, {"block": ["odibi-a"]}])
def test_what_settles_a_name_acts_before_the_import(arguments, namesakes):
    host = Host(**arguments)
    assert "twin_a" not in sys.modules
    assert host.names("storage").count("beast_b") == 1
    assert "beast_a" not in host.names("storage")
    assert host.problems() == []


def test_nobody_takes_the_kernels_name(healthy):
    healthy.add("odibi-impostor", points={"kernel": "impostor"}, impostor="raise RuntimeError('imported')")
    host = Host()
    assert host.problems() == []
    assert host.plugins()[0].distribution == "odibi-kernel"
    assert [info.status for info in host.plugins() if info.name == "kernel"] == ["loaded", "blocked"]


# --- blocking -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("blocked", ["raises", "odibi-raises", "other, Odibi_Raises ,"])
def test_a_blocked_plugin_is_not_imported(blocked, healthy, monkeypatch):
    healthy.add("odibi-raises", raises="import pathlib; pathlib.Path(__file__).with_suffix('.ran').touch(); 1 / 0")
    monkeypatch.setenv("ODIBI_PLUGINS_BLOCK", blocked)
    host = Host()
    info = next(info for info in host.plugins() if info.name == "raises")
    assert (info.status, info.cause) == ("blocked", "ODIBI_PLUGINS_BLOCK names it")
    assert not (healthy.folder / "raises.ran").exists()
    assert host.problems() == []


def test_the_variable_does_not_count_where_nothing_is_discovered(monkeypatch):
    monkeypatch.setenv("ODIBI_PLUGINS_BLOCK", "kernel")
    assert Host(discover=False).names("executor") == ["inline", "threads"]


def test_a_component_of_a_blocked_plugin(healthy):
    with pytest.raises(ComponentNotFound, match="odibi-healthy 1.0 is installed, but plugins.block names it"):
        Host(block=["healthy"]).build("storage", "healthy")


# --- streams --------------------------------------------------------------------------------------------------------

CHATTER = """
import logging, os, sys, warnings
print("to stdout")
print("to stderr", file=sys.stderr)
sys.stdout.write("written\\n")
sys.stdout.buffer.write(b"as bytes\\n")
sys.stdout.flush()
warnings.warn("a warning")
handler = logging.StreamHandler(sys.stdout)
sys.stdout.fileno()
sys.stdout = sys.stderr = None
"""


def test_whatever_all_of_them_do_the_standard_streams_stay_clean(healthy):
    """All beasts at once, in a process of its own: nothing leaks, nothing dies, everybody is named."""
    healthy.add("odibi-chatter", chatter=CHATTER + plugin("print('in a hook'); return {}"))
    healthy.add("odibi-loud", loud=component_plugin("loud_storage:Good"), loud_storage="print('late')\n" + STORAGE)
    for name, (*_, source) in AT_LOADING.items():
        healthy.add(distribution_of(name), **{name: source})
    script = """
        import json, sys
        from odibi.host import Host
        host = Host()
        assert host.build("storage", "healthy", {"size": 2}).size == 2
        host.build("storage", "beast")
        print(json.dumps([info._asdict() for info in host.plugins()]))
        sys.modules["chatter"].handler.stream.write("later\\n")
    """
    environment = {**os.environ, "PYTHONPATH": str(healthy.folder)}
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(script)], env=environment, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stderr) == (0, "")
    report, later = done.stdout.splitlines()
    assert later == "later"
    plugins = {info["name"]: info for info in json.loads(report)}
    assert plugins["chatter"]["status"] == "loaded"
    assert plugins["chatter"]["printed"].splitlines()[:4] == ["to stdout", "to stderr", "written", "as bytes"]
    assert "a warning" in plugins["chatter"]["printed"]
    assert {name: plugins[name]["status"] for name in AT_LOADING} == {name: AT_LOADING[name][0] for name in AT_LOADING}


def test_a_slow_plugin_is_remarked_upon(healthy, monkeypatch):
    monkeypatch.setattr("odibi.host.host.SLOW_LOAD", 0.0)
    host = Host()
    info = next(info for info in host.plugins() if info.name == "healthy")
    assert info.status == "loaded"
    assert info.load_ms > 0
    assert re.fullmatch(r"took \d+\.\d s to load; .*", info.remarks[0])


def test_a_hook_that_nobody_marked_is_remarked_upon(zoo):
    zoo.add("odibi-forgetful", forgetful="def odibi_storages(): return {}\ndef odibi_other(): pass")
    info = next(info for info in Host().plugins() if info.name == "forgetful")
    assert info.remarks == ("odibi_storages is not marked with @odibi.hookimpl",)
