"""Feather: Arrow's file, compressed."""

from __future__ import annotations

from typing import ClassVar, Literal

import attrs

from odibi import option
from odibi_pandas.formats.arrow import ArrowFormat


@attrs.frozen
class FeatherFormat(ArrowFormat):
    """Arrow's file with LZ4, as pandas writes it; files of Feather's first version are refused."""

    extensions: ClassVar[tuple[str, ...]] = (".feather", ".ftr")
    title: ClassVar[str] = "Feather"

    compression: Literal["none", "lz4", "zstd"] = option("lz4", help="Of what is written.", only="write")
