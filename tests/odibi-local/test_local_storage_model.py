"""Random histories of a storage beside a dict that does the same."""

from __future__ import annotations

import shutil
import tempfile
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import settings
from hypothesis.stateful import Bundle, RuleBasedStateMachine, consumes, initialize, invariant, rule

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, InvalidPath, NotFound
from odibi_local.storage import LocalStorage

NAMES = st.sampled_from(["a", "b", "a.b", "a-b", "a0", "é", "z z"])
PATHS = st.lists(NAMES, min_size=1, max_size=3).map("/".join)
DATA = st.binary(max_size=20)


class Histories(RuleBasedStateMachine):
    etags = Bundle("etags")

    @initialize()
    def start(self) -> None:
        self.folder = tempfile.mkdtemp()
        self.storage = LocalStorage(base_path=self.folder, fsync=False)
        self.model: dict[str, bytes] = {}
        self.current: dict[str, str] = {}

    def teardown(self) -> None:
        shutil.rmtree(self.folder, ignore_errors=True)

    def blocked(self, path: str) -> bool:
        """A file system, unlike an object store, has no object under another."""
        return any(other.startswith(path + "/") or path.startswith(other + "/") for other in self.model)

    def written(self, path: str, data: bytes, etag: str) -> Any:
        self.model[path] = data
        self.current[path] = etag
        return path, etag

    @rule(target=etags, path=PATHS, data=DATA)
    def write(self, path: str, data: bytes) -> Any:
        if self.blocked(path):
            with pytest.raises(InvalidPath):
                self.storage.write(path, data)
            return path, "none"
        return self.written(path, data, self.storage.write(path, data).etag)

    @rule(target=etags, path=PATHS, data=DATA)
    def write_absent(self, path: str, data: bytes) -> Any:
        if self.blocked(path):
            with pytest.raises(InvalidPath):
                self.storage.write(path, data, when=ABSENT)
            return path, "none"
        if path in self.model:
            with pytest.raises(Conflict):
                self.storage.write(path, data, when=ABSENT)
            return path, "none"
        return self.written(path, data, self.storage.write(path, data, when=ABSENT).etag)

    @rule(target=etags, seen=etags, data=DATA, stream=st.booleans())
    def write_match(self, seen: Any, data: bytes, stream: bool) -> Any:
        path, etag = seen

        def write() -> None:
            if stream:
                with self.storage.create(path, when=Match(etag)) as file:
                    file.write(data)
            else:
                self.storage.write(path, data, when=Match(etag))

        if self.current.get(path) == etag:
            write()
            return self.written(path, data, self.storage.stat(path).etag)
        with pytest.raises((Conflict, InvalidPath) if self.blocked(path) else Conflict):
            write()
        return seen

    @rule(seen=consumes(etags))
    def delete_seen(self, seen: Any) -> None:
        self.delete(seen[0])

    @rule(path=PATHS)
    def delete(self, path: str) -> None:
        self.storage.delete(path)
        self.model.pop(path, None)
        self.current.pop(path, None)

    @rule(path=PATHS)
    def read(self, path: str) -> None:
        if path in self.model:
            assert self.storage.read(path) == self.model[path]
            stat = self.storage.stat(path)
            assert (stat.path, stat.size, stat.etag) == (path, len(self.model[path]), self.current[path])
        else:
            for call in (self.storage.read, self.storage.open, self.storage.stat):
                with pytest.raises(NotFound):
                    call(path)

    @rule(prefix=PATHS)
    def list_folder(self, prefix: str) -> None:
        expected = sorted(path for path in self.model if path == prefix or path.startswith(prefix + "/"))
        assert [stat.path for stat in self.storage.list(prefix)] == expected

    @invariant()
    def list_all(self) -> None:
        if hasattr(self, "model"):
            assert [stat.path for stat in self.storage.list()] == sorted(self.model)


Histories.TestCase.settings = settings(max_examples=60, stateful_step_count=25, deadline=None)
TestHistories = Histories.TestCase
