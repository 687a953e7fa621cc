"""The critical path of a run: which nodes decided when it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odibi_story.record import NodeStory, RunStory


def critical_path(story: RunStory) -> list[NodeStory]:
    """The nodes that each waited for the one before, up to the one that ended last.

    Walked backwards: from the node that ended last to the one of its inputs that ended last, and so on. A node's time
    is that from its first start to its end, so what its retries took counts. Where a node could have begun earlier but
    no worker was free, that shows in its ``waited``, and not in the path.

    Args:
        story: of a run.

    Returns:
        In the order of time; empty if no node ran.
    """
    ran = {node.name: node for node in story.nodes if node.finished is not None}
    path: list[NodeStory] = []
    at = max(ran.values(), key=_end, default=None)
    seen: set[str] = set()
    while at is not None and at.name not in seen:
        seen.add(at.name)
        path.append(at)
        at = max((ran[name] for name in at.depends_on if name in ran), key=_end, default=None)
    return path[::-1]


def _end(node: NodeStory) -> float:
    return node.finished or 0.0
