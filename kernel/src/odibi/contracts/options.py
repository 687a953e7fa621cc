"""How a component declares its options: attrs fields that carry a sentence of help."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import attrs

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence


def option(
    default: Any = attrs.NOTHING,
    *,
    help: str,  # noqa: A002 - the word users know
    factory: Callable[[], Any] | None = None,
    aliases: Sequence[str] = (),
    only: Literal["read", "write"] | None = None,
    secret: bool = False,
    is_path: bool = False,
    connection: bool = False,
    validator: Any = None,
    converter: Any = None,
) -> Any:
    """An attrs field that is an option of a component.

    Args:
        default: its value when the option is not given; without one the option is required.
        help: one sentence for the reference page and the JSON Schema.
        factory: makes the default, for values that can change.
        aliases: other keys under which the option may be given.
        only: for formats, ``"read"`` or ``"write"`` when the option has no meaning the other way; the kernel refuses
            it there.
        secret: the value never appears in a ``repr``, a log, an event or a story. Give such a field the type
            :class:`~odibi.contracts.secret.Secret`, or ``str``.
        is_path: a relative value is resolved against the folder of the project file before the component is built.
        connection: the value is the name of one of the project's connections, and the component is given its
            :class:`~odibi.contracts.storage.Storage`, built. Give such a field the type ``Storage``.
        validator: an attrs validator; raise ``ValueError`` with a sentence.
        converter: an attrs converter, applied after the value was given its type.

    Returns:
        What :func:`attrs.field` returns, with the above under ``metadata["odibi"]``.
    """
    said = {"help": help, "aliases": tuple(aliases), "only": only, "secret": secret, "is_path": is_path}
    metadata = {"odibi": {**said, "connection": connection}}
    given: dict[str, Any] = {"factory": factory} if factory is not None else {"default": default}
    return attrs.field(
        **given, validator=validator, converter=converter, metadata=metadata, repr=not secret, kw_only=True
    )
