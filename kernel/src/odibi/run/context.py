"""What a step may know of the node it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.errors import TransformError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from odibi.contracts.engine import Engine, Session
    from odibi.run.frames import Frames
    from odibi.run.task import NodeTask


class NodeContext:
    """What :class:`odibi.contracts.transform.TransformContext` promises, for one attempt of one node.

    Args:
        task: the attempt.
        engine: the node's.
        frames: moves values between engines.
        inputs: the values of the declared inputs, by every name they go by.
    """

    def __init__(self, task: NodeTask, engine: Engine, frames: Frames, inputs: Mapping[str, Any]) -> None:
        self.node = task.node.name
        self.engine = engine
        self.params: Mapping[str, Any] = {}
        self.sensitive = task.node.sensitive
        self.current: Any = None
        self._task = task
        self._frames = frames
        self._inputs = inputs
        self._session: Session | None = None

    def get(self, name: str) -> Any:
        """The frame of a declared input; a handle of the step's own, that it may change."""
        if name not in self._inputs:
            known = ", ".join(self._inputs) or "none"
            raise TransformError(
                f"'{name}' is not an input of '{self.node}'; its inputs are: {known}.",
                remedy=f"Add '{name}' to its depends_on.",
            )
        return self._frames.share(self._frames.adapt(self._inputs[name], self.engine, name=name))

    def has(self, name: str) -> bool:
        """Whether ``name`` is a declared input."""
        return name in self._inputs

    def names(self) -> tuple[str, ...]:
        """The declared inputs, in order."""
        return tuple(self._inputs)

    list_names = names
    """Its name in Odibi 2."""

    def sql(self, query: str, frames: Mapping[str, Any] | None = None) -> Any:
        """Run a query in the node's own namespace."""
        visible = {}
        for name, value in self._inputs.items():
            if self._frames.engine_of(value) is not None or hasattr(value, "__arrow_c_stream__"):
                visible[name] = self._frames.adapt(value, self.engine, name=name)
        if self.current is not None:
            visible["df"] = self.current
        if frames:
            visible.update(frames)
        return self.session.sql(query, visible)

    @property
    def session(self) -> Session:
        """The node's namespace for SQL, opened when it is first used."""
        if self._session is None:
            self._session = self.engine.session(self.node)
            self._task.hold(self._session)
        return self._session

    def cancelled(self) -> bool:
        """Whether the run wants this node to stop."""
        return self._task.cancelled()

    def close(self) -> None:
        """Drop the namespace."""
        if self._session is not None:
            self._task.hold(None)
            self._session.close()
            self._session = None
