"""Digests of functions: they change when what a function does may have changed, and at nothing else.

A digest covers what really runs: the function's code object rather than its source file; its defaults and its closure;
and each global that the code loads, as it is now: the project's own functions, classes and modules with all that they
use in turn, packages by their versions, constants by their content.
"""

from odibi.code.digests import CodeDigest, CodeDigests, differences
from odibi.code.origins import version_of_distribution

__all__ = ["CodeDigest", "CodeDigests", "differences", "version_of_distribution"]
