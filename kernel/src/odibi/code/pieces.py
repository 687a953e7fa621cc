"""What a digest is made of: functions, classes, modules and objects, each with a way to tell whether it has changed."""

from __future__ import annotations

import builtins
import hashlib
import importlib
import os
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, cast

import attrs

from odibi.code.bytecode import Code, Load
from odibi.code.classes import attribute_names, fields_of
from odibi.code.imports import ImportedFiles, stamp
from odibi.code.origins import Origin, Place, label_of, module_label, place_of, version_of_distribution
from odibi.code.values import HOLDERS, Told, inside, tell
from odibi.digest import PROJECT_MODULE, Undigestible, digest, encode, is_scalar

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

_MISSING: Any = object()
_SHORT = 12


def _itself(value: Any) -> Any:
    return value


@attrs.frozen(eq=False)
class Piece:
    """A function, class, module or object that went in, and where to look whether it is still the same.

    Attributes:
        value: itself; held, so that its ``id`` stays its own.
        label: what people call it.
        content: what it is made of, without what it refers to.
        refers: the other pieces, in order.
        parts: as in :class:`odibi.code.CodeDigest`.
        trouble: what cannot be known, without its subject.
        asks_doc: whether it looks at docstrings.
        function: itself, its code, defaults and keyword defaults.
        names: namespace, name and value of each name that was looked up.
        cells: closure cells and their contents.
        sizes: namespaces that were looked at as a whole, and their sizes.
        again: values that may change while they stay the same objects, and what was told of them.
        files: as in :class:`odibi.code.imports.Imports`.
    """

    value: Any
    label: str
    content: bytes
    refers: tuple[Any, ...]
    parts: Mapping[str, str]
    trouble: str
    asks_doc: bool
    function: tuple[Any, ...] | None
    names: tuple[tuple[Mapping[str, Any], str, Any], ...]
    cells: tuple[tuple[Any, Any], ...]
    sizes: tuple[tuple[Mapping[str, Any], int], ...]
    again: tuple[tuple[Callable[[Any], Any], Any, str, Told], ...]
    files: tuple[tuple[str, tuple[int, int] | None], ...]

    def is_fresh(self) -> bool:
        """Whether all is as it was when this was made."""
        if self.function is not None:
            function, code, defaults, kwdefaults = self.function
            if (
                function.__code__ is not code
                or function.__defaults__ is not defaults
                or function.__kwdefaults__ is not kwdefaults
            ):
                return False
        for space, name, value in self.names:
            if space.get(name, _MISSING) is not value:
                return False
        if not self.cells and not self.again and not self.sizes and not self.files:
            return True
        return (
            all(_content(cell) is value for cell, value in self.cells)
            and all(len(space) == size for space, size in self.sizes)
            and all(told.is_same(_told(look, value, folder)) for look, value, folder, told in self.again)
            and all(stamp(path) == before for path, before in self.files)
        )


