"""What the files of those modules say that functions import while they run."""
# ruff: noqa: PTH113, PTH116, PTH118, PTH119, PTH120, PTH123 - objects for paths take several times as long

from __future__ import annotations

import hashlib
import importlib.util
import os
import sys
import warnings
from types import CodeType, FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from odibi.code.bytecode import Code, Import, read_code
from odibi.code.origins import Origin, module_label, origin_of, version_of_distribution
from odibi.digest import Undigestible, encode

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping


def stamp(path: str) -> tuple[int, int] | None:
    """What changes with a file: its time of modification in nanoseconds and its size; ``None`` if it is not there."""
    try:
        found = os.stat(path)
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


_Stamp = tuple[int, int] | None


class _Edges(NamedTuple):
    """Where the imports of one module lead: own modules to their files, and names of packages and of nothing."""

    files: dict[str, str]
    packages: set[str]
    missing: set[str]


class Imports(NamedTuple):
    """What imports lead to.

    Attributes:
        modules: of the project, each with the digest of its file, by name.
        packages: top-level names with versions, by name.
        missing: names that lead nowhere.
        stamps: the files that were read, each with its :func:`stamp`.
        stale: a module that was loaded before its file changed; empty if there is none.
    """

    modules: tuple[tuple[str, str], ...] = ()
    packages: tuple[tuple[str, str], ...] = ()
    missing: tuple[str, ...] = ()
    stamps: tuple[tuple[str, tuple[int, int] | None], ...] = ()
    stale: str = ""


class ImportedFiles:
    """Reads the files of modules that code imports while it runs, and imports none of them.

    It goes by the files even where such a module is loaded: whether it is depends on what ran before, and a digest must
    not. Keeps what it read for as long as the file stays as it is.
    """

    def __init__(self) -> None:
        self._files: dict[str, tuple[_Stamp, Code]] = {}
        self._edges: dict[tuple[str, str], tuple[_Stamp, _Edges]] = {}
        self._compared: dict[str, tuple[_Stamp, ModuleType, bool]] = {}

    def follow(self, imports: tuple[Import, ...], module: str, file: str | None) -> Imports:
        """What imports lead to, directly and through the imports of the files that they lead to.

        Args:
            imports: of one code object.
            module: the name of the module it belongs to.
            file: that module's file; its folder is where the project's own modules are looked for first.
        """
        modules: dict[str, str] = {}
        packages: dict[str, str] = {}
        missing: set[str] = set()
        stamps: dict[str, _Stamp] = {}
        stale = ""
        waiting = [_edges(imports, module_label(module), file)]
        while waiting:
            edges = waiting.pop()
            packages.update((top, version_of_distribution(top)) for top in edges.packages)
            missing.update(edges.missing)
            for name, path in edges.files.items():
                if name in modules:
                    continue
                stamps[path], code = self._file(path)
                modules[name] = code.digest
                waiting.append(self._edges_of(name, path, stamps[path], code))
                if self._is_stale(name, path, stamps[path]):
                    stale = stale or name
        return Imports(
            tuple(sorted(modules.items())),
            tuple(sorted(packages.items())),
            tuple(sorted(missing)),
            tuple(sorted(stamps.items())),
            stale,
        )

    def _file(self, path: str) -> tuple[_Stamp, Code]:
        now = stamp(path)
        known = self._files.get(path)
        if known is None or known[0] != now:
            content = _content(path)
            code = _compiled(content, path)
            read = read_code(code) if code else Code(hashlib.sha256(content).hexdigest(), (), (), False)
            known = self._files[path] = (now, read)
        return known

    def _edges_of(self, name: str, path: str, now: _Stamp, code: Code) -> _Edges:
        known = self._edges.get((name, path))
        if known is None or known[0] != now:
            known = self._edges[name, path] = (now, _edges(code.imports, name, path))
        return known[1]

    def _is_stale(self, name: str, path: str, now: _Stamp) -> bool:
        module = sys.modules.get(name)
        if module is None or getattr(module, "__file__", None) != path:
            return False
        known = self._compared.get(path)
        if known is None or known[0] != now or known[1] is not module:
            known = self._compared[path] = (now, module, _differs(module, _content(path)))
        return known[2]


def _content(path: str) -> bytes:
    try:
        with open(path, "rb") as file:
            return file.read()
    except OSError:
        return b""


def _compiled(content: bytes, path: str) -> CodeType | None:
    """The code of a module; ``None`` for what Python cannot read."""
    if not path.endswith(".py"):
        return None
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return compile(content, path, "exec", dont_inherit=True)
    except (SyntaxError, ValueError):
        return None


