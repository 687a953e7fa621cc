"""``odibi s3-sim``: what simulated buckets were used for."""

from __future__ import annotations

import json
import sys
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from odibi.errors import NotFound, OdibiError
from odibi_s3_sim import ledger, prices
from odibi_s3_sim.bucket import Bucket
from odibi_s3_sim.failures import mapped
from odibi_s3_sim.runs import dollars, seconds, size

if TYPE_CHECKING:
    from odibi_s3_sim.prices import Prices, Reader


@click.group()
def command() -> None:
    """Look at simulated S3 buckets that are kept in a folder."""


@command.command()
@click.argument("path", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
@click.option("--prices", "table", metavar="FILE", help="A price table; without one, S3 Standard in us-east-1.")
@click.option(
    "--reader",
    type=click.Choice(["same_region", "other_region", "internet"]),
    default="same_region",
    show_default=True,
    help="Where the buckets are read from.",
)
def report(path: Path, as_json: bool, table: str | None, reader: Reader) -> None:
    """Print what all runs asked of the buckets in the folder PATH, and what it would cost on S3."""
    try:
        priced = prices.load(table or prices.STANDARD)
    except ValueError as error:
        raise OdibiError(str(error)) from error
    told = [_told(folder, priced, reader) for folder in _buckets(path)]
    if as_json:
        click.echo(json.dumps({"buckets": told}, indent=2))
        return
    for each in told:
        _print(each)
    click.echo(f"Prices: {priced.name}; {priced.source}, as of {priced.as_of}.")


def _buckets(path: Path) -> list[Path]:
    inside = sorted(path.iterdir()) if path.is_dir() else []
    found = [folder for folder in (path, *inside) if Bucket.is_in(str(folder))]
    if not found:
        remedy = "Give the 'path' of a connection of type s3_sim that was used."
        raise NotFound("there is no simulated bucket", where=path, remedy=remedy)
    return found


def _told(folder: Path, priced: Prices, reader: Reader) -> dict[str, Any]:
    with mapped(str(folder)), closing(Bucket(folder.resolve().name, str(folder))) as bucket:
        versions, held = bucket.size()
        told = ledger.report(bucket.name, ledger.kept_in(bucket.index), priced, reader)
    return {**told, "versions": versions, "bytes_held": held, "dollars_a_month_for_storage": priced.of_storage(held)}


def _print(told: dict[str, Any]) -> None:
    used = f"{size(told['bytes_in'])} in, {size(told['bytes_out'])} out"
    waited = f"{seconds(told['seconds_of_backoff'])} before trying again"
    month = dollars(told["dollars_a_month_for_storage"])
    lines = [
        f"Bucket {told['bucket']}: ${dollars(told['dollars'])} and {seconds(told['seconds'])} waiting on S3",
        f"  {told['requests']} requests, {told['failed']} of them failed; {used}; {waited}",
        f"  {told['versions']} versions with {size(told['bytes_held'])}: ${month} a month",
    ]
    rows = [
        (each["operation"], each["answer"], str(each["requests"]), size(each["bytes_in"]), size(each["bytes_out"]))
        for each in told["operations"]
    ]
    if rows:
        table = [("OPERATION", "ANSWER", "REQUESTS", "IN", "OUT"), *rows]
        widths = [max(len(row[at]) for row in table) for at in range(5)]
        for row in table:
            left = "  ".join(row[at].ljust(widths[at]) for at in range(2))
            right = "  ".join(row[at].rjust(widths[at]) for at in range(2, 5))
            lines.append(f"  {left}  {right}")
    sys.stdout.write("\n".join(lines) + "\n")
