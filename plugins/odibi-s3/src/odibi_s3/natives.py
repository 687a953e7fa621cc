"""What other readers of S3 want to be told, each in its own words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from odibi_s3.credentials import Keys


@attrs.frozen
class Access:
    """How to get at a bucket.

    Attributes:
        keys: ``None`` to let the reader find some.
        anonymous: without any.
        region: if it is known.
        endpoint: the server, without the bucket; ``None`` for Amazon's.
        virtual_host: whether the bucket is a part of the server's name.
    """

    keys: Keys | None
    anonymous: bool
    region: str | None
    endpoint: str | None
    virtual_host: bool

    @property
    def is_plain(self) -> bool:
        """Whether it goes without TLS."""
        return bool(self.endpoint and self.endpoint.startswith("http://"))

    @property
    def host(self) -> str | None:
        """The server's name, with its port."""
        return urlsplit(self.endpoint).netloc if self.endpoint else None


def options_for(reader: str, access: Access) -> Mapping[str, Any]:
    """What ``reader`` needs, without what is not known; nothing for one that is not known."""
    make = _READERS.get(reader)
    return {name: value for name, value in make(access).items() if value is not None} if make else {}


def _fsspec(access: Access) -> dict[str, Any]:
    keys = access.keys
    return {
        "key": keys and keys.access_key_id,
        "secret": keys and keys.secret_access_key,
        "token": keys and keys.session_token,
        "anon": access.anonymous or None,
        "endpoint_url": access.endpoint,
        "client_kwargs": {"region_name": access.region} if access.region else None,
        "config_kwargs": {"s3": {"addressing_style": "virtual"}} if access.virtual_host else None,
    }


def _pyarrow(access: Access) -> dict[str, Any]:
    keys = access.keys
    return {
        "access_key": keys and keys.access_key_id,
        "secret_key": keys and keys.secret_access_key,
        "session_token": keys and keys.session_token,
        "anonymous": access.anonymous or None,
        "region": access.region,
        "scheme": "http" if access.is_plain else None,
        "endpoint_override": access.host,
        "force_virtual_addressing": access.virtual_host or None,
    }


def _duckdb(access: Access) -> dict[str, Any]:
    keys = access.keys
    return {
        "s3_access_key_id": keys and keys.access_key_id,
        "s3_secret_access_key": keys and keys.secret_access_key,
        "s3_session_token": keys and keys.session_token,
        "s3_region": access.region,
        "s3_endpoint": access.host,
        "s3_use_ssl": False if access.is_plain else None,
        "s3_url_style": "vhost" if access.virtual_host or not access.endpoint else "path",
    }


def _delta(access: Access) -> dict[str, Any]:
    keys = access.keys
    return {
        "AWS_ACCESS_KEY_ID": keys and keys.access_key_id,
        "AWS_SECRET_ACCESS_KEY": keys and keys.secret_access_key,
        "AWS_SESSION_TOKEN": keys and keys.session_token,
        "AWS_SKIP_SIGNATURE": "true" if access.anonymous else None,
        "AWS_REGION": access.region,
        "AWS_ENDPOINT_URL": access.endpoint,
        "AWS_ALLOW_HTTP": "true" if access.is_plain else None,
        "AWS_VIRTUAL_HOSTED_STYLE_REQUEST": "true" if access.virtual_host else None,
        "aws_conditional_put": "etag",
    }


def _spark(access: Access) -> dict[str, Any]:
    keys = access.keys
    provider = None
    if access.anonymous:
        provider = "org.apache.hadoop.fs.s3a.AnonymousAWSCredentialsProvider"
    elif keys and keys.session_token:
        provider = "org.apache.hadoop.fs.s3a.TemporaryAWSCredentialsProvider"
    elif keys:
        provider = "org.apache.hadoop.fs.s3a.SimpleAWSCredentialsProvider"
    return {
        "packages": ("org.apache.hadoop:hadoop-aws:{hadoop}",),
        "fs.s3.impl": "org.apache.hadoop.fs.s3a.S3AFileSystem",
        "fs.s3a.access.key": keys and keys.access_key_id,
        "fs.s3a.secret.key": keys and keys.secret_access_key,
        "fs.s3a.session.token": keys and keys.session_token,
        "fs.s3a.aws.credentials.provider": provider,
        "fs.s3a.endpoint.region": access.region,
        "fs.s3a.endpoint": access.endpoint,
        "fs.s3a.connection.ssl.enabled": "false" if access.is_plain else None,
        "fs.s3a.path.style.access": "true" if access.endpoint and not access.virtual_host else None,
    }


_READERS: Mapping[str, Callable[[Access], dict[str, Any]]] = {
    "fsspec": _fsspec,
    "pyarrow": _pyarrow,
    "duckdb": _duckdb,
    "delta": _delta,
    "spark": _spark,
}
