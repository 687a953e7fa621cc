"""What tells one write from another in the log of a table, whichever engine wrote."""

from __future__ import annotations

from uuid import uuid4

VERSION = 1
"""Of the transaction of a part: there is one only."""


def application_of(part: str) -> str:
    """The application id under which the log remembers that a part was appended."""
    return f"odibi-part-{part}"


def new_token() -> str:
    """A text that no other write has. It goes into the commit, which thereby can be found again.

    Where the answer to a commit is lost, and the commit is sent again, the second attempt meets the first: only the
    token tells that it was not somebody else's.
    """
    return f"odibi-write-{uuid4().hex}"
