"""What must be known of all parts before the first row gets its types: columns, types, and kinds of text."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from odibi.errors import DataError
from odibi_pandas.inference import Inference, Kind, Rules, as_kind

if TYPE_CHECKING:
    from collections.abc import Mapping

    import pyarrow as pa

    from odibi_pandas.formats.base import FileFormat


_NO_TYPE = {b"odibi": b"null"}


def marked(schema: pa.Schema) -> pa.Schema:
    """The schema to write, with a mark at columns that had no type in the frame.

    What others write without a type has none as they happened to have no value; what we write without one had none, and
    has to come back so.
    """
    import pyarrow as pa

    return pa.schema([field.with_metadata(_NO_TYPE) if pa.types.is_null(field.type) else field for field in schema])


def is_marked(field: pa.Field) -> bool:
    """Whether :func:`marked` marked the column."""
    return (field.metadata or {}).get(b"odibi") == b"null"


@attrs.frozen
class Layout:
    """The columns that all parts of a source share.

    Attributes:
        schema: names and types; for a column of text that is to be given a type, the type it will have.
        kinds: column to kind, for those.
        rules: how their values are written.
    """

    schema: pa.Schema
    kinds: Mapping[str, Kind]
    rules: Rules

    def settle(self, table: pa.Table, name: str) -> pa.Table:
        """``table`` with these columns and types.

        Raises:
            DataError: a value does not fit, which a survey of the same table rules out.
        """
        import pyarrow as pa

        def settled(field: pa.Field) -> pa.ChunkedArray:
            at = table.schema.get_field_index(field.name)
            if at < 0:
                return pa.chunked_array([pa.nulls(table.num_rows, field.type)])
            column = table.column(at)
            kind = self.kinds.get(field.name, Kind.TEXT)
            if kind is not Kind.TEXT and _is_text(column.type):
                column = as_kind(column, kind, self.rules, trusted=True)
                if column is None:
                    raise DataError(f"column {field.name!r} changed while it was read", where=name, remedy="Try again.")
            return column if column.type == field.type else column.cast(field.type)

        return pa.table([settled(field) for field in self.schema], schema=self.schema)


class Survey:
    """Collects what the parts of a source have in common.

    Args:
        format_: says how texts are given types, and whether parts may have different columns.
        known: what :meth:`found` told of other rows of the same columns; what is found then is of all of them.
    """

    def __init__(self, format_: FileFormat, known: Mapping[str, str | None] | None = None) -> None:
        self._format = format_
        self._rules = format_.rules()
        self._union = format_.union_by_name
        self._first = ""
        self._names: list[str] = []
        self._types: dict[str, tuple[Any, str]] = {}
        self._kinds: dict[str, Inference] = {}
        self._unknown: set[str] = set()
        self._known = known or {}

    def add(self, table: pa.Table, name: str) -> None:
        """Take in a part, or a chunk of one.

        Raises:
            DataError: its columns, or their types, do not go with those before.
        """
        self._add_names(table.column_names, name)
        for field in table.schema:
            self._add_type(field, name)
        if self._rules is None:
            return
        for field, column in zip(table.schema, table.columns, strict=True):
            if _is_text(field.type) and self._format.infers(field.name):
                if field.name not in self._kinds:
                    word = self._known.get(field.name)
                    self._kinds[field.name] = Inference(self._rules, None if word is None else Kind[word])
                self._kinds[field.name].observe(column)

    def layout(self) -> Layout:
        """What was found."""
        import pyarrow as pa

        kinds = {}
        fields = []
        for name in self._names:
            kind, _ = self._types[name]
            if name in self._kinds and _is_text(kind):
                found = self._kinds[name].kind
                if found is not Kind.TEXT:
                    kinds[name] = found
                    kind = _type_of(found)
            # A column without a single value is text to whoever computes with it, unless it was written so.
            fields.append(pa.field(name, pa.string() if pa.types.is_null(kind) and name in self._unknown else kind))
        return Layout(pa.schema(fields), kinds, self._rules or Rules())

    def found(self) -> dict[str, str | None]:
        """Column to the name of its kind, for those of text that are to be given a type, and to its type for others.

        ``None`` stands for a column in which no value was that its kind could be told by.
        """
        result: dict[str, str | None] = {}
        for name in self._names:
            if name in self._kinds:
                kind = self._kinds[name].found
                result[name] = None if kind is None else kind.name
            else:
                result[name] = str(self._types[name][0])
        return result

    def _add_names(self, names: list[str], name: str) -> None:
        if not self._first:
            self._first = name
            self._names = list(names)
            return
        if self._names == names or name == self._first:
            self._names.extend(column for column in names if column not in self._names)
            return
        known, here = set(self._names), set(names)
        if known != here and not self._union:
            parts = []
            if known - here:
                parts.append(f"lacks {_listed(known - here)}")
            if here - known:
                parts.append(f"has {_listed(here - known)} besides")
            raise DataError(
                f"the part {' and '.join(parts)}, unlike {self._first}",
                where=name,
                remedy="Set union_by_name: true to fill missing columns with nulls, or read the parts one by one.",
            )
        self._names.extend(column for column in names if column not in known)

    def _add_type(self, field: pa.Field, name: str) -> None:
        import pyarrow as pa

        if pa.types.is_null(field.type) and not is_marked(field):
            self._unknown.add(field.name)
        if field.name not in self._types:
            self._types[field.name] = (field.type, name)
            return
        known, where = self._types[field.name]
        if known == field.type:
            return
        try:
            schemas = [pa.schema([pa.field(field.name, known)]), pa.schema([pa.field(field.name, field.type)])]
            self._types[field.name] = (pa.unify_schemas(schemas, promote_options="permissive").field(0).type, where)
        except (pa.ArrowInvalid, pa.ArrowTypeError) as error:
            before = "the rows before" if where == name else where
            raise DataError(
                f"column {field.name!r} is {field.type}, but {known} in {before}",
                where=name,
                remedy="Make the parts alike, or give the column a type with the option dtypes where there is one.",
            ) from error


def _listed(names: set[str]) -> str:
    return ", ".join(map(repr, sorted(names)))


def _is_text(kind: pa.DataType) -> bool:
    import pyarrow as pa

    return bool(pa.types.is_string(kind))


def _type_of(kind: Kind) -> pa.DataType:
    import pyarrow as pa

    return {
        Kind.INTEGER: pa.int64(),
        Kind.BOOLEAN: pa.bool_(),
        Kind.FLOAT: pa.float64(),
        Kind.DATE: pa.date32(),
        Kind.MOMENT: pa.timestamp("us"),
        Kind.MOMENT_NS: pa.timestamp("ns"),
        Kind.MOMENT_UTC: pa.timestamp("us", "UTC"),
        Kind.MOMENT_UTC_NS: pa.timestamp("ns", "UTC"),
        Kind.TEXT: pa.string(),
    }[kind]
