"""The kit's suites on the components of this package."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from odibi.testing.engine import EngineSuite
from odibi.testing.format import FormatSuite
from odibi.testing.frames import COMMON, Table
from odibi_pandas.engine import PandasEngine
from odibi_pandas.formats.arrow import ArrowFormat
from odibi_pandas.formats.avro import AvroFormat
from odibi_pandas.formats.csv import CsvFormat
from odibi_pandas.formats.excel import ExcelFormat
from odibi_pandas.formats.feather import FeatherFormat
from odibi_pandas.formats.json import JsonFormat
from odibi_pandas.formats.orc import OrcFormat
from odibi_pandas.formats.parquet import ParquetFormat

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from hypothesis.strategies import SearchStrategy

    from odibi.contracts.engine import Engine


def _new_value(frame: Any) -> None:
    frame.loc[0, "id"] = 999


def _new_value_in_a_column(frame: Any) -> None:
    frame["id"].array[0] = 999


def _new_column(frame: Any) -> None:
    frame["new"] = 0


def _fewer_columns(frame: Any) -> None:
    del frame["id"]


def _new_row(frame: Any) -> None:
    frame.loc[len(frame)] = [9, "new", 0.5]


def _other_names(frame: Any) -> None:
    frame.columns = ["other", *frame.columns[1:]]


class PandasEngineSuite(EngineSuite):
    """The engine."""

    component = PandasEngine
    format = ParquetFormat
    format_name = "parquet"

    def changes(self) -> Sequence[Callable[[Any], object]]:
        """Values, rows, columns and names."""
        return (_new_value, _new_value_in_a_column, _new_column, _fewer_columns, _new_row, _other_names)

    def kept_frames(self, engine: Engine) -> Sequence[Any]:  # noqa: ARG002 - they come from functions
        """With columns and indexes of all sorts."""
        import numpy as np
        import pandas as pd

        plain = pd.DataFrame({"a": [1, 2, 3], "b": ["x", "y", None]})
        return (
            plain,
            pd.DataFrame(),
            pd.DataFrame(index=pd.RangeIndex(3)),
            plain.set_index("b"),
            plain.set_index(["a", "b"]),
            plain.iloc[::2],
            plain.rename(columns={"a": 0}),
            plain.assign(b=plain["b"].astype("category")),
            plain.assign(m=pd.to_datetime(["2020-01-01", "", "2021-06-01"], utc=True)),
            plain.assign(i=pd.array([1, None, 3], dtype="Int64")),
            plain.assign(p=pd.period_range("2020-01", periods=3, freq="M")),
            plain.assign(o=pd.Series([1, "x", [1, 2]], dtype=object)),
            plain.assign(o=pd.Series([{1, 2}, object(), None], dtype=object)),
            plain.assign(c=np.array([1 + 2j, 0, 1])),
            pd.concat([plain, plain], axis=1),
            pd.DataFrame({("a", "x"): [1], ("a", "y"): [2]}),
        )

    def assert_identical(self, engine: Engine, found: Any, expected: Any) -> None:  # noqa: ARG002 - pandas knows
        """As pandas tells frames apart."""
        import pandas as pd

        pd.testing.assert_frame_equal(found, expected, check_exact=True, check_freq=True, check_flags=True)


def _numbered(table: Table) -> Table:
    """With a column that has a value in each row: a row without any is no line of a CSV, and no row of a sheet."""
    types = {**table.types, "row": "int64"}
    return Table(types, [(*row, at) for at, row in enumerate(table.rows)])


class _PandasFormatSuite(FormatSuite):
    """A format of this package."""

    engine_type = PandasEngine


class ArrowSuite(_PandasFormatSuite):
    """Arrow files."""

    component = ArrowFormat
    words = COMMON


class AvroSuite(_PandasFormatSuite):
    """Avro."""

    component = AvroFormat


class CsvSuite(_PandasFormatSuite):
    """CSV."""

    component = CsvFormat
    types = "any"

    def tables(self) -> SearchStrategy[Table]:
        """With a value in each row."""
        return super().tables().map(_numbered)

    def damaged(self, whole: bytes) -> Iterable[bytes]:
        """Nothing, no UTF-8, and a line with a column too many; of a part of a CSV nobody can tell that it is one."""
        return (b"", whole + b"\x81\n", whole + b"1,2,3\n")


class ExcelSuite(_PandasFormatSuite):
    """Excel."""

    component = ExcelFormat
    types = "any"
    words = ("bool", "int32", "double", "string")  # a cell holds whole numbers up to 2**53

    def tables(self) -> SearchStrategy[Table]:
        """With a value in each row."""
        return super().tables().map(_numbered)


class FeatherSuite(_PandasFormatSuite):
    """Feather."""

    component = FeatherFormat
    words = COMMON


class JsonSuite(_PandasFormatSuite):
    """JSON."""

    component = JsonFormat

    def damaged(self, whole: bytes) -> Iterable[bytes]:
        """What is cut off, has no end, or is no JSON."""
        return (whole[: len(whole) // 2], whole[:-3], whole + b"\x81", b"[[[", b"\x81\xff")


class OrcSuite(_PandasFormatSuite):
    """ORC."""

    component = OrcFormat


class ParquetSuite(_PandasFormatSuite):
    """Parquet."""

    component = ParquetFormat
    words = COMMON
