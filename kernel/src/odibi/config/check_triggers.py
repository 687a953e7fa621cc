"""What starts runs by itself: whether it is there, and whom it starts."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from odibi.model import Misfire, Overlap
from odibi.structure import did_you_mean

if TYPE_CHECKING:
    from odibi.config.checker import Checker
    from odibi.config.tree import Path
    from odibi.model import Trigger

_NAME = re.compile(r"\w[\w.-]*")


def check_triggers(checker: Checker) -> None:
    """Check a project's triggers, and what its pipelines say they come after."""
    project = checker.project
    names = [pipeline.name for pipeline in project.pipelines]
    for name, trigger in project.triggers.items():
        at: Path = ("triggers", name)
        checker.component("trigger", trigger.type, trigger.options, (*at, "type"), at)
        if not _NAME.fullmatch(name):
            checker.say(f"{name!r} is no name for a trigger", at, "Use letters, digits, '_', '-' and '.'.")
        for index, pipeline in enumerate(trigger.pipelines):
            if pipeline not in names:
                what = f"there is no pipeline {pipeline!r}"
                checker.say(what, (*at, "pipelines", index), did_you_mean(pipeline, names))
        _numbers(checker, trigger, at)
        if trigger.misfire is Misfire.ALL and trigger.overlap is not Overlap.QUEUE:
            what = f"misfire: all makes up for every moment, and overlap: {trigger.overlap.value} drops those that wait"
            checker.say(what, (*at, "overlap"), "Choose overlap: queue, or misfire: latest.")
    _after(checker, names)


def _numbers(checker: Checker, trigger: Trigger, at: Path) -> None:
    if trigger.max_attempts is not None and trigger.max_attempts < 1:
        checker.say(f"max_attempts is {trigger.max_attempts}", (*at, "max_attempts"), "Give 1 or more.")
    for key in ("grace", "retry_delay"):
        value = getattr(trigger, key)
        if value is not None and not 0 <= value < float("inf"):
            checker.say(f"{key} is {value:g} seconds", (*at, key), "Give 0 or more.")


def _after(checker: Checker, names: list[str]) -> None:
    """Each pipeline comes after others of the project, and none after itself."""
    earlier = {pipeline.name: pipeline.after for pipeline in checker.project.pipelines}
    for at, pipeline in enumerate(checker.project.pipelines):
        for index, other in enumerate(pipeline.after):
            where: Path = ("pipelines", at, "after", index)
            if other not in names:
                checker.say(f"there is no pipeline {other!r}", where, did_you_mean(other, names))
            elif _comes_after(other, pipeline.name, earlier):
                checker.say(f"{pipeline.name!r} would come after itself", where, "Take one of them out of 'after'.")


def _comes_after(later: str, first: str, earlier: dict[str, tuple[str, ...]]) -> bool:
    """Whether a pipeline is another, or comes after it, perhaps by way of others."""
    seen: set[str] = set()
    left = [later]
    while left:
        name = left.pop()
        if name == first:
            return True
        if name not in seen:
            seen.add(name)
            left += earlier.get(name, ())
    return False
