"""The host: finds plugins, checks them, and builds their components.

Nothing that an installed plugin does when it is loaded takes the host down: the plugin is set aside (*quarantined*)
with the cause and the remedy, and named when something of it is needed. There is no global state: hosts with
different plugins work side by side in one process.
"""

from __future__ import annotations

import os
import sys
from _thread import allocate_lock
from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import wraps
from importlib import import_module
from time import perf_counter
from types import ModuleType
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

import pluggy

from odibi import hookspecs
from odibi.errors import ComponentError, ComponentNotFound, OdibiError, PluginBroken, PluginConflict, PluginError
from odibi.host import discovery, manifest
from odibi.host.admission import COLLECTED, Refused, check_api, check_hook, collect, forgotten_marks, nearest
from odibi.host.discovery import normal
from odibi.host.firewall import Verdict, judge, quiet, update, words
from odibi.host.packages import package_of
from odibi.host.selection import KERNEL, Candidate, select

if TYPE_CHECKING:
    from collections.abc import Generator
    from pathlib import Path

    from odibi.contracts.capability import Capability
    from odibi.contracts.executor import Outcome, Task
    from odibi.events import Event
    from odibi.host.manifest import Description
    from odibi.model import Project

__all__ = ["Host", "PluginInfo"]

SLOW_LOAD = 1.0
"""Seconds that a plugin may take to load before that is remarked upon."""

_GOOD = ("loaded", "declared")
_LAST = "the kernel's own way to run a node"
_WORDS = {"transform": "operation", "checkpoint": "checkpoint store", "metric": "metric sink", "secret": "secret store"}


class PluginInfo(NamedTuple):
    """A plugin, and what became of it.

    Attributes:
        distribution, version: whose it is; for a plugin given by hand that is not installed, its module and that
            module's ``__version__``.
        name: of the entry point.
        module: what is imported: ``"module"`` or ``"module:object"``.
        status: ``loaded``, ``declared`` (its manifest says what it offers; it is imported when that is needed),
            ``quarantined`` (it is broken), ``blocked`` (somebody said so) or ``incompatible`` (it needs another version
            of the kernel).
        cause, remedy: why it is not loaded, and what to do about it.
        families: the names of what it offers, by family.
        load_ms: how long loading took, in milliseconds.
        location: the file of its module, or else the folder it is installed in.
        printed: what it printed while loading.
        remarks: what should be known of it though it works.
        api: the versions of the interface that it works with; ``None`` if it does not say.
    """

    distribution: str
    version: str
    name: str
    module: str
    status: str = "loaded"
    cause: str = ""
    remedy: str = ""
    families: Mapping[str, tuple[str, ...]] = {}
    load_ms: float = 0.0
    location: str = ""
    printed: str = ""
    remarks: tuple[str, ...] = ()
    api: str | None = None

    def __str__(self) -> str:
        return f"{self.distribution} {self.version}".rstrip()

    @property
    def label(self) -> str:
        """What it is called in messages."""
        return f"plugin {self.name!r} ({self})"


class _Claim(NamedTuple):
    """That a plugin offers a component."""

    candidate: Candidate
    target: str
    described: Description | None = None


class _Hooks:
    """A plugin as pluggy sees it: its hook functions and nothing else, each in a guard."""

    odibi_run_node: Callable[..., object]


