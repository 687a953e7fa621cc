"""Delta tables for Odibi."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_formats() -> dict[str, str]:
    """The format of Delta tables, an engine each."""
    return {
        "pandas.delta": "odibi_delta.pandas_format:PandasDeltaFormat",
        "spark.delta": "odibi_delta.spark_format:SparkDeltaFormat",
    }


@hookimpl
def odibi_commands() -> dict[str, str]:
    """``odibi delta``."""
    return {"delta": "odibi_delta.cli:command"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The format's conformance suite."""
    return {"format.pandas.delta": "odibi_delta.conformance:PandasDeltaSuite"}
