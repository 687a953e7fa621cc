"""Functions of a project: the mark that makes one a transform, and what its parameters say."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Any, TypeVar, overload

AnyFunction = Callable[..., Any]
F = TypeVar("F", bound=AnyFunction)

MARK = "__odibi_transform__"
"""The attribute that :func:`transform` sets: ``{"name": ..., "rowwise": ...}``, and
``frame`` and ``schema`` where they are said."""


@overload
def transform(function: F, /) -> F: ...
@overload
def transform(
    function: str | None = None,
    /,
    *,
    name: str | None = None,
    rowwise: bool = False,
    frame: str | None = None,
    schema: str | None = None,
) -> Callable[[F], F]: ...
def transform(
    function: Any = None,
    /,
    *,
    name: str | None = None,
    rowwise: bool = False,
    frame: str | None = None,
    schema: str | None = None,
) -> Any:
    """Mark a function as one that steps may name: ``@transform``, ``@transform("name")``, ``@transform(rowwise=True)``.

    The function itself is not changed, and nothing is registered anywhere.

    Args:
        function: the function, or the name.
        name: under which steps call it; its own by default.
        rowwise: whether each row of its result depends on one row of its frame alone, so that it may be called with a
            part of the rows at a time.
        frame: the kind of frame that it works on, whatever engine its node runs on: ``"pandas"`` makes Spark call it
            with pandas frames. By default, it works on the frames of the node's engine.
        schema: the columns of what it returns (``"id long, name string"``), for engines that have to know them before
            they call it; found out by calling it with some rows by default, which takes Spark a job.
    """
    if callable(function):
        setattr(function, MARK, {"name": function.__name__, "rowwise": False})
        return function

    def mark(marked: F) -> F:
        said = {"name": name or function or marked.__name__, "rowwise": rowwise, "frame": frame, "schema": schema}
        setattr(marked, MARK, {key: value for key, value in said.items() if value is not None})
        return marked

    return mark


def is_rowwise(function: AnyFunction) -> bool:
    """Whether the function was marked as one that may be called with a part of the rows at a time."""
    return bool(getattr(function, MARK, {}).get("rowwise", False))


def frame_kind(function: AnyFunction) -> tuple[str | None, str | None]:
    """The kind of frame that a function declares to work on, and the columns that it declares to return."""
    said = getattr(function, MARK, {})
    return said.get("frame"), said.get("schema")


def inputs_of(function: AnyFunction, params: Mapping[str, Any], arguments: Mapping[str, str]) -> tuple[str, ...]:
    """The inputs that a function's parameters name.

    Args:
        function: a node's.
        params: values of further parameters; these are no inputs.
        arguments: parameter to input, where their names differ.

    Returns:
        In order, those that ``arguments`` maps and those without a default; ``context`` is left out.
    """
    names = []
    for parameter in inspect.signature(function).parameters.values():
        if parameter.name in arguments:
            names.append(arguments[parameter.name])
        elif (
            parameter.kind not in (parameter.VAR_POSITIONAL, parameter.VAR_KEYWORD)
            and parameter.default is parameter.empty
            and parameter.name not in params
            and parameter.name != "context"
        ):
            names.append(parameter.name)
    return tuple(names)
