"""Functions that use arrays at the level of their module: what lies in the arrays counts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy

from odibi.code import CodeDigests


def test_arrays_go_by_their_content() -> None:

    def using(value: Any) -> Callable[..., Any]:
        space: dict[str, Any] = {"__name__": "graph", "__file__": "graph.py", "X": value}
        exec("def clean(x): return X\n", space)
        return space["clean"]  # type: ignore[no-any-return]

    plain = numpy.arange(6)
    found = [
        plain,
        plain.reshape(2, 3),
        plain.astype("int32"),
        plain + 1,
        numpy.float64(1.5),
        numpy.log1p,
        numpy.concatenate,
        numpy.int64,
        numpy,
    ]
    digests = [CodeDigests().of(using(value)) for value in found]
    assert len({each.digest for each in digests}) == len(found)
    assert not any(each.unknown for each in digests)
    assert CodeDigests().of(using(plain[::-1][::-1])) == digests[0]
    kept, function = CodeDigests(), using(plain)
    before = kept.of(function)
    plain[0] = 7
    assert kept.of(function).digest != before.digest
    assert "numpy.ndarray" in CodeDigests().of(using(numpy.array([object()]))).unknown
