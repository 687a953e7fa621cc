"""Why something could not be sent."""

from __future__ import annotations

from odibi.errors import OdibiError


class Refused(OdibiError):
    """The destination does not take it, and never will."""


class TryAgain(OdibiError):
    """The destination may take it later.

    Attributes:
        after: seconds that it asks to wait; 0 if it does not say.
    """

    retryable = True

    def __init__(self, what: str, after: float = 0.0) -> None:
        super().__init__(what)
        self.after = after
