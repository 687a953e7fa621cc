"""``${...}`` in a project: environment variables and ``vars`` now, secrets when they are needed.

References are replaced in the tree, scalar by scalar, after the text was parsed: a value can never become structure.

=========================  ==========================================================================
``${NAME}``                the environment variable; ``${env:NAME}`` is the same
``${NAME:-default}``       with a default for when it is not set or empty
``${vars.name}``           a value of the project's ``vars``
``${secret:store/name}``   a secret; stays a :class:`~odibi.references.SecretRef` until a component is built
``$${``                    the two characters ``${``
=========================  ==========================================================================

An unquoted YAML scalar that is one reference and nothing else becomes a number or a boolean if it reads like one.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from odibi.config.tree import Items, Path, Plain, Table, walk
from odibi.errors import Position, Problem
from odibi.redact import Redactor, looks_secret
from odibi.references import SecretRef, Template
from odibi.structure import did_you_mean

_REFERENCE = re.compile(r"\$\$\{|\$\{([^{}]*)\}|\$\{")
_VARIABLE = re.compile(r"(?:env:)?([A-Za-z_][A-Za-z0-9_]*)(?::-(.*))?$", re.DOTALL)
_VARS = re.compile(r"vars\.([A-Za-z_][A-Za-z0-9_.-]*)$")
_SECRET = re.compile(r"secret:([A-Za-z_][A-Za-z0-9_-]*)/(.+)$")


class References:
    """Replaces the references of one project, and keeps what went wrong.

    Args:
        environ: the environment variables.
        redactor: told of every value that looks like a secret.
        is_option: whether a path leads to an option of a component, whose key says whether it is a secret.
        is_secret: whether it is one whatever its key says.
    """

    def __init__(
        self,
        environ: Mapping[str, str],
        redactor: Redactor,
        is_option: Callable[[Path], bool] = lambda _: False,
        is_secret: Callable[[Path], bool] = lambda _: False,
    ) -> None:
        self._environ = environ
        self._redactor = redactor
        self._is_option = is_option
        self._is_secret = is_secret
        self.vars: Mapping[str, Any] = {}
        self.problems: list[Problem] = []
        self.failed: set[Position] = set()
        self.secrets: list[tuple[Path, Position]] = []

    def replace(self, tree: Any, path: Path = ()) -> Any:
        """The tree with its references replaced, in place."""
        self._check_keys(tree)
        return walk(tree, self._scalar, path)

    def text(self, value: Any, at: Position) -> str | None:
        """A value that must be text now, such as the path of an import; ``None`` if it cannot be."""
        found = self._scalar((), value, at)
        if isinstance(found, SecretRef | Template):
            self._problem("a secret cannot stand here", at, "Write the text itself, or use an environment variable.")
            return None
        return found if isinstance(found, str) and at not in self.failed else None

    def _check_keys(self, tree: Any) -> None:
        if isinstance(tree, Table):
            for key, value in tree.items():
                if "${" in key:
                    self._problem(
                        f"a reference cannot stand in a key: {key!r}", tree.key_at[key], "Write the name out."
                    )
                self._check_keys(value)
        elif isinstance(tree, Items):
            for value in tree:
                self._check_keys(value)

    def _problem(self, what: str, at: Position, remedy: str) -> None:
        self.problems.append(Problem(what, at, remedy))
        self.failed.add(at)

    def _scalar(self, path: Path, value: Any, at: Position) -> Any:
        secret_key = self._holds_secret(path)
        if not isinstance(value, str) or "${" not in value:
            if secret_key and isinstance(value, str | int | float) and not isinstance(value, bool):
                self._redactor.register(_as_text(value))
            return value
        parts: list[Any] = []
        end = 0
        for match in _REFERENCE.finditer(value):
            parts += [value[end : match.start()], self._meaning(match, at, secret_key)]
            end = match.end()
        parts = [part for part in (*parts, value[end:]) if part != ""]
        if any(isinstance(part, SecretRef) for part in parts):
            self.secrets.append((path, at))
            return parts[0] if len(parts) == 1 else Template(_joined(parts))
        if len(parts) == 1 and not isinstance(parts[0], str):
            return parts[0]
        text = "".join(map(_as_text, parts))
        if secret_key and at not in self.failed:
            self._redactor.register(text)
        one = _REFERENCE.fullmatch(value)
        if isinstance(value, Plain) and one and one.group(1) and not secret_key and at not in self.failed:
            return _retyped(text)
        return text

    def _holds_secret(self, path: Path) -> bool:
        # In a node, "key" and "token" are nearly always columns.
        if not path or path[0] == "pipelines" or not self._is_option(path):
            return False
        return self._is_secret(path) or any(isinstance(step, str) and looks_secret(step) for step in path[1:])

    def _meaning(self, match: re.Match[str], at: Position, secret_key: bool) -> Any:
        whole, body = match.group(), match.group(1)
        if whole == "$${":
            return "${"
        if body is None:
            self._problem(
                "a reference is opened with '${' and not closed", at, "Close it with '}', or write '$${' for the text."
            )
            return whole
        if found := _SECRET.match(body):
            return SecretRef(found.group(1), found.group(2))
        if found := _VARS.match(body):
            return self._var(found.group(1), whole, at)
        if found := _VARIABLE.match(body):
            return self._variable(found.group(1), found.group(2), whole, at, secret_key)
        remedy = "Write ${NAME}, ${NAME:-default}, ${vars.name} or ${secret:store/name}; '$${' gives the text '${'."
        self._problem(f"the reference {whole!r} cannot be understood", at, remedy)
        return whole

    def _variable(self, name: str, default: str | None, whole: str, at: Position, secret_key: bool) -> str:
        value = self._environ.get(name)
        if value is None or (value == "" and default is not None):
            if default is None:
                remedy = f"Set it, or give it a default: ${{{name}:-value}}."
                self._problem(f"the environment variable {name!r} is not set", at, remedy)
                return whole
            value = default
        if secret_key or looks_secret(name):
            self._redactor.register(value)
        return value

    def _var(self, name: str, whole: str, at: Position) -> Any:
        value: Any = self.vars
        for step in name.split("."):
            if not isinstance(value, Mapping) or step not in value:
                self._problem(f"there is no variable 'vars.{name}'", at, did_you_mean(name, self.vars))
                return whole
            value = value[step]
        if isinstance(value, Mapping | list):
            self._problem(f"'vars.{name}' is not a simple value", at, "Refer to a text, a number, true or false.")
            return whole
        return value


def _joined(parts: list[Any]) -> tuple[str | SecretRef, ...]:
    return tuple(part if isinstance(part, SecretRef) else _as_text(part) for part in parts)


def _as_text(value: Any) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    return "" if value is None else str(getattr(value, "text", value))


def _retyped(text: str) -> Any:
    from odibi.config.yaml_text import resolve

    value = resolve(text)
    # "null", "True" and their like stay text: a password may be any word.
    if text in ("true", "false") or (isinstance(value, int | float) and not isinstance(value, bool)):
        return value
    return text
