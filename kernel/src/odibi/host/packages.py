"""Which package ships which component: the one place where the kernel names plugins.

Used for nothing but the hint "it comes with X: pip install X" when a component is not there.
"""

from __future__ import annotations

_FILE_FORMATS = ("avro", "csv", "excel", "feather", "ipc", "json", "jsonl", "orc", "parquet")
_OPERATIONS = (
    "aggregate",
    "cast",
    "derive",
    "drop",
    "drop_duplicates",
    "explode",
    "fillna",
    "filter",
    "join",
    "pivot",
    "rename",
    "sample",
    "select",
    "sort",
    "union",
    "unpivot",
)

_SHIPPED: dict[str, dict[str, tuple[str, ...]]] = {
    "odibi-kernel": {"executor": ("inline", "threads")},
    "odibi-local": {"storage": ("local",), "cache": ("disk",), "checkpoint": ("sqlite",)},
    "odibi-objects": {"cache": ("storage",), "checkpoint": ("storage",)},
    "odibi-pandas": {
        "engine": ("pandas",),
        "format": tuple(f"pandas.{name}" for name in _FILE_FORMATS),
        "transform": tuple(f"pandas.{name}" for name in _OPERATIONS),
    },
    "odibi-spark": {
        "engine": ("spark",),
        "format": tuple(f"spark.{name}" for name in ("avro", "csv", "jdbc", "json", "orc", "parquet")),
        "transform": tuple(f"spark.{name}" for name in _OPERATIONS),
    },
    "odibi-delta": {"format": ("delta", "pandas.delta", "spark.delta")},
    "odibi-sql": {"storage": ("postgres", "mysql", "sqlite", "sql_server"), "format": ("sql",)},
    "odibi-azure": {"storage": ("azure_adls", "azure_blob", "azure_sql"), "secret": ("azure_key_vault", "key_vault")},
    "odibi-s3": {"storage": ("s3",)},
    "odibi-s3-sim": {"storage": ("s3_sim",)},
    "odibi-hdfs": {"storage": ("hdfs",)},
    "odibi-kafka": {"storage": ("kafka",), "trigger": ("kafka",)},
    "odibi-ray": {"executor": ("ray",)},
    "odibi-dask": {"executor": ("dask",), "engine": ("dask",)},
    "odibi-triggers": {"trigger": ("cron", "interval", "date", "file_watch")},
    "odibi-metrics": {"metric": ("memory", "otel", "prometheus", "statsd"), "observer": ("otel",)},
    "odibi-story": {"observer": ("story",)},
    "odibi-alerts": {"observer": ("email", "slack", "teams", "webhook")},
    "odibi-lineage": {"observer": ("openlineage",)},
}


def package_of(family: str, *names: str) -> str | None:
    """The distribution known to ship a component.

    Args:
        family: such as ``"format"``.
        names: under which the component may be registered, the likeliest first: ``"pandas.delta", "delta"``.
    """
    for name in names:
        for package, families in _SHIPPED.items():
            if name in families.get(family, ()):
                return package
    return None