class Host:
    """Plugins and their components.

    Args:
        plugins: given by hand: modules or objects with ``@odibi.hookimpl`` functions, or ``"module"`` and
            ``"module:object"``. They win over installed plugins that offer the same.
        discover: also load what is installed, and heed the environment variable ``ODIBI_PLUGINS_BLOCK`` (names or
            distributions, separated by commas).
        block: names or distributions that are not imported.
        prefer: ``"family.name"`` to the distribution that is used where several offer it, and ``"plugin.name"`` to
            the one that is imported where several plugins have that name.

    Raises:
        PluginBroken: a plugin given by hand cannot be loaded. Those that are only installed never raise here.
    """

    def __init__(
        self,
        plugins: Sequence[object | str] = (),
        *,
        discover: bool = True,
        block: Sequence[str] = (),
        prefer: Mapping[str, str] | None = None,
    ) -> None:
        blocked = dict.fromkeys(map(normal, block), "plugins.block")
        if discover:
            names = os.environ.get("ODIBI_PLUGINS_BLOCK", "").split(",")
            blocked |= {normal(name.strip()): "ODIBI_PLUGINS_BLOCK" for name in names if name.strip()}
        self._prefer = {key: normal(distribution) for key, distribution in (prefer or {}).items()}
        self._manager = pluggy.PluginManager("odibi")
        self._manager.add_hookspecs(hookspecs)
        self._infos: list[PluginInfo] = []
        self._claims: dict[tuple[str, str], list[_Claim]] = {}
        self._classes: dict[tuple[str, str], type] = {}
        self._asleep: list[tuple[int, Candidate]] = []
        self._waking = allocate_lock()
        self._runs_nodes: bool | None = None
        for candidate in select(plugins, discovery.discover() if discover else (), blocked, self._prefer):
            self._infos.append(self._take(candidate))
        self._remark_conflicts()

    # --- what there is ----------------------------------------------------------------------------------------------

    def plugins(self) -> list[PluginInfo]:
        """Every plugin that was found or given, loaded or not: the kernel's own, those given by hand, the others."""
        return list(self._infos)

    def plugin_set(self) -> tuple[tuple[str, str, str], ...]:
        """``(name, distribution, version)`` of the loaded plugins, in order; part of a run's record."""
        return tuple((info.name, info.distribution, info.version) for info in self._infos if info.status in _GOOD)

    def versions_behind(self, family: str, name: str) -> tuple[str, ...]:
        """``"name==version"`` of the plugin that offers a component, and of what that plugin needs.

        Nothing is imported. For one that nobody offers there are none.
        """
        if (family, name) not in self._claims or (claim := self._winner(family, name)) is None:
            return ()
        found = claim.candidate.found
        version = found.version or next((i.version for i in self._infos if i.distribution == found.distribution), "")
        return (f"{normal(found.distribution)}=={version}", *found.behind)

    def target(self, family: str, name: str) -> str:
        """``"module:Class"`` of a component, or ``"module:attribute"`` of a command or a suite.

        Raises:
            ComponentNotFound, PluginConflict: as for :meth:`component`.
        """
        return self._claim(family, name).target

    def hooks_of(self, label: str) -> frozenset[str]:
        """The names of the hooks that a loaded plugin implements.

        Args:
            label: of its :class:`PluginInfo`.
        """
        plugin = self._manager.get_plugin(label)
        callers = self._manager.get_hookcallers(plugin) if plugin is not None else None
        return frozenset(caller.name for caller in callers or ())

    def problems(self) -> list[str]:
        """A line for each plugin that is broken or needs another kernel."""
        return [
            f"{info.label} is {info.status}: {info.cause}. {info.remedy}"
            for info in self._infos
            if info.status in ("quarantined", "incompatible")
        ]

    def conflicts(self) -> list[str]:
        """A line for each component that several plugins claim, where nothing says which one is meant."""
        keys = sorted(key for key in self._claims if self._winner(*key) is None)
        return [str(self._conflict(family, name)) for family, name in keys]

    def names(self, family: str) -> list[str]:
        """The components of a family, sorted; formats and operations as ``"engine.name"`` or ``"name"``.

        Raises:
            ValueError: there is no such family.
        """
        _check_family(family)
        return sorted(name for kind, name in self._claims if kind == family)

    def resolve(self, family: str, engine: str | None, name: str) -> str:
        """The name under which a component is registered, for families whose components may belong to an engine.

        Args:
            family: ``"format"`` or ``"transform"``.
            engine: whose component is wanted; ``f"{engine}.{name}"`` is looked for first.
            name: as a project gives it.

        Raises:
            ComponentNotFound: no plugin offers it; says which one would.
            PluginBroken: the plugin that offers it is installed, but broken.
        """
        _check_family(family)
        for full in _full_names(engine, name):
            if (family, full) in self._claims:
                return full
        raise self._not_found(family, name, engine)

    def description(self, family: str, name: str) -> Description | None:
        """What the manifest of its plugin says of a component; ``None`` if only its class can tell.

        Raises:
            ComponentNotFound, PluginConflict: as for :meth:`component`. Nothing is imported.
        """
        return None if (family, name) in self._classes else self._claim(family, name).described

    def constant(self, family: str, name: str, attribute: str, default: Any = None) -> Any:
        """A class attribute that the contract of a component asks for, such as a format's ``extensions``.

        It is imported only if its plugin has no manifest.

        Raises:
            ComponentNotFound, PluginBroken, PluginConflict: as for :meth:`component`.
        """
        described = self.description(family, name)
        if described is not None and attribute in described.constants:
            return described.constants[attribute]
        return getattr(self.component(family, name), attribute, default)

    def capability(self, family: str, name: str, capability: str) -> Capability:
        """How far a component goes in something; it is imported only if its plugin has no manifest.

        Raises:
            ComponentNotFound, PluginBroken, PluginConflict: as for :meth:`component`.
            ValueError: it says so in words that are none.
        """
        from odibi.contracts.capability import capabilities_of, parse_capability

        described = self.description(family, name)
        if described is not None and capability in described.capabilities:
            return parse_capability(described.capabilities[capability])
        return capabilities_of(family, self.component(family, name))[capability]

    # --- components -------------------------------------------------------------------------------------------------

    def component(self, family: str, name: str) -> type:
        """The class of a component, imported when it is first asked for. Safe to call from many threads.

        Raises:
            ComponentNotFound: no plugin offers it; says which one would.
            PluginBroken: the plugin that offers it, or something it needs, cannot be imported.
            PluginConflict: several plugins offer it.
        """
        known = self._classes.get((family, name))
        if known is not None:
            return known
        candidate, target, _ = self._claim(family, name)
        try:
            with quiet() as printed:
                found = _load(target)
            if not isinstance(found, type):
                raise Refused(f"{target!r} is not a class", update(candidate.package))
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            verdict = _verdict(error, candidate, target)
            raise _broken(candidate.label, verdict, family, name) from error
        if printed:
            from logging import getLogger

            text = printed.decode("utf-8", "replace").strip()
            getLogger("odibi.host").info("%s printed while it was imported: %s", target, text)
        return self._classes.setdefault((family, name), found)

    def build(
        self,
        family: str,
        name: str,
        options: Mapping[str, Any] | None = None,
        *,
        base_dir: Path | None = None,
        purpose: Literal["read", "write"] | None = None,
    ) -> Any:
        """Make a component; the only way in which one is made. The caller owns it, and closes it.

        Args:
            family: such as ``"storage"``.
            name: as registered; see :meth:`resolve`.
            options: from a project.
            base_dir: relative paths among the options count from it.
            purpose: for formats, what it is wanted for; options that have no meaning for that are refused.

        Raises:
            OptionError: the options do not fit.
            ComponentError: they fit, and yet it could not be made.
            ComponentNotFound, PluginBroken, PluginConflict: as for :meth:`component`.
        """
        cls = self.component(family, name)
        from odibi.structure import structure_options

        label = f"{_word(family)} {name!r}"
        try:
            return structure_options(cls, options or {}, component=label, purpose=purpose, base_dir=base_dir)
        except OdibiError:
            raise
        except (Exception, SystemExit) as error:
            candidate = self._claim(family, name).candidate
            what = f"the {candidate.label} could not make it: {words(error, place=True)}."
            raise ComponentError(what, where=label, remedy=update(candidate.package)) from error

    # --- hooks ------------------------------------------------------------------------------------------------------

    def configure(self, project: Project) -> None:
        """Tell every plugin of a project that was read and checked.

        Raises:
            Exception: what the first plugin that failed raised, with a note that names it. All were called.
        """
        self._wake()
        _tell_all(self._each("odibi_configure"), project=project)

    def node_runner(self) -> Callable[[Task], Outcome] | None:
        """What runs an attempt of a node with the plugins around it; ``None`` if no plugin asks for that.

        What a plugin raises there comes out of it, with a note that names the plugin.
        """
        self._wake()
        if not self._runs_nodes:
            return None
        from odibi.contracts.executor import Outcome

        hook = self._manager.hook.odibi_run_node

        def run(task: Task) -> Outcome:
            outcome = hook(task=task)
            if not isinstance(outcome, Outcome):
                plugins = ", ".join({impl.plugin_name for impl in hook.get_hookimpls()} - {_LAST})
                raise PluginError(
                    f"odibi_run_node gave {type(outcome).__name__!r}, not an Outcome.",
                    remedy=f"Tell the authors of the plugins that implement it: {plugins}.",
                )
            return outcome

        return run

    def event_listeners(self) -> list[tuple[str, Callable[[Event], object]]]:
        """For each plugin that wants to know of events, what it is called and what tells it."""
        self._wake()

        def of(tell: Callable[..., object]) -> Callable[[Event], object]:
            return lambda event: tell(event=event)

        return [(label, of(tell)) for label, tell in self._each("odibi_event")]

    def commands(self) -> Mapping[str, str]:
        """More commands for the CLI: name to ``"module:attribute"``. One that several plugins claim is left out."""
        winners = {name: self._winner(family, name) for family, name in self._claims if family == "command"}
        return {name: claim.target for name, claim in winners.items() if claim is not None}

    def close(self) -> None:
        """Forget the imported classes. What was built belongs to whoever asked for it. May be called twice."""
        self._classes.clear()

    # --- loading ----------------------------------------------------------------------------------------------------

    def _take(self, candidate: Candidate) -> PluginInfo:
        """Load a plugin, or find out why it cannot be."""
        found = candidate.found
        info = PluginInfo(found.distribution, found.version, found.name, found.value, location=found.location)
        if candidate.verdict is not None:
            return info._replace(**candidate.verdict._asdict())
        if not candidate.by_hand and found is not KERNEL and not found.trouble:
            declared = self._declared(candidate, info)
            if declared is not None:
                return declared
        return self._import(candidate, info)

    def _declared(self, candidate: Candidate, info: PluginInfo) -> PluginInfo | None:
        """What a plugin's manifest says of it; nothing is imported. ``None`` if there is no manifest to go by."""
        start = perf_counter()
        try:
            said = manifest.read(candidate.found.value.partition(":")[0])
            if said is None:
                return None
            check_api(said.api, candidate.package)
        except manifest.Damaged:
            return None  # its code says the same, and "odibi plugin manifest" says what is wrong
        except Refused as refused:
            return info._replace(**refused.verdict._asdict())
        if said.hooks and not _ambiguous(candidate):
            self._asleep.append((len(self._infos), candidate))
        tables = said.tables()
        for family, table in tables.items():
            for name, target in table.items():
                described = said.components.get(family, {}).get(name)
                self._claims.setdefault((family, name), []).append(_Claim(candidate, target, described))
        verdict = _ambiguous(candidate)
        return info._replace(
            **(verdict._asdict() if verdict else {"status": "declared"}),
            families={family: tuple(sorted(table)) for family, table in tables.items()},
            load_ms=round((perf_counter() - start) * 1e3, 3),
            location=said.file,
            api=said.api,
        )

    def _wake(self) -> None:
        """Import the plugins that have behavioural hooks, once; what goes wrong is logged, and shows in the list."""
        with self._waking:
            if self._runs_nodes is not None:
                return
            for index, candidate in self._asleep:
                declared = self._infos[index]
                loaded = self._import(candidate, declared, claims=False)
                self._infos[index] = loaded._replace(families=declared.families, location=declared.location)
                if loaded.status not in _GOOD:
                    from logging import getLogger

                    words_ = (loaded.label, loaded.status, loaded.cause, loaded.remedy)
                    getLogger("odibi.host").warning("the %s is %s: %s. %s", *words_)
            runs_nodes = bool(self._manager.hook.odibi_run_node.get_hookimpls())
            if runs_nodes:  # registered after all others, so that "trylast" makes it the very last
                default = _Hooks()
                default.odibi_run_node = hookspecs.hookimpl(trylast=True)(_guard(_run_task, "odibi_run_node", _LAST))
                self._manager.register(default, name=_LAST)
            self._runs_nodes = runs_nodes

    def _import(self, candidate: Candidate, info: PluginInfo, *, claims: bool = True) -> PluginInfo:
        """Import a plugin and hand its hooks to pluggy.

        Args:
            candidate: the plugin.
            info: what is known of it.
            claims: note what it offers; its manifest has done so otherwise.
        """
        found = candidate.found
        tables: dict[str, dict[str, str]] = {}
        remarks: list[str] = []
        verdict = None
        start = perf_counter()
        with quiet() as printed:
            try:
                plugin = _entry(candidate) if candidate.given is None else candidate.given
                home = plugin if isinstance(plugin, ModuleType) else sys.modules.get(type(plugin).__module__)
                info = info._replace(
                    version=info.version or str(getattr(home, "__version__", "")),
                    location=getattr(home, "__file__", None) or info.location,
                )
                candidate = candidate._replace(found=found._replace(version=info.version))
                api = getattr(plugin, "ODIBI_API", getattr(home, "ODIBI_API", None))
                check_api(api, candidate.package)
                info = info._replace(api=api)
                self._register(plugin, candidate, tables)
                remarks += [f"{name} is not marked with @odibi.hookimpl" for name in forgotten_marks(plugin)]
            except KeyboardInterrupt:
                raise
            except BaseException as error:
                verdict = _verdict(error, candidate, found.value)
                if candidate.by_hand:
                    what = f"it was given by hand, but {verdict.cause}."
                    raise PluginBroken(what, where=candidate.label, remedy=verdict.remedy) from error
        elapsed = perf_counter() - start
        if elapsed > SLOW_LOAD:
            remarks.append(f"took {elapsed:.1f} s to load; it should import what it needs when that is used")
        if verdict is None:
            verdict = _ambiguous(candidate)
            for family, table in tables.items() if claims else ():
                for name, target in table.items():
                    self._claims.setdefault((family, name), []).append(_Claim(candidate, target))
        if verdict is not None:
            info = info._replace(**verdict._asdict())
            if self._manager.has_plugin(candidate.label):
                self._manager.unregister(name=candidate.label)
        return info._replace(
            **({} if verdict is not None else {"status": "loaded"}),
            load_ms=round(elapsed * 1e3, 3),
            printed=printed.decode("utf-8", "replace"),
            families={family: tuple(sorted(table)) for family, table in tables.items()},
            remarks=tuple(remarks),
        )

    def _register(self, plugin: object, candidate: Candidate, tables: dict[str, dict[str, str]]) -> None:
        """Hand a plugin's hooks to pluggy, and fill ``tables`` with what it offers."""
        hooks = _Hooks()
        collecting: list[tuple[str, Callable[[], object]]] = []
        for attribute in dir(plugin):
            options = self._manager.parse_hookimpl_opts(plugin, attribute)
            if options is None:
                continue
            hook = options.get("specname") or attribute
            check_hook(hook, bool(options.get("optionalhook")), candidate.package)
            function = getattr(plugin, attribute)
            if hook in COLLECTED:
                collecting.append((hook, function))
            wrapper = options.get("wrapper") or options.get("hookwrapper")
            guard = _guard_wrapper if wrapper else _guard
            setattr(hooks, attribute, hookspecs.hookimpl(**options)(guard(function, hook, candidate.label)))
        self._manager.register(hooks, name=candidate.label)
        for hook, function in collecting:
            tables.setdefault(COLLECTED[hook], {}).update(collect(hook, function, candidate.package))

    def _remark_conflicts(self) -> None:
        for (family, name), claims in self._claims.items():
            if self._winner(family, name) is None:
                remark = (
                    f"{_word(family)} {name!r} is offered by {' and '.join(claim.candidate.label for claim in claims)}"
                )
                for index, info in enumerate(self._infos):
                    if name in info.families.get(family, ()):
                        self._infos[index] = info._replace(remarks=(*info.remarks, remark))

    def _each(self, hook: str) -> list[tuple[str, Callable[..., object]]]:
        """For each plugin that implements a hook, in pluggy's order, what calls it alone inside everybody's wrappers.

        So one that fails does not keep the others from being called.
        """
        implementations = getattr(self._manager.hook, hook).get_hookimpls()
        plain = {impl.plugin_name: impl.plugin for impl in implementations if not (impl.wrapper or impl.hookwrapper)}
        return [
            (label, self._manager.subset_hook_caller(hook, [other for other in plain.values() if other is not plugin]))
            for label, plugin in reversed(plain.items())
        ]

    # --- who offers what --------------------------------------------------------------------------------------------

    def _claim(self, family: str, name: str) -> _Claim:
        if (family, name) not in self._claims:
            _check_family(family)
            raise self._not_found(family, name)
        claim = self._winner(family, name)
        if claim is None:
            raise self._conflict(family, name)
        return claim

    def _winner(self, family: str, name: str) -> _Claim | None:
        """The claim that counts: the preferred one, else the one given by hand, else the only one."""
        claims = self._claims[family, name]
        preferred = self._prefer.get(f"{family}.{name}")
        for chosen in (
            [claim for claim in claims if normal(claim.candidate.found.distribution) == preferred],
            [claim for claim in claims if claim.candidate.by_hand],
            claims if not any(claim.candidate.rivals for claim in claims) else [],
        ):
            if len(chosen) == 1:
                return chosen[0]
        return None

    def _conflict(self, family: str, name: str) -> PluginConflict:
        claims = self._claims[family, name]
        rivals = next((claim.candidate.rivals for claim in claims if claim.candidate.rivals), ())
        one = claims[0].candidate.found.distribution
        if len(claims) > 1:
            what = f"it is offered by {' and '.join(claim.candidate.label for claim in claims)}."
            key = f"{family}.{name}"
        else:
            what = f"several plugins have the name of the one that offers it: {' and '.join(rivals)}."
            key = f"plugin.{claims[0].candidate.found.name}"
        remedy = f"Choose one in the project file (plugins: {{prefer: {{{key}: {one}}}}}), or block the others."
        return PluginConflict(what, where=f"{_word(family)} {name!r}", remedy=remedy)

    def _not_found(self, family: str, name: str, engine: str | None = None) -> PluginError:
        """The error for a component that no loaded plugin offers: it is not installed, broken, blocked or misspelt."""
        fulls = _full_names(engine, name)
        package = package_of(family, *fulls)
        what = f"No installed plugin offers the {_word(family)} {name!r}{_for_engine(engine)}."
        for info in self._infos:
            promised = any(full in info.families.get(family, ()) for full in fulls)
            expected = package is not None and normal(info.distribution) == package
            if info.status not in _GOOD and (promised or expected or info.name in (name, engine)):
                if info.status != "blocked":
                    return _broken(info.label, Verdict(info.status, info.cause, info.remedy), family, name)
                return ComponentNotFound(f"{what} {info} is installed, but {info.cause}.", remedy=info.remedy)
            if expected:
                return ComponentNotFound(f"{what} {info} does not.", remedy=f"Update it: pip install -U {package}")
        if package is not None:
            return ComponentNotFound(what, remedy=f"It comes with {package}: pip install {package}")
        offered = [full for kind, full in self._claims if kind == family]
        known = sorted({short for full in offered if (short := _short(full, engine)) is not None})
        hints = [nearest(name, known).strip()]
        if known:
            hints.append(f"{'It has' if engine else 'There are'}: {', '.join(known)}.")
        broken = ", ".join(str(info) for info in self._infos if info.status in ("quarantined", "incompatible"))
        if broken:
            hints.append(f"Plugins that are broken, and may be the ones that offer it: {broken}; see odibi doctor.")
        return ComponentNotFound(what, remedy=" ".join(filter(None, hints)))


