"""A call that must not take longer than it may."""

from __future__ import annotations

import ctypes
import threading
from time import monotonic
from typing import TYPE_CHECKING, Any

from odibi.errors import NodeTimeout

if TYPE_CHECKING:
    from collections.abc import Callable

_LOOK = 0.5
"""Seconds. A signal that the system gives to another thread does not end a wait: it is seen when the wait is over."""


class _GivenUp(BaseException):
    """Raised inside a call that was given up, so that its ``finally`` blocks run and it ends soon.

    Not an ``Exception``: a function that catches those must not live on.
    """


def call_within(seconds: float, call: Callable[[], Any], *, name: str, interrupt: Callable[[], None]) -> Any:
    """``call()``, for at most ``seconds``.

    The call runs in a thread of its own, since nothing in Python can stop a thread from outside. When its time is
    up it is given up on: ``interrupt`` asks what it waits for to stop, an exception is planted for the moment it is
    next in Python code, and whatever it returns or raises later is dropped. The thread is a daemon: a call that
    hangs in C code keeps neither the run nor the process.

    Raises:
        NodeTimeout: the time was up.
    """
    done = threading.Event()
    result: list[Any] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            result.append(call())
        except BaseException as error:
            errors.append(error)
        finally:
            done.set()

    thread = threading.Thread(target=run, name=f"{threading.current_thread().name}-{name}", daemon=True)

    def give_up() -> None:
        interrupt()
        if thread.ident is not None and not done.is_set():
            ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident), ctypes.py_object(_GivenUp))

    try:
        thread.start()
        end = monotonic() + seconds
        while not (in_time := done.wait(max(0.0, min(_LOOK, end - monotonic())))) and monotonic() < end:
            pass
    except BaseException:
        give_up()  # whoever waited was interrupted, so nobody wants the result any more
        raise
    if not in_time:
        give_up()
        raise NodeTimeout(
            f"it ran longer than its timeout of {seconds:g} s",
            where=f"node '{name}'",
            remedy="Raise 'timeout', or make the node faster.",
        )
    if errors:
        raise errors[0]
    return result[0]
