"""Storage in a bucket of Amazon S3, or of a server that speaks its protocol."""

from __future__ import annotations

import io
import ipaddress
import os
import re
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from secrets import token_hex
from typing import TYPE_CHECKING, Any, BinaryIO, ClassVar, Literal, cast
from urllib.parse import urlsplit, urlunsplit

import attrs

from odibi import Secret, option
from odibi.contracts.storage import ABSENT, ALWAYS, Match, Stat, check_path
from odibi.errors import Conflict, NotFound, StorageError, Transient
from odibi_s3.client import Client, Head, Settings
from odibi_s3.conditions import Conditions, Heeds
from odibi_s3.credentials import Found, Keys, find
from odibi_s3.failures import BucketMissing, UploadGone
from odibi_s3.keys import display, is_hidden, joined, key_of, path_of
from odibi_s3.natives import Access, options_for
from odibi_s3.reading import FIRST, ObjectReader
from odibi_s3.uploads import DraftFile, KeptAside, Sink, Streamed, check_size

if TYPE_CHECKING:
    from collections.abc import Iterable

    from _typeshed import ReadableBuffer as Buffer

    from odibi.contracts.storage import When

_MOST_AT_ONCE = 5 << 30
"""Bytes that S3 takes in one request."""

_MOST_PARTS = 10_000
_LEAST_PART = 5 << 20
_BUFFER = 1 << 16
_CHUNK = 1 << 20
_BUCKET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{1,254}")
_ENDPOINTS = ("AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT_URL", "AWS_ENDPOINT")


def _secret(value: Secret | str | None) -> Secret | None:
    if not value:
        return None
    return value if isinstance(value, Secret) else Secret(value)


def _prefix(value: str) -> str:
    return check_path(value.strip("/"))


def _bucket(instance: S3Storage, attribute: attrs.Attribute[Any], value: str) -> None:  # noqa: ARG001
    if not _BUCKET.fullmatch(value):
        raise ValueError(f"{value!r} is not the name of a bucket: it has 3 to 255 letters, digits, '.', '_' and '-'")


def _endpoint(instance: S3Storage, attribute: attrs.Attribute[Any], value: str | None) -> None:  # noqa: ARG001
    if value is not None:
        _check_endpoint(value)


def _at_least(least: float) -> Any:
    def check(instance: S3Storage, attribute: attrs.Attribute[Any], value: float) -> None:  # noqa: ARG001
        if not value >= least:
            raise ValueError(f"{attribute.name} must be {least:g} at least, not {value:g}")

    return check


