"""How the columns of two frames differ."""

from __future__ import annotations

from collections.abc import Sequence

import attrs

from odibi_story.record import Column


@attrs.frozen
class Changed:
    """A column that both have, of another type, or of which one may be empty and the other not."""

    name: str
    before: str
    after: str


@attrs.frozen
class Columns:
    """The difference of two schemas.

    Attributes:
        added, removed, changed: in the order of the frame that has them.
        total: columns of the second.
    """

    added: tuple[Column, ...]
    removed: tuple[Column, ...]
    changed: tuple[Changed, ...]
    total: int

    def __bool__(self) -> bool:
        return bool(self.added or self.removed or self.changed)


def compare(before: Sequence[Column], after: Sequence[Column]) -> Columns:
    """What has to be done to the columns ``before`` to have those ``after``; their order does not count."""
    old, new = {each.name: each for each in before}, {each.name: each for each in after}
    return Columns(
        tuple(each for name, each in new.items() if name not in old),
        tuple(each for name, each in old.items() if name not in new),
        tuple(
            Changed(name, type_of(old[name]), type_of(each))
            for name, each in new.items()
            if name in old and (old[name].type, old[name].nullable) != (each.type, each.nullable)
        ),
        len(after),
    )


def type_of(column: Column) -> str:
    """The type, and whether the column is never empty."""
    return column.type if column.nullable else f"{column.type} not null"
