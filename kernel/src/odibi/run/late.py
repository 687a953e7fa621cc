"""Late rows of incremental reads: what is looked at again, and what of it was read before.

A read with a ``lateness`` begins that far below the watermark, and leaves out the rows whose key is known. Known are
the keys of the rows that were read above ``since``: the watermark less the lateness, or what that was at its greatest.
Below it nothing is known, and nothing is read again, whatever ``lateness`` is changed to. So the keys of one such
window are all that has to be kept; they are, as digests with the values of their rows, beside the watermark and in one
transaction with it.

What a run reads is pinned before anything is made of it, as for any increment: late rows may come between two
attempts, and each must give the same ones. Above the ``since`` to come, those are the rows of the keys that were noted
as *given*. Below it are rows that would be too late if they came now, and the bounds alone say which they are.
"""

from __future__ import annotations

import base64
import binascii
import math
import zlib
from datetime import date, datetime, timedelta
from decimal import Context, Decimal
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.bounds import DIGEST, KEY_KINDS, Bound, as_json, from_json, kind_of, kind_of_type
from odibi.errors import DataError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from odibi.contracts.bounds import Value
    from odibi.contracts.engine import Frame, FrameInfo, KeyedEngine

MOST = 100_000
"""How many keys a window may have. One takes about 25 bytes in the checkpoint store, twice while a run goes on."""


@attrs.frozen
class Window:
    """The keys of the rows that were read above a value.

    Attributes:
        key: the columns.
        kinds: of their values, of :data:`~odibi.contracts.bounds.KEY_KINDS`; empty until a row was read.
        since: the value; ``None`` for all that there is.
        keys: the digest of each key to the greatest value of its rows.
        given: of a pin, the digests of the keys whose rows are new in it.
    """

    key: tuple[str, ...]
    kinds: tuple[str, ...] = ()
    since: Value | None = None
    keys: Mapping[bytes, Value] = attrs.field(factory=dict)
    given: frozenset[bytes] = frozenset()

    def told(self) -> dict[str, Any]:
        """What the store keeps; JSON values."""
        digests = sorted(self.keys, key=lambda each: (self.keys[each], each))  # neighbours have much in common
        values = "\n".join(as_json(self.keys[each])["value"] for each in digests)
        return {
            "key": list(self.key),
            "kinds": list(self.kinds),
            "since": None if self.since is None else as_json(self.since),
            "count": len(digests),
            "kind": kind_of(self.keys[digests[0]]) if digests else None,
            "digests": base64.b64encode(b"".join(digests)).decode(),
            "values": _packed(values.encode()),
            "given": _packed(bytes(each in self.given for each in digests)),
        }

    @classmethod
    def of(cls, told: Any) -> Window:
        """What :meth:`told` told.

        Raises:
            KeyError, TypeError, ValueError: it did not.
        """
        count, kind = told["count"], told["kind"]
        whole = base64.b64decode(told["digests"], validate=True)
        values = _unpacked(told["values"]).decode().split("\n") if count else []
        given = _unpacked(told["given"])
        if not len(whole) == count * DIGEST == len(values) * DIGEST == len(given) * DIGEST:
            raise ValueError("there are not as many keys as there should be")
        digests = [whole[at : at + DIGEST] for at in range(0, len(whole), DIGEST)]
        return cls(
            tuple(told["key"]),
            tuple(told["kinds"]),
            None if told["since"] is None else from_json(told["since"]),
            {each: from_json({"type": kind, "value": value}) for each, value in zip(digests, values, strict=True)},
            frozenset(each for each, is_given in zip(digests, given, strict=True) if is_given),
        )

    def settled(self) -> Window:
        """The same once what it gave was given."""
        return attrs.evolve(self, given=frozenset())


def _packed(data: bytes) -> str:
    return base64.b64encode(zlib.compress(data)).decode()


def _unpacked(text: str) -> bytes:
    try:
        return zlib.decompress(base64.b64decode(text, validate=True))
    except (zlib.error, binascii.Error) as error:
        raise ValueError(str(error)) from None


def less(value: Value, lateness: float | timedelta, where: str) -> Value | None:
    """A value, and so much below it: no value that lies between is left out by rounding.

    Args:
        value: the watermark.
        lateness: a number, or for dates and moments a duration.
        where: the node, for the error.

    Returns:
        ``None`` where nothing is so far below.

    Raises:
        DataError: the one cannot be taken from the other.
    """
    if isinstance(value, date):  # and moments, which are dates as well
        if not isinstance(lateness, timedelta):
            raise _unfit(value, lateness, where, "Write it with a unit, such as 2h or 3d.")
        try:
            if isinstance(value, datetime):
                return value - lateness
            return value - timedelta(days=math.ceil(lateness / timedelta(days=1)))
        except OverflowError:
            return None
    if isinstance(lateness, timedelta):
        raise _unfit(value, lateness, where, "Give a number, in the units of the column.")
    if isinstance(value, int):
        return value - math.ceil(lateness)
    if isinstance(value, float):
        return value - lateness
    if isinstance(value, Decimal):
        length = Decimal(repr(lateness))
        # More digits than a column of decimals and a float have between them, so that nothing is rounded.
        exact = Context(prec=max(76, len(value.as_tuple().digits)) + len(length.as_tuple().digits) + 400)
        return exact.subtract(value, length)
    raise _unfit(value, lateness, where, "Read by a column of numbers, dates or moments, or remove 'lateness'.")


