"""What a run is about, in words and JSON values, for observers that tell people of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from datetime import date, time
from enum import Enum
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.observer import PlannedNode
from odibi.contracts.secret import Secret
from odibi.model import Alert, ComponentConfig, Connection
from odibi.redact import MASK, looks_secret
from odibi.references import SecretRef, Template

if TYPE_CHECKING:
    from odibi.contracts.storage import Storage
    from odibi.fingerprint import Fingerprint
    from odibi.model import Node, Pipeline, Project, Read, Write
    from odibi.plan import Plan
    from odibi.redact import Redactor

_SAID_APART = {"name", "depends_on", "sensitive", "description"}
_NOT_SETTINGS = {"root", "functions"}


class Facts:
    """What :class:`~odibi.contracts.observer.RunFacts` promises; everything is worked out when it is asked for.

    Args:
        plan: of the run.
        pipeline, project: whose.
        redactor: knows the project's secrets.
        files: what the project was read from, the project file last.
        command: the words that run the same again.
        storage: the connections of the project, by name.
    """

    def __init__(
        self,
        plan: Plan,
        pipeline: Pipeline,
        project: Project,
        redactor: Redactor,
        files: Sequence[Path] = (),
        command: Sequence[str] = (),
        storage: Callable[[str], Storage] | None = None,
    ) -> None:
        self.root, self.files, self.command = project.root, tuple(files)[::-1], tuple(command)
        self._storage = storage
        self._by_name: dict[str, Node] | None = None
        self._plan, self._pipeline, self._project, self._redactor = plan, pipeline, project, redactor

    def scrub(self, value: Any) -> Any:
        """See :class:`~odibi.contracts.observer.RunFacts`."""
        return self._redactor.scrub(value)

    def nodes(self) -> Sequence[PlannedNode]:
        """See :class:`~odibi.contracts.observer.RunFacts`."""
        plan = self._plan
        prints: Sequence[Fingerprint | None] = plan.prints or [None] * len(plan)
        estimates = plan.estimates or [0.0] * len(plan)
        rows = zip(plan.graph.nodes, plan.actions, plan.reasons, prints, estimates, strict=True)
        return [self._planned(*row) for row in rows]

    def _planned(self, node: Node, action: Any, reason: str, known: Fingerprint | None, estimate: float) -> PlannedNode:
        scrub = self._redactor.scrub
        source: dict[str, Any] = {}
        if known is not None and known.source is not None:
            found = known.source
            source = {
                "digest": found.digest,
                "objects": found.objects,
                "bytes": found.bytes,
                "newest": found.newest,
                "increment": found.increment,
            }
        return PlannedNode(
            node.name,
            tuple(node.depends_on),
            action.value,
            scrub(reason),
            scrub({key: value for key, value in plain(node).items() if key not in _SAID_APART}),
            node.engine or self._pipeline.engine or self._project.engine,
            scrub(_place(node.read)),
            scrub(_place(node.write)),
            node.sensitive,
            known.whole if known is not None else "",
            dict(known.parts) if known is not None else {},
            source,
            estimate,
        )

    def places(self, node: str) -> tuple[str, str]:
        """See :class:`~odibi.contracts.observer.RunFacts`."""
        if self._by_name is None:
            self._by_name = {each.name: each for each in self._plan.graph.nodes}
        found = self._by_name.get(node)
        return (self._address(found.read), self._address(found.write)) if found is not None else ("", "")

    def _address(self, place: Read | Write | None) -> str:
        if place is None or place.path is None or self._storage is None:
            return ""
        try:
            return str(self._redactor.scrub(self._storage(place.connection).uri(place.path)))
        except Exception:  # what is wrong with a connection is told by the node that uses it
            return ""

    def config(self) -> Mapping[str, Any]:
        """See :class:`~odibi.contracts.observer.RunFacts`."""
        project = plain(self._project)
        for name in _NOT_SETTINGS:
            project.pop(name, None)
        project["pipelines"] = [
            {key: value for key, value in plain(each).items() if key != "nodes"} for each in self._project.pipelines
        ]
        scrubbed: Mapping[str, Any] = self._redactor.scrub(project)
        return scrubbed


def plain(value: Any, *, options: bool = False) -> Any:
    """A part of the model as JSON values, without what is left at its default.

    Args:
        value: an object of the model, or what such objects hold.
        options: whether it is the options of a component, where a key that sounds like a secret holds one.
    """
    if attrs.has(type(value)) and not isinstance(value, Secret | SecretRef | Template):
        return _settings(value)
    if isinstance(value, Mapping):
        return {
            str(key): MASK if options and _is_secret(str(key), item) else plain(item, options=options)
            for key, item in value.items()
        }
    if isinstance(value, Enum):
        return value.value
    if value is None or isinstance(value, str | bool | int | float):
        return value
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item, options=options) for item in value]
    if isinstance(value, date | time):
        return value.isoformat()
    if isinstance(value, Callable):  # type: ignore[arg-type]
        return f"{getattr(value, '__module__', '?')}:{getattr(value, '__qualname__', type(value).__name__)}"
    return str(value)


def _settings(value: Any) -> dict[str, Any]:
    is_component = isinstance(value, ComponentConfig | Connection) or hasattr(value, "options")
    found: dict[str, Any] = {}
    for field in attrs.fields(type(value)):
        held = getattr(value, field.name)
        if field.default is not attrs.NOTHING and _is_default(held, field.default, value):
            continue
        if isinstance(value, Alert) and field.name == "url" and isinstance(held, str):
            held = MASK  # whoever has it can send there
        found[field.name] = plain(held, options=is_component and field.name == "options")
    return found


def _is_default(held: Any, default: Any, holder: Any) -> bool:
    if isinstance(default, attrs.Factory):  # type: ignore[arg-type]
        default = default.factory(holder) if default.takes_self else default.factory()
    return bool(held == default)


def _is_secret(key: str, value: Any) -> bool:
    """Whether an option holds a secret itself; a reference to one shows as it was written."""
    return looks_secret(key) and not isinstance(value, SecretRef | Template | bool | None)


def _place(place: Read | Write | None) -> str:
    if place is None:
        return ""
    what = place.path or place.table or getattr(place, "query", None) or ""
    return f"{place.connection}:{what}"
