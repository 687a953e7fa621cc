"""Tells OpenLineage which datasets Odibi's runs read and write."""

from __future__ import annotations

from odibi import hookimpl

__version__ = "0.1.0"
ODIBI_API = ">=1.0,<2"


@hookimpl
def odibi_observers() -> dict[str, str]:
    """The observer by its ``type``."""
    return {"openlineage": "odibi_lineage.observer:OpenLineage"}


@hookimpl
def odibi_suites() -> dict[str, str]:
    """The conformance suite for it."""
    return {"observer.openlineage": "odibi_lineage.conformance:OpenLineageSuite"}