# --- loading --------------------------------------------------------------------------------------------------------


def _load(target: str) -> object:
    """Import what ``"module"`` or ``"module:attribute"`` names."""
    module, _, path = target.partition(":")
    found: object = import_module(module)
    for part in filter(None, path.split(".")):
        try:
            found = getattr(found, part)
        except AttributeError as error:
            raise Refused(f"{module!r} has no {path!r}.{nearest(part, dir(found))}".rstrip(".")) from error
    return found


def _entry(candidate: Candidate) -> object:
    """Import the plugin that an entry point names."""
    found = candidate.found
    if found.trouble:
        raise Refused(found.trouble, f"Reinstall it: pip install --force-reinstall {found.distribution}")
    return _load(found.value.partition("[")[0].replace(" ", ""))


def _verdict(error: BaseException, candidate: Candidate, target: str) -> Verdict:
    """Why something of a plugin could not be loaded."""
    if isinstance(error, Refused):
        return error.verdict._replace(remedy=error.verdict.remedy or update(candidate.package))
    if isinstance(error, pluggy.PluginValidationError):
        return Verdict("quarantined", f"its hooks do not fit: {words(error)}", update(candidate.package))
    module = target.partition(":")[0]
    return judge(error, module=module, distribution=candidate.package, requires=candidate.found.requires)


