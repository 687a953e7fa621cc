"""What is said of errors whose words may quote the values of a sensitive node."""

from __future__ import annotations

from pathlib import Path

from odibi.errors import OdibiError, TransformError


def withheld(node: str, part: str, error: Exception) -> OdibiError:
    """The error that takes the place of one that may quote values.

    Args:
        node: its name.
        part: what of the node failed.
        error: what it raised.
    """
    what = f"it failed with {type(error).__name__}{place_of(error)}; its words are withheld"
    remedy = "The node is sensitive: look at the data where it lies."
    failed = TransformError(what, where=f"node '{node}', {part}", remedy=remedy)
    failed.retryable = isinstance(error, ConnectionError | TimeoutError) or getattr(error, "retryable", False)
    return failed


def place_of(error: BaseException) -> str:
    """Where in the user's own code an error was raised, as `` at file:line``."""
    here = ""
    trace = error.__traceback__
    while trace is not None:
        file = trace.tb_frame.f_code.co_filename
        if "site-packages" not in file and trace.tb_frame.f_globals.get("__name__", "").partition(".")[0] != "odibi":
            here = f" at {Path(file).name}:{trace.tb_lineno}"
        trace = trace.tb_next
    return here
