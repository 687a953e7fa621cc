"""The conformance suites on what this package offers, for ``pytest --odibi-conformance`` and for its own tests."""

from __future__ import annotations

import resource
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar

from odibi.testing.storage import StorageSuite
from odibi_local.storage import LocalStorage

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class LocalStorageSuite(StorageSuite):
    """The storage for ``type: local``."""

    component: ClassVar[type] = LocalStorage

    def options(self, place: Path) -> dict[str, Any]:
        """The folder itself."""
        return {"base_path": str(place)}

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """The file."""
        file = place / path
        return file.read_bytes() if file.is_file() else None

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """A file, as any program would write it."""
        file = place / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(data)

    @contextmanager
    def disconnected(self, place: Path) -> Iterator[None]:  # noqa: ARG002 - it is so for every folder
        """The process may open no more files, so that no folder can be reached; that passes."""
        most = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (0, most[1]))
        try:
            yield
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, most)
