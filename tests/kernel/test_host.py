from __future__ import annotations

import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import attrs
import pytest

from odibi import hookimpl, option
from odibi.contracts.executor import Outcome, State
from odibi.errors import ComponentError, ComponentNotFound, OptionError, PluginBroken, PluginError
from odibi.events import Event
from odibi.host import Host
from odibi.host.admission import Refused, check_api
from odibi.model import Project


@attrs.define
class Box:
    size: int = option(1, help="How big.")
    folder: str = option("box", help="Where.", is_path=True)
    only_read: bool = option(False, help="For reading.", only="read")


@attrs.define
class Fragile:
    def __attrs_post_init__(self) -> None:
        raise ConnectionError("no line")


BOX = f"{__name__}:Box"


class Shop:
    """A plugin object with something in several families."""

    __version__ = "7"

    @hookimpl
    def odibi_storages(self):
        return {"box": BOX, "fragile": f"{__name__}:Fragile"}

    @hookimpl
    def odibi_formats(self):
        return dict.fromkeys(("pandas.csv", "pandas.parquet", "raw", "pandas.both", "both"), BOX)

    @hookimpl
    def odibi_transforms(self):
        return {"spark.pivot": BOX}

    @hookimpl
    def odibi_commands(self):
        return {"shop": "host_components:command"}


def shop() -> Host:
    return Host([Shop()], discover=False)


# --- building -------------------------------------------------------------------------------------------------------


def test_build(tmp_path):
    host = shop()
    assert host.build("storage", "box") == Box()
    built = host.build("storage", "box", {"size": "3", "folder": "data"}, base_dir=tmp_path)
    assert built == Box(size=3, folder=str(tmp_path / "data"))
    assert host.build("format", "raw", {"only_read": True}, purpose="read").only_read


def test_options_that_do_not_fit():
    with pytest.raises(OptionError) as caught:
        shop().build("storage", "box", {"sise": 3})
    assert str(caught.value).startswith("storage 'box': ")
    assert "Did you mean 'size'?" in str(caught.value)
    with pytest.raises(OptionError, match="format 'raw'"):
        shop().build("format", "raw", {"only_read": True}, purpose="write")


def test_a_component_that_fails_when_it_is_made():
    with pytest.raises(
        ComponentError, match=r"storage 'fragile': the plugin .*Shop.* ConnectionError: no line"
    ) as caught:
        shop().build("storage", "fragile")
    assert isinstance(caught.value.__cause__, ConnectionError)


def test_the_kernels_own_executors():
    host = Host(discover=False)
    assert host.names("executor") == ["inline", "threads"]
    assert host.build("executor", "threads", {"workers": 2}).workers == 2


def test_the_class_is_imported_when_it_is_first_asked_for_and_once(zoo):
    zoo.add(
        "odibi-lazy",
        lazy="from odibi import hookimpl\n@hookimpl\ndef odibi_storages(): return {'lazy': 'lazy_storage:Lazy'}",
        lazy_storage="""
            import attrs
            with open(__file__ + '.log', 'a') as log: log.write('x')
            @attrs.define
            class Lazy: pass
        """,
    )
    host = Host()
    assert "lazy_storage" not in sys.modules
    start = Barrier(8)

    def build(_: int) -> type:
        start.wait()
        return type(host.build("storage", "lazy"))

    with ThreadPoolExecutor(8) as pool:
        kinds = set(pool.map(build, range(8)))
    assert len(kinds) == 1
    assert (zoo.folder / "lazy_storage.py.log").read_text() == "x"
    host.close()
    host.close()
    assert type(host.build("storage", "lazy")) in kinds


def test_names_and_families():
    host = shop()
    assert host.names("format") == ["both", "pandas.both", "pandas.csv", "pandas.parquet", "raw"]
    assert host.names("secret") == []
    with pytest.raises(ValueError, match=r"no family 'formats'\. Did you mean 'format'\?"):
        host.names("formats")
    with pytest.raises(ValueError, match="no family"):
        host.build("store", "box")


# --- what is not there ----------------------------------------------------------------------------------------------


