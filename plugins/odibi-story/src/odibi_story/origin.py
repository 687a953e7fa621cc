"""Where a run's code and process come from: the state of the project in git, and the environment."""

from __future__ import annotations

import os
import platform
import subprocess
from pathlib import Path

from odibi_story.record import Commit

PATIENCE = 2.0
"""Seconds that git may take; a story without a commit is better than one that is late."""


def commit_of(folder: Path) -> Commit | None:
    """The commit of a folder, and whether files below it that git knows differ from it.

    Files that git does not know do not count: what runs write is among them, stories too.

    Args:
        folder: of a project.

    Returns:
        ``None`` if it is not in a git repository with a commit, git is not there, or takes too long.
    """
    words = ["git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch", "--untracked-files=no"]
    try:
        told = subprocess.run(  # noqa: S603 - nothing of it comes from a user
            [*words, "--", "."],
            cwd=folder,
            # So that nothing is locked or written in a repository that somebody may be working in.
            env={**os.environ, "GIT_OPTIONAL_LOCKS": "0", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=PATIENCE,
            check=True,
        ).stdout.decode("utf-8", "backslashreplace")
    except (OSError, subprocess.SubprocessError, ValueError):
        return None
    heads = dict(line[2:].partition(" ")[::2] for line in told.splitlines() if line.startswith("# "))
    found = heads.get("branch.oid", "")
    if not found or found.startswith("("):  # "(initial)": nothing was committed yet
        return None
    branch = heads.get("branch.head", "")
    changed = any(line and not line.startswith("#") for line in told.splitlines())
    return Commit(found, "" if branch == "(detached)" else branch, changed)


def environment() -> dict[str, str]:
    """Python, the system, the machine, and the versions of what makes the story."""
    import odibi
    import odibi_story

    return {
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "odibi": odibi.__version__,
        "odibi-story": odibi_story.__version__,
        "system": f"{platform.system()} {platform.release()}",
        "machine": platform.machine(),
        "processors": str(os.cpu_count() or "?"),
        "host": platform.node(),
        "process": str(os.getpid()),
    }


def working_folder() -> str:
    """The folder in which the process runs; empty if it is gone."""
    try:
        return str(Path.cwd())
    except OSError:
        return ""