def _ambiguous(candidate: Candidate) -> Verdict | None:
    if not candidate.rivals:
        return None
    cause = f"several plugins have its name: {', '.join(candidate.rivals)}"
    return Verdict("quarantined", cause, "Choose one with plugins.prefer, or block the others by distribution.")


# --- calling --------------------------------------------------------------------------------------------------------


def _run_task(task: Task) -> Outcome:
    return task.run()


def _guard(function: Callable[..., object], hook: str, who: str) -> Callable[..., object]:
    """The function, but what it raises names its plugin."""

    @wraps(function)
    def guarded(*args: object) -> object:
        try:
            return function(*args)
        except (Exception, SystemExit) as error:
            raise _blame(error, hook, who)  # noqa: B904 - the same error, or one that has it as its cause

    return guarded


def _guard_wrapper(function: Callable[..., Any], hook: str, who: str) -> Callable[..., object]:
    """As :func:`_guard`, for a wrapper; an error that only passes through it stays somebody else's."""

    @wraps(function)
    def guarded(*args: object) -> Generator[None, object, object]:
        try:
            return (yield from function(*args))
        except (Exception, SystemExit) as error:
            raise _blame(error, hook, who)  # noqa: B904 - as above

    return guarded


def _blame(error: BaseException, hook: str, who: str) -> Exception:
    """The error with a note that names the plugin; the first plugin it passes is the one to blame."""
    if not isinstance(error, Exception):  # sys.exit() in a hook must not end a worker thread without a word
        error, cause = PluginError(f"{words(error)} in {hook}.", where=who), error
        error.__cause__ = cause
    if not hasattr(error, "odibi_plugin"):
        error.odibi_plugin = who  # type: ignore[attr-defined]
        error.add_note(f"Raised in {hook} by {who}.")
    return error


