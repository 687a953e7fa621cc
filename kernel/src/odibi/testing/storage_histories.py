"""Random histories of a storage, beside a dict that does the same."""

from __future__ import annotations

import io
from contextlib import suppress
from itertools import count
from typing import TYPE_CHECKING

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, precondition, rule

from odibi.contracts.storage import ABSENT, Match
from odibi.errors import Conflict, NotFound
from odibi.testing.storage_files import Broken, ShortReads, content

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.contracts.storage import Stat, Storage, When

_PATHS = st.sampled_from(["a", "A", "a.b", "d/x", "d/y", "d/e/x", "d.e", "d0/x", "d e", "%41", "caf\u00e9"])
_PREFIXES = st.sampled_from(["", "d", "d/e", "d/x", "a", "D", "d/e/x", "nothing", "d0"])
_DATA = st.binary(max_size=20) | st.builds(
    content, st.sampled_from([0, 5, 65_536, 65_537, 200_000]), seed=st.integers(0, 3)
)
_CHOICES = st.integers(0, 99)
_WAYS = st.sampled_from(["bytes", "view", "file", "short", "create"])


def histories(
    storage: Storage,
    other: Storage,
    *,
    raw_get: Callable[[str], bytes | None],
    raw_put: Callable[[str, bytes], None],
    exact: bool,
) -> type[RuleBasedStateMachine]:
    """A hypothesis state machine that compares two handles on one place to a dict.

    Every history has a folder of its own, so that they need no place of their own.

    Args:
        storage: one handle.
        other: another.
        raw_get: looks at an object without the storage.
        raw_put: puts one there without the storage.
        exact: whether conditions are to be tried.
    """
    folders = count()
    tells_all = exact and getattr(type(storage), "etag_resolution", None) is None

    class Histories(RuleBasedStateMachine):
        def __init__(self) -> None:
            super().__init__()
            self.folder = f"history{next(folders)}"
            self.model: dict[str, bytes] = {}
            self.etags: dict[str, list[str]] = {}
            self.handles = (storage, other)

        def full(self, path: str) -> str:
            return f"{self.folder}/{path}"

        def check(self, path: str, found: Stat) -> None:
            assert (found.path, found.size) == (self.full(path), len(self.model[path]))

        def written(self, path: str, data: bytes, found: Stat | None, *, tells: bool = exact) -> None:
            before, self.model[path] = self.model.get(path), data
            seen = storage.stat(self.full(path))
            self.check(path, seen)
            if found is not None:
                self.check(path, found)
                assert found.etag == seen.etag
            if tells and before is not None and before != data:
                assert seen.etag != self.etags[path][-1], "the content has changed, and the etag has not"
            self.etags.setdefault(path, []).append(seen.etag)
            assert raw_get(self.full(path)) == data

        def put(self, handle: Storage, path: str, data: bytes, way: str, when: When | None = None) -> Stat | None:
            more = {} if when is None else {"when": when}
            if way == "create":
                with handle.create(self.full(path), **more) as file:
                    file.write(data[:7])
                    file.write(data[7:])
                return None
            sources = {
                "bytes": data,
                "view": memoryview(b"<" + data + b">")[1:-1],
                "file": io.BytesIO(data),
                "short": io.BufferedReader(ShortReads(data, 999)),
            }
            return handle.write(self.full(path), sources[way], **more)  # type: ignore[arg-type]

        @rule(path=_PATHS, data=_DATA, way=_WAYS, by=st.integers(0, 1))
        def write(self, path: str, data: bytes, way: str, by: int) -> None:
            self.written(path, data, self.put(self.handles[by], path, data, way))

        @precondition(lambda _: exact)
        @rule(path=_PATHS, data=_DATA, way=_WAYS, by=st.integers(0, 1))
        def write_if_absent(self, path: str, data: bytes, way: str, by: int) -> None:
            if path in self.model:
                with pytest.raises(Conflict):
                    self.put(self.handles[by], path, data, way, ABSENT)
            else:
                self.written(path, data, self.put(self.handles[by], path, data, way, ABSENT))

        @precondition(lambda self: exact and self.etags)
        @rule(
            path=_PATHS, data=_DATA, way=_WAYS, by=st.integers(0, 1), choice=st.integers(0, 99), current=st.booleans()
        )
        def write_if_unchanged(self, path: str, data: bytes, way: str, by: int, choice: int, current: bool) -> None:
            now = storage.stat(self.full(path)).etag if path in self.model else None
            # By number, as what the etags are, and which are alike, is the storage's affair, and may differ each time.
            known = [etag for etags in self.etags.values() for etag in etags]
            etag = now if current and now is not None else known[choice % len(known)]
            if etag == now:
                self.written(path, data, self.put(self.handles[by], path, data, way, Match(etag)))
            else:
                with pytest.raises(Conflict):
                    self.put(self.handles[by], path, data, way, Match(etag))

        @rule(path=_PATHS, data=_DATA)
        def another_program_writes(self, path: str, data: bytes) -> None:
            raw_put(self.full(path), data)
            self.written(path, data, None, tells=tells_all)

        @rule(path=_PATHS, data=_DATA, by=st.integers(0, 1))
        def give_up(self, path: str, data: bytes, by: int) -> None:
            with suppress(Broken), self.handles[by].create(self.full(path)) as file:
                file.write(data)
                raise Broken
            assert raw_get(self.full(path)) == self.model.get(path)

        @rule(path=_PATHS, by=st.integers(0, 1))
        def delete(self, path: str, by: int) -> None:
            self.handles[by].delete(self.full(path))
            self.model.pop(path, None)
            assert raw_get(self.full(path)) is None

        @rule(path=_PATHS, by=st.integers(0, 1), start=st.integers(0, 70_000), size=st.integers(0, 70_000))
        def read(self, path: str, by: int, start: int, size: int) -> None:
            handle, full = self.handles[by], self.full(path)
            if path not in self.model:
                for ask in (handle.read, handle.open, handle.stat):
                    with pytest.raises(NotFound):
                        ask(full)
                return
            data = self.model[path]
            assert handle.read(full) == data
            self.check(path, handle.stat(full))
            with handle.open(full) as file:
                file.seek(start)
                part = file.read(size)
                assert part == data[start : start + len(part)]
                assert bool(part) == bool(data[start : start + size])

        @rule(prefix=_PREFIXES, by=st.integers(0, 1))
        def list_a_folder(self, prefix: str, by: int) -> None:
            shown = list(self.handles[by].list(self.full(prefix)))
            expected = sorted(p for p in self.model if not prefix or p == prefix or p.startswith(f"{prefix}/"))
            assert [found.path for found in shown] == [self.full(path) for path in expected]
            for path, found in zip(expected, shown, strict=True):
                self.check(path, found)
                assert found.etag == self.etags[path][-1]

        @rule()
        def look_at_all(self) -> None:
            self.list_a_folder(prefix="", by=0)

    return Histories
