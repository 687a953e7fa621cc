"""The import path under which Odibi 2 projects know :func:`odibi.transform`."""

from odibi.functions import transform

__all__ = ["transform"]
