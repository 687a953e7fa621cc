"""Texts with fields of a run in them, such as ``{pipeline} failed: {error}``."""

from __future__ import annotations

from string import Formatter
from typing import TYPE_CHECKING

from odibi_alerts.notice import FIELDS

if TYPE_CHECKING:
    from odibi_alerts.notice import Notice


def check_template(name: str, template: str | None) -> None:
    """Refuse a template that cannot be filled in.

    Raises:
        ValueError: it is not well formed, or names a field that there is not; the fields are listed.
    """
    if template is None:
        return
    try:
        parts = list(Formatter().parse(template))
    except ValueError as error:
        raise ValueError(f"{name}: {error}; write '{{{{' and '}}}}' for the signs themselves") from None
    for _, field, form, conversion in parts:
        if field is None:
            continue
        if field not in FIELDS:
            raise ValueError(f"{name}: there is no field {field!r}; there are {', '.join(FIELDS)}")
        if form or conversion:
            raise ValueError(f"{name}: the field {field!r} is text, and takes no format; write '{{{field}}}'")


def filled_in(template: str, notice: Notice) -> str:
    """The template with the fields of a notice; one that :func:`check_template` has passed."""
    return template.format_map(notice.texts())
