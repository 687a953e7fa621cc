"""What a plugin must be like to be let in: made for this kernel, with hooks that exist and say what they should."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from difflib import get_close_matches
from inspect import getattr_static

from odibi import API_VERSION, hookspecs
from odibi.host.firewall import Verdict, update, words

COLLECTED = {hook: family for family, hook in hookspecs.REGISTERING.items()} | {
    "odibi_commands": "command",
    "odibi_suites": "suite",
}
"""The hooks that return ``{name: "module:attribute"}``, and the family they register."""

HOOKS = tuple(name for name in vars(hookspecs) if name.startswith("odibi_"))
"""The names of all hooks."""

_TARGET = re.compile(r"[^\W\d]\w*(\.[^\W\d]\w*)*:[^\W\d]\w*(\.[^\W\d]\w*)*")
_CLAUSE = re.compile(r"(>=|<=|==|!=|>|<)\s*(\d+(?:\.\d+)*)")


class Refused(Exception):
    """Raised while a plugin is loaded: it cannot be let in."""

    def __init__(self, cause: str, remedy: str = "", status: str = "quarantined") -> None:
        super().__init__(cause)
        self.verdict = Verdict(status, cause, remedy)


def nearest(word: str, known: Iterable[str]) -> str:
    """``" Did you mean 'x'?"``, or nothing."""
    near = get_close_matches(word, sorted(known), n=1)
    return f" Did you mean {near[0]!r}?" if near else ""


def check_api(wanted: object, distribution: str) -> None:
    """Refuse a plugin that was made for another version of the contracts.

    Args:
        wanted: its ``ODIBI_API``, such as ``">=1.0,<2"``; ``None`` if it does not say.
        distribution: whose plugin it is.
    """
    if wanted is None:
        return
    clauses = [_CLAUSE.fullmatch(clause.strip()) for clause in wanted.split(",")] if isinstance(wanted, str) else [None]
    for clause in clauses:
        if clause is None:
            raise Refused(f"its ODIBI_API is {wanted!r}, not a range such as '>=1.0,<2'", update(distribution))
        operator, text = clause.groups()
        version = tuple(map(int, text.split(".")))
        width = max(len(version), len(API_VERSION))
        ours, theirs = (numbers + (0,) * (width - len(numbers)) for numbers in (API_VERSION, version))
        fits = {
            ">=": ours >= theirs,
            "<=": ours <= theirs,
            "==": ours == theirs,
            "!=": ours != theirs,
            ">": ours > theirs,
            "<": ours < theirs,
        }
        if not fits[operator]:
            api = ".".join(map(str, API_VERSION))
            kernel_is_old = operator in (">=", ">") or (operator == "==" and ours < theirs)
            old = "odibi-kernel" if kernel_is_old else distribution
            raise Refused(
                f"it works with versions {wanted} of the plugin interface, and this kernel has {api}",
                update(old),
                "incompatible",
            )


def check_hook(hook: str, optional: bool, distribution: str) -> None:
    """Refuse a hook that the host does not call, unless its author marked it as optional."""
    if hook not in HOOKS and not optional:
        remedy = nearest(hook, HOOKS).strip() or update(distribution)
        raise Refused(f"it implements {hook!r}, which is not a hook", remedy)


def collect(hook: str, function: Callable[[], object], distribution: str) -> dict[str, str]:
    """What a registering hook returns, checked."""
    try:
        table = function()
    except (Exception, SystemExit) as error:
        raise Refused(f"its {hook} failed: {words(error, place=True)}", update(distribution)) from error
    if not isinstance(table, Mapping):
        raise Refused(f"its {hook} gave {_kind(table)}, not a mapping of names to classes", update(distribution))
    for name, target in table.items():
        if not isinstance(name, str) or not name or name.split() != [name]:
            raise Refused(f"its {hook} gave the name {name!r}, which is not one word", update(distribution))
        if not isinstance(target, str) or not _TARGET.fullmatch(target):
            raise Refused(
                f"its {hook} gave {target!r} for {name!r}, which is not like 'package.module:Class'",
                update(distribution),
            )
    return dict(table)


def forgotten_marks(plugin: object) -> list[str]:
    """The functions that have a hook's name and are not hooks, as nobody marked them."""
    found = {name: getattr_static(plugin, name, None) for name in HOOKS}
    return [name for name, value in found.items() if callable(value) and not hasattr(value, "odibi_impl")]


def _kind(value: object) -> str:
    return "nothing" if value is None else f"a {type(value).__name__}"
