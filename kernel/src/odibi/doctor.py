"""What is installed, what is wrong with it, and what to do about it; as plain data, for people and for tools."""

from __future__ import annotations

import json
import os
import platform
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from odibi.errors import ConfigError, OdibiError
from odibi.host import discovery
from odibi.host.firewall import words

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from odibi.host import Host, PluginInfo

_NEEDED = ("odibi-kernel", "attrs", "cattrs", "click", "importlib-metadata", "pluggy", "pyyaml", "rich", "structlog")


class Folder(NamedTuple):
    """A folder that Odibi writes to.

    Attributes:
        purpose: ``working``, ``temporary`` or ``cache``.
        path: where it is.
        trouble: why it cannot be used; empty if it can.
    """

    purpose: str
    path: str
    trouble: str = ""


class ProjectHealth(NamedTuple):
    """Whether a project can be used with what is installed.

    Attributes:
        path: the project file.
        problems: what keeps it from loading; empty if it loads.
        connections: name to what is wrong with its type; empty text if nothing is.
    """

    path: str
    problems: tuple[str, ...] = ()
    connections: Mapping[str, str] = {}


class Report(NamedTuple):
    """The result of a diagnosis.

    Attributes:
        python, platform, executable: what Odibi runs on.
        packages: the versions of the kernel, of what it needs, of the plugins and of what those need; ``None`` for
            what is not installed.
        plugins: what was found, with status, cause, remedy and what each printed while loading.
        conflicts: a line for each component that several plugins claim.
        folders: those that Odibi writes to.
        project: the health of the project that was asked about.
    """

    python: str
    platform: str
    executable: str
    packages: Mapping[str, str | None]
    plugins: Sequence[PluginInfo]
    conflicts: Sequence[str]
    folders: Sequence[Folder]
    project: ProjectHealth | None = None

    @property
    def problems(self) -> list[str]:
        """Everything that is wrong, a line each; empty if all is well."""
        found = [f"{info.label}: {info.cause}. {info.remedy}" for info in self.plugins if info.status in _BROKEN]
        found += self.conflicts
        found += [
            f"{folder.purpose} folder {folder.path}: {folder.trouble}" for folder in self.folders if folder.trouble
        ]
        if self.project is not None:
            found += self.project.problems
            found += [f"connection {name!r}: {what}" for name, what in self.project.connections.items() if what]
        return found

    def to_json(self) -> str:
        """The report and its ``problems`` as a JSON object."""
        data = self._asdict()
        data["plugins"] = [info._asdict() for info in self.plugins]
        data["folders"] = [folder._asdict() for folder in self.folders]
        data["project"] = self.project._asdict() if self.project is not None else None
        return json.dumps({**data, "problems": self.problems}, indent=2)


_BROKEN = ("quarantined", "incompatible")


def diagnose(host: Host, project_path: str | Path | None = None) -> Report:
    """Look at everything that may keep Odibi from working. Never raises for what it finds.

    Args:
        host: whose plugins are looked at.
        project_path: a project file, to look at that as well.
    """
    plugins = host.plugins()
    needed = {name: None for found in discovery.discover() for name in (found.distribution, *found.requires)}
    names = [*_NEEDED, *(name for name in needed if discovery.normal(name) not in _NEEDED)]
    installed = discovery.installed_versions(names)
    return Report(
        python=platform.python_version(),
        platform=platform.platform(),
        executable=sys.executable,
        packages={name: installed.get(name) for name in names},
        plugins=plugins,
        conflicts=host.conflicts(),
        folders=_folders(),
        project=_project(host, Path(project_path)) if project_path is not None else None,
    )


def _folders() -> list[Folder]:
    try:
        working = Folder("working", str(Path.cwd()), _unwritable(Path.cwd()))
    except FileNotFoundError:
        working = Folder("working", ".", "is gone. Change to another one.")
    temporary = Path(tempfile.gettempdir())
    folders = [working, Folder("temporary", str(temporary), _unwritable(temporary))]
    cache = discovery.cache_folder()
    if cache is not None:
        folders.append(Folder("cache", cache, _unusable_cache(Path(cache))))
    return folders


def _unwritable(folder: Path) -> str:
    """Why nothing can be written to a folder; tried, as permissions do not tell of full and read-only disks."""
    try:
        with tempfile.TemporaryFile(dir=folder) as file:
            file.write(b"odibi")
    except OSError as error:
        return f"cannot be written ({error.strerror or error})"
    return ""


def _unusable_cache(folder: Path) -> str:
    if folder.is_dir():
        if not discovery.private(folder.stat()):
            return f"others may write to it, so it is not used. Run: chmod 700 {folder}"
        return _unwritable(folder)
    parent = next(parent for parent in folder.parents if parent.exists())
    return "" if os.access(parent, os.W_OK) else f"cannot be made in {parent}"


def _project(host: Host, path: Path) -> ProjectHealth:
    from odibi.config.load import load_project

    try:
        project = load_project(path).project
    except ConfigError as error:
        return ProjectHealth(str(path), tuple(map(str, error.problems)))
    except (Exception, SystemExit) as error:  # the project's own Python code may do anything
        return ProjectHealth(str(path), (words(error, place=True),))
    return ProjectHealth(
        str(path), (), {name: _trouble(host, connection.type) for name, connection in project.connections.items()}
    )


def _trouble(host: Host, kind: str) -> str:
    try:
        if host.description("storage", kind) is None:
            host.component("storage", kind)
    except OdibiError as error:
        return str(error)
    return ""
