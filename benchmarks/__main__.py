"""``python -m benchmarks [NAME ...] [--quick] [--json FILE]``, from the root of the repository."""

from __future__ import annotations

import argparse
import json
import os
import platform
import time
from importlib import import_module, metadata
from pathlib import Path
from typing import Any

from benchmarks.figures import Report
from benchmarks.settings import Settings

SUITES = (
    *("overhead", "makespan", "memory", "startup", "sql", "io"),
    *(
        "warm",
        "warm-process",
        "cache",
        "journal",
        "s3",
        "spark",
        "file-watch",
        "incremental",
        "triggers",
        "service",
        "metrics",
    ),
)
DISTRIBUTIONS = (
    "odibi-kernel",
    "odibi-pandas",
    "pipefunc",
    "sf-hamilton",
    "dask",
    "kedro",
    "pandas",
    "duckdb",
    "pyarrow",
    "doit",
    "joblib",
    "diskcache",
    "odibi-s3",
    "odibi-spark",
    "pyspark",
    "obstore",
    "s3fs",
    "snakemake",
    "odibi-triggers",
    "croniter",
    "cronsim",
    "APScheduler",
    "odibi-metrics",
    "prometheus-client",
    "opentelemetry-sdk",
)


def main() -> None:
    """Run what was asked for; tables to stdout, progress to stderr."""
    choices = _arguments()
    settings = Settings(quick=choices.quick, pythons=dict(choices.python))
    machine = _machine()
    print(", ".join(f"{key} {value}" for key, value in machine.items()), end="\n\n")
    reports: list[Report] = []
    for name in choices.names or SUITES:
        report: Report = import_module(f"benchmarks.suites.{name.replace('-', '_')}").measure(settings)
        reports.append(report)
        for table in report.tables:
            print(table, flush=True)
    if choices.json is not None:
        found = {report.name: report.raw for report in reports}
        text = json.dumps({"machine": machine, "quick": settings.quick, "results": found}, indent=1)
        choices.json.write_text(text + "\n", "utf-8")


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Odibi's speed beside others, in one run."
    )
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"which of: {', '.join(SUITES)}; all by default")
    parser.add_argument("--quick", action="store_true", help="only show that everything runs, in less than a minute")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every figure to this file")
    parser.add_argument(
        "--python",
        action="append",
        default=[],
        type=_contender_python,
        metavar="CONTENDER=PATH",
        help="run this contender with another interpreter, for one whose requirements clash with ours",
    )
    choices = parser.parse_args()
    for name in choices.names:
        if name not in SUITES:
            parser.error(f"there is no benchmark '{name}'; there are: {', '.join(SUITES)}")
    return choices


def _contender_python(text: str) -> tuple[str, str]:
    name, equals, path = text.partition("=")
    if not equals or not path:
        raise argparse.ArgumentTypeError(f"'{text}' is not CONTENDER=PATH")
    return name, path


def _machine() -> dict[str, Any]:
    found: dict[str, Any] = {
        "date": time.strftime("%Y-%m-%d"),
        platform.python_implementation(): platform.python_version(),
        "cores": os.cpu_count(),
    }
    for name in DISTRIBUTIONS:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    main()
