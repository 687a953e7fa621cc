"""What a code object does, apart from where it was written.

A function's code object is what really runs; its source file may have been changed since it was imported. Two code
objects that differ in their lines, comments, docstrings or file alone have one digest here.
"""

from __future__ import annotations

import hashlib
import opcode
import re
import sys
from types import CodeType
from typing import NamedTuple

from odibi.digest import encode_text

PYTHON = f"{sys.implementation.name} {sys.version_info[0]}.{sys.version_info[1]}"
"""What bytecode belongs to: it does not change between patch releases."""


class Load(NamedTuple):
    """A global name that code loads, and the attributes that it takes off it at once."""

    name: str
    attributes: tuple[str, ...]


class Import(NamedTuple):
    """An import inside code: ``from module import names``, ``level`` dots before the module."""

    module: str
    names: tuple[str, ...]
    level: int


class Code(NamedTuple):
    """What a code object says, with all that is defined inside it.

    Attributes:
        digest: of what it does, 64 hexadecimal digits.
        loads: the global names it loads, without repetition.
        imports: the imports in it, without repetition.
        asks_doc: whether it looks at a docstring.
    """

    digest: str
    loads: tuple[Load, ...]
    imports: tuple[Import, ...]
    asks_doc: bool


def read_code(code: CodeType) -> Code:
    """Say what a code object does.

    The digest covers the instructions, the constants they load (docstrings are not loaded by functions; those of
    classes and modules are left out), names, flags, parameters and the exception table. It does not cover the file, the
    lines, the name of the module, and whatever the interpreter learned while it ran the code: ``co_code`` is the code
    without that.

    Args:
        code: of a function, a class body or a module.
    """
    loads: dict[Load, None] = {}
    imports: dict[Import, None] = {}
    digest, asks_doc = _read(code, loads, imports)
    return Code(digest, tuple(loads), tuple(imports), asks_doc)


def _read(code: CodeType, loads: dict[Load, None], imports: dict[Import, None]) -> tuple[str, bool]:
    names, constants = code.co_names, code.co_consts
    instructions = bytearray(code.co_code)
    operations, arguments = bytes(instructions[::2]), bytes(instructions[1::2])
    loaded: list[object] = []
    for found in _INTERESTING.finditer(operations):
        at = found.start()
        operation, argument, first = operations[at], arguments[at], at
        while first and operations[first - 1] == _EXTENDED:
            first -= 1
            argument |= arguments[first] << 8 * (at - first)
        if operation in _CONSTANT:
            # Which one it is counts, not its place: that changes with a docstring before it.
            for place in range(first, at + 1):
                instructions[2 * place + 1] = 0
            if not _is_about_the_source(operations, arguments, at + 1, names):
                loaded.append(constants[argument])
        elif operation in _GLOBAL:
            name = names[argument >> 1 if operation == _LOAD_GLOBAL else argument]
            loads[Load(name, _attributes(operations, arguments, at + 1, names))] = None
        elif operation in _IMPORT:
            level, wanted = loaded[-2:]
            assert isinstance(level, int)
            imports[Import(names[argument], wanted if isinstance(wanted, tuple) else (), level)] = None
        else:
            loaded.append(argument)
    nested = _Nested(loads, imports)
    told = encode_text(
        (
            bytes(instructions),
            loaded,
            code.co_name,
            names,
            code.co_varnames,
            code.co_freevars,
            code.co_cellvars,
            code.co_flags & ~_HAS_DOCSTRING,
            (code.co_argcount, code.co_posonlyargcount, code.co_kwonlyargcount),
            code.co_exceptiontable,
        ),
        nested,
    )
    asks_doc = nested.asks_doc or ("__doc__" in names and bool(code.co_flags & _IS_FUNCTION))
    return hashlib.sha256(told.encode("utf-8", "surrogatepass")).hexdigest(), asks_doc


def _attributes(operations: bytes, arguments: bytes, at: int, names: tuple[str, ...]) -> tuple[str, ...]:
    """The names of the attributes that the instructions from ``at`` on take off what was loaded before them."""
    found: list[str] = []
    high = 0
    for place in range(at, len(operations)):
        operation, argument = operations[place], arguments[place] | high << 8
        high = argument if operation == _EXTENDED else 0
        if operation in _ATTRIBUTE:
            found.append(names[argument >> _ATTRIBUTE[operation]])
        elif operation not in (_EXTENDED, _CACHE):
            break
    return tuple(found)


def _is_about_the_source(operations: bytes, arguments: bytes, at: int, names: tuple[str, ...]) -> bool:
    """Whether the instruction at ``at`` stores what only describes the source."""
    return at < len(operations) and operations[at] in _STORE and names[arguments[at]] in _ABOUT_THE_SOURCE


class _Nested:
    """Encodes the code objects among the constants of another one, and gathers what they load."""

    def __init__(self, loads: dict[Load, None], imports: dict[Import, None]) -> None:
        self._loads = loads
        self._imports = imports
        self.asks_doc = False

    def __call__(self, value: object) -> str | None:
        if not isinstance(value, CodeType):
            return None
        digest, asks_doc = _read(value, self._loads, self._imports)
        self.asks_doc |= asks_doc
        return f"code{digest}"

    @property
    def unordered(self) -> _Nested:
        return self


def _numbers(*names: str) -> frozenset[int]:
    return frozenset(number for name in names if (number := opcode.opmap.get(name, 256)) < 256)


_CACHE = 0
_EXTENDED = opcode.EXTENDED_ARG
_LOAD_GLOBAL = opcode.opmap["LOAD_GLOBAL"]
_GLOBAL = _numbers("LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS")
_IMPORT = _numbers("IMPORT_NAME")
_STORE = _numbers("STORE_NAME")
_CONSTANT = frozenset(number for number in opcode.hasconst if number < 256)
_SMALL = _numbers("LOAD_SMALL_INT")
_ATTRIBUTE = dict.fromkeys(_numbers("LOAD_METHOD"), 0) | dict.fromkeys(
    _numbers("LOAD_ATTR"), 1 if sys.version_info >= (3, 12) else 0
)
"""By how many bits the index of the name is shifted."""

_INTERESTING = re.compile(b"[%b]" % re.escape(bytes(_GLOBAL | _IMPORT | _CONSTANT | _SMALL)))
_IS_FUNCTION = 0x1
_HAS_DOCSTRING = 0x4000000
_ABOUT_THE_SOURCE = frozenset({"__doc__", "__firstlineno__", "__static_attributes__"})
"""What the body of a class or a module stores of its source. The third follows from the assignments to ``self``, and
its order is a matter of chance in some releases of Python."""