def _tell_all(tellers: Iterable[tuple[str, Callable[..., object]]], **what: object) -> None:
    """Call all; then raise the first error, if there was one, with a note on the others."""
    errors: list[Exception] = []
    for label, tell in tellers:
        try:
            tell(**what)
        except Exception as error:
            errors.append(error)
            if error is not errors[0]:
                errors[0].add_note(f"The {label} failed too: {words(error)}")
    if errors:
        raise errors[0]


# --- wording --------------------------------------------------------------------------------------------------------


def _broken(label: str, verdict: Verdict, family: str, name: str) -> PluginBroken:
    what = f"the {label} is installed, but {verdict.cause}."
    return PluginBroken(what, where=f"{_word(family)} {name!r}", remedy=verdict.remedy)


def _check_family(family: str) -> None:
    if family not in COLLECTED.values():
        raise ValueError(f"there is no family {family!r}.{nearest(family, COLLECTED.values())}")


def _word(family: str) -> str:
    return _WORDS.get(family, family)


def _for_engine(engine: str | None) -> str:
    return f" for the engine {engine!r}" if engine else ""


def _full_names(engine: str | None, name: str) -> tuple[str, ...]:
    return (f"{engine}.{name}", name) if engine else (name,)


def _short(full: str, engine: str | None) -> str | None:
    """A registered name as a project gives it; ``None`` if it belongs to another engine."""
    owner, dot, short = full.partition(".")
    if not dot or not engine:
        return full
    return short if owner == engine else None