def _unfit(value: Value, lateness: float | timedelta, where: str, remedy: str) -> DataError:
    return DataError(f"the column is {kind_of(value)}, of which {lateness} is no part", where=where, remedy=remedy)


def kinds_of(info: FrameInfo, key: Sequence[str], where: str) -> tuple[str, ...]:
    """The kinds of the columns of a key.

    Raises:
        DataError: one is not there, or is of a kind that a key cannot have.
    """
    words = {column.name: column.type for column in info.schema}
    found = []
    for name in key:
        if name not in words:
            raise DataError(
                f"there is no column {name!r} of the key",
                where=where,
                remedy=f"The columns are: {', '.join(words)}.",
            )
        kind = kind_of_type(words[name])
        if kind not in KEY_KINDS:
            raise DataError(
                f"column {name!r} of the key is {words[name]}, which no key can be told by",
                where=where,
                remedy=f"Give columns of these kinds: {', '.join(KEY_KINDS)}.",
            )
        found.append(kind)
    return tuple(found)


def lowest(window: Window, watermark: Value | None, lateness: float | timedelta, where: str) -> Value | None:
    """Above which value a run has to look again: so far below the watermark, and no lower than keys are known.

    Args:
        window: the keys.
        watermark: the greatest value that was read; ``None`` if none was.
        lateness: as in :func:`less`.
        where: the node, for the error.

    Raises:
        DataError: see :func:`less`.
    """
    wanted = None if watermark is None else less(watermark, lateness, where)
    if wanted is None or window.since is None:
        return window.since if wanted is None else wanted
    return max(window.since, wanted)


def first(
    engine: KeyedEngine, frame: Frame, column: str, upto: Value, seen: Window, lateness: float | timedelta, where: str
) -> tuple[Frame, Window]:
    """What of the rows that were looked at is new, and the window to be pinned for it.

    Args:
        engine: of the frame.
        frame: rows with a value above that of :func:`lowest`, and none above ``upto``.
        column: of the values.
        upto: the watermark to come.
        seen: the window that the read goes by.
        lateness: how far the next read is to look back.
        where: the node, for errors.

    Raises:
        DataError: a column of the key is not there, is not of the kind it was, or has no value in some row; or there
            are too many keys.
    """
    since = lowest(seen, upto, lateness, where)
    info = engine.inspect(frame)
    if info.rows == 0:
        kept = {digest: value for digest, value in seen.keys.items() if _is_above(value, since)}
        return frame, attrs.evolve(seen, since=since, keys=kept)
    kinds = _checked(kinds_of(info, seen.key, where), seen, where)
    frame = engine.newest_of_each(frame, seen.key, column)
    keys = {digest: value for digest, value in seen.keys.items() if _is_above(value, since)}
    given: set[bytes] = set()
    dropped: list[int] = []
    # Without a key that is known, rows below the window to come are new, whatever their keys are.
    for at, digest, value in engine.digests(frame, seen.key, Bound(column, None if seen.keys else since)):
        is_known = digest in seen.keys
        if is_known:
            dropped.append(at)
        if not _is_above(value, since):
            continue
        if not is_known:
            given.add(digest)
        keys[digest] = max(keys.get(digest, value), value)
        if len(keys) > MOST:
            raise DataError(
                f"more than {MOST:,} keys lie within a lateness of {lateness}, which are too many to be kept",
                where=where,
                remedy="Give a shorter 'lateness'.",
            )
    return engine.without(frame, dropped), Window(seen.key, kinds, since, keys, frozenset(given))


def again(engine: KeyedEngine, frame: Frame, column: str, seen: Window, pinned: Window, where: str) -> Frame:
    """What :func:`first` gave, of the rows that are there by now.

    Args:
        engine, column, seen, where: as there.
        frame: rows with a value above that of :func:`lowest`, and none above the watermark to come.
        pinned: what it pinned.

    Raises:
        DataError: as there.
    """
    info = engine.inspect(frame)
    if info.rows == 0:
        return frame
    _checked(kinds_of(info, seen.key, where), pinned, where)
    others = [
        at
        for at, digest, value in engine.digests(frame, seen.key, Bound(column, pinned.since))
        if digest not in pinned.given or pinned.keys[digest] != value
    ]
    frame = engine.newest_of_each(engine.without(frame, others), seen.key, column)
    if not seen.keys:
        return frame
    return engine.without(frame, list(_known(engine, frame, column, seen)))


def _known(engine: KeyedEngine, frame: Frame, column: str, seen: Window) -> Iterator[int]:
    for at, digest, _ in engine.digests(frame, seen.key, Bound(column)):
        if digest in seen.keys:
            yield at


def _is_above(value: Value, since: Value | None) -> bool:
    return since is None or value > since  # type: ignore[operator]


def _checked(kinds: tuple[str, ...], known: Window, where: str) -> tuple[str, ...]:
    for name, kind, was in zip(known.key, kinds, known.kinds or kinds, strict=True):
        if kind != was:
            raise DataError(
                f"column {name!r} of the key was {was} when it was last read, and is {kind} now",
                where=where,
                remedy="Read it as the type it had, or begin anew with: odibi streams reset PIPELINE/NODE.",
            )
    return kinds
