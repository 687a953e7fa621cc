"""JSON values as YAML, for people: as a project file would say them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from typing import Any

_PLAIN = re.compile(r"[A-Za-z_./][\w./ @%+()-]*")
_NO_TEXT = re.compile(r"(?i:null|true|false|yes|no|on|off|y|n)|[.+-]?(?:[0-9_.]+(?:[eE][+-]?\d+)?|(?i:inf|nan))|\.+")
_BLOCK = re.compile(
    r"[^\s\x85\u2028\u2029](?:[^\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\ufeff\ud800-\udfff\ufffe\uffff]*)"
)
_SHORT = 88


def outline(value: Any) -> str:
    """The value as YAML, without a line break at its end.

    Args:
        value: what JSON can hold; keys of mappings are text.
    """
    return "\n".join(_lines(value, 0))


def _lines(value: Any, depth: int) -> list[str]:
    if isinstance(value, Mapping) and value:
        return [line for key, item in value.items() for line in _entry(f"{_scalar(str(key))}:", item, depth)]
    if _is_list(value) and value:
        return [line for item in value for line in _item(item, depth)]
    return [_flow(value)]


def _entry(head: str, value: Any, depth: int) -> list[str]:
    if isinstance(value, str) and "\n" in value and _BLOCK.fullmatch(value):
        return [f"{head} {_mark(value)}", *_block(value)]
    if not isinstance(value, Mapping) and not _is_list(value):
        return [f"{head} {_scalar(value)}"]
    short = _flow(value)
    if len(value) == 0 or (_is_flat(value) and depth * 2 + len(head) + len(short) < _SHORT):
        return [f"{head} {short}"]
    return [head, *(f"  {line}" for line in _lines(value, depth + 1))]


def _item(value: Any, depth: int) -> list[str]:
    if isinstance(value, Mapping) and value:
        first, *rest = _lines(value, depth + 1)
        return [f"- {first}", *(f"  {line}" for line in rest)]
    return _entry("-", value, depth)


def _mark(text: str) -> str:
    """How a block of text begins, by how many line breaks it ends with."""
    if not text.endswith("\n"):
        return "|-"
    return "|" if text.rstrip("\n") + "\n" == text else "|+"


def _block(text: str) -> list[str]:
    lines = text.split("\n")
    if text.endswith("\n"):
        lines.pop()
    return [f"  {line}" if line else "" for line in lines]


def _is_list(value: Any) -> bool:
    return isinstance(value, Sequence) and not isinstance(value, str | bytes)


def _is_flat(value: Any) -> bool:
    inner = value.values() if isinstance(value, Mapping) else value
    return not any(isinstance(each, Mapping) or _is_list(each) for each in inner)


def _flow(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{_scalar(str(key))}: {_flow(item)}" for key, item in value.items()) + "}"
    if _is_list(value):
        return "[" + ", ".join(map(_flow, value)) + "]"
    return _scalar(value)


def _scalar(value: Any) -> str:
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, int):
        return str(value)
    text = str(value)
    if _PLAIN.fullmatch(text) and not _NO_TEXT.fullmatch(text) and not text.endswith(" "):
        return text
    quoted = json.dumps(text, ensure_ascii=False)
    return quoted if text.isprintable() else "".join(each if each.isprintable() else _escaped(each) for each in quoted)


def _escaped(character: str) -> str:
    code = ord(character)
    if 0xD800 <= code < 0xE000:
        return character  # half of one, which no escape stands for; the page shows a mark instead
    return f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"


def _number(value: float) -> str:
    if value != value:
        return ".nan"
    if value in (float("inf"), float("-inf")):
        return ".inf" if value > 0 else "-.inf"
    text = repr(value)
    mantissa, e, exponent = text.partition("e")
    if not e:
        return text
    # YAML 1.1 knows an exponent only after a point and with its sign.
    return f"{mantissa if '.' in mantissa else mantissa + '.0'}e{exponent if exponent[0] in '+-' else '+' + exponent}"
