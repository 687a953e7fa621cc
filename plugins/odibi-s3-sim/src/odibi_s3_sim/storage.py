"""A simulated S3 as a storage of pipelines."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, cast

import attrs

from odibi import option
from odibi.contracts.storage import ALWAYS, Stat, check_path
from odibi.errors import InvalidPath, NotFound, StorageError
from odibi_s3_sim import faults as fault_plans
from odibi_s3_sim import ledger
from odibi_s3_sim.amounts import byte_count
from odibi_s3_sim.connection import Connection, Settings
from odibi_s3_sim.errors import S3Error
from odibi_s3_sim.failures import mapped
from odibi_s3_sim.latency import latency_of
from odibi_s3_sim.reading import ObjectReader
from odibi_s3_sim.requests import PART_BYTES, check_bucket_name, key_bytes
from odibi_s3_sim.writing import ObjectWriter

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from odibi.contracts.storage import When
    from odibi_s3_sim.answers import Version
    from odibi_s3_sim.client import Client
    from odibi_s3_sim.faults import FaultPlan

_BUFFER = 1 << 17
_CHUNK = 1 << 20


def _bucket_name(given: str) -> str:
    try:
        return check_bucket_name(given)
    except S3Error as error:
        raise ValueError(error.message) from None


def _prefix(given: str) -> str:
    try:
        return check_path(given)
    except InvalidPath as error:
        raise ValueError(error.what) from None


def _faults(given: Mapping[str, float]) -> Mapping[str, float]:
    return fault_plans.check_rates(given)


def _part_size(given: int | str) -> int | str:
    size = byte_count(given)
    if not PART_BYTES <= size <= 5 * 1024**3:
        raise ValueError(f"a part has 5 MiB to 5 GiB, not {given!r}")
    return size


def _latency(given: str | Mapping[str, float]) -> str | Mapping[str, float]:
    latency_of(given)
    return given


def _retries(given: int) -> int:
    if given < 0:
        raise ValueError("retries are 0 or more")
    return given


class _Opened:
    """A connection that is opened when it is needed, and can be closed and opened again."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._connection: Connection | None = None
        self._plan: FaultPlan | None = None

    def __reduce__(self) -> tuple[type[_Opened], tuple[()]]:
        return _Opened, ()  # another process opens its own

    def get(self, settings: Callable[[], Settings]) -> Connection:
        """The connection."""
        with self._lock:
            if self._connection is None:
                self._connection = Connection(settings(), self._plan)
                self._plan = self._connection.plan
            return self._connection

    def close(self) -> None:
        """Close it, if it is open."""
        with self._lock:
            connection, self._connection = self._connection, None
        if connection is not None:
            connection.close()