def test_resolve():
    host = shop()
    assert host.resolve("format", "pandas", "csv") == "pandas.csv"
    assert host.resolve("format", "pandas", "raw") == "raw"
    assert host.resolve("format", None, "raw") == "raw"
    assert host.resolve("format", "pandas", "both") == "pandas.both"
    assert host.resolve("format", "spark", "both") == "both"
    assert host.resolve("transform", "spark", "pivot") == "spark.pivot"


@pytest.mark.parametrize(
    ("ask", "message"),
    [
        (
            ("format", "pandas", "delta"),
            "the format 'delta' for the engine 'pandas'. It comes with odibi-delta: pip install odibi-delta",
        ),
        (
            ("format", "pandas", "parqet"),
            "the format 'parqet' for the engine 'pandas'. Did you mean 'parquet'? It has: both, csv, parquet, raw.",
        ),
        (
            ("format", "spark", "csv"),
            "the format 'csv' for the engine 'spark'. It comes with odibi-spark: pip install odibi-spark",
        ),
        (("transform", "pandas", "teleport"), "the operation 'teleport' for the engine 'pandas'."),
    ],
)
def test_a_component_that_no_plugin_offers(ask, message):
    with pytest.raises(ComponentNotFound) as caught:
        shop().resolve(*ask)
    assert str(caught.value).strip() == f"No installed plugin offers {message}"
    assert caught.value.exit_code == 3


@pytest.mark.parametrize(
    ("family", "name", "package"),
    [
        ("storage", "azure_blob", "odibi-azure"),
        ("storage", "s3", "odibi-s3"),
        ("engine", "spark", "odibi-spark"),
        ("engine", "pandas", "odibi-pandas"),
        ("trigger", "cron", "odibi-triggers"),
        ("metric", "prometheus", "odibi-metrics"),
        ("executor", "ray", "odibi-ray"),
    ],
)
def test_the_package_that_would_bring_it(family, name, package):
    with pytest.raises(ComponentNotFound, match=f"pip install {package}$"):
        Host(discover=False).build(family, name)


def test_an_installed_package_that_is_too_old_for_the_component(zoo):
    zoo.add(
        "odibi-delta", "0.0.1", delta_plugin="from odibi import hookimpl\n@hookimpl\ndef odibi_formats(): return {}"
    )
    with pytest.raises(
        ComponentNotFound, match=r"odibi-delta 0\.0\.1 does not\. Update it: pip install -U odibi-delta"
    ):
        Host().resolve("format", "pandas", "delta")


def test_a_broken_plugin_is_blamed_for_what_it_is_known_to_ship(zoo):
    zoo.add("odibi-delta", "2.0", requires=("deltalake",), delta_plugin="import deltalake_that_is_not_there")
    with pytest.raises(PluginBroken) as caught:
        Host().resolve("format", "pandas", "delta")
    assert str(caught.value) == (
        "format 'delta': the plugin 'delta_plugin' (odibi-delta 2.0) is installed, but it needs "
        "'deltalake_that_is_not_there', which is not installed. Install it: pip install deltalake_that_is_not_there"
    )


def test_a_broken_plugin_is_blamed_for_what_has_its_name(zoo):
    zoo.add("odibi-polars", points={"polars": "polars_plugin"}, polars_plugin="1 / 0")
    with pytest.raises(PluginBroken, match="ZeroDivisionError"):
        Host().component("engine", "polars")
    with pytest.raises(PluginBroken, match="ZeroDivisionError"):
        Host().resolve("format", "polars", "arrow_stream")


def test_a_broken_plugin_that_may_offer_it_is_mentioned(zoo):
    zoo.add("odibi-mystery", "3", mystery="1 / 0")
    with pytest.raises(ComponentNotFound, match="may be the ones that offer it: odibi-mystery 3; see odibi doctor"):
        Host().component("storage", "unheard_of")


# --- several hosts --------------------------------------------------------------------------------------------------


def test_hosts_do_not_share_anything(zoo):
    zoo.add("odibi-a", plugin_a="from odibi import hookimpl\n@hookimpl\ndef odibi_storages(): return {'a': 'a:A'}")
    one, other, third = shop(), Host(discover=False), Host(block=["plugin_a"])
    assert "box" in one.names("storage")
    assert other.names("storage") == []
    assert "a" not in third.names("storage")
    assert "a" in Host().names("storage")
    assert "a" not in one.names("storage")
    assert "a" not in third.names("storage")


