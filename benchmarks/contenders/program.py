"""Graphs as programs: a file with one function a node, whose results can be kept."""

from __future__ import annotations

import sys
from collections.abc import Callable, Sequence
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path
from types import CodeType, FunctionType, ModuleType
from typing import Any

from benchmarks.contenders import Once
from benchmarks.shapes import Shape

INTS, FRAMES = "ints", "frames"
"""What nodes give: whole numbers, or frames of ten rows."""

_HEADS = {
    INTS: "",
    FRAMES: """\
import pandas as pd


def _frame(at, *inputs):
    total = sum(int(each["value"].sum()) for each in inputs)
    words = [f"word {row}" for row in range(10)]
    return pd.DataFrame({"value": range(at, at + 10), "total": [total] * 10, "share": [0.5 * at] * 10, "word": words})


""",
}
_KINDS = {INTS: "int", FRAMES: "pd.DataFrame"}


def program_text(shape: Shape, values: str) -> str:
    """The file: functions whose names are the nodes', and whose parameters are their inputs."""
    kind = _KINDS[values]
    functions = []
    for at, sources in enumerate(shape.inputs):
        names = [f"n{source}" for source in sources]
        result = " + ".join([*names, str(at)]) if values == INTS else f"_frame({', '.join([str(at), *names])})"
        parameters = ", ".join(f"{name}: {kind}" for name in names)
        functions.append(f"def n{at}({parameters}) -> {kind}:\n    return {result}\n")
    return _HEADS[values] + "\n\n".join(functions)


def load_program(shape: Shape, values: str, folder: Path) -> ModuleType:
    """Write the file to ``folder``, and import it."""
    path = folder / "program.py"
    text = program_text(shape, values)
    if not path.exists() or path.read_text("utf-8") != text:
        path.write_text(text, "utf-8")
    spec = spec_from_file_location("program", path)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["program"] = module
    spec.loader.exec_module(module)
    return module


def functions_of(program: ModuleType, shape: Shape) -> list[Callable[..., Any]]:
    """The nodes' functions, in the order of the nodes."""
    return [getattr(program, name) for name in shape.names()]


def calls_of(functions: Sequence[Callable[..., Any]], once: Once) -> int:
    """How many of these functions ``once`` calls in this thread, without a trace in their code."""
    codes: set[CodeType] = {each.__code__ for each in functions if isinstance(each, FunctionType)}
    calls = 0

    def notice(frame: Any, event: str, _: object) -> None:
        nonlocal calls
        if event == "call" and frame.f_code in codes:
            calls += 1

    sys.setprofile(notice)
    try:
        once()
    finally:
        sys.setprofile(None)
    return calls


def checked(functions: Sequence[Callable[..., Any]], once: Once) -> Once:
    """``once``, after it has run everything, and has shown that it runs nothing again.

    Raises:
        AssertionError: it does not run each function once, or runs some of them again.
    """
    if (first := calls_of(functions, once)) != len(functions):
        raise AssertionError(f"{first} of {len(functions)} nodes ran")
    once()
    if again := calls_of(functions, once):
        raise AssertionError(f"{again} nodes ran again")
    return once