def _edges(imports: tuple[Import, ...], importer: str, file: str | None) -> _Edges:
    """Where the imports of one module lead."""
    edges = _Edges({}, set(), set())
    for wanted in imports:
        names = _absolute(wanted, importer, file)
        top = names[0].partition(".")[0]
        if top in sys.stdlib_module_names:
            continue
        found = _own_files(names, importer, file)
        if found is None:
            edges.packages.add(top)
        elif found:
            edges.files.update(found)
        else:
            edges.missing.add(names[0])
    return edges


def _absolute(wanted: Import, importer: str, file: str | None) -> list[str]:
    """The module that is imported, and those that the names taken from it may be."""
    module = wanted.module
    if wanted.level:
        package = importer.split(".")
        base = package[: max(0, len(package) - wanted.level + _is_package(file))]
        module = ".".join([*base, module] if module else base)
        if not base:
            return [f"{'.' * wanted.level}{module}"]
    return [module, *(f"{module}.{name}" for name in wanted.names if name != "*")]


def _is_package(file: str | None) -> bool:
    return file is not None and os.path.basename(file) == "__init__.py"


def _own_files(names: list[str], importer: str, file: str | None) -> dict[str, str] | None:
    """The files of own modules, with those of the packages that hold them; ``None`` for what is a package's."""
    if file is not None:
        # The folder from which the importing module's own name counts.
        root = _above(file, importer.count(".") + _is_package(file))
        if found := _files_below(root, names):
            return found
    top = names[0].partition(".")[0]
    try:
        spec = importlib.util.find_spec(top)
    except (ImportError, ValueError):
        spec = None
    if spec is None:
        return {}
    places = [spec.origin] if spec.origin else list(spec.submodule_search_locations or ())
    if not places or origin_of(top, places[0]) is not Origin.OWN:
        return None
    return _files_below(_above(places[0], int(_is_package(places[0]))), names) or {top: places[0]}


def _above(file: str, levels: int) -> str:
    for _ in range(levels + 1):
        file = os.path.dirname(file)
    return file


def _files_below(root: str, names: list[str]) -> dict[str, str]:
    found = {}
    for name in names:
        parts = name.split(".")
        for length in range(1, len(parts) + 1):
            path = os.path.join(root, *parts[:length])
            for candidate in (os.path.join(path, "__init__.py"), f"{path}.py"):
                if os.path.isfile(candidate):
                    found[".".join(parts[:length])] = candidate
                    break
    return found


def _differs(module: ModuleType, content: bytes) -> bool:
    """Whether a loaded module differs from its file, in a function or in a constant that is written out."""
    code = _compiled(content, str(module.__file__))
    if code is None:
        return True
    written = set(_written(code))
    if any((each.__code__.co_qualname, read_code(each.__code__).digest) not in written for each in _defined(module)):
        return True
    space = vars(module)
    return any(name in space and not _is_same(space[name], value) for name, value in _literals(content))


def _written(code: CodeType) -> Iterator[tuple[str, str]]:
    for each in code.co_consts:
        if isinstance(each, CodeType):
            yield each.co_qualname, read_code(each).digest
            yield from _written(each)


def _defined(module: ModuleType) -> Iterator[FunctionType]:
    spaces: list[Mapping[str, Any]] = [vars(module)]
    spaces += [vars(it) for it in vars(module).values() if isinstance(it, type) and it.__module__ == module.__name__]
    for space in spaces:
        for value in list(space.values()):
            function = getattr(value, "__func__", value)
            if isinstance(function, FunctionType) and function.__code__.co_filename == module.__file__:
                yield function


def _literals(content: bytes) -> Iterator[tuple[str, Any]]:
    """The constants of a module that are written out; not those that start empty, and are meant to be filled."""
    import ast

    found = {}
    for each in ast.parse(content).body:
        if isinstance(each, ast.Assign) and len(each.targets) == 1 and isinstance(each.targets[0], ast.Name):
            found[each.targets[0].id] = each.value
        elif isinstance(each, ast.AnnAssign) and isinstance(each.target, ast.Name) and each.value is not None:
            found[each.target.id] = each.value
    for name, expression in found.items():
        try:
            value = ast.literal_eval(expression)
        except (ValueError, TypeError):
            continue
        if value:
            yield name, value


def _is_same(loaded: Any, written: Any) -> bool:
    try:
        return encode(loaded) == encode(written)
    except Undigestible:
        return False