def test_one_plugin_in_two_hosts():
    plugin = Shop()
    hosts = [Host([plugin], discover=False) for _ in range(2)]
    assert all(host.build("storage", "box") for host in hosts)


def test_a_plugin_by_hand_that_is_installed_too_is_loaded_once_and_has_its_distribution(zoo):
    zoo.add("odibi-a", "5", plugin_a="from odibi import hookimpl\n@hookimpl\ndef odibi_storages(): return {'a': 'a:A'}")
    host = Host(["plugin_a", "plugin_a"])
    assert host.plugin_set()[:2] == (
        ("kernel", "odibi-kernel", host.plugins()[0].version),
        ("plugin_a", "odibi-a", "5"),
    )
    assert [info.name for info in host.plugins()].count("plugin_a") == 1
    import plugin_a

    assert Host([plugin_a]).plugin_set() == host.plugin_set()


def test_a_plugin_by_hand_comes_before_an_installed_one_of_its_name(zoo):
    zoo.add("odibi-a", points={"mine": "plugin_a"}, plugin_a="1 / 0")
    (zoo.folder / "mine.py").write_text("")
    host = Host(["mine"])
    assert [info.status for info in host.plugins() if info.name == "mine"] == ["loaded", "blocked"]
    assert "plugin_a" not in sys.modules


def test_two_objects_of_one_class_are_two_plugins():
    host = Host([Listener(), Listener()], discover=False)
    assert len(host.plugins()) == 3
    assert len({info.name for info in host.plugins()}) == 3
    assert len(host.event_listeners()) == 2


def test_what_is_known_of_a_plugin(zoo):
    zoo.add(
        "odibi-a",
        "5",
        plugin_a="from odibi import hookimpl\n@hookimpl\ndef odibi_storages(): return {'b': 'a:A', 'a': 'a:A'}",
    )
    info = next(info for info in Host().plugins() if info.name == "plugin_a")
    assert (info.distribution, info.version, info.module, info.status) == ("odibi-a", "5", "plugin_a", "loaded")
    assert info.families == {"storage": ("a", "b")}
    assert info.location == str(zoo.folder / "plugin_a.py")
    assert info.label == "plugin 'plugin_a' (odibi-a 5)"
    kernel = Host(discover=False).plugins()[0]
    assert kernel.families == {"executor": ("inline", "threads")}


# --- hooks ----------------------------------------------------------------------------------------------------------


class Listener:
    def __init__(self, error: BaseException | None = None) -> None:
        self.seen: list[object] = []
        self.error = error

    def _see(self, what: object) -> None:
        self.seen.append(what)
        if self.error is not None:
            raise self.error

    @hookimpl
    def odibi_configure(self, project):
        self._see(project)

    @hookimpl
    def odibi_event(self, event):
        self._see(event)


EVENT = Event("run", 0, 0.0)


def notes(error: BaseException) -> str:
    return "\n".join(getattr(error, "__notes__", []))


def test_configure_calls_all_and_names_the_one_that_failed():
    first, good, second = Listener(ValueError("a")), Listener(), Listener(ValueError("b"))
    project = Project("p")
    with pytest.raises(ValueError, match="b") as caught:
        Host([first, good, second], discover=False).configure(project)
    assert all(listener.seen == [project] for listener in (first, good, second))
    assert "Raised in odibi_configure by plugin" in notes(caught.value)
    assert "Listener#3" in notes(caught.value)
    assert "failed too: ValueError: a" in notes(caught.value)


def test_configure_without_trouble():
    listener = Listener()
    Host([listener], discover=False).configure(Project("p"))
    assert len(listener.seen) == 1


def test_sys_exit_in_a_hook_is_an_error_like_others():
    with pytest.raises(PluginError, match=r"plugin .*Listener.*: it called sys\.exit\(0\) in odibi_configure"):
        Host([Listener(SystemExit(0))], discover=False).configure(Project("p"))


