"""Stories as text, and back: one JSON object when a run is over, a line for each change while it goes on.

What is at its default is not stored, times are rounded to microseconds, and a column is ``[name, type]`` (with a third
item ``false`` if it cannot be null): of a run of a thousand nodes, field names would be most of it. The first two
fields are ``layout`` and ``run_id``, by which a file is known as a story without reading it all.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, TypeVar

import attrs

from odibi.errors import DataError
from odibi_story.record import (
    LAYOUT,
    RUNNING,
    Attempt,
    Column,
    Commit,
    Failure,
    NodeStory,
    Rule,
    RunStory,
    Sample,
    Step,
    Written,
)

T = TypeVar("T")

_ENDED = ("state", "duration", "counts", "left_out")
"""What a story says only when its run is over."""

_LISTS: Mapping[type, Mapping[str, type]] = {
    RunStory: {"nodes": NodeStory},
    NodeStory: {"attempts": Attempt, "schema": Column, "steps": Step, "samples": Sample, "rules": Rule},
    Step: {"schema": Column},
}
_SINGLE: Mapping[type, Mapping[str, type]] = {
    RunStory: {"commit": Commit},
    NodeStory: {"failure": Failure, "written": Written},
}


def to_json(story: RunStory) -> str:
    """The story as one line of JSON."""
    return _dumps(as_data(story))


def from_json(text: str | bytes, where: str = "the story") -> RunStory:
    """The story that :func:`to_json` wrote.

    Args:
        text: the JSON.
        where: for the error.

    Raises:
        DataError: it is no story, or one of a layout that this version does not know.
    """
    try:
        return _story(json.loads(text))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_story(where, error) from error


def begun(story: RunStory) -> str:
    """The first line of a story that goes on."""
    return _dumps({"story": as_data(story)})


def node_changed(node: NodeStory) -> str:
    """The line that says all of a node anew."""
    return _dumps({"node": as_data(node)})


def problem_met(words: str) -> str:
    """The line for one more of :attr:`RunStory.problems`."""
    return _dumps({"problem": words})


def run_ended(story: RunStory) -> str:
    """The last line, which says what became of the run."""
    critical = [node.name for node in story.nodes if node.critical]
    told = {name: as_data(getattr(story, name)) for name in _ENDED}
    return _dumps({"ended": told, "critical": critical})


def from_lines(text: bytes, where: str = "the story") -> RunStory:
    """The story as far as its lines tell; the last may be torn, since its writer may have been killed.

    Raises:
        DataError: not even the first line is whole, or it begins no story.
    """
    lines = text.split(b"\n")
    try:
        story = _story(json.loads(lines[0])["story"])
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise _no_story(where, error) from error
    places = {node.name: at for at, node in enumerate(story.nodes)}
    for line in lines[1:-1]:
        try:
            change = json.loads(line)
            if "node" in change:
                node = _made(NodeStory, change["node"])
                if node.name in places:
                    story.nodes[places[node.name]] = node
                else:
                    places[node.name] = len(story.nodes)
                    story.nodes.append(node)
            elif "problem" in change:
                story.problems.append(str(change["problem"]))
            elif "ended" in change:
                _end(story, change["ended"], set(change["critical"]))
        except (ValueError, TypeError, KeyError):  # torn by a power cut; what comes after it stands by itself
            continue
    if story.state == RUNNING:
        story.counts = counted(story)
    return story


def _end(story: RunStory, told: Mapping[str, Any], critical: set[str]) -> None:
    for name in _ENDED:
        setattr(story, name, told[name])
    for node in story.nodes:
        node.critical = node.name in critical


def counted(story: RunStory) -> dict[str, int]:
    """How many nodes are in each state."""
    found: dict[str, int] = {}
    for node in story.nodes:
        found[node.state] = found.get(node.state, 0) + 1
    return found


def as_data(thing: Any) -> Any:
    """An object of the record, and what it holds, as JSON values; what is at its default is left out."""
    if isinstance(thing, Column):
        return [thing.name, thing.type] if thing.nullable else [thing.name, thing.type, False]
    if isinstance(thing, float):
        return round(thing, 6)
    if isinstance(thing, list | tuple):
        return [as_data(item) for item in thing]
    if isinstance(thing, dict) or not attrs.has(type(thing)):
        return thing
    found: dict[str, Any] = {"layout": thing.layout, "run_id": thing.run_id} if isinstance(thing, RunStory) else {}
    for name, default, is_factory in _fields(type(thing)):
        value = getattr(thing, name)
        if not (not value if is_factory else value is default or (value == default and type(value) is type(default))):
            found.setdefault(name, as_data(value))
    return found


_known: dict[type, list[tuple[str, Any, bool]]] = {}


def _fields(cls: type) -> list[tuple[str, Any, bool]]:
    """Name, default, and whether that is made anew (an empty list or mapping), of each field."""
    if cls not in _known:
        _known[cls] = [
            (field.name, field.default, isinstance(field.default, attrs.Factory))  # type: ignore[arg-type]
            for field in attrs.fields(cls)
        ]
    return _known[cls]


def _dumps(data: Any) -> str:
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def _story(data: Any) -> RunStory:
    layout = data["layout"]
    if type(layout) is not int or not 1 <= layout <= LAYOUT:
        raise ValueError(f"its layout is {layout!r}, and this version of odibi-story knows those up to {LAYOUT}")
    story = _made(RunStory, data)
    story.plugins = [(str(name), str(version)) for name, version in story.plugins]
    return story


def _made(cls: type[T], data: Any) -> T:
    """An object of the record; fields that a later version may have added are passed over."""
    if cls is Column:
        return cls(*data)
    given: dict[str, Any] = {}
    lists, single = _LISTS.get(cls, {}), _SINGLE.get(cls, {})
    for name, default, is_factory in _fields(cls):
        if name not in data:
            continue
        value = data[name]
        if name in lists:
            value = [_made(lists[name], item) for item in value]
        elif name in single:
            value = _made(single[name], value)
        else:
            wanted = type(default.factory()) if is_factory else str if isinstance(default, str) else object
            if not isinstance(value, wanted):
                raise TypeError(f"{name!r} is {type(value).__name__}")
        given[name] = value
    return cls(**given)


def _no_story(where: str, error: Exception) -> DataError:
    why = str(error) if isinstance(error, ValueError) and not isinstance(error, json.JSONDecodeError) else ""
    return DataError(
        f"this is no story of a run{f': {why}' if why else ''}",
        where=where,
        remedy="Give a .json file that the observer 'story' wrote; odibi story ls shows those of a project.",
    )
