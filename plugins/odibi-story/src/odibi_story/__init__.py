"""Stories of Odibi's runs: what ran and why, how long it took, and what the data looked like."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_observers() -> dict[str, str]:
    """The observer that a project's ``story`` section is for."""
    return {"story": "odibi_story.observer:StoryObserver"}


@hookimpl
def odibi_commands() -> dict[str, str]:
    """``odibi story`` and ``odibi ui``."""
    return {"story": "odibi_story.cli:command", "ui": "odibi_story.live.cli:command"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The conformance suite for it."""
    return {"observer.story": "odibi_story.conformance:StorySuite"}