def test_the_interrupt_of_the_user_passes():
    with pytest.raises(KeyboardInterrupt):
        Host([Listener(KeyboardInterrupt())], discover=False).configure(Project("p"))


def test_each_plugin_is_told_of_events_on_its_own():
    bad, good = Listener(ValueError("x")), Listener()
    (name, tell_good), (_, tell_bad) = Host([bad, good], discover=False).event_listeners()
    assert "Listener#2" in name
    tell_good(EVENT)
    assert (good.seen, bad.seen) == ([EVENT], [])
    for _ in range(3):
        with pytest.raises(ValueError, match="x") as caught:
            tell_bad(EVENT)
    assert notes(caught.value).count("Raised in odibi_event by plugin") == 1  # the same exception, over and over
    assert (len(good.seen), len(bad.seen)) == (1, 3)


def test_nothing_is_paid_for_hooks_that_nobody_implements():
    host = shop()
    assert host.event_listeners() == []
    assert host.node_runner() is None


def test_a_wrapper_of_events():
    told = []

    class Around:
        @hookimpl(wrapper=True)
        def odibi_event(self, event):
            told.append("before")
            result = yield
            told.append("after")
            return result

    listener = Listener()
    ((_, tell),) = Host([listener, Around()], discover=False).event_listeners()
    tell(EVENT)
    assert listener.seen == [EVENT]
    assert told == ["before", "after"]


class Job:
    """As much of a task as the hook needs."""

    def __init__(self) -> None:
        self.runs = 0

    def run(self) -> Outcome:
        self.runs += 1
        return Outcome("n", State.SUCCEEDED)


class Around:
    def __init__(self, *log: str) -> None:
        self.log = list(log)

    @hookimpl(wrapper=True)
    def odibi_run_node(self, task):
        self.log.append("before")
        try:
            return (yield)
        finally:
            self.log.append("after")


class Instead:
    def __init__(self, result: object) -> None:
        self.result = result

    @hookimpl
    def odibi_run_node(self, task):
        if isinstance(self.result, BaseException):
            raise self.result
        return self.result


class Last:
    def __init__(self) -> None:
        self.asked = 0

    @hookimpl(trylast=True)
    def odibi_run_node(self):
        self.asked += 1


def test_a_wrapped_node_is_run_by_the_kernel():
    around, job, last = Around(), Job(), Last()
    outcome = Host([around, last], discover=False).node_runner()(job)
    assert outcome.state is State.SUCCEEDED
    assert job.runs == 1
    assert last.asked == 1
    assert around.log == ["before", "after"]


def test_a_plugin_may_run_a_node_itself():
    mine, job = Outcome("n", State.REUSED), Job()
    assert Host([Instead(mine), Last()], discover=False).node_runner()(job) is mine
    assert job.runs == 0


def test_a_plugin_that_fails_to_run_a_node_is_named():
    around, job = Around(), Job()
    run = Host([Instead(OSError("disk")), around], discover=False).node_runner()
    with pytest.raises(OSError, match="disk") as caught:
        run(job)
    assert notes(caught.value).count("Raised in odibi_run_node by plugin") == 1
    assert "Instead" in notes(caught.value)
    assert around.log == ["before", "after"]
    with pytest.raises(PluginError, match="Instead"):
        Host([Instead(SystemExit(1))], discover=False).node_runner()(job)


def test_a_wrapper_that_fails_is_named():
    class Broken:
        @hookimpl(wrapper=True)
        def odibi_run_node(self, task):
            yield
            raise OSError("late")

    with pytest.raises(OSError, match="late") as caught:
        Host([Broken()], discover=False).node_runner()(Job())
    assert "Broken" in notes(caught.value)


def test_what_is_no_outcome_is_refused():
    with pytest.raises(PluginError, match=r"odibi_run_node gave 'str', not an Outcome.*Instead"):
        Host([Instead("done")], discover=False).node_runner()(Job())