class _Maker:
    """Gathers what a piece is made of."""

    def __init__(self, value: Any, place: Place) -> None:
        self.label = label_of(value)
        self._module = module_label(place.module)
        self._value = value
        self._folder = place.folder
        self._trouble = ""
        self._content: list[Any] = []
        self._packages: dict[str, str] = {}
        self._refers: list[Any] = []
        self._parts: dict[str, str] = {}
        self._names: list[tuple[Mapping[str, Any], str, Any]] = []
        self._cells: list[tuple[Any, Any]] = []
        self._sizes: list[tuple[Mapping[str, Any], int]] = []
        self._again: list[tuple[Callable[[Any], Any], Any, str, Told]] = []
        self._files: tuple[tuple[str, tuple[int, int] | None], ...] = ()

    def made(self, code: Code | None = None, function: tuple[Any, ...] | None = None) -> Piece:
        """The piece."""
        return Piece(
            self._value,
            self.label,
            hashlib.sha256(encode((self._content, self._packages))).digest(),
            tuple(self._refers),
            self._parts,
            self._trouble,
            code is not None and code.asks_doc,
            function,
            tuple(self._names),
            tuple(self._cells),
            tuple(self._sizes),
            tuple(self._again),
            self._files,
        )

    def say(self, *plain: Any) -> None:
        """Add plain values to the content."""
        self._content += plain

    def part(self, kind: str) -> None:
        """Make what has been gathered so far a part under the piece's own name."""
        self._parts = {self.label: f"{kind} {digest(self._content, _SHORT)}", **self._parts}

    def package(self, top_level: str) -> None:
        """Add a package with its version."""
        self._versions(((top_level, version_of_distribution(top_level)),))

    def whole(self, space: Mapping[str, Any]) -> None:
        """Note that all of a namespace was looked at."""
        self._sizes.append((space, len(space)))

    def tell(
        self, name: str, value: Any, shown: str = "", look: Callable[[Any], Any] = _itself, *, is_lenient: bool = False
    ) -> None:
        """Add what is told of a value.

        Args:
            name: what the content calls it.
            value: itself.
            shown: what the parts call it, if it is a constant; and it is called ``name`` where it makes trouble.
            look: makes of ``value`` what is told.
            is_lenient: whether it does not matter if its content cannot be known.
        """
        if type(value) is str and PROJECT_MODULE.search(value):
            value = PROJECT_MODULE.sub("", value)
        told = _told(look, value, self._folder, name)
        self.say((name, told.text, len(told.refers)))
        self._refers += told.refers
        self._versions(told.packages)
        if told.trouble and not is_lenient:
            self._trouble = self._trouble or f"uses {told.trouble}"
        if not told.is_name:
            if shown and not name.startswith("__"):
                of = told.text if not told.refers else [told.text, *map(label_of, told.refers)]
                self._parts[shown] = f"constant {digest(of, _SHORT)}"
            if not _is_fixed(value):
                self._again.append((look, value, self._folder, told))

    def cell(self, name: str, cell: Any, shown: str) -> None:
        """Add a variable of the functions around; for the rest see :meth:`tell`."""
        value = _content(cell)
        self._cells.append((cell, value))
        if value is _MISSING:
            self.say((name,))
        else:
            self.tell(name, value, shown)

    def name(self, space: Mapping[str, Any], name: str) -> Any:
        """Look a name up, and note it."""
        value = space.get(name, _MISSING)
        self._names.append((space, name, value))
        return value

    def loads(self, code: Code, function: FunctionType) -> None:
        """Add what the global names stand for, or the attributes of own modules that are taken off them."""
        told = set()
        for load in code.loads:
            if load.name in _OF_THE_MODULE:
                self.say((load.name, _OF_THE_MODULE[load.name](function.__globals__.get(load.name))))
                continue
            path, value, shown = self._resolved(load, function)
            if path in told:
                continue
            told.add(path)
            name = ".".join(path)
            if value is _MISSING or _BUILTINS.get(name) is value:
                self.say((name,))
            else:
                self.tell(name, value, shown)
            if any(value is each for each in _RUNS_ANYTHING):
                self._trouble = self._trouble or f"uses `{name}`, and what that runs cannot be known"

    def _resolved(self, load: Load, function: FunctionType) -> tuple[tuple[str, ...], Any, str]:
        """The names that were looked up, what they lead to, and what people call that."""
        path = [load.name]
        shown = f"{self._module}.{load.name}"
        value = self.name(function.__globals__, load.name)
        if value is _MISSING:
            value = self.name(cast("Any", function).__builtins__, load.name)
        for attribute in load.attributes:
            if not isinstance(value, ModuleType) or not _is_open(value):
                break
            path.append(attribute)
            shown = f"{module_label(value.__name__)}.{attribute}"
            found = self.name(vars(value), attribute)
            value = self.name(vars(value), "__getattr__") if found is _MISSING else found
        return tuple(path), value, shown

    def imports(self, code: Code, files: ImportedFiles, place: Place) -> None:
        """Add the files of own modules that are imported while the function runs."""
        if not code.imports:
            return
        found = files.follow(code.imports, place.module, place.file)
        self.say(found.modules, found.missing)
        self._versions(found.packages)
        self._files = found.stamps
        for name, whole in found.modules:
            self._parts[name] = f"module {whole[:_SHORT]}"
        if any(
            each.module == "importlib" and (not each.names or "import_module" in each.names) for each in code.imports
        ):
            self._trouble = self._trouble or "uses `importlib`, and what that imports cannot be known"
        if found.stale:
            self._trouble = self._trouble or f"imports `{found.stale}`, which was loaded before its file changed"

    def _versions(self, packages: tuple[tuple[str, str], ...]) -> None:
        self._packages.update(packages)
        self._parts.update((name, f"package {version}".strip()) for name, version in packages)


