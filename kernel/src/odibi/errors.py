"""Every error the kernel and its plugins raise on purpose.

An error says three things: *what* happened, *where* (a file position, a node, a plugin) and *what to do*. The class
says who has to act: a :class:`ConfigError` is for the author of a project, a :class:`PluginError` for whoever installs
plugins, a :class:`NodeError` for whoever owns the data.

This module imports nothing but the standard library's light parts, so that printing an error never costs an import.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

__all__ = [
    "AccessDenied",
    "Cancelled",
    "ComponentError",
    "ComponentNotFound",
    "ConfigError",
    "Conflict",
    "DataError",
    "GraphError",
    "InvalidPath",
    "NodeError",
    "NodeTimeout",
    "NotFound",
    "OdibiError",
    "OptionError",
    "PluginBroken",
    "PluginConflict",
    "PluginError",
    "Position",
    "Problem",
    "RunFailed",
    "StorageError",
    "TransformError",
    "Transient",
    "ValidationFailed",
    "sentence",
]


def sentence(what: str, where: object = None, remedy: str = "") -> str:
    """``where: what. remedy``, with as much of it as is known."""
    head = f"{where}: {what}" if where else what
    if not remedy:
        return head
    return f"{head}{'' if head.endswith(('.', '!', '?', ':')) else '.'} {remedy}"


class Position(NamedTuple):
    """A place in a text file. Lines and columns count from 1; 0 means "not known"."""

    file: str
    line: int = 0
    column: int = 0

    def __str__(self) -> str:
        if not self.line:
            return self.file
        return f"{self.file}:{self.line}:{self.column}"


class Problem(NamedTuple):
    """One mistake in a project: what is wrong, where, and what to do about it."""

    what: str
    where: Position | None = None
    remedy: str = ""

    def __str__(self) -> str:
        return sentence(self.what, self.where, self.remedy)


class OdibiError(Exception):
    """The base of all errors raised on purpose.

    Args:
        what: what happened, one sentence.
        where: a file position, node, connection or plugin; printed before ``what``.
        remedy: what the reader can do; printed after ``what``.
    """

    exit_code = 1
    """The exit code of a command that this error ends."""

    retryable = False
    """Whether trying again, with nothing changed, may succeed."""

    def __init__(self, what: str, *, where: object = None, remedy: str = "") -> None:
        super().__init__(what)
        self.what = what
        self.where = where
        self.remedy = remedy

    def __str__(self) -> str:
        return sentence(self.what, self.where, self.remedy)

    def __reduce__(self) -> tuple[object, ...]:
        # Keyword-only arguments do not survive the default reduction, and errors travel between processes.
        return (_rebuild, (type(self), self.what, self.__dict__))


def _rebuild(kind: type[OdibiError], what: str, state: dict[str, object]) -> OdibiError:
    error = kind.__new__(kind)
    Exception.__init__(error, what)
    error.__dict__.update(state)
    return error


# --- mistakes in a project ------------------------------------------------------------------------------------------


class ConfigError(OdibiError):
    """One or more mistakes in a project file; all that were found, in one go.

    Args:
        problems: the mistakes, in the order of their positions.
    """

    exit_code = 2

    def __init__(self, problems: Iterable[Problem] | str) -> None:
        found = (Problem(problems),) if isinstance(problems, str) else tuple(problems)
        self.problems: tuple[Problem, ...] = found
        super().__init__("\n".join(map(str, found)))


class GraphError(ConfigError):
    """The nodes of a pipeline do not make a graph: a cycle, a dangling or doubled name."""


class OptionError(OdibiError):
    """The options given to a component do not fit it: unknown, missing or of the wrong type.

    Args:
        problems: ``(path, what, remedy)`` of each; ``path`` leads from the options to the value, such as
            ``("auth", "mode")``.
    """

    exit_code = 2

    def __init__(self, component: str, problems: Sequence[tuple[tuple[str | int, ...], str, str]]) -> None:
        self.component = component
        self.problems = tuple(problems)
        lines = []
        for path, what, remedy in self.problems:
            lines.append(sentence(what, ".".join(map(str, path)), remedy))
        super().__init__("; ".join(lines), where=component)


# --- plugins --------------------------------------------------------------------------------------------------------


class PluginError(OdibiError):
    """Something is wrong with what is installed, not with the project."""

    exit_code = 3


class ComponentNotFound(PluginError):
    """No installed plugin offers the component. The remedy names the package that does, if one is known."""


class PluginBroken(PluginError):
    """A plugin is installed but cannot be used: it, or something it needs, fails to import or to register."""


class PluginConflict(PluginError):
    """Two plugins claim one component, or one name. The message names both distributions and versions."""


class ComponentError(PluginError):
    """A component was found but does not honour its contract."""


# --- storage --------------------------------------------------------------------------------------------------------


class StorageError(OdibiError):
    """What a storage may raise; nothing else escapes one."""


class NotFound(StorageError):
    """There is no object at the path."""


class Conflict(StorageError):
    """A conditional write lost: the object is there already, or is no longer the one that was seen."""


class AccessDenied(StorageError):
    """The credentials are missing, wrong, expired or not allowed to do this."""


class InvalidPath(StorageError):
    """The path is absolute, has ``..``, a NUL or a backslash, or leaves the storage."""


class Transient(StorageError):
    """Throttled, timed out or cut off: trying again may succeed."""

    retryable = True


# --- running --------------------------------------------------------------------------------------------------------


class DataError(OdibiError):
    """The data cannot be read as what it was said to be. The message says which file, line and column it can."""


class TransformError(OdibiError):
    """A step of a transform failed; the cause is chained."""

    quotes_data = False
    """Whether the message may hold values of the frame, as a database's own words do. It is withheld where the node
    is sensitive; set it on the error."""


class ValidationFailed(DataError):
    """A node's result breaks its validation rules.

    Attributes:
        results: how each rule fared, as :class:`odibi.events.StepFinished` has it; empty where that is not known.
    """

    results: Sequence[Mapping[str, Any]] = ()


class NodeError(OdibiError):
    """A node failed. ``where`` is the node's name; the cause is chained."""


class NodeTimeout(NodeError):
    """A node ran longer than its ``timeout``."""

    retryable = True


class Cancelled(OdibiError):
    """The run was cancelled before, or while, this was done."""

    exit_code = 130


class RunFailed(OdibiError):
    """A run ended with failed nodes. ``result`` holds every outcome.

    Args:
        result: the :class:`odibi.run.result.RunResult`.
    """

    def __init__(self, what: str, result: object = None, *, where: object = None, remedy: str = "") -> None:
        super().__init__(what, where=where, remedy=remedy)
        self.result = result
