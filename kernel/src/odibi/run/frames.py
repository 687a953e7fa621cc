"""Values on their way from node to node: one more reader's handle, another engine's frame."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.engine import Engine
    from odibi.run.resources import Resources

_PLAIN: frozenset[type] = frozenset({int, float, complex, bool, str, bytes, type(None), tuple, frozenset, range})


def is_frame_of(value: object, frame_type: str) -> bool:
    """Whether ``value`` is a frame of the type ``"module:Class"``, without importing the module."""
    module, _, name = frame_type.partition(":")
    loaded = sys.modules.get(module)
    kind: Any = loaded
    for part in name.split("."):
        kind = getattr(kind, part, None)
    return isinstance(kind, type) and isinstance(value, kind)


class Frames:
    """Knows which engine a value belongs to; asks each type once."""

    def __init__(self, resources: Resources) -> None:
        self._resources = resources
        self._engine_of: dict[type, str | None] = dict.fromkeys(_PLAIN)
        self._sharers: dict[type, Callable[[Any], Any] | None] = dict.fromkeys(_PLAIN)

    def engine_of(self, value: object) -> str | None:
        """The name of the engine whose frame ``value`` is; ``None`` if it is no frame."""
        kind = type(value)
        if kind in self._engine_of:
            return self._engine_of[kind]
        found = None
        if kind.__module__ != "builtins":
            for name, frame_type in self._resources.frame_types():
                if is_frame_of(value, frame_type):
                    found = name
                    break
        self._engine_of[kind] = found
        return found

    def share(self, value: Any) -> Any:
        """A handle for one more reader. What is no frame is handed on as it is."""
        kind = type(value)
        try:
            sharer = self._sharers[kind]
        except KeyError:
            name = self.engine_of(value)
            sharer = self._sharers[kind] = None if name is None else self._resources.engine(name).share
        return value if sharer is None else sharer(value)

    def adapt(self, value: Any, engine: Engine, *, name: str) -> Any:
        """``value`` as a frame of ``engine``; through Arrow if it is another engine's.

        Raises:
            TransformError: it is no frame at all.
        """
        if is_frame_of(value, engine.frame_type):
            return value
        other = self.engine_of(value)
        if other is not None:
            return engine.from_arrow(self._resources.engine(other).to_arrow(value))
        if hasattr(value, "__arrow_c_stream__"):
            return engine.from_arrow(value)
        raise TransformError(
            f"'{name}' is a {type(value).__module__}.{type(value).__qualname__}, not a table",
            remedy=f"Return a {engine.frame_type.replace(':', '.')} or anything that offers Arrow's C stream.",
        )
