"""Whether a storage keeps what its contract promises (:mod:`odibi.contracts.storage`).

For the author of a storage, one test class is all::

    # tests/test_my_storage.py
    from odibi.testing.storage import StorageSuite
    from my_package import MyStorage


    class TestMyStorage(StorageSuite):
        component = MyStorage

        def options(self, place):
            return {"base_path": str(place)}

        def raw_get(self, place, path):
            file = place / path
            return file.read_bytes() if file.is_file() else None

        def raw_put(self, place, path, data):
            (place / path).parent.mkdir(parents=True, exist_ok=True)
            (place / path).write_bytes(data)

Two storages made for one place must share their objects, and those of two places must not; a place is a folder that
exists and is empty, which a storage on a server can take for the name of a bucket of its own. :meth:`raw_get` and
:meth:`raw_put` reach the backend in another way than through the storage, so that it does not test itself.

Further, if it fits: ``sizes``, at which the storage does something else; ``disconnected``, which makes the backend
unreachable; ``in_this_process`` for a simulated backend; and ``make``, where options alone do not do.

What a storage cannot do it declares in ``capabilities``, and the tests of that are left out.

Needs pytest and hypothesis: ``pip install odibi-kernel[testing]``.
"""

from __future__ import annotations

from odibi.testing.storage_folders import FolderTests
from odibi.testing.storage_objects import ObjectTests
from odibi.testing.storage_races import RaceTests
from odibi.testing.storage_refusals import RefusalTests

__all__ = ["StorageSuite"]


class StorageSuite(FolderTests, RaceTests, RefusalTests, ObjectTests):  # pytest runs the tests of the last base first
    """Tests of one storage; see the module for how to use it."""
