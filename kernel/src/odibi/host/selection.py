"""Which plugins are to be loaded: decided from names alone, before any of them is imported."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

from odibi import __version__
from odibi.host.discovery import Found, normal
from odibi.host.firewall import Verdict

KERNEL = Found("kernel", "odibi.builtin", "odibi-kernel", __version__)


class Candidate(NamedTuple):
    """A plugin before it is loaded.

    Attributes:
        found: what its metadata tell; made up for a plugin given by hand that is not installed.
        given: the plugin itself, if the application gave it.
        by_hand: whether the application named or gave it.
        installed: whether a distribution is known for it.
        verdict: why it must not be imported.
        rivals: all plugins that have its name, where nothing says which one is meant.
    """

    found: Found
    given: object = None
    by_hand: bool = False
    installed: bool = True
    verdict: Verdict | None = None
    rivals: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """What it is called in messages, unique in its host."""
        found = self.found
        owner = f"{found.distribution} {found.version}".rstrip()
        return f"plugin {found.name!r} ({owner})"

    @property
    def package(self) -> str:
        """What can be given to pip; empty for a plugin that is not installed by it."""
        return self.found.distribution if self.installed else ""


def select(
    given: Iterable[object | str], installed: Sequence[Found], blocked: Mapping[str, str], prefer: Mapping[str, str]
) -> list[Candidate]:
    """All plugins in the order in which they are loaded, with a verdict on those that must not be.

    Args:
        given: by the application: modules, objects, or the names of modules.
        installed: what discovery found.
        blocked: names and distributions that are not imported, normalised, to who says so.
        prefer: ``"plugin.name"`` to the distribution, normalised, whose plugin of that name is taken.
    """
    by_hand = _by_hand(given, {found.value: found for found in installed})
    values = {candidate.found.value for candidate in by_hand}
    others = [Candidate(found) for found in installed if found.value not in values]
    candidates = [_unless_blocked(candidate, blocked) for candidate in (Candidate(KERNEL), *by_hand, *others)]
    namesakes: dict[str, list[int]] = {}
    for index, candidate in enumerate(candidates):
        if candidate.verdict is None:
            namesakes.setdefault(candidate.found.name, []).append(index)
    for name, indexes in namesakes.items():
        if len(indexes) > 1:
            rivals = [candidates[index] for index in indexes]
            for index, settled in zip(indexes, _settle(rivals, prefer.get(f"plugin.{name}")), strict=True):
                candidates[index] = settled
    return candidates


def _by_hand(given: Iterable[object | str], installed: Mapping[str, Found]) -> list[Candidate]:
    candidates: dict[str, Candidate] = {}
    for plugin in given:
        value = plugin if isinstance(plugin, str) else getattr(plugin, "__name__", "")
        if not value:  # an instance; there may be several of one class
            kind = f"{type(plugin).__module__}:{type(plugin).__qualname__}"
            same = sum(candidate.found.value.partition("#")[0] == kind for candidate in candidates.values())
            value = f"{kind}#{same + 1}" if same else kind
        module = value.partition(":")[0]
        found = installed.get(value) or Found(value, value, module, "")
        given_object = None if isinstance(plugin, str) else plugin
        candidates.setdefault(value, Candidate(found, given_object, by_hand=True, installed=value in installed))
    return list(candidates.values())


def _unless_blocked(candidate: Candidate, blocked: Mapping[str, str]) -> Candidate:
    found = candidate.found
    by = blocked.get(normal(found.name)) or blocked.get(normal(found.distribution))
    if by is None:
        return candidate
    return candidate._replace(verdict=Verdict("blocked", f"{by} names it", f"Take it out of {by} to use it."))


def _settle(rivals: list[Candidate], preferred: str | None) -> list[Candidate]:
    """Several plugins have one name: take the preferred one, else the one given by hand, else leave it open."""
    chosen = next((rival for rival in rivals if normal(rival.found.distribution) == preferred), None)
    chosen = chosen or next((rival for rival in rivals if rival.by_hand or rival.found is KERNEL), None)
    if chosen is None:
        labels = tuple(rival.label for rival in rivals)
        return [rival._replace(rivals=labels) for rival in rivals]
    verdict = Verdict("blocked", f"{chosen.label} has the same name and comes first", "Choose with plugins.prefer.")
    return [rival if rival is chosen else rival._replace(verdict=verdict) for rival in rivals]
