"""What the author of a storage says to the suite, and what its tests share; see :mod:`odibi.testing.storage`."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest

from odibi.errors import NotFound
from odibi.testing.component import ComponentSuite
from odibi.testing.storage_files import PLAIN_SIZES

if TYPE_CHECKING:
    from collections.abc import Iterator
    from contextlib import AbstractContextManager
    from pathlib import Path

    from odibi.contracts.storage import Storage

_IN_ANOTHER_PROCESS = """
import importlib, io, json, os, sys
from odibi.contracts.storage import ABSENT, ALWAYS, Match
from odibi.errors import *
home, name, options, code = json.loads(sys.argv[1])
component = importlib.import_module(home)
for part in name.split("."):
    component = getattr(component, part)
storage = component(**options)
exec(code)
"""


class StorageBase(ComponentSuite):
    """What the tests of a storage share."""

    family: ClassVar[str] = "storage"

    sizes: ClassVar[tuple[int, ...]] = ()
    """Sizes of data, in bytes, from which the storage does something else, such as to write in several parts. The
    tests write as much, one byte less and one more, beside the sizes about which common buffers end."""

    listed_at_once: ClassVar[int] = 1000
    """Objects that a lazy listing may know of ahead of the one it shows."""

    in_this_process: ClassVar[bool] = False
    """Whether the backend keeps its objects in the memory of the process that runs the tests, as a simulated one does.
    What a write takes of it cannot be told from what is kept then."""

    clock_skew: ClassVar[float] = 600.0
    """Seconds by which the backend's clock may be off."""

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def raw_get(self, place: Path, path: str) -> bytes | None:
        """The object at ``path``, got from the backend itself and not through the storage; ``None`` if none is there.

        Args:
            place: as for :meth:`options`.
            path: as the storage has it.
        """
        raise NotImplementedError("say how to look at an object without the storage")

    def raw_put(self, place: Path, path: str, data: bytes) -> None:
        """Put an object at ``path`` in the backend itself, as another program would, and not through the storage."""
        raise NotImplementedError("say how to put an object there without the storage")

    def disconnected(self, place: Path) -> AbstractContextManager[None]:  # noqa: ARG002 - for those who can
        """Make the backend unreachable for the time of the block, such that what the storage does raises Transient."""
        pytest.skip("the suite has no way to make the backend unreachable")

    # --- what the tests use -----------------------------------------------------------------------------------------

    @pytest.fixture
    def storage(self, subject: Any) -> Storage:
        """A storage."""
        return cast("Storage", subject)

    @pytest.fixture
    def other(self, place: Path) -> Iterator[Storage]:
        """Another handle on the same place."""
        made = cast("Storage", self.make(place))
        try:
            yield made
        finally:
            made.close()

    @contextmanager
    def process(self, place: Path, code: str) -> Iterator[subprocess.Popen[str]]:
        """Another process that runs ``code`` with a ``storage`` for the place; killed in the end if it still runs."""
        made = json.dumps([self.component.__module__, self.component.__qualname__, dict(self.options(place)), code])
        process = subprocess.Popen(  # noqa: S603 - our own interpreter, and our own code
            [sys.executable, "-c", _IN_ANOTHER_PROCESS, made],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        )
        try:
            yield process
        finally:
            process.kill()
            process.communicate()

    def all_sizes(self) -> list[int]:
        """The sizes of data to try, in bytes."""
        return sorted({*PLAIN_SIZES, *(max(size + more, 0) for size in self.sizes for more in (-1, 0, 1))})


def paths_of(storage: Storage, prefix: str = "") -> list[str]:
    """The paths that a listing shows, as it shows them."""
    return [found.path for found in storage.list(prefix)]


def there(storage: Storage, path: str) -> bytes | None:
    """The object at ``path``; ``None`` if none is there."""
    try:
        return storage.read(path)
    except NotFound:
        return None
