"""Install packages of this repository, as the wheels that users get, into the Python that runs this.

``python .ci/wheels.py kernel odibi-local`` builds a wheel of each, unless the one built from the same files is still
there, and installs them together. The wheels are named by path, so that no package of this repository ever comes from
an index, also where one names another as its dependency.

Packages are named by their folders: ``kernel``, or one in ``plugins``; ``all`` is every one. ``kernel[testing]`` adds
the extra.
"""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
STORE = ROOT / ".tox" / "wheels"
PASSED_OVER = {"__pycache__", ".mypy_cache", ".ruff_cache", ".pytest_cache", "dist", "build"}


def folders() -> dict[str, Path]:
    """Every package of the repository by the name of its folder."""
    homes = [ROOT / "kernel", *sorted((ROOT / "plugins").iterdir())]
    return {home.name: home for home in homes if (home / "pyproject.toml").is_file()}


def digest(home: Path) -> str:
    """What stands for the content of a package's folder."""
    found = hashlib.sha256(f"{sys.version_info[:2]}".encode())
    for path in sorted(home.rglob("*")):
        if path.is_file() and not PASSED_OVER.intersection(path.relative_to(home).parts):
            found.update(f"{path.relative_to(home)}\0{path.stat().st_size}\0".encode())
            found.update(path.read_bytes())
    return found.hexdigest()[:16]


def pip(*arguments: str | Path) -> None:
    """Run this Python's pip; what it prints is shown only if it fails."""
    command = [sys.executable, "-m", "pip", "--disable-pip-version-check", "--quiet", *map(str, arguments)]
    subprocess.run(command, check=True)  # noqa: S603 - our own arguments


def wheel(home: Path) -> Path:
    """The wheel of the package in ``home``, built if its files changed since the last time."""
    shelf = STORE / f"{home.name}-{digest(home)}"
    if not shelf.is_dir():
        STORE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=STORE, prefix=".building-") as draft:
            built = Path(draft) / "wheel"
            pip("wheel", "--no-deps", "--wheel-dir", built, home)
            try:
                built.rename(shelf)
            except OSError:
                if not shelf.is_dir():  # otherwise another environment was faster, with the same result
                    raise
    return next(shelf.glob("*.whl"))


def main(wanted: list[str]) -> int:
    """Build and install; exit code 2 for a name that is no package here, pip's own when it fails."""
    homes = folders()
    if wanted == ["all"]:
        wanted = list(homes)
    names = [name.partition("[")[0] for name in wanted]
    unknown = [name for name in names if name not in homes]
    if unknown or not names:
        print(f"wheels.py: no such package: {', '.join(unknown) or '(none named)'}", file=sys.stderr)
        print(f"  there are: all, {', '.join(homes)}", file=sys.stderr)
        return 2
    try:
        wheels = [wheel(homes[name]) for name in names]
        extras = [name.removeprefix(name.partition("[")[0]) for name in wanted]
        # First whatever they need; a wheel whose version is there already is passed over. Then the wheels themselves.
        pip("install", *[f"{path}{extra}" for path, extra in zip(wheels, extras, strict=True)])
        pip("install", "--force-reinstall", "--no-deps", *wheels)
    except subprocess.CalledProcessError as error:
        return int(error.returncode)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
