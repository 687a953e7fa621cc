"""The calls of obstore that the storage makes, with their errors in the words of the contract.

This is the one module that imports obstore.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

import attrs
import obstore
from obstore.store import S3Store

from odibi.errors import Conflict, InvalidPath, NotFound, StorageError
from odibi_s3.failures import RangeMissing, asked

if TYPE_CHECKING:
    from _typeshed import ReadableBuffer as Buffer
    from obstore import GetResult, ObjectMeta, PutMode

    from odibi_s3.credentials import Provider

MARK = "odibi-write"
"""The name of the metadata by which a writer knows its own object again."""

_PAGE = 1000
_FOR_EVER = timedelta(days=1)
_ALL_RETRIES = timedelta(minutes=3)

_first_process: int | None = None


@attrs.frozen
class Settings:
    """What a client is made of.

    Attributes:
        bucket: its name.
        config: of the bucket and the server, in obstore's words; no secrets.
        allow_http: whether what is sent may go without TLS.
        provider: gives the keys; ``None`` to let obstore look for some.
        timeout, connect_timeout: seconds without an answer.
        retries: how often a request is sent again.
        backoff, max_backoff: seconds before the first, and before a late one.
        parallel: parts of one object that are sent at once.
    """

    bucket: str
    config: Mapping[str, Any]
    allow_http: bool
    provider: Provider | None = attrs.field(repr=False)
    timeout: float
    connect_timeout: float
    retries: int
    backoff: float
    max_backoff: float
    parallel: int


@attrs.frozen
class Head:
    """What the server says of an object.

    Attributes:
        key: in the bucket.
        size: in bytes.
        modified: seconds since the epoch.
        etag: without quotes.
        version: in a bucket that keeps versions.
        mark: of the writer; see :data:`MARK`.
    """

    key: str
    size: int
    modified: float
    etag: str
    version: str | None = None
    mark: str | None = None


class Client:
    """A bucket.

    Args:
        settings: where, and how patiently.
    """

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        self._patient = self._store(settings.retries)
        self._once = self._store(0)

    def head(self, key: str, where: str) -> Head:
        """What there is of an object.

        Raises:
            NotFound: nothing.
        """
        result: GetResult = self._ask(where, obstore.get, self._patient, key, options={"head": True})
        return _head(result.meta, result.attributes.get(MARK))

    def read(self, key: str, where: str) -> bytes:
        """A whole object, of one version."""
        result: GetResult = self._ask(where, obstore.get, self._patient, key)
        content: bytes = self._ask(where, lambda: bytes(result.bytes()))
        return content

    def beginning(self, key: str, size: int, where: str) -> tuple[Head, Buffer]:
        """The first ``size`` bytes of an object, or all of it, and what there is of it; one request.

        Raises:
            NotFound: there is none.
        """
        result: GetResult
        try:
            result = self._ask(where, obstore.get, self._patient, key, options={"range": (0, size)})
        except RangeMissing:
            head = self.head(key, where)
            return head, b""
        content: Buffer = self._ask(where, result.bytes)
        return _head(result.meta), content

    def read_range(self, head: Head, start: int, stop: int, where: str) -> Buffer:
        """A part of one version of an object.

        Args:
            head: of the version.
            start, stop: bytes, the last exclusive; not empty.
            where: what to call it.

        Raises:
            Conflict: the object is another one now.
            NotFound: it is gone.
        """
        result: GetResult
        try:
            options: dict[str, Any] = {"range": (start, stop), "if_match": f'"{head.etag}"'}
            result = self._ask(where, obstore.get, self._patient, head.key, options=options)
            return self._content(result, head, where)
        except (Conflict, NotFound):
            if head.version is None:
                raise
        options = {"range": (start, stop), "version": head.version}
        result = self._ask(where, obstore.get, self._patient, head.key, options=options)
        return self._content(result, head, where)

    def put(self, key: str, data: Buffer, where: str) -> str:
        """Write an object in one request, whatever is there; its etag."""
        result = self._ask(where, obstore.put, self._patient, key, data, use_multipart=False)
        return _etag(result["e_tag"], where)

    def put_if(self, key: str, data: Buffer, etag: str | None, mark: str, where: str) -> str:
        """Write an object in one request that is sent once, if a condition holds; its etag.

        Args:
            key: where to.
            data: all of it.
            etag: as it goes into ``If-Match``, quotes included; ``None`` if nothing may be there.
            mark: by which to know it again.
            where: what to call it.

        Raises:
            Conflict: the condition does not hold.
            Transient: it may have been done, or not.
            Busy: it has not, as another writer was there.
        """
        mode: PutMode = "create" if etag is None else {"e_tag": etag}
        store = self._once
        pieces = memoryview(data).nbytes >> 23
        if pieces > 1:
            store = self._store(0, self._settings.timeout * pieces)
        attributes = {MARK: mark}
        result = self._ask(where, obstore.put, store, key, data, mode=mode, attributes=attributes, use_multipart=False)
        return _etag(result["e_tag"], where)

    def put_parts(self, key: str, parts: Buffer | Iterable[Buffer], part_size: int, mark: str, where: str) -> str:
        """Write an object in several requests, whatever is there; its etag, which some servers do not tell.

        It shows when the last part is there.

        What the iterable raises is raised, and the upload is given up.
        """
        result = self._ask(
            where,
            obstore.put,
            self._patient,
            key,
            parts,
            attributes={MARK: mark},
            use_multipart=True,
            chunk_size=part_size,
            max_concurrency=self._settings.parallel,
        )
        return _bare(result["e_tag"])

    def delete(self, key: str, where: str) -> None:
        """Remove an object, if there is one."""
        self._ask(where, obstore.delete, self._patient, key)

    def pages(self, folder: str, where: str) -> Iterator[list[Head]]:
        """All objects below a folder, in the order of their keys, by pages of at most a thousand.

        Args:
            folder: without a slash at its end; empty for all of the bucket.
            where: what to call it.
        """
        stream = self._ask(where, obstore.list, self._patient, folder or None, chunk_size=_PAGE)
        while True:
            page = self._ask(where, _next_page, stream)
            if page is None:
                return
            yield [_head(meta) for meta in page]

    def _content(self, result: GetResult, head: Head, where: str) -> Buffer:
        if _bare(result.meta["e_tag"]) != head.etag:
            raise Conflict("the object has changed", where=where, remedy="Open it again.")
        content: Buffer = self._ask(where, result.bytes)
        return content

    def _ask(self, where: str, ask: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        _check_process(where)
        return asked(where, ask, *args, **kwargs)

    def _store(self, retries: int, timeout: float | None = None) -> S3Store:
        settings = self._settings
        return asked(
            f"bucket {settings.bucket}",
            S3Store,
            settings.bucket,
            config=dict(settings.config),  # type: ignore[arg-type]
            client_options={
                "allow_http": settings.allow_http,
                "connect_timeout": timedelta(seconds=settings.connect_timeout),
                "read_timeout": timedelta(seconds=timeout or settings.timeout),
                "timeout": _FOR_EVER,
            },
            retry_config={
                "max_retries": retries,
                "retry_timeout": _ALL_RETRIES,
                "backoff": {
                    "init_backoff": timedelta(seconds=settings.backoff),
                    "max_backoff": timedelta(seconds=settings.max_backoff),
                    "base": 2,
                },
            },
            credential_provider=settings.provider,  # type: ignore[arg-type]
        )


def _next_page(stream: Any) -> Any:
    try:
        return next(stream, None)
    except Exception as error:
        if type(error).__name__ != "InvalidPathError":
            raise
    raise InvalidPath(
        "there is an object whose key no path can name, such as one with '//'",
        where="the listing",
        remedy="Rename it, or use a prefix that it is not below.",
    )


def _head(meta: ObjectMeta, mark: str | None = None) -> Head:
    return Head(
        meta["path"], meta["size"], meta["last_modified"].timestamp(), _bare(meta["e_tag"]), meta["version"], mark
    )


def _etag(etag: str | None, where: str) -> str:
    if not etag:
        raise StorageError("the server gives objects no etag", where=where, remedy="Use a server that does.")
    return _bare(etag)


def _bare(etag: str | None) -> str:
    return (etag or "").strip('"')


_process_lock = threading.Lock()


def _check_process(where: str) -> None:
    """Refuse to go on in a process forked from one that used the client: its threads are not there, and it would hang.

    Raises:
        StorageError: this is such a process.
    """
    global _first_process
    process = os.getpid()
    if _first_process is None:
        with _process_lock:
            if _first_process is None:
                _first_process = process
    if _first_process != process:
        raise StorageError(
            "S3 was used before this process was forked, and cannot be used after",
            where=where,
            remedy="Start worker processes with the method 'spawn' or 'forkserver'.",
        )
