"""YAML to a tree with positions.

PyYAML's parser (libyaml's, where it is built in) gives events; the tree is built from these without recursion, so that
neither depth nor aliases can exhaust anything. What scalars mean follows YAML 1.2, where ``yes``, ``on`` and
``2013-01-01`` are text; a number with leading zeros stays text too, since it is a code and not a count. Keys are
always text.
"""

from __future__ import annotations

import re
from typing import Any

import yaml

from odibi.config.tree import Items, Plain, Table, copied, number, stop
from odibi.config.yaml_faults import syntax_problem
from odibi.errors import ConfigError, Position, Problem

MAX_DEPTH = 100
"""Of nested mappings and lists. A project needs about ten."""

MAX_ALIASED = 300_000
"""Values that aliases may stand for in all."""

_Loader: Any = getattr(yaml, "CSafeLoader", yaml.SafeLoader)

_INT = re.compile(r"[-+]?(?:0|[1-9][0-9]*)$")
_BASED = re.compile(r"0o[0-7]+$|0x[0-9a-fA-F]+$")
_FLOAT = re.compile(r"[-+]?(?:\.[0-9]+|(?:0|[1-9][0-9]*)(?:\.[0-9]*)?)(?:[eE][-+]?[0-9]+)?$")
_WORDS: dict[str, Any] = {word: value for text, value in (("true", True), ("false", False), ("null", None))
                          for word in (text, text.title(), text.upper())}  # fmt: skip
_WORDS |= {"": None, "~": None}
_WORDS |= {sign + dot: float(sign + "inf") for sign in ("", "+", "-") for dot in (".inf", ".Inf", ".INF")}
_WORDS |= {word: float("nan") for word in (".nan", ".NaN", ".NAN")}

# Braces, commas and their like have a meaning of their own between { and }; in a reference they must not. Each is
# replaced by one character of the private use area while YAML is read, so that every column stays what it was.
_REFERENCE = re.compile(r"\$\{[^{}\n'\"\\]*\}")
_HIDE = {ord(char): chr(0xE100 + index) for index, char in enumerate("{}[],:#&*!|>%@`?-")}
_HIDDEN = _HIDE[ord("{")]
_SHOW = {ord(hidden): chr(char) for char, hidden in _HIDE.items()}


def resolve(text: str) -> Any:
    """What a scalar without quotes means in YAML 1.2."""
    if text in _WORDS:
        return _WORDS[text]
    first = text[0]
    if first.isdigit() or first in "+-.":
        try:
            if _INT.match(text):
                return number(int, int(text), text)
            if _FLOAT.match(text):
                return number(float, float(text), text)
            if _BASED.match(text):
                return number(int, int(text, 0), text)
        except ValueError:  # more digits than Python turns into a number
            return text
    return Plain(text) if "${" in text else text


def _is_number(value: Any, kind: str) -> bool:
    return isinstance(value, int if kind == "int" else (int, float)) and not isinstance(value, bool)


class _Frame:
    """A mapping or list that is being filled."""

    __slots__ = ("anchor", "key", "key_at", "merges", "value")

    def __init__(self, value: Table | Items, anchor: str | None) -> None:
        self.value = value
        self.anchor = anchor
        self.key: str | None = None
        self.key_at: Position | None = None
        self.merges: list[tuple[Any, Position]] = []


