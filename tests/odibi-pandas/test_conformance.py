"""The engine and the formats of this package keep what their contracts promise."""

from __future__ import annotations

from odibi_pandas import conformance


class TestPandasEngine(conformance.PandasEngineSuite):
    """The engine."""


class TestArrow(conformance.ArrowSuite):
    """Arrow files."""


class TestAvro(conformance.AvroSuite):
    """Avro."""


class TestCsv(conformance.CsvSuite):
    """CSV."""


class TestExcel(conformance.ExcelSuite):
    """Excel."""


class TestFeather(conformance.FeatherSuite):
    """Feather."""


class TestJson(conformance.JsonSuite):
    """JSON."""


class TestOrc(conformance.OrcSuite):
    """ORC."""


class TestParquet(conformance.ParquetSuite):
    """Parquet."""
