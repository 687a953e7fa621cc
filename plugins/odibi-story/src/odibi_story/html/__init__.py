"""Stories as pages: one HTML file each, which needs no network, no server, and no script to be read."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from odibi_story.comparing import Comparison
    from odibi_story.record import RunStory


def page(record: RunStory) -> str:
    """The story of a run as one HTML file.

    Of a large run the nodes that nothing happened to are told in fewer words, so that the file stays below 5 MB for a
    thousand nodes; the page says what it left out.

    Args:
        record: the run; text in it is shown as it is, so it is scrubbed of secrets already.

    Returns:
        a whole document, to be written as UTF-8.
    """
    from odibi_story.html.document import story_page

    return story_page(record)


def comparison(compared: Comparison) -> str:
    """What changed between two runs as one HTML file.

    Args:
        compared: the runs, and what differs.

    Returns:
        a whole document, to be written as UTF-8.
    """
    from odibi_story.html.document import comparison_page

    return comparison_page(compared)
