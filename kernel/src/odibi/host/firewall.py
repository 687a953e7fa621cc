"""Runs a plugin's code without trusting it: what it prints is caught, what it raises is put into words.

The standard streams are diverted for the loading thread alone; other threads of the application print as always.
What is written to the file descriptors directly, by a C library or a child process, is not caught: diverting those
would swallow the output of every other thread.
"""

from __future__ import annotations

import sys
from _thread import allocate_lock, get_ident
from contextlib import contextmanager
from io import RawIOBase, TextIOWrapper
from typing import TYPE_CHECKING, NamedTuple, TextIO

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

_KEPT = 4_000  # bytes of what one plugin prints

_lock = allocate_lock()
_sinks: dict[int, bytearray] = {}
_diverted: list[tuple[str, TextIO | None]] = []


class _Diversion(RawIOBase):
    """Stands in for a standard stream: keeps what a loading thread writes, and passes on everything else.

    A plugin may hold on to it (a logging handler made at import does), so it goes on passing things on for ever.
    """

    def __init__(self, original: TextIO | None) -> None:
        self._original = original

    def writable(self) -> bool:
        return True

    def write(self, data: object) -> int:
        content = bytes(data)  # type: ignore[call-overload]
        sink = _sinks.get(get_ident())
        if sink is not None:
            sink += content[: max(0, _KEPT - len(sink))]
        elif self._original is not None:
            self._original.write(content.decode("utf-8", "replace"))
        return len(content)

    def flush(self) -> None:
        if self._original is not None and get_ident() not in _sinks:
            self._original.flush()

    def fileno(self) -> int:
        if self._original is None:
            raise OSError("there is no such stream")
        return self._original.fileno()


@contextmanager
def quiet() -> Iterator[bytearray]:
    """Catch what this thread prints.

    Yields:
        The first 4,000 bytes of it, growing as it is printed.
    """
    me = get_ident()
    sink = bytearray()
    with _lock:
        outer = _sinks.get(me)
        if not _sinks:
            for name in ("stdout", "stderr"):
                original = getattr(sys, name)
                _diverted.append((name, original))
                text = TextIOWrapper(
                    _Diversion(original),  # type: ignore[type-var]  # a buffer would only hold things back
                    encoding="utf-8",
                    errors="backslashreplace",
                    write_through=True,
                )
                setattr(sys, name, text)
        _sinks[me] = sink
    try:
        yield sink
    finally:
        with _lock:
            if outer is None:
                del _sinks[me]
            else:
                _sinks[me] = outer
            if not _sinks:  # also where a plugin put a stream of its own in the place
                for name, original in _diverted:
                    setattr(sys, name, original)
                _diverted.clear()


class Verdict(NamedTuple):
    """Why a plugin cannot be used, and what to do about it."""

    status: str
    cause: str
    remedy: str


def words(error: BaseException, *, place: bool = False) -> str:
    """One line for an exception, whatever it does when it is asked for its text.

    Args:
        error: the exception.
        place: also say in which file and line it was raised.
    """
    if isinstance(error, SystemExit):
        text = f"it called sys.exit({error.code!r})"
    else:
        try:
            text = " ".join(str(error).split())[:300]
        except Exception:  # the text of a plugin's exception is a plugin's code
            text = "(its message cannot be shown)"
        kind = type(error).__name__
        text = f"{kind}: {text}" if text else kind
    return text + _place(error) if place else text


def update(distribution: str) -> str:
    """The remedy for a plugin that is broken in itself; ``distribution`` is empty if pip cannot help."""
    return f"Try pip install -U {distribution}, or tell its authors." if distribution else "Correct the plugin."


def judge(error: BaseException, *, module: str, distribution: str, requires: Iterable[str] = ()) -> Verdict:
    """Why the import of ``module`` failed.

    Args:
        error: what it raised.
        module: what was imported.
        distribution: whose module it is; empty if it was not installed by pip.
        requires: the distributions that one needs, to find the one that brings a missing module.
    """
    missing = error.name or "" if isinstance(error, ImportError) else ""
    top = missing.partition(".")[0]
    if top == "odibi":
        cause = f"it needs another version of the kernel ({words(error)})"
        packages = f"odibi-kernel {distribution}".rstrip()
        return Verdict("incompatible", cause, f"Update both: pip install -U {packages}")
    if isinstance(error, ModuleNotFoundError) and missing:
        if top == module.partition(".")[0]:
            remedy = (
                f"Reinstall it: pip install --force-reinstall {distribution}" if distribution else "Correct its name."
            )
            return Verdict("quarantined", f"its module {missing!r} is not there", remedy)
        wanted = top.replace("_", "-").casefold()
        package = next((name for name in requires if name.replace("_", "-").casefold() == wanted), top)
        cause = f"it needs {top!r}, which is not installed"
        return Verdict("quarantined", cause, f"Install it: pip install {package}")
    return Verdict("quarantined", f"it cannot be imported: {words(error, place=True)}", update(distribution))


def _place(error: BaseException) -> str:
    trace = error.__traceback__
    if trace is None or isinstance(error, SyntaxError):  # a SyntaxError says its place itself
        return ""
    while trace.tb_next is not None:
        trace = trace.tb_next
    return f" ({trace.tb_frame.f_code.co_filename}, line {trace.tb_lineno})"
