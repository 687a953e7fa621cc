"""The digest of a function, made from the pieces that it leads to."""

from __future__ import annotations

import hashlib
from types import CodeType, FunctionType, MethodType, ModuleType
from typing import TYPE_CHECKING, Any

import attrs

from odibi.code.bytecode import PYTHON, Code, read_code
from odibi.code.imports import ImportedFiles
from odibi.code.pieces import Piece, class_piece, function_piece, module_piece, object_piece
from odibi.code.values import tell
from odibi.digest import encode

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping


@attrs.frozen
class CodeDigest:
    """What a function does, in short.

    Attributes:
        digest: SHA-256, 64 hexadecimal digits.
        parts: all that went in, by qualified name: ``function``, ``class``, ``module``, ``constant`` or ``object``
            with a short digest of its own, ``package`` or ``python`` with its version. :func:`differences` compares
            two of these.
        unknown: a sentence that names something whose content cannot be known; empty if there is nothing of the kind.
    """

    digest: str
    parts: Mapping[str, str]
    unknown: str = ""


class CodeDigests:
    """Makes digests of functions, and keeps them for as long as nothing that went in has changed.

    The function and what it uses make a graph with the function at its root. It is walked breadth first, and its
    vertices are numbered as they are met: so functions that call one another are no trouble, and a digest does not
    depend on which of them was asked for first.

    One belongs to one project. It may be asked by several threads.
    """

    def __init__(self) -> None:
        self._known: dict[object, tuple[Any, tuple[Piece, ...], CodeDigest]] = {}
        self._pieces: dict[int, Piece] = {}
        self._codes: dict[int, tuple[CodeType, Code]] = {}
        self._files = ImportedFiles()
        self._limit = 1024

    def of(self, function: Callable[..., Any], looked_at: set[Piece] | None = None) -> CodeDigest:
        """The digest of a function as it is now.

        Args:
            function: anything that can be called: a function, a method, a ``functools.partial``, a class, an object
                with ``__call__``.
            looked_at: what need not be looked at again; what is looked at is added. With one set for all functions of
                a plan, what they share is looked at once.
        """
        key: object = id(function)
        if type(function) is MethodType:
            # A method is made anew each time it is looked up.
            key = (id(function.__func__), id(function.__self__))
        known = self._known.get(key)
        if known is not None:
            if looked_at is not None:
                if all(piece in looked_at or _is_fresh(piece, looked_at) for piece in known[1]):
                    return known[2]
            else:
                for piece in known[1]:
                    if not piece.is_fresh():
                        break
                else:
                    return known[2]
        pieces, made = self._walk(function, set() if looked_at is None else looked_at)
        self._known[key] = (function, pieces, made)
        return made

    def _walk(self, root: Any, looked_at: set[Piece]) -> tuple[tuple[Piece, ...], CodeDigest]:
        told = tell(root)
        waiting = list(told.refers)
        numbers = {id(value): number for number, value in enumerate(waiting)}
        pieces: list[Piece] = []
        hasher = hashlib.sha256(encode((PYTHON, told.text, told.packages)))
        for value in waiting:
            piece = self._piece(value, looked_at)
            pieces.append(piece)
            places = []
            for each in piece.refers:
                if id(each) not in numbers:
                    numbers[id(each)] = len(waiting)
                    waiting.append(each)
                places.append(numbers[id(each)])
            hasher.update(encode((piece.content, places)))
        if any(piece.asks_doc for piece in pieces):
            hasher.update(encode([_doc(piece.value) for piece in pieces]))
        unknown = told.trouble and f"it is {told.trouble}"
        for piece in pieces:
            if piece.trouble and not unknown:
                subject = "it" if piece is pieces[0] else f"`{piece.label}`"
                unknown = f"{subject} {piece.trouble}"
        parts = {"python": f"python {PYTHON}", **{name: f"package {version}" for name, version in told.packages}}
        return tuple(pieces), CodeDigest(hasher.hexdigest(), _joined(parts, pieces), unknown)

    def _piece(self, value: Any, looked_at: set[Piece]) -> Piece:
        known = self._pieces.get(id(value))
        if known is not None and (known in looked_at or _is_fresh(known, looked_at)):
            return known
        if len(self._pieces) >= self._limit:
            self._forget()
        if type(value) is FunctionType:
            made = function_piece(value, self._code(value.__code__), self._files)
        elif isinstance(value, type):
            made = class_piece(value)
        elif isinstance(value, ModuleType):
            made = module_piece(value)
        else:
            made = object_piece(value)
        self._pieces[id(value)] = made
        looked_at.add(made)
        return made

    def _code(self, code: CodeType) -> Code:
        known = self._codes.get(id(code))
        if known is None:
            known = self._codes[id(code)] = (code, read_code(code))
        return known[1]

    def _forget(self) -> None:
        """Let go of the pieces that no digest holds any more, such as what a constant held last week."""
        held = {id(piece.value) for _, pieces, _ in list(self._known.values()) for piece in pieces}
        self._pieces = {key: piece for key, piece in list(self._pieces.items()) if key in held}
        self._limit = 1024 + 2 * len(self._pieces)


def _is_fresh(piece: Piece, looked_at: set[Piece]) -> bool:
    if not piece.is_fresh():
        return False
    looked_at.add(piece)
    return True


def _doc(value: Any) -> str | None:
    doc = getattr(value, "__doc__", None) if isinstance(value, FunctionType | type) else None
    return doc if isinstance(doc, str) else None


def _joined(parts: dict[str, str], pieces: Iterable[Piece]) -> dict[str, str]:
    """The parts of all pieces; where several go by one name, as what one function made may, they are counted."""
    for piece in pieces:
        for name, part in piece.parts.items():
            counted, count = name, 1
            while parts.setdefault(counted, part) != part:
                count += 1
                counted = f"{name} ({count})"
    return parts


def differences(before: Mapping[str, str], now: Mapping[str, str]) -> Iterator[str]:
    """What changed between two :attr:`CodeDigest.parts`, in words; the project's own code first.

    Args:
        before, now: the parts of two digests of one function.

    Returns:
        Clauses such as ``code of `transforms.clean` changed``.
    """
    names = [name for name in dict.fromkeys([*now, *before]) if before.get(name) != now.get(name)]
    for name in sorted(names, key=lambda name: _ORDER[_kind(now.get(name) or before[name])]):
        kind = _kind(now.get(name) or before[name])
        thing = f"`{name}`" if kind in ("function", "object") else f"{kind} `{name}`"
        if name not in before:
            yield f"it now uses {thing}"
        elif name not in now:
            yield f"it no longer uses {thing}"
        elif kind in ("package", "python"):
            was, is_now = (each.partition(" ")[2] or "none" for each in (before[name], now[name]))
            yield f"the version of {name} changed from {was} to {is_now}"
        elif kind == "function":
            yield f"code of {thing} changed"
        else:
            yield f"the {thing} changed"


def _kind(part: str) -> str:
    return part.partition(" ")[0]


_ORDER = {"function": 0, "class": 1, "module": 1, "constant": 2, "object": 2, "package": 3, "python": 4}
