"""A project's own functions: ``transforms.py`` beside the project file.

The file is loaded as a module of its own, under a name that no other project can have. Its neighbours can be imported
while it loads, and are then taken out of ``sys.modules`` again, so that two projects in one process, each with a
``shared.py``, never see one another's.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.util
import inspect
import sys
import traceback
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.machinery import SourceFileLoader
from pathlib import Path
from threading import RLock
from types import CodeType, ModuleType
from typing import Any

from odibi.errors import ConfigError, Position, Problem
from odibi.functions import MARK, AnyFunction
from odibi.structure import did_you_mean

FILES = ("transforms.py", "plugins.py")
"""The files that hold functions, beside the project file or in the folder above it."""

_lock = RLock()


def load_functions(root: Path) -> Mapping[str, AnyFunction]:
    """The functions of the project in ``root``, by the names under which steps call them.

    Args:
        root: the folder of the project file; where it has no ``transforms.py`` or ``plugins.py``, the folder above it
            is asked.

    Returns:
        The marked functions, and the public functions that the files define themselves.

    Raises:
        ConfigError: a file cannot be loaded (says at which line), or two functions have one name.
    """
    functions: dict[str, AnyFunction] = {}
    problems: list[Problem] = []
    for path in _files(root):
        try:
            found = _functions_of(_load(path, root))
        except ConfigError as error:
            problems += error.problems
            continue
        for name, function in found:
            other = functions.setdefault(name, function)
            if other is not function:
                what = f"two functions are called {name!r}; the other is at {_position(other)}"
                problems.append(Problem(what, _position(function), "Rename one of them."))
    if problems:
        raise ConfigError(problems)
    return functions


def _files(root: Path) -> list[Path]:
    for folder in (root, root.parent):
        found = [folder / name for name in FILES if (folder / name).is_file()]
        if found:
            return found
    return []


def _functions_of(module: ModuleType) -> Iterator[tuple[str, AnyFunction]]:
    for name, value in list(vars(module).items()):
        marked = getattr(value, MARK, None) if callable(value) else None
        if isinstance(marked, Mapping):
            yield marked["name"], value
        elif inspect.isfunction(value) and value.__module__ == module.__name__ and not name.startswith("_"):
            yield name, value


def _position(function: AnyFunction) -> Position:
    code = getattr(inspect.unwrap(function), "__code__", None)
    return Position(code.co_filename, code.co_firstlineno, 1) if code else Position(repr(function))


@contextmanager
def _importable(folder: Path) -> Iterator[None]:
    """Let modules of ``folder`` be imported, and leave no trace of it."""
    with _lock:
        path, before = list(sys.path), dict(sys.modules)
        neighbours = _neighbours(folder)
        # What another project, or the application, has loaded under a neighbour's name must not answer for it.
        for name, module in before.items():
            if name.partition(".")[0] in neighbours and not _is_in(module, folder):
                del sys.modules[name]
        sys.path.insert(0, str(folder))
        importlib.invalidate_caches()
        try:
            yield
        finally:
            sys.path[:] = path
            for name in list(sys.modules):
                if name.partition(".")[0] in neighbours:
                    del sys.modules[name]
            sys.modules.update((name, each) for name, each in before.items() if name.partition(".")[0] in neighbours)


def _neighbours(folder: Path) -> set[str]:
    """The names of the modules and packages in a folder; none of these stands in for the standard library's."""
    modules = {path.stem for path in folder.glob("*.py")}
    packages = {path.parent.name for path in folder.glob("*/__init__.py")}
    return (modules | packages) - sys.stdlib_module_names


def _is_in(module: Any, folder: Path) -> bool:
    file = getattr(module, "__file__", None)
    return isinstance(file, str) and Path(file).is_relative_to(folder)


class _FromSource(SourceFileLoader):
    """Loads a file as it is now.

    Python goes by a compiled file as long as the source has its size and its time of change, in whole seconds: an edit
    right after a run could go unseen.
    """

    def get_code(self, fullname: str) -> CodeType:
        """The code of the file, compiled anew."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


def _load(path: Path, root: Path) -> ModuleType:
    digest = hashlib.sha256(f"{path.resolve()}\0{root.resolve()}".encode()).hexdigest()[:16]
    name = f"odibi_project_{digest}_{path.stem}"
    spec = importlib.util.spec_from_file_location(name, path, loader=_FromSource(name, str(path)))
    if spec is None or spec.loader is None:
        raise ConfigError([Problem("the file cannot be loaded as a module", Position(str(path)))])
    module = importlib.util.module_from_spec(spec)
    with _importable(path.parent.resolve()):
        # dataclasses and pickling by name look their module up.
        sys.modules[name] = module
        try:
            spec.loader.exec_module(module)
        except KeyboardInterrupt:
            raise
        except BaseException as error:
            del sys.modules[name]
            raise ConfigError([_load_problem(error, path)]) from error
    return module


def _load_problem(error: BaseException, path: Path) -> Problem:
    at = Position(str(path), *_line(error, path))
    if isinstance(error, SyntaxError):
        return Problem(f"Python cannot read this file: {error.msg}", at, "Correct the syntax.")
    if isinstance(error, SystemExit):
        return Problem("loading this file ends the program (sys.exit)", at, "Move it into a function.")
    if isinstance(error, ModuleNotFoundError):
        return Problem(f"no module named {error.name!r}", at, "Install the package that has it, or correct the name.")
    return Problem(f"loading this file fails: {type(error).__name__}: {error}", at, "Correct this line.")


def _line(error: BaseException, path: Path) -> tuple[int, int]:
    if isinstance(error, SyntaxError) and error.filename and Path(error.filename) == path:
        return error.lineno or 1, error.offset or 1
    lines = [frame.lineno for frame in traceback.extract_tb(error.__traceback__) if Path(frame.filename) == path]
    return (lines[-1] or 1 if lines else 1), 1


def resolve_function(name: str, functions: Mapping[str, AnyFunction], root: Path | None) -> AnyFunction:
    """The function that a step names.

    Args:
        name: one of ``functions``, or ``"module:name"`` for a function of an installed module or of one beside the
            project file.
        functions: the project's own.
        root: the folder of the project file.

    Raises:
        ConfigError: there is no such function; says which one is nearest.
    """
    if name in functions:
        return functions[name]
    module_name, colon, attribute = name.partition(":")
    if not colon:
        remedy = did_you_mean(name, functions) or "Define it in transforms.py beside the project file."
        raise ConfigError([Problem(f"there is no function {name!r}", None, remedy)])
    try:
        with _importable(root.resolve()) if root else _lock:
            module = importlib.import_module(module_name)
    except KeyboardInterrupt:
        raise
    except BaseException as error:
        what = f"the module of the function {name!r} cannot be imported: {type(error).__name__}: {error}"
        raise ConfigError([Problem(what, None, "Install it, or correct the name.")]) from error
    try:
        value = functools.reduce(getattr, attribute.split("."), module)
    except AttributeError:
        near = did_you_mean(attribute, [n for n, v in vars(module).items() if callable(v) and n[0] != "_"])
        raise ConfigError([Problem(f"the module {module_name!r} has no {attribute!r}", None, near)]) from None
    if not callable(value):
        raise ConfigError([Problem(f"{name!r} is not a function", None, "Name a function.")])
    return value
