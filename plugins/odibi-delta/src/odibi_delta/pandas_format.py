"""``format: delta`` for the pandas engine, and for any engine that speaks Arrow: by delta-rs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import attrs

from odibi_delta.options import DeltaOptions

if TYPE_CHECKING:
    from odibi.contracts.engine import Engine
    from odibi.contracts.format import Source, Target, WriteReport

# deltalake and pyarrow are imported where they are used: this module is also read to learn the format's options.


@attrs.frozen
class PandasDeltaFormat(DeltaOptions):
    """A Delta table, read and written by delta-rs: transactions, time travel, change data feed, upserts."""

    def read(self, source: Source, engine: Engine) -> Any:
        """The table as a frame: all of it as it is or as it was, or what changed."""
        from odibi_delta.reading import read

        return read(source, self, engine)

    def write(self, frame: Any, target: Target, engine: Engine) -> WriteReport:
        """Commit the frame to the table, in one step that readers see whole."""
        from odibi_delta.writing import write

        return write(frame, target, self, engine)

    def version(self, source: Source) -> str | None:
        """A text that changes whenever what would be read does; commits that change no data leave it as it is."""
        from odibi_delta.location import location_of
        from odibi_delta.reading import data_version

        return data_version(location_of(source), self)