def test_commands(zoo):
    assert shop().commands() == {"shop": "host_components:command"}
    for letter in "ab":
        body = (
            f"from odibi import hookimpl\n@hookimpl\ndef odibi_commands(): return {{'same': 'm:c', '{letter}': 'm:c'}}"
        )
        zoo.add(f"odibi-{letter}", **{f"commands_{letter}": body})
    host = Host()
    assert {"a", "b"} <= set(host.commands())
    assert "same" not in host.commands()
    assert any("command 'same'" in line for line in host.conflicts())


def test_a_plugin_with_hooks_for_a_later_kernel_may_say_so():
    class Ahead:
        @hookimpl(optionalhook=True)
        def odibi_not_yet(self):
            raise AssertionError

        @hookimpl(specname="odibi_storages")
        def stores(self):
            return {"box": BOX}

    assert Host([Ahead()], discover=False).names("storage") == ["box"]


def test_a_plugin_is_inspected_without_running_its_properties():
    class Odd(Shop):
        @property
        def expensive(self):
            raise AssertionError("was run")

    assert Host([Odd()], discover=False).names("storage") == ["box", "fragile"]


def test_a_plugin_that_was_set_aside_is_told_nothing(zoo):
    zoo.add(
        "odibi-half",
        half="""
            from odibi import hookimpl

            @hookimpl
            def odibi_event(event):
                raise AssertionError

            @hookimpl
            def odibi_storages():
                return 5
        """,
    )
    host = Host()
    assert "odibi-half" in host.problems()[0]
    assert not any("half" in name for name, _ in host.event_listeners())


def test_what_a_component_prints_when_it_is_imported_is_logged(zoo, caplog, capsys):
    caplog.set_level("INFO", "odibi")
    (zoo.folder / "printing_component.py").write_text("print('hello')\nclass C: pass")

    class Printing:
        @hookimpl
        def odibi_storages(self):
            return {"p": "printing_component:C"}

    Host([Printing()], discover=False).component("storage", "p")
    assert caplog.messages == ["printing_component:C printed while it was imported: hello"]
    assert capsys.readouterr() == ("", "")


def test_an_entry_point_may_name_an_object_of_a_module(zoo):
    source = """
        from odibi import hookimpl

        ODIBI_API = {api!r}

        class Plugin:
            @hookimpl
            def odibi_storages(self):
                return {{"s": "m:S"}}

        plugin = Plugin()
    """
    zoo.add("odibi-new", points={"new": "new_plugin:plugin"}, new_plugin=source.format(api=">=99"))
    zoo.add("odibi-fit", points={"fit": "fit_plugin : plugin [extra]"}, fit_plugin=source.format(api=">=1,<2"))
    host = Host()
    assert {info.name: info.status for info in host.plugins() if info.name in ("new", "fit")} == {
        "new": "incompatible",
        "fit": "loaded",
    }
    assert host.names("storage").count("s") == 1


@pytest.mark.parametrize(
    ("wanted", "update"),
    [
        (">=1.0,<2", None),
        (">=1", None),
        ("==1", None),
        ("==1.0.0", None),
        (" > 0.9 , != 1.1 ", None),
        ("<=1", None),
        (None, None),
        (">1", "odibi-kernel"),
        (">=1.0.1", "odibi-kernel"),
        ("==1.1", "odibi-kernel"),
        ("<1", "odibi-x"),
        ("<=0.9.9", "odibi-x"),
        ("!=1.0", "odibi-x"),
    ],
)
def test_the_range_of_the_interface(wanted, update):
    if update is None:
        check_api(wanted, "odibi-x")
    else:
        with pytest.raises(Refused) as caught:
            check_api(wanted, "odibi-x")
        assert caught.value.verdict.status == "incompatible"
        assert f"pip install -U {update}," in caught.value.verdict.remedy


# --- the first-party plugins ----------------------------------------------------------------------------------------


def test_listing_all_installed_plugins_imports_none_of_their_dependencies(tmp_path):
    script = "import sys; from odibi.host import Host; h = Host(); h.plugins(); h.names('format'); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        env={**os.environ, "XDG_CACHE_HOME": str(tmp_path)},
    )
    assert done.stderr == ""
    loaded = {name.partition(".")[0] for name in done.stdout.split()}
    assert loaded & {"attr", "cattrs", "structlog", "rich", "yaml", "pandas", "pyarrow", "duckdb", "numpy"} == set()
