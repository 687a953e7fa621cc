"""Ways to keep a frame on disk: put, get, and read every byte."""

from __future__ import annotations

import os
import pickle
from abc import abstractmethod
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

import attrs

import odibi

ARROW, NUMPY = "Arrow-backed", "numpy-backed"


def mixed_frame(megabytes: float, kind: str) -> Any:
    """Numbers, words, times and missing values, the same each time; about so many million bytes."""
    import numpy as np
    import pandas as pd
    import pyarrow as pa

    chosen = np.random.default_rng(1)
    rows = int(megabytes * 1e6 / 58)
    words = np.array([f"word {at}" for at in range(1_000)])
    amount = chosen.normal(100.0, 20.0, rows)
    amount[::10] = np.nan
    moments = np.datetime64("2026-01-01", "us") + chosen.integers(0, 31_536_000_000_000, rows)
    moments[::50] = np.datetime64("NaT")
    frame = pd.DataFrame(
        {
            "id": np.arange(rows),
            "count": chosen.integers(0, 1_000, rows),
            "share": chosen.random(rows),
            "amount": amount,
            "good": chosen.random(rows) < 0.5,
            "moment": moments,
            "word": words[chosen.integers(0, 1_000, rows)],
        }
    )
    if kind == NUMPY:
        return frame
    table = pa.Table.from_pandas(frame, preserve_index=False)
    return table.to_pandas(types_mapper=pd.ArrowDtype)


def read_every_byte(frame: Any) -> int:
    """Read all memory of a frame once; returns something that depends on it."""
    import numpy as np

    total = 0
    for name in frame.columns:
        array = frame[name].array
        chunked = getattr(array, "_pa_array", None)
        if chunked is None:
            buffers = [memoryview(np.ascontiguousarray(frame[name].to_numpy()).view(np.uint8))]
        else:
            buffers = [memoryview(buffer) for chunk in chunked.chunks for buffer in chunk.buffers() if buffer]
        for buffer in buffers:
            whole = len(buffer) // 8 * 8
            total += int(np.bitwise_xor.reduce(np.frombuffer(buffer[:whole], np.uint64))) if whole else 0
    return total


class Store(Protocol):
    """Keeps frames by name."""

    @abstractmethod
    def put(self, name: str, frame: Any) -> None:
        """Keep it."""

    @abstractmethod
    def get(self, name: str) -> Any:
        """Give it back."""

    @abstractmethod
    def drop(self, name: str) -> None:
        """Forget it."""


@attrs.define
class Ours:
    """The cache in a folder, with the engine that writes and reads Arrow; content is checked on each read."""

    folder: Path
    fsync: bool = False
    _cache: Any = attrs.field(init=False)
    _engine: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        host = odibi.Host()
        self._cache = host.build("cache", "disk", {"path": str(self.folder), "fsync": self.fsync})
        self._engine = host.build("engine", "pandas", {})

    def put(self, name: str, frame: Any) -> None:
        self._cache.put(name, lambda file: self._engine.write_arrow(frame, file))

    def get(self, name: str) -> Any:
        return self._engine.read_arrow(self._cache.get(name).data)

    def drop(self, name: str) -> None:
        self._cache.delete(name)


@attrs.define
class ArrowFile:
    """A plain Arrow IPC file; read from a memory map without a copy where that is possible."""

    folder: Path
    kind: str
    fsync: bool = False

    def put(self, name: str, frame: Any) -> None:
        import pyarrow as pa

        table = pa.Table.from_pandas(frame)
        with (self.folder / name).open("wb") as file:
            with pa.ipc.new_file(file, table.schema) as writer:
                writer.write_table(table)
            if self.fsync:
                file.flush()
                os.fsync(file.fileno())

    def get(self, name: str) -> Any:
        import pandas as pd
        import pyarrow as pa

        table = pa.ipc.open_file(pa.memory_map(str(self.folder / name))).read_all()
        if self.kind == ARROW:
            return table.to_pandas(types_mapper=pd.ArrowDtype)
        return table.to_pandas(split_blocks=True)

    def drop(self, name: str) -> None:
        (self.folder / name).unlink()


@attrs.define
class Parquet:
    """A Parquet file, compressed as pandas does by default."""

    folder: Path
    kind: str

    def put(self, name: str, frame: Any) -> None:
        frame.to_parquet(self.folder / name)

    def get(self, name: str) -> Any:
        import pandas as pd

        if self.kind == ARROW:
            return pd.read_parquet(self.folder / name, dtype_backend="pyarrow")
        return pd.read_parquet(self.folder / name)

    def drop(self, name: str) -> None:
        (self.folder / name).unlink()


@attrs.define
class Pickled:
    """Pickle 5 with the buffers beside it in one file, which is mapped for reading."""

    folder: Path

    def put(self, name: str, frame: Any) -> None:
        buffers: list[pickle.PickleBuffer] = []
        head = pickle.dumps(frame, protocol=5, buffer_callback=buffers.append)
        parts = [memoryview(head), *(buffer.raw() for buffer in buffers)]
        sizes = pickle.dumps([part.nbytes for part in parts])
        with (self.folder / name).open("wb") as file:
            file.write(len(sizes).to_bytes(8, "little"))
            file.write(sizes)
            for part in parts:
                file.write(part)

    def get(self, name: str) -> Any:
        import mmap

        with (self.folder / name).open("rb") as file:
            data = memoryview(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        at = 8 + int.from_bytes(data[:8], "little")
        parts = []
        for size in pickle.loads(data[8:at]):
            parts.append(data[at : at + size])
            at += size
        return pickle.loads(parts[0], buffers=parts[1:])

    def drop(self, name: str) -> None:
        (self.folder / name).unlink()


@attrs.define
class Joblib:
    """``Memory.cache`` around a function that gives the frame."""

    folder: Path
    _given: list[Any] = attrs.field(factory=list)
    _cached: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        given = self._given

        def frame(name: str) -> Any:
            return given[0]

        self._cached = import_module("joblib").Memory(str(self.folder), verbose=0).cache(frame)

    def put(self, name: str, frame: Any) -> None:
        self._given[:] = [frame]
        self._cached(name)
        self._given.clear()

    def get(self, name: str) -> Any:
        return self._cached(name)

    def drop(self, name: str) -> None:
        self._cached.call_and_shelve(name).clear()


@attrs.define
class DiskCache:
    """diskcache, which pickles what it is given."""

    folder: Path
    _cache: Any = attrs.field(init=False)

    def __attrs_post_init__(self) -> None:
        self._cache = import_module("diskcache").Cache(str(self.folder), size_limit=10**10)

    def put(self, name: str, frame: Any) -> None:
        self._cache.set(name, frame)

    def get(self, name: str) -> Any:
        return self._cache.get(name)

    def drop(self, name: str) -> None:
        self._cache.delete(name)


Maker = Callable[[Path, str], Store]

STORES: Sequence[tuple[str, str | None, Maker]] = (
    ("odibi", None, lambda folder, _: Ours(folder)),
    ("odibi, fsync", None, lambda folder, _: Ours(folder, fsync=True)),
    ("Arrow file", None, ArrowFile),
    ("Arrow file, fsync", None, lambda folder, kind: ArrowFile(folder, kind, fsync=True)),
    ("Parquet", None, Parquet),
    ("pickle 5, mapped", None, lambda folder, _: Pickled(folder)),
    ("joblib.Memory", "joblib", lambda folder, _: Joblib(folder)),
    ("diskcache", "diskcache", lambda folder, _: DiskCache(folder)),
)
"""By name: what has to be installed for it, and what makes it in an empty folder for frames of a kind."""