@attrs.define(eq=False)
class S3Storage:
    """Objects in a bucket, below a prefix; see :class:`odibi.contracts.Storage` for what it promises.

    What is written without a condition is sent in parts while it is written, and shows when it is whole. What is
    written under one is sent in one request at the end; the server decides. Whether the server heeds conditions is
    found out before the first such write, unless it is Amazon's own; one that does not is refused, for these writes.

    A reader keeps to the version that it opened: if the object is replaced meanwhile, it goes on with the old version
    where the bucket keeps versions, and raises :class:`~odibi.errors.Transient` elsewhere.

    It can be used by many threads, but not in a process that was forked after it was used.
    """

    capabilities: ClassVar[Mapping[str, str]] = {
        "compare_and_set": "full: a server that does not heed conditions is found out, and conditional writes refused",
        "streaming_write": "full: a conditional write goes through a temporary file, and has 5 GiB at most",
    }

    effects: ClassVar[tuple[str, ...]] = ("network", "files")
    """Files: of profiles, and temporary ones."""

    bucket: str = option(help="The bucket that holds the objects.", validator=_bucket)
    prefix: str = option(
        "", help="The folder in the bucket that holds the objects.", aliases=("base_path",), converter=_prefix
    )
    region: str | None = option(
        None, help="The region of the bucket; if not given, that of the environment or profile, or us-east-1."
    )
    endpoint: str | None = option(
        None, help="The address of a server that is not Amazon's.", aliases=("endpoint_url",), validator=_endpoint
    )
    profile: str | None = option(None, help="The profile in ~/.aws that holds the keys, if they are not given here.")
    access_key_id: str | None = option(None, help="The public part of the access key.")
    secret_access_key: Secret | None = option(  # noqa: RUF009 - what it makes is a field
        None, help="The secret part of the access key.", secret=True, converter=_secret
    )
    session_token: Secret | None = option(  # noqa: RUF009 - likewise
        None, help="What temporary keys have beside the other two parts.", secret=True, converter=_secret
    )
    anonymous: bool = option(False, help="Send no keys, for a public bucket.")
    virtual_host_style: bool | None = option(
        None, help="Make the bucket a part of the server's name; by default for Amazon's servers, not for others."
    )
    allow_http: bool = option(
        False, help="Allow an endpoint without TLS, though it is on another machine: anybody between can read along."
    )
    sse: Literal["aes256", "kms"] | None = option(
        None, help="How the server encrypts what is written, if it is not for the bucket to say."
    )
    sse_kms_key_id: str | None = option(None, help="The key of AWS KMS to encrypt with, for sse: kms.")
    checksum: Literal["sha256", "crc64nvme"] | None = option(
        None, help="A checksum to store with each object, beside the one that each request is signed with."
    )
    part_size: int = option(
        16 << 20, help="Bytes of a part; what is larger is sent in parts.", validator=_at_least(_LEAST_PART)
    )
    parallel: int = option(4, help="Parts of one object that are sent at once.", validator=_at_least(1))
    timeout: float = option(60.0, help="Seconds without an answer after which to try again.", validator=_at_least(0.01))
    connect_timeout: float = option(
        10.0, help="Seconds after which a connection is given up.", validator=_at_least(0.01)
    )
    retries: int = option(6, help="How often a request that failed in passing is sent again.", validator=_at_least(0))
    backoff: float = option(
        0.2, help="Seconds before it is sent again; twice as long each time.", validator=_at_least(0.001)
    )
    max_backoff: float = option(15.0, help="Seconds that this is at most.", validator=_at_least(0.001))
    probe: bool = option(
        True, help="Find out, before the first conditional write to a server not Amazon's, if it heeds conditions."
    )
    _client: Client | None = attrs.field(default=None, init=False, repr=False)
    _conditions: Conditions | None = attrs.field(default=None, init=False, repr=False)
    _lock: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)

    def __attrs_post_init__(self) -> None:
        if bool(self.access_key_id) != bool(self.secret_access_key):
            raise ValueError("access_key_id and secret_access_key belong together: give both or neither")
        if self.session_token and not self.access_key_id:
            raise ValueError("a session_token needs the access_key_id and secret_access_key that it came with")
        if self.anonymous and (self.access_key_id or self.profile):
            raise ValueError("anonymous means without keys: leave out access_key_id and profile")
        if self.access_key_id and self.profile:
            raise ValueError("give access_key_id or profile, not both")
        if self.sse_kms_key_id and self.sse != "kms":
            raise ValueError("sse_kms_key_id needs sse: kms")
        if self.endpoint is not None:
            _check_plain(self.endpoint, self.allow_http)

    def read(self, path: str) -> bytes:
        """The whole object."""
        return self._connected().read(self._key(path), display(path))

    def open(self, path: str) -> BinaryIO:
        """The object as a seekable file of which only what is read is fetched."""
        where = display(path)
        client = self._connected()
        head, beginning = client.beginning(self._key(path), FIRST, where)

        def fetch(start: int, stop: int) -> Buffer:
            try:
                return client.read_range(head, start, stop, where)
            except BucketMissing:
                raise
            except (Conflict, NotFound):
                raise Transient(
                    "the object was replaced while it was being read", where=where, remedy="Read it again."
                ) from None

        return cast("BinaryIO", io.BufferedReader(ObjectReader(head.size, fetch, beginning), _BUFFER))

    def write(self, path: str, data: bytes | memoryview | BinaryIO, *, when: When = ALWAYS) -> Stat:
        """Make ``data`` the object at ``path``, if ``when`` holds."""
        key, where = self._key(path), display(path)
        _check_when(when)
        if hasattr(data, "read"):
            with self._draft(path, when) as (file, sink):
                while chunk := data.read(_CHUNK):
                    file.write(chunk)
                return self._stat(path, file.size, sink.finish())
        view = memoryview(data)  # raises TypeError for what holds no bytes
        view = view.cast("B") if view.contiguous else memoryview(view.tobytes())
        client = self._connected()
        if when is not ALWAYS:
            check_size(len(view), _MOST_AT_ONCE, where)
            etag = self._conditional().write(client, key, view, when, where)
        elif len(view) > self.part_size:
            part = max(self.part_size, -(-len(view) // _MOST_PARTS))
            etag = self._put_parts(client, key, view, part, where)
        else:
            etag = client.put(key, view, where)
        return self._stat(path, len(view), etag)

    @contextmanager
    def create(self, path: str, *, when: When = ALWAYS) -> Iterator[BinaryIO]:
        """A binary file that becomes the object when the ``with`` block ends, if ``when`` holds then."""
        _check_when(when)
        with self._draft(path, when) as (file, sink):
            yield cast("BinaryIO", file)
            sink.finish()

    def stat(self, path: str) -> Stat:
        """What is at ``path``."""
        return self._told(self._connected().head(self._key(path), display(path)))

    def list(self, prefix: str = "") -> Iterator[Stat]:
        """All objects at or under ``prefix``, in the order of their paths; a thousand of them are a request."""
        clean = check_path(prefix)
        return self._list(clean, joined(self.prefix, clean))

    def delete(self, path: str) -> None:
        """Remove the object; of a bucket that keeps versions, the older ones stay."""
        key = self._key(path)
        try:
            self._connected().delete(key, display(path))
        except BucketMissing:
            raise
        except NotFound:  # some servers say so
            return

    def uri(self, path: str) -> str:
        """The ``s3://`` address."""
        key = joined(self.prefix, check_path(path))
        return f"s3://{self.bucket}/{key}"

    def native_options(self, for_: str) -> Mapping[str, Any]:
        """The keys, the region and the server, in the words of ``for_``; with secrets in plain text.

        Keys that come from a profile are those of now; those that a machine or container is given are not among them,
        as readers find them by themselves.
        """
        found = self._keys()
        region = self._region(found)
        endpoint = self._server()
        return options_for(
            for_, Access(found.keys, self.anonymous, region, endpoint, bool(endpoint and self.virtual_host_style))
        )

    def close(self) -> None:
        """Let go of the connections; they are made anew if it is used again."""
        with self._lock:
            self._client = None

    def _list(self, clean: str, folder: str) -> Iterator[Stat]:
        client, where = self._connected(), display(clean) if clean else f"bucket {self.bucket}"
        if clean and not is_hidden(clean):
            with suppress(NotFound):
                yield self._told(client.head(folder, where))
        last = ""
        for page in client.pages(folder, where):
            for head in page:
                path = path_of(self.prefix, head.key)
                if is_hidden(path) or head.key <= last:
                    continue
                # The client library shows the empty object that some programs make for a folder (`etl/`) as `etl`.
                if head.size == 0 and not self._is_there(client, head.key, path):
                    continue
                last = head.key
                yield self._told(head)

    def _is_there(self, client: Client, key: str, path: str) -> bool:
        try:
            client.head(key, display(path))
        except NotFound:
            return False
        return True

    @contextmanager
    def _draft(self, path: str, when: When) -> Iterator[tuple[DraftFile, Sink]]:
        key, where = self._key(path), display(path)
        client = self._connected()
        sink: Sink
        if when is ALWAYS:
            sink = Streamed(
                self.part_size,
                lambda data: client.put(key, data, where),
                lambda parts: self._put_parts(client, key, parts, self.part_size, where),
            )
        else:
            conditions = self._conditional()
            sink = KeptAside(_MOST_AT_ONCE, lambda data: conditions.write(client, key, data, when, where), where)
        try:
            yield DraftFile(sink), sink
        finally:
            sink.discard()

    def _put_parts(self, client: Client, key: str, parts: Buffer | Iterable[Buffer], part_size: int, where: str) -> str:
        mark, etag = token_hex(16), ""
        gone = False
        try:
            etag = client.put_parts(key, parts, part_size, mark, where)
        except UploadGone:
            gone = True  # perhaps as the request that completes it was sent twice: the answer to the first was lost
        if etag:
            return etag
        with suppress(NotFound):
            head = client.head(key, where)
            if head.mark == mark:
                return head.etag
        if gone:
            raise Transient("the upload was lost, or replaced as it ended", where=where, remedy="Write it again.")
        return f"replaced-{mark}"  # already, and by another object: its etag was never seen, and nothing has it now

    def _key(self, path: str) -> str:
        return key_of(self.prefix, path)

    def _told(self, head: Head) -> Stat:
        return Stat(path_of(self.prefix, head.key), head.size, head.modified, head.etag)

    def _stat(self, path: str, size: int, etag: str) -> Stat:
        # The answer to a write holds no time that the client library would show, and asking would double the requests.
        return Stat(check_path(path), size, time.time(), etag)

    def _conditional(self) -> Conditions:
        with self._lock:
            if self._conditions is None:
                known = None if self.probe and self._server() is not None else Heeds()
                self._conditions = Conditions(self.prefix, known, self.retries, self.backoff, self.max_backoff)
            return self._conditions

    def _connected(self) -> Client:
        client = self._client
        if client is None:
            with self._lock:
                client = self._client = self._client or Client(self._settings())
        return client

    def _settings(self) -> Settings:
        found = self._keys()
        endpoint = self._server()
        try:
            plain = endpoint is not None and _check_plain(endpoint, self.allow_http)
        except ValueError as error:  # the options were checked when they came: it is one of the environment
            raise StorageError(str(error), where=f"bucket {self.bucket}", remedy="Set endpoint.") from None
        virtual = self.virtual_host_style if self.virtual_host_style is not None else endpoint is None
        config: dict[str, Any] = {
            "region": self._region(found),
            "endpoint": _with_bucket(endpoint, self.bucket) if endpoint and virtual else endpoint,
            "virtual_hosted_style_request": virtual,
            "conditional_put": "etag",
            "disable_bulk_delete": True,
            "skip_signature": True if self.anonymous else None,
            "server_side_encryption": {"aes256": "AES256", "kms": "aws:kms", None: None}[self.sse],
            "sse_kms_key_id": self.sse_kms_key_id,
            "checksum_algorithm": self.checksum and self.checksum.upper(),
        }
        return Settings(
            self.bucket,
            {name: value for name, value in config.items() if value is not None},
            plain,
            found.provider,
            self.timeout,
            self.connect_timeout,
            self.retries,
            self.backoff,
            self.max_backoff,
            self.parallel,
        )

    def _keys(self) -> Found:
        if self.anonymous:
            return Found()
        keys = None
        if self.access_key_id and self.secret_access_key:
            token = self.session_token.reveal() if self.session_token else None
            keys = Keys(self.access_key_id, self.secret_access_key.reveal(), token)
        return find(keys, self.profile)

    def _region(self, found: Found) -> str:
        environ = os.environ
        said = self.region or environ.get("AWS_REGION") or environ.get("AWS_DEFAULT_REGION") or found.region
        return said or "us-east-1"

    def _server(self) -> str | None:
        if self.endpoint is not None:
            return self.endpoint.rstrip("/")
        for name in _ENDPOINTS:
            if os.environ.get(name):
                return os.environ[name].rstrip("/")
        return None


def _check_when(when: When) -> None:
    if when is not ALWAYS and when is not ABSENT and not isinstance(when, Match):
        raise TypeError(f"when must be ALWAYS, ABSENT or Match, not {when!r}")


def _check_endpoint(endpoint: str) -> None:
    try:
        parts = urlsplit(endpoint)
        sound = parts.scheme in ("http", "https") and parts.hostname and not (parts.query or parts.fragment)
        hidden = parts.username or parts.password
    except ValueError:
        sound, hidden = False, None
    if hidden:
        raise ValueError("the endpoint must not hold a name or a password: give access_key_id and secret_access_key")
    if not sound:
        raise ValueError(f"the endpoint must be an address such as https://s3.example.org, not {endpoint!r}")


def _check_plain(endpoint: str, allowed: bool) -> bool:
    """Whether the endpoint goes without TLS.

    Raises:
        ValueError: it does, and must not.
    """
    parts = urlsplit(endpoint)
    if parts.scheme != "http":
        return False
    if not allowed and not _is_loopback(parts.hostname or ""):
        raise ValueError(f"{parts.hostname} is another machine: use https, or set allow_http: true to do without TLS")
    return True


def _is_loopback(host: str) -> bool:
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _with_bucket(endpoint: str, bucket: str) -> str:
    parts = urlsplit(endpoint)
    if parts.netloc.startswith(f"{bucket}."):
        return endpoint
    return urlunsplit(parts._replace(netloc=f"{bucket}.{parts.netloc}"))
