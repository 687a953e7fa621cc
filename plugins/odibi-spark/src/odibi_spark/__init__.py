"""The Spark engine for Odibi."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_engines() -> dict[str, str]:
    """The engine for ``engine: spark``."""
    return {"spark": "odibi_spark.engine:SparkEngine"}


@hookimpl
def odibi_formats() -> dict[str, str]:
    """The formats of files and databases."""
    return {
        "spark.avro": "odibi_spark.formats.avro:AvroFormat",
        "spark.csv": "odibi_spark.formats.csv:CsvFormat",
        "spark.jdbc": "odibi_spark.formats.jdbc:JdbcFormat",
        "spark.json": "odibi_spark.formats.json:JsonFormat",
        "spark.orc": "odibi_spark.formats.orc:OrcFormat",
        "spark.parquet": "odibi_spark.formats.parquet:ParquetFormat",
    }


@hookimpl
def odibi_transforms() -> dict[str, str]:
    """The built-in operations."""
    from odibi_spark.operations import OPERATIONS

    return OPERATIONS


@hookimpl
def odibi_suites() -> dict[str, str]:
    """What ``pytest --odibi-conformance`` runs on them."""
    from odibi_spark.operations import OPERATIONS

    suites = "odibi_spark.conformance_operations"
    return {
        **{f"transform.{name}": f"{suites}:{home.partition(':')[2]}Suite" for name, home in OPERATIONS.items()},
        "engine.spark": "odibi_spark.conformance:SparkEngineSuite",
    }
