"""Tables as plain Python data: to make frames of any engine, to draw them with hypothesis, and to compare them.

A :class:`Table` has columns with types in Arrow's words, and rows of plain values. :func:`frame_of` makes a frame of
any engine from one, and :func:`table_of` gives it back, so that frames of two engines can be compared::

    from odibi.testing.frames import Table, assert_same, frame_of, table_of, tables

    orders = Table.of(id=("int64", [1, 2]), amount=("double", [9.5, None]))
    frame = frame_of(engine, orders)
    assert_same(table_of(engine, clean(frame)), orders, ordered=False)


    @given(tables(words=("int64", "string")))
    def test_nothing_is_lost(table): ...

Needs pyarrow where a table becomes a frame, and hypothesis where one is drawn; importing this module needs neither.
"""

from __future__ import annotations

import datetime as dt
import decimal
import math
import re
import string
from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

    from hypothesis.strategies import SearchStrategy

    from odibi.contracts.engine import Engine, Frame

SIMPLE = ("bool", "int64", "double", "string")
"""What every engine and most formats know."""

COMMON = (
    *SIMPLE,
    "int8",
    "int32",
    "uint16",
    "float",
    "binary",
    "date32[day]",
    "timestamp[us]",
    "timestamp[us, tz=UTC]",
    "decimal128(12, 3)",
)
"""What the engines of larger systems know."""

_ALIASES = {"float64": "double", "float32": "float", "float16": "halffloat", "date32": "date32[day]"}
_KINDS = (
    (r"u?int\d+", "integer"),
    (r"double|float|halffloat", "number"),
    (r"(large_)?string(_view)?", "text"),
    (r"(large_)?binary(_view)?|fixed_size_binary.*", "bytes"),
    (r"date(32|64).*", "date"),
    (r"time(32|64).*", "time"),
    (r"timestamp\[\w+, tz=.*\]", "moment with a zone"),
    (r"timestamp.*", "moment"),
    (r"duration.*", "duration"),
    (r"decimal.*", "decimal"),
    (r"(large_|fixed_size_)?list.*", "list"),
)
_LOOK_ALIKE = (
    "",
    " ",
    "null",
    "None",
    "NaN",
    "NA",
    "true",
    "1",
    "007",
    "1.0",
    "1e5",
    "-",
    "2020-01-01",
    "a,b",
    '"',
    "=1+1",
)
"""Texts that something might take for something else."""

_CHARACTERS = "aZ09 _-.,;:'\"\\/|%{}[]<>&#=\t\n\r\u00a0\u0301\u2028\ufeffé日本🚀"
_SHOWN = 5
"""How many differences an error names."""


def _types(types: Mapping[str, str]) -> dict[str, str]:
    return dict(types)


def _rows(rows: Iterable[Iterable[Any]]) -> tuple[tuple[Any, ...], ...]:
    return tuple(tuple(row) for row in rows)


@attrs.frozen
class Table:
    """A table of plain values.

    Attributes:
        types: the columns in order, each with its type in Arrow's words (``int64``, ``double``, ``string``).
        rows: a tuple of values a row, in the order of the columns; ``None`` for null.
    """

    types: Mapping[str, str] = attrs.field(converter=_types)
    rows: tuple[tuple[Any, ...], ...] = attrs.field(converter=_rows)

    @rows.validator
    def _check_widths(self, _: object, rows: tuple[tuple[Any, ...], ...]) -> None:
        for at, row in enumerate(rows):
            if len(row) != len(self.types):
                raise ValueError(f"row {at} has {len(row)} values for {len(self.types)} columns")

    @classmethod
    def of(cls, **columns: tuple[str, Sequence[Any]]) -> Table:
        """A table from columns: each a type and its values.

        Raises:
            ValueError: the columns are not of one length.
        """
        types = {name: word for name, (word, _) in columns.items()}
        return cls(types, zip(*(values for _, values in columns.values()), strict=True))

    @property
    def names(self) -> tuple[str, ...]:
        """The columns' names."""
        return tuple(self.types)

    def __len__(self) -> int:
        return len(self.rows)

    def column(self, name: str) -> tuple[Any, ...]:
        """The values of one column."""
        at = self.names.index(name)
        return tuple(row[at] for row in self.rows)

    def select(self, *names: str) -> Table:
        """These columns, in this order."""
        at = [self.names.index(name) for name in names]
        return Table({name: self.types[name] for name in names}, [[row[each] for each in at] for row in self.rows])

    def cut(self, begin: int, end: int | None = None) -> Table:
        """The rows from ``begin`` up to ``end``."""
        return Table(self.types, self.rows[begin:end])

    def joined(self, *others: Table) -> Table:
        """These rows and then those of ``others``, whose columns are the same."""
        return Table(self.types, [*self.rows, *(row for other in others for row in other.select(*self.names).rows)])


# --- frames ---------------------------------------------------------------------------------------------------------


def frame_of(engine: Engine, table: Table) -> Frame:
    """A frame of ``engine``, by Arrow."""
    return engine.from_arrow(to_arrow(table))


