"""The pandas engine for Odibi."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_engines() -> dict[str, str]:
    """The engine for ``engine: pandas``."""
    return {"pandas": "odibi_pandas.engine:PandasEngine"}


@hookimpl
def odibi_formats() -> dict[str, str]:
    """The formats of files."""
    return {
        "pandas.arrow": "odibi_pandas.formats.arrow:ArrowFormat",
        "pandas.avro": "odibi_pandas.formats.avro:AvroFormat",
        "pandas.csv": "odibi_pandas.formats.csv:CsvFormat",
        "pandas.excel": "odibi_pandas.formats.excel:ExcelFormat",
        "pandas.feather": "odibi_pandas.formats.feather:FeatherFormat",
        "pandas.json": "odibi_pandas.formats.json:JsonFormat",
        "pandas.orc": "odibi_pandas.formats.orc:OrcFormat",
        "pandas.parquet": "odibi_pandas.formats.parquet:ParquetFormat",
    }


@hookimpl
def odibi_transforms() -> dict[str, str]:
    """The built-in operations."""
    from odibi_pandas.operations import OPERATIONS

    return OPERATIONS


@hookimpl
def odibi_suites() -> dict[str, str]:
    """What ``pytest --odibi-conformance`` runs on them."""
    from odibi_pandas.operations import OPERATIONS

    suites = "odibi_pandas.conformance_operations"
    return {
        **{f"transform.{name}": f"{suites}:{home.partition(':')[2]}Suite" for name, home in OPERATIONS.items()},
        "engine.pandas": "odibi_pandas.conformance:PandasEngineSuite",
        "format.pandas.arrow": "odibi_pandas.conformance:ArrowSuite",
        "format.pandas.avro": "odibi_pandas.conformance:AvroSuite",
        "format.pandas.csv": "odibi_pandas.conformance:CsvSuite",
        "format.pandas.excel": "odibi_pandas.conformance:ExcelSuite",
        "format.pandas.feather": "odibi_pandas.conformance:FeatherSuite",
        "format.pandas.json": "odibi_pandas.conformance:JsonSuite",
        "format.pandas.orc": "odibi_pandas.conformance:OrcSuite",
        "format.pandas.parquet": "odibi_pandas.conformance:ParquetSuite",
    }