@attrs.frozen(eq=False)
class SimulatedS3Storage:
    """Objects in a simulated S3 bucket; see :class:`odibi.contracts.Storage` for what it promises.

    Without ``path`` a bucket is in memory; all storages of a process that name it share it. With one it is a folder,
    which processes share. What a bucket costs, and what goes wrong with it, is a matter of the other options.
    """

    capabilities: ClassVar[Mapping[str, str]] = {
        "durable": "partial: with 'path'; in memory nothing outlives the process",
        "shared": "partial: with 'path'; in memory other processes see nothing",
    }

    effects: ClassVar[tuple[str, ...]] = ("files",)

    bucket: str = option("odibi-simulated", help="The bucket, by a name that S3 would allow.", converter=_bucket_name)
    prefix: str = option("", help="The folder in it that holds the objects.", aliases=("base_path",), converter=_prefix)
    path: str | None = option(
        None, help="A folder to keep buckets in; without one they are in memory, until the process ends.", is_path=True
    )
    create_bucket: bool = option(True, help="Make the bucket if there is none in the folder.")
    versioning: bool | None = option(
        None, help="Turn versions on, or suspend them; without, they stay as they are: off in a new bucket."
    )
    seed: int = option(0, help="Chooses the faults and the latencies; the same one gives the same ones.")
    faults: Mapping[str, float] = option(
        factory=dict,
        help="Kinds of faults, each with how likely it is: {slow_down: 0.05, lost_response: 0.01}.",
        converter=_faults,
    )
    faults_from: str | None = option(
        None, help="A file with recorded faults, which are repeated instead of drawn.", is_path=True
    )
    faults_to: str | None = option(
        None, help="A file for the faults that happened, written when the storage is closed.", is_path=True
    )
    latency: str | Mapping[str, float] = option(
        "same_region",
        help="A preset (none, same_region, other_region), or {median, p99} in seconds with {up, down} in MB/s and "
        "{timeout} in seconds.",
        converter=_latency,
    )
    clock: Literal["virtual", "real"] = option(
        "virtual", help="Whether waiting is only added up, or done; a virtual clock costs no time."
    )
    rate_limits: bool = option(
        True, help="Answer SlowDown above 3,500 writes or 5,500 reads a second for one prefix, as S3 does."
    )
    retries: int = option(6, help="How often a request that failed is tried again.", converter=_retries)
    part_size: int | str = option(
        8 * 1024**2,
        help="Size of the parts of large objects, in bytes or with a unit (16MiB); smaller objects are one PUT.",
        converter=_part_size,
    )
    prices: str | None = option(
        None, help="A JSON file with a price table; without one, S3 Standard in us-east-1.", is_path=True
    )
    reader: Literal["same_region", "other_region", "internet"] = option(
        "same_region", help="Where the bucket is read from, on which the price of reading depends."
    )
    deny: Sequence[str] = option(
        (), help="Folders below the prefix that this connection may not touch: AccessDenied.", converter=tuple
    )
    fsync: bool = option(
        True, help="With a path: have each write on disk before it counts as done; without, a power cut may undo some."
    )
    _opened: _Opened = attrs.field(init=False, repr=False, factory=_Opened)

    # --- the contract -----------------------------------------------------------------------------------------------

    def read(self, path: str) -> bytes:
        """The whole object."""
        key = self._key(path)
        with mapped(path):
            return self._client().get(key).body

    def open(self, path: str) -> BinaryIO:
        """The object as a seekable binary file, of which ranges are fetched."""
        return io.BufferedReader(ObjectReader(self._client(), self._key(path), path), _BUFFER)

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Make ``data`` the object at ``path``, with one PUT or, if it is large, a multipart upload."""
        if isinstance(data, bytes | bytearray | memoryview):
            data = io.BytesIO(data)
        writer = self._writer(path)
        try:
            while chunk := data.read(_CHUNK):
                writer.write(chunk)
            written = writer.finish(when)
        except BaseException:
            _discard(writer)
            raise
        return Stat(check_path(path), writer.tell(), written.modified, written.etag)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A binary file that becomes the object when the ``with`` block ends; one part of it is held in memory."""
        writer = self._writer(path)
        try:
            yield cast("BinaryIO", writer)
            writer.finish(when)
        except BaseException:
            _discard(writer)
            raise

    def stat(self, path: str) -> Stat:
        """What is at ``path``."""
        key = self._key(path)
        with mapped(path):
            return self._stat(self._client().head(key).version)

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All objects at or under ``prefix``, a page of a thousand at a time."""
        return self._list(check_path(prefix))

    def delete(self, path: str) -> None:
        """Remove the object; with versions, hide it under a delete marker."""
        key = self._key(path)
        with mapped(path):
            self._client().delete(key)

    def uri(self, path: str) -> str:
        """``s3-sim://bucket/key``, which no other program takes for a bucket of Amazon's."""
        return f"s3-sim://{self.bucket}/{self._below(check_path(path))}"

    def native_options(self, for_: str) -> Mapping[str, Any]:  # noqa: ARG002 - nobody can go there directly
        """Nothing: no reader can go direct to what is simulated."""
        return {}

    def close(self) -> None:
        """Write down what was counted, and the faults if they are to be recorded; let go of the files."""
        self._opened.close()

    # --- for tests --------------------------------------------------------------------------------------------------

    def raw_get(self, path: str) -> bytes:
        """The object as it is in the bucket: no request, no fault, no bill.

        Raises:
            KeyError: there is none.
        """
        try:
            return self.connection.bucket.get(self._key(path)).body
        except S3Error as error:
            raise KeyError(path) from error

    def raw_put(self, path: str, data: bytes) -> None:
        """Put an object into the bucket: no request, no fault, no bill."""
        self.connection.bucket.put(self._key(path), data)

    @property
    def connection(self) -> Connection:
        """The bucket, its fault plan, its clock and its ledger; opened when it is first needed.

        Raises:
            StorageError: it cannot be opened.
        """
        return self._opened.get(self._settings)

    def report(self) -> dict[str, Any]:
        """What was asked of the bucket in this process, and what it would cost: see :mod:`odibi_s3_sim.ledger`."""
        account = self.connection.account
        return ledger.report(account.ledger.label, account.ledger.entries(), account.prices, account.reader)

    # --- underneath -------------------------------------------------------------------------------------------------

    def _settings(self) -> Settings:
        return Settings(
            name=self.bucket,
            folder="" if self.path is None else os.path.join(os.path.abspath(self.path), self.bucket),  # noqa: PTH100, PTH118
            create=self.create_bucket,
            versioning=self.versioning,
            seed=self.seed,
            rates=self.faults,
            faults_from=self.faults_from,
            faults_to=self.faults_to,
            latency=self.latency,
            clock=self.clock,
            rate_limits=self.rate_limits,
            retries=self.retries,
            price_table=self.prices,
            reader=self.reader,
            denied=[self._below(check_path(folder)) for folder in self.deny],
            durable=self.fsync,
        )

    def _client(self) -> Client:
        return self.connection.client

    def _writer(self, path: str) -> ObjectWriter:
        key = self._key(path)
        return ObjectWriter(self._client(), key, path, cast("int", self.part_size))

    def _below(self, path: str) -> str:
        return "/".join(filter(None, (self.prefix, path)))

    def _key(self, path: str) -> str:
        clean = check_path(path)
        if not clean:
            raise InvalidPath("the path is empty", where=repr(path), remedy="Name an object below the connection.")
        key = self._below(clean)
        try:
            key_bytes(key)
        except S3Error as error:
            raise InvalidPath(error.message, where=repr(path), remedy="Use another path.") from error
        return key

    def _stat(self, version: Version) -> Stat:
        path = version.key[len(self.prefix) + 1 :] if self.prefix else version.key
        return Stat(path, version.size, version.modified, version.etag)

    def _list(self, prefix: str) -> Iterator[Stat]:
        if prefix:
            single = None
            with suppress(NotFound, InvalidPath):  # most often it is a folder
                single = self.stat(prefix)
            if single is not None:
                yield single
        folder = self._below(prefix)
        pages = self._client().list(f"{folder}/" if folder else "")
        while True:
            with mapped(prefix):
                version = next(pages, None)
            if version is None:
                return
            stat = self._stat(version)
            if _is_path(stat.path):
                yield stat


def _discard(writer: ObjectWriter) -> None:
    with suppress(StorageError):  # what is left is what S3 would have left; the cause counts
        writer.discard()


def _is_path(path: str) -> bool:
    """Whether an object has a path: other programs make keys that none leads to, such as ``folder/``."""
    try:
        return bool(path) and check_path(path) == path
    except InvalidPath:
        return False