def table_of(engine: Engine, frame: Frame) -> Table:
    """What is in a frame of ``engine``, by Arrow."""
    return from_arrow(engine.to_arrow(frame))


def to_arrow(table: Table) -> Any:
    """A ``pyarrow.Table``."""
    import pyarrow as pa

    arrays = [pa.array(table.column(name), arrow_type(word)) for name, word in table.types.items()]
    return pa.table(arrays, names=list(table.names))


def from_arrow(stream: Any) -> Table:
    """A table from any object with ``__arrow_c_stream__``."""
    import pyarrow as pa

    found = pa.table(stream)
    columns = [column.to_pylist() for column in found.columns]
    types = {field.name: str(field.type) for field in found.schema}
    if len(types) != len(columns):
        raise ValueError(f"two columns have one name: {found.column_names}")
    return Table(types, zip(*columns, strict=True) if columns else [()] * found.num_rows)


def arrow_type(word: str) -> Any:
    """The ``pyarrow.DataType`` that says ``word`` of itself: flat ones, and lists of them.

    Raises:
        ValueError: there is none, or it is a type that this does not read.
    """
    import pyarrow as pa

    word = type_word(word)
    parametric: tuple[tuple[str, Callable[..., Any]], ...] = (
        (r"timestamp\[(\w+), tz=(.+)\]", pa.timestamp),
        (r"decimal(128|256)\((\d+), (-?\d+)\)", lambda bits, *size: getattr(pa, f"decimal{bits}")(*map(int, size))),
        (r"fixed_size_binary\[(\d+)\]", lambda size: pa.binary(int(size))),
        (r"list<(\w+): (.+)>", lambda name, inner: pa.list_(pa.field(name, arrow_type(inner)))),
    )
    for pattern, make in parametric:
        if match := re.fullmatch(pattern, word):
            return make(*match.groups())
    return pa.type_for_alias(word)


def type_word(word: str) -> str:
    """``word`` as Arrow says it: ``double`` for ``float64``."""
    return _ALIASES.get(word, word)


def kind_of(word: str) -> str:
    """What sort of values a type is for, whatever its width: ``integer``, ``number``, ``text``, ``moment``."""
    return next((kind for pattern, kind in _KINDS if re.fullmatch(pattern, type_word(word))), word)


# --- comparing ------------------------------------------------------------------------------------------------------


def assert_same(
    found: Table, expected: Table, *, ordered: bool = True, types: Literal["exact", "kind", "any"] = "kind"
) -> None:
    """Fail if two tables differ, and say where.

    Numbers are the same if they are equal, NaN is the same as NaN, and moments with a zone if they are one moment.

    Args:
        found: what there is.
        expected: what there should be.
        ordered: whether rows have to be in the same order.
        types: ``exact`` compares the types' words; ``kind`` what they are for, so that ``string`` may be
            ``large_string``; a column without any value may have any type then.
    """
    assert found.names == expected.names, f"the columns are {found.names}, and should be {expected.names}"
    for name, wanted in expected.types.items():
        word, empty = found.types[name], all(value is None for value in expected.column(name))
        if types == "exact":
            assert type_word(word) == type_word(wanted), f"column {name!r} is {word}, and should be {wanted}"
        elif types == "kind" and not empty:
            assert kind_of(word) == kind_of(wanted), f"column {name!r} is {word}, and should be like {wanted}"
    assert len(found) == len(expected), f"there are {len(found)} rows, and should be {len(expected)}"
    ours, theirs = list(found.rows), list(expected.rows)
    if not ordered:
        ours, theirs = sorted(ours, key=_as_text), sorted(theirs, key=_as_text)
    differing = [
        f"row {at}, column {name!r}: {one!r}, and should be {other!r}"
        for at, (mine, wanted_row) in enumerate(zip(ours, theirs, strict=True))
        for name, one, other in zip(found.names, mine, wanted_row, strict=True)
        if comparable(one) != comparable(other)
    ]
    assert not differing, "; ".join(differing[:_SHOWN])


def same(found: Table, expected: Table, *, ordered: bool = True) -> bool:
    """Whether two tables have the same columns and rows, as :func:`assert_same` takes it."""
    try:
        assert_same(found, expected, ordered=ordered)
    except AssertionError:
        return False
    return True


def comparable(value: Any) -> Any:
    """``value`` so that two are equal, and hash alike, if they mean the same."""
    if isinstance(value, float) and math.isnan(value):
        return "NaN"
    if isinstance(value, bool | None):
        return (type(value).__name__, value)
    if isinstance(value, dt.datetime) and value.tzinfo is not None:
        return ("moment", value.astimezone(dt.UTC).replace(tzinfo=None))
    if isinstance(value, str | dt.date | dt.time | dt.timedelta):
        return (type(value).__name__, value)
    if isinstance(value, bytes | bytearray | memoryview):
        return ("bytes", bytes(value))
    if isinstance(value, list | tuple):
        return tuple(comparable(each) for each in value)
    if isinstance(value, dict):
        return tuple((key, comparable(each)) for key, each in value.items())
    return value


