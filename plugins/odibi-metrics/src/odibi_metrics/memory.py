"""The sink for ``type: memory``: kept in memory, and in a JSON file if one is named."""

from __future__ import annotations

import json
import threading
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi.contracts.options import option
from odibi_metrics.files import replaced
from odibi_metrics.series import Store, plain, rows
from odibi_metrics.sketch import Sketch

if TYPE_CHECKING:
    from collections.abc import Sequence

    from odibi.contracts.metric import Measurement

QUANTILES = {"p50": 0.5, "p95": 0.95, "p99": 0.99}


@attrs.define(eq=False)
class MemorySink:
    """Keeps sums, and quantiles that are off by 1 % at most; nothing of single measurements.

    What a counter or timer cannot take, as it is negative or no number, is left out with an error, once the rest of its
    call is taken.
    """

    file: Path | None = option(  # noqa: RUF009
        None,
        help="A file to which all that is held is written as JSON at the end of each run, replacing what was there.",
        is_path=True,
        converter=attrs.converters.optional(Path),
    )
    usage: bool = option(False, help="Also measure the processor time and memory of nodes.")
    _store: Store[Sketch] = attrs.field(factory=lambda: Store(Sketch), init=False, repr=False)
    _writing: threading.Lock = attrs.field(factory=threading.Lock, init=False, repr=False)
    _closed: bool = attrs.field(default=False, init=False, repr=False)

    def record(self, measurements: Sequence[Measurement]) -> None:
        """Take measurements.

        Raises:
            ValueError: it cannot take one of them, for what that means; it has taken the others.
        """
        if not self._closed:
            self._store.record(measurements)

    def flush(self) -> None:
        """Write the file, if there is one; whoever reads it sees the old one or the new one, whole.

        Raises:
            StorageError: it cannot be written.
        """
        if self.file is None or self._closed:
            return
        with self._writing:  # not the lock that record waits for: a file may be slow
            replaced(self.file, json.dumps(self.export(), indent=1, ensure_ascii=False))

    def export(self) -> list[dict[str, Any]]:
        """A mapping a series: ``name``, ``kind``, ``labels``, and the ``value`` of a counter or gauge.

        Of a timer or histogram in its place: ``count``, ``sum``, ``min``, ``max``, ``avg``, ``p50``, ``p95``, ``p99``.
        What is no finite number is text, since JSON has none: ``"NaN"``, ``"Infinity"``, ``"-Infinity"``.
        """
        found = self._store.read()
        return [{**row, **_statistics(each.observed)} for row, each in zip(rows(found), found, strict=True)]

    def close(self) -> None:
        """Flush; what is recorded afterwards is ignored."""
        try:
            self.flush()
        finally:
            self._closed = True


def _statistics(observed: Sketch | None) -> dict[str, Any]:
    if observed is None:
        return {}
    figures = {"min": observed.least, "max": observed.most, "avg": observed.total / observed.count}
    figures |= {name: observed.quantile(part) for name, part in QUANTILES.items()}
    return {name: plain(value) for name, value in figures.items()}
