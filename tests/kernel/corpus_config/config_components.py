"""Components whose options the corpus of project files uses; none of them does anything."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs

from odibi import hookimpl, option
from odibi.contracts import Secret


@attrs.frozen
class Local:
    base_path: str = option(".", help="The folder.", is_path=True)


@attrs.frozen
class Azure:
    account: str = option(help="The storage account.", aliases=["account_name"])
    container: str = option(help="The container.")
    account_key: Secret | None = option(default=None, help="The key.", secret=True)  # noqa: RUF009 - an attrs field
    port: int = option(443, help="The port.", validator=attrs.validators.in_(range(1, 65536)))
    mode: Literal["direct_key", "key_vault"] = option("direct_key", help="How it signs in.")


@attrs.frozen
class Vault:
    url: str = option(help="Its address.")


@attrs.frozen
class Csv:
    extensions: ClassVar[tuple[str, ...]] = (".csv",)
    header: bool = option(True, help="Whether the first row names the columns.")
    delimiter: str = option(",", help="Between the cells.", aliases=["sep"])
    skip_rows: int = option(0, help="Rows left out at the top.", only="read")
    quote_all: bool = option(False, help="Put quotes around every cell.", only="write")


@attrs.frozen
class Parquet:
    extensions: ClassVar[tuple[str, ...]] = (".parquet",)
    compression: Literal["snappy", "zstd"] = option("zstd", help="How it is packed.", only="write")


@attrs.frozen
class Pivot:
    rowwise: ClassVar[bool] = False
    group_by: tuple[str, ...] = option(help="Columns that stay.")
    pivot_column: str = option(help="Its values become columns.")
    value_column: str = option(help="What fills them.")
    agg_func: Literal["sum", "mean", "count"] = option("sum", help="How values are put together.")


@attrs.frozen
class Engine:
    frame_type: ClassVar[str] = "builtins:list"
    dialect: ClassVar[str] = "duckdb"
    threads: int = option(1, help="Threads it may use.")


@attrs.frozen
class Disk:
    path: str = option("cache", help="Its folder.", is_path=True)


@attrs.frozen
class Webhook:
    url: Secret = option(help="Where to.", secret=True)  # noqa: RUF009 - an attrs field
    on_events: tuple[str, ...] = option(("on_failure",), help="What for.")
    metadata: dict[str, str] = option(factory=dict, help="What else.")  # noqa: RUF009 - an attrs field
    sla: str | None = option(None, help="How long a run may take.")


@hookimpl
def odibi_observers() -> dict[str, str]:
    return {"webhook": "config_components:Webhook"}


@hookimpl
def odibi_storages() -> dict[str, str]:
    return {"local": "config_components:Local", "azure_blob": "config_components:Azure"}


@hookimpl
def odibi_formats() -> dict[str, str]:
    return {"pandas.csv": "config_components:Csv", "pandas.parquet": "config_components:Parquet"}


@hookimpl
def odibi_transforms() -> dict[str, str]:
    return {"pandas.pivot": "config_components:Pivot"}


@hookimpl
def odibi_engines() -> dict[str, str]:
    return {"pandas": "config_components:Engine"}


@hookimpl
def odibi_caches() -> dict[str, str]:
    return {"disk": "config_components:Disk"}


@hookimpl
def odibi_secrets() -> dict[str, str]:
    return {"vault": "config_components:Vault"}
