"""What the options of both components may be."""

from __future__ import annotations

from odibi.contracts import amounts
from odibi.contracts.storage import check_path
from odibi.errors import InvalidPath


def folder(text: str) -> str:
    """A folder of a connection; ``""`` is its root.

    Raises:
        ValueError: it leads out of the connection.
    """
    try:
        return check_path(text)
    except InvalidPath as error:
        raise ValueError(str(error)) from None


def size(given: int | str | None) -> int | None:
    """Bytes; ``None`` stays ``None``.

    Raises:
        ValueError: it is no size.
    """
    return None if given is None else amounts.size(given)


def duration(given: float | str | None) -> float | None:
    """Seconds; ``None`` stays ``None``.

    Raises:
        ValueError: it is no duration.
    """
    return None if given is None else amounts.duration(given)


def pause(given: float | str) -> float:
    """As :func:`duration`, or 0.

    Raises:
        ValueError: it is neither.
    """
    if not isinstance(given, bool) and given in (0, "0"):
        return 0.0
    found = duration(given)
    assert found is not None
    return found


def positive(given: int) -> int:
    """A whole number above 0.

    Raises:
        ValueError: it is none.
    """
    if given < 1:
        raise ValueError(f"{given} is too few; give 1 or more")
    return given