def function_piece(function: FunctionType, code: Code, files: ImportedFiles) -> Piece:
    """A function: its code, defaults and closure, and what it loads and imports.

    Only the first three are looked into if it is somebody else's, such as what a decorator made of the project's own.
    """
    place = place_of(function)
    is_own = place.origin is Origin.OWN
    maker = _Maker(function, place)
    maker.say(code.digest if is_own else maker.label)
    maker.tell("defaults", function.__defaults__)
    if function.__kwdefaults__:
        maker.whole(function.__kwdefaults__)
        for name in sorted(function.__kwdefaults__):
            maker.tell(name, maker.name(function.__kwdefaults__, name))
    if is_own:
        maker.part("function")
    elif place.origin is Origin.PACKAGE:
        maker.package(place.top_level)
    for name, cell in zip(function.__code__.co_freevars, function.__closure__ or (), strict=True):
        maker.cell(name, cell, f"{maker.label}.{name}" if place.origin is not Origin.STANDARD else "")
    maker.tell("__wrapped__", vars(function).get("__wrapped__"))
    if is_own:
        maker.loads(code, function)
        maker.imports(code, files, place)
    return maker.made(code, (function, function.__code__, function.__defaults__, function.__kwdefaults__))


def class_piece(kind: type) -> Piece:
    """A class: what it inherits and all that its body defines."""
    maker = _Maker(kind, place_of(kind))
    space = vars(kind)
    maker.whole(space)
    maker.say(maker.label)
    maker.tell("bases", tuple(base for base in kind.__bases__ if base is not object))
    if type(kind) is not type:
        maker.tell("metaclass", type(kind))
    # Annotations make fields, but some are there for people alone: those that say nothing are no trouble.
    maker.tell("annotations", space.get("__annotations__"), is_lenient=True)
    for name, value in fields_of(kind):
        maker.tell(name, value, f"{maker.label}.{name}")
    for name in attribute_names(kind):
        maker.tell(name, maker.name(space, name), f"{maker.label}.{name}")
    maker.part("class")
    return maker.made()


def module_piece(module: ModuleType) -> Piece:
    """A module, all of it: nobody can tell what is taken from it."""
    maker = _Maker(module, place_of(module))
    space = vars(module)
    maker.whole(space)
    for name in sorted(space):
        if not (name.startswith("__") and name.endswith("__")):
            maker.tell(name, maker.name(space, name), f"{maker.label}.{name}")
    maker.part("module")
    return maker.made()


def object_piece(value: Any) -> Piece:
    """An object: its class and its state."""
    maker = _Maker(value, place_of(value))
    maker.tell("", value, look=inside)
    if type(value) not in HOLDERS:
        maker.part("object")
    return maker.made()


# --- globals ----------------------------------------------------------------------------------------------------------

_OF_THE_MODULE: Mapping[str, Callable[[Any], str]] = {
    "__name__": lambda value: module_label(str(value)),
    "__file__": lambda value: os.path.basename(str(value)),  # noqa: PTH119
    **dict.fromkeys(("__builtins__", "__cached__", "__loader__", "__package__", "__path__", "__spec__"), lambda _: ""),
}
"""What Python says in a module's namespace about where it lies, and as much of it as is true elsewhere."""

_BUILTINS = {name: value for name, value in vars(builtins).items() if callable(value)}
_RUNS_ANYTHING = (eval, exec, globals, __import__, importlib.import_module)


def _is_open(module: ModuleType) -> bool:
    """Whether it matters which attribute is taken off a module."""
    return module is importlib or place_of(module).origin is Origin.OWN


def _is_fixed(value: Any) -> bool:
    """Whether a value stays what it is for as long as it is the same object."""
    return is_scalar(value) or (type(value) is tuple and all(map(is_scalar, value)))


def _content(cell: Any) -> Any:
    try:
        return cell.cell_contents
    except ValueError:
        return _MISSING


def _told(look: Callable[[Any], Any], value: Any, folder: str, name: str = "") -> Told:
    try:
        return tell(look(value), folder, name)
    except Undigestible as error:
        return Told(f"?{error.kind};", trouble=f"a {error.kind}, whose content cannot be digested")
