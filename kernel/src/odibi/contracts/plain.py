"""Values of frames as JSON has them, for samples that people look at."""

from __future__ import annotations

import datetime
import decimal
import math
from typing import Any

_MISSING = ("NAType", "NaTType")
"""The types of what stands for a missing value in pandas, which is not imported for it."""


def plain(value: Any) -> Any:
    """``value`` as JSON has it: dates in ISO 8601, decimals and durations as text, bytes in hex, no number as null."""
    if value is None or isinstance(value, (bool, str, int)):
        return value
    if type(value).__name__ in _MISSING:
        return None
    if hasattr(value, "item") and getattr(value, "ndim", None) == 0:
        return plain(value.item())
    if isinstance(value, float):
        return value if math.isfinite(value) else None if math.isnan(value) else str(value)
    if isinstance(value, (datetime.datetime, datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (bytes, bytearray, memoryview)):
        return bytes(value).hex()
    if isinstance(value, (datetime.timedelta, decimal.Decimal)):
        return str(value)
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple, set, frozenset)) or hasattr(value, "tolist"):
        return [plain(item) for item in value]
    return str(value)