def _as_text(row: tuple[Any, ...]) -> str:
    return repr([comparable(value) for value in row])


PLAIN = (bool, int, float, str, bytes, type(None), dt.date, dt.datetime, dt.time, dt.timedelta, decimal.Decimal)


def strange_values(value: Any) -> Iterator[str]:
    """The types of what is no plain Python value in ``value``, which may be nested; their subclasses are none."""
    if type(value) in (list, tuple):
        for each in value:
            yield from strange_values(each)
    elif type(value) is dict:
        for key, each in value.items():
            yield from strange_values(key)
            yield from strange_values(each)
    elif type(value) not in PLAIN:
        yield f"{type(value).__module__}.{type(value).__qualname__}"


# --- drawing --------------------------------------------------------------------------------------------------------


def values(word: str, *, awkward: bool = True) -> SearchStrategy[Any]:
    """Values of a type.

    Args:
        word: the type; one of :data:`COMMON`, or an integer of any width.
        awkward: with what formats of text cannot tell: NaN, infinities, and texts that look like something else.

    Raises:
        ValueError: there is no strategy for this type.
    """
    import hypothesis.strategies as st

    word = type_word(word)
    if match := re.fullmatch(r"(u?)int(\d+)", word):
        unsigned, bits = bool(match[1]), int(match[2])
        return st.integers(0, 2**bits - 1) if unsigned else st.integers(-(2 ** (bits - 1)), 2 ** (bits - 1) - 1)
    texts = st.sampled_from(_LOOK_ALIKE) | st.text(_CHARACTERS, max_size=8)
    plain_texts = st.text(string.ascii_letters + " ,;\"'é日\u2028\\_-", max_size=8).map(lambda text: f"x{text}y")
    finite = not awkward
    known: dict[str, SearchStrategy[Any]] = {
        "bool": st.booleans(),
        "double": st.floats(allow_nan=not finite, allow_infinity=not finite),
        "float": st.floats(width=32, allow_nan=not finite, allow_infinity=not finite),
        "string": texts if awkward else plain_texts,
        "large_string": texts if awkward else plain_texts,
        "binary": st.binary(max_size=8),
        "date32[day]": st.dates(dt.date(1902, 1, 1), dt.date(2200, 1, 1)),
        "timestamp[us]": st.datetimes(dt.datetime(1902, 1, 1), dt.datetime(2200, 1, 1)),
        "timestamp[us, tz=UTC]": st.datetimes(
            dt.datetime(1902, 1, 1),
            dt.datetime(2200, 1, 1),
            timezones=st.just(dt.UTC),
        ),
        "decimal128(12, 3)": st.decimals(-(10**8), 10**8, places=3),
    }
    if word not in known:
        raise ValueError(f"no values are known for the type {word!r}; there are some for {', '.join(known)}")
    return known[word]


def schemas(
    *,
    words: Sequence[str] = SIMPLE,
    names: SearchStrategy[str] | None = None,
    min_columns: int = 1,
    max_columns: int = 4,
) -> SearchStrategy[dict[str, str]]:
    """Columns with types.

    Args:
        words: the types to choose from.
        names: what columns may be called; by default letters, digits and ``_``, so that SQL need not quote them. No
            two of one schema differ in case alone.
        min_columns: how many there are at least.
        max_columns: and at most.
    """
    import hypothesis.strategies as st

    if names is None:
        ends = st.text(string.ascii_lowercase + string.digits, min_size=1, max_size=4)
        names = st.builds("{}_{}".format, st.sampled_from("abcxyz"), ends)
    pairs = st.tuples(names, st.sampled_from(list(words)))
    found = st.lists(pairs, min_size=min_columns, max_size=max_columns, unique_by=lambda pair: pair[0].casefold())
    return found.map(dict)


def tables(
    schema: Mapping[str, str] | SearchStrategy[dict[str, str]] | None = None,
    *,
    words: Sequence[str] = SIMPLE,
    min_rows: int = 0,
    max_rows: int = 12,
    nulls: bool = True,
    awkward: bool = True,
) -> SearchStrategy[Table]:
    """Tables.

    Args:
        schema: their columns with types, or a strategy for them; by default :func:`schemas` of ``words``.
        words: the types to choose from.
        min_rows: how many rows there are at least.
        max_rows: and at most.
        nulls: whether values may be missing.
        awkward: as for :func:`values`.
    """
    import hypothesis.strategies as st

    def of(types: Mapping[str, str]) -> SearchStrategy[Table]:
        cells = [values(word, awkward=awkward) for word in types.values()]
        row = st.tuples(*(st.none() | each if nulls else each for each in cells))
        return st.lists(row, min_size=min_rows, max_size=max_rows).map(lambda rows: Table(types, rows))

    if schema is None:
        schema = schemas(words=words)
    return schema.flatmap(of) if hasattr(schema, "flatmap") else of(schema)