class _Builder:
    def __init__(self, file: str, *, hidden: bool) -> None:
        self.file = file
        self.hidden = hidden
        self.stack: list[_Frame] = []
        self.anchors: dict[str, Any] = {}
        self.open: set[str] = set()
        self.sizes: dict[str, int] = {}
        self.count = 0
        self.starts: dict[int, int] = {}
        self.aliased = 0
        self.problems: list[Problem] = []
        self.root: Any = None

    def at(self, event: Any) -> Position:
        return Position(self.file, event.start_mark.line + 1, event.start_mark.column + 1)

    def problem(self, what: str, where: Position, remedy: str = "") -> None:
        self.problems.append(Problem(what, where, remedy))

    def add(self, value: Any, at: Position) -> None:
        """Give a finished scalar, or a mapping or list that begins, to whatever is being filled."""
        if not self.stack:
            self.root = value
            return
        frame = self.stack[-1]
        if isinstance(frame.value, Items):
            frame.value.put(value, at)
        elif frame.key is None:
            self.key(frame, value, at)
        else:
            key, key_at = frame.key, frame.key_at or at
            frame.key = None
            if key == "<<":
                frame.merges.append((value, at))
            elif key in frame.value:
                first = frame.value.key_at[key]
                what = f"the key {key!r} is given twice; the first is at {first}"
                self.problem(what, key_at, "Remove one of them.")
            else:
                frame.value.put(key, value, key_at, at)

    def key(self, frame: _Frame, value: Any, at: Position) -> None:
        if not isinstance(value, str):
            self.problem("a key must be text, not a list or a mapping", at, "Put quotes around it if it is text.")
            value = f"?{at.line}:{at.column}"
        frame.key, frame.key_at = value, at

    def scalar(self, event: Any) -> None:
        at = self.at(event)
        text = event.value.translate(_SHOW) if self.hidden and _HIDDEN in event.value else event.value
        frame = self.stack[-1] if self.stack else None
        is_key = frame is not None and isinstance(frame.value, Table) and frame.key is None
        value = text if is_key else self.meaning(event, text, at)
        if event.anchor:
            self.anchors[event.anchor] = value
            self.sizes[event.anchor] = 1
        self.count += 1
        self.add(value, at)

    def meaning(self, event: Any, text: str, at: Position) -> Any:
        tag = event.tag
        if tag is None:
            return resolve(text) if event.implicit[0] else text
        kind = tag.removeprefix("tag:yaml.org,2002:")
        if tag == "!" or kind == "str":
            return text
        if kind in ("int", "float", "bool", "null"):
            value = resolve(text)
            if (
                isinstance(value, bool)
                if kind == "bool"
                else value is None
                if kind == "null"
                else _is_number(value, kind)
            ):
                return float(value) if kind == "float" else value
            self.problem(f"{text!r} is not what the tag !!{kind} says", at, "Remove the tag.")
            return None
        self.refuse_tag(tag, at)
        return text

    def refuse_tag(self, tag: str, at: Position) -> None:
        shown = tag.replace("tag:yaml.org,2002:", "!!")
        self.problem(f"the tag {shown!r} is not allowed", at, "A project file holds plain values only: remove the tag.")

    def begin(self, event: Any, value: Table | Items) -> None:
        kind = "map" if isinstance(value, Table) else "seq"
        if event.tag not in (None, "!", f"tag:yaml.org,2002:{kind}"):
            self.refuse_tag(event.tag, value.at)
        if len(self.stack) >= MAX_DEPTH:
            raise stop(f"nested more than {MAX_DEPTH} levels deep", value.at, "Flatten it.")
        self.add(value, value.at)
        self.count += 1
        if event.anchor:
            self.open.add(event.anchor)
            self.starts[id(value)] = self.count
        self.stack.append(_Frame(value, event.anchor))

    def end(self) -> None:
        frame = self.stack.pop()
        for source, at in frame.merges:
            self.merge(frame.value, source, at)
        if frame.anchor:
            self.open.discard(frame.anchor)
            self.anchors[frame.anchor] = frame.value
            self.sizes[frame.anchor] = self.count - self.starts.pop(id(frame.value)) + 1

    def merge(self, table: Any, source: Any, at: Position) -> None:
        sources = source if isinstance(source, Items) else [source]
        for each in sources:
            if not isinstance(each, Table):
                self.problem("'<<' takes a mapping or a list of mappings", at, "Give it an alias such as *defaults.")
                return
            for key in each:
                if key not in table:
                    table.take(each, key)

    def alias(self, event: Any) -> None:
        at, name = self.at(event), event.anchor
        if name in self.open:
            raise stop(f"the alias *{name} stands inside what it stands for", at, "A value cannot contain itself.")
        if name not in self.anchors:
            near = f"Put &{name} before the value it should stand for."
            raise stop(f"the alias *{name} stands for nothing above it", at, near)
        self.aliased += self.sizes[name]
        self.count += self.sizes[name]
        if self.aliased > MAX_ALIASED:
            raise stop("the aliases stand for too many values", at, "Write the values out, or use fewer aliases.")
        # A copy each, because environments and references change a tree in place.
        self.add(copied(self.anchors[name]), at)


def read_yaml(text: str, file: str) -> Any:
    """The single document in ``text``; ``None`` if it holds none.

    Raises:
        ConfigError: it is not YAML, or uses what a project file may not.
    """
    # A text with such characters of its own is left as it is, and so cannot have bare references between { and }.
    hidden = not any(char in text for char in _HIDE.values())
    if hidden:
        text = _REFERENCE.sub(lambda match: match.group().translate(_HIDE), text)
    builder = _Builder(file, hidden=hidden)
    loader = None
    documents = 0
    try:
        loader = _Loader(text)
        while loader.check_event():
            event = loader.get_event()
            match event:
                case yaml.ScalarEvent():
                    builder.scalar(event)
                case yaml.MappingStartEvent():
                    builder.begin(event, Table(builder.at(event)))
                case yaml.SequenceStartEvent():
                    builder.begin(event, Items(builder.at(event)))
                case yaml.MappingEndEvent() | yaml.SequenceEndEvent():
                    builder.end()
                case yaml.AliasEvent():
                    builder.alias(event)
                case yaml.DocumentStartEvent():
                    documents += 1
                    if documents > 1:
                        raise stop("a second document begins", builder.at(event), "Keep one document a file.")
    except yaml.YAMLError as error:
        raise ConfigError([*builder.problems, _told(error, text, file)]) from error
    finally:
        if loader is not None:
            loader.dispose()
    if builder.problems:
        raise ConfigError(builder.problems)
    return builder.root


def _told(error: yaml.YAMLError, text: str, file: str) -> Problem:
    problem = syntax_problem(error, text, file)
    return problem._replace(what=problem.what.translate(_SHOW))
