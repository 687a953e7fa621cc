"""Whose functions, classes and modules are, and what they are called.

They are the project's own, a package's, or the standard library's. What is its own is looked into, a package goes by
its version, and the standard library goes by Python's.
"""

from __future__ import annotations

import functools
import os
import re
import sys
from enum import Enum
from pathlib import Path
from types import FunctionType, ModuleType
from typing import TYPE_CHECKING, Any, NamedTuple

from odibi.digest import PROJECT_MODULE, qualified_name

if TYPE_CHECKING:
    from importlib.metadata import Distribution

_STANDARD_FOLDER = str(Path(os.__file__).parent)
_INSTALLED = frozenset({"site-packages", "dist-packages"})


class Origin(Enum):
    """Whose a module is."""

    OWN = "own"
    PACKAGE = "package"
    STANDARD = "standard"


def module_label(name: str) -> str:
    """The name of a module, without what tells projects apart."""
    return PROJECT_MODULE.sub("", name)


@functools.lru_cache(maxsize=4096)
def origin_of(name: str, file: str | None) -> Origin:
    """Whose a module is.

    A package that is installed for development, from a folder of its own, counts as the project's: its code changes
    without its version.

    Args:
        name: of the module.
        file: its ``__file__``.
    """
    top = name.partition(".")[0]
    if top == "odibi":
        return Origin.PACKAGE
    if file is not None and not _INSTALLED.isdisjoint(Path(file).parts):
        return Origin.PACKAGE
    if top in sys.stdlib_module_names and (file is None or file.startswith((_STANDARD_FOLDER, "<frozen"))):
        return Origin.STANDARD
    return Origin.OWN


class Place(NamedTuple):
    """Where something is defined: the name of its module, and that module's file."""

    module: str
    file: str | None

    @property
    def origin(self) -> Origin:
        """Whose it is."""
        return origin_of(self.module, self.file)

    @property
    def folder(self) -> str:
        """The folder of the file; empty if there is none."""
        return os.path.dirname(self.file or "")  # noqa: PTH120 - many times faster than a Path

    @property
    def top_level(self) -> str:
        """The package that it is in."""
        return self.module.partition(".")[0]


def place_of(value: Any) -> Place:
    """Where a function, a class or a module is defined; of anything else, its class."""
    if isinstance(value, FunctionType):
        return _place_of_function(value)
    if isinstance(value, ModuleType):
        return Place(value.__name__, _file_of(value))
    return _place_of_class(value if isinstance(value, type) else type(value))


def _place_of_function(function: FunctionType) -> Place:
    # A wrapper that took the name of what it wraps is still its maker's: its globals know.
    module, file = function.__globals__.get("__name__"), function.__globals__.get("__file__")
    if not isinstance(module, str):
        module = function.__module__ or ""
        file = getattr(sys.modules.get(module), "__file__", None)
    return Place(module, file if isinstance(file, str) else None)


def _place_of_class(kind: type) -> Place:
    # Its module may be gone, or be another of that name: the neighbours of a project's file leave sys.modules again.
    name = kind.__module__
    module = sys.modules.get(name)
    if module is not None and ("<locals>" in kind.__qualname__ or named(module, kind.__qualname__) is kind):
        return Place(name, _file_of(module))
    for each in vars(kind).values():
        if isinstance(each, FunctionType) and each.__module__ == name:
            return _place_of_function(each)
    return Place(name, None)


def _file_of(module: ModuleType) -> str | None:
    file = getattr(module, "__file__", None)
    if file is None:
        file = next(iter(getattr(module, "__path__", ())), None)
    return file if isinstance(file, str) else None


def named(holder: Any, path: str) -> Any:
    """The attribute at the end of a dotted path; ``None`` if there is none."""
    for name in path.split("."):
        holder = getattr(holder, name, None)
    return holder


def label_of(value: Any) -> str:
    """What people call a function, a class, a module or an object."""
    if isinstance(value, FunctionType):
        return f"{module_label(place_of(value).module)}.{value.__code__.co_qualname}"
    if isinstance(value, type):
        return qualified_name(value)
    if isinstance(value, ModuleType):
        return module_label(value.__name__)
    return f"{qualified_name(type(value))} object".removeprefix("builtins.")


@functools.cache
def version_of_distribution(top_level: str) -> str:
    """The version of the distribution that a top-level package or module comes from.

    Args:
        top_level: its name in ``import`` statements.

    Returns:
        The version; that of its ``__version__`` if no distribution has it; empty if that is not to be found either.
        The first answer is kept for as long as the process lives.
    """
    from importlib import metadata

    try:
        return metadata.version(top_level)
    except (metadata.PackageNotFoundError, ValueError):
        pass
    # metadata.packages_distributions() would know, after taking all lists of all files of all distributions apart.
    found = {f"{it.name} {it.version}" for it in metadata.distributions() if _provides(it, top_level)}
    if found:
        return ", ".join(sorted(found))
    version = getattr(sys.modules.get(top_level), "__version__", "")
    return version if isinstance(version, str) else ""


def _provides(distribution: Distribution, top_level: str) -> bool:
    if not top_level.isidentifier():
        return False
    names = distribution.read_text("top_level.txt")
    if names is not None:
        return top_level in names.split()
    return re.search(rf"^{re.escape(top_level)}[/.]", distribution.read_text("RECORD") or "", re.MULTILINE) is not None
