"""``odibi cache``: what a project keeps of its results."""

from __future__ import annotations

import time
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

import click

from odibi.cli.amounts import ago, bytes_text, length_text, size_of
from odibi.cli.project import errors_as_json, load, using, with_project

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi.cli.display import Output
    from odibi.contracts.cache import Cache, CacheEntry
    from odibi.run.resources import Resources

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")

_SHOWN = 16  # characters of a key


@click.group()
def cache() -> None:
    """Look into the cache of a project's results, and clear it.

    Whatever is removed is computed again when it is needed.
    """


@contextmanager
def _opened(project: str, env: str | None, *, as_json: bool) -> Iterator[tuple[Cache, Output, Resources]]:
    from odibi.cli.display import Output
    from odibi.errors import OdibiError

    with errors_as_json(as_json):
        loaded = load(project, env)
        with using(loaded), closing(loaded.resources()) as resources:
            found = resources.cache()
            if found is None:
                raise OdibiError(
                    "the project has no cache",
                    where=f"project '{loaded.project.name}'",
                    remedy="Add 'cache: disk' to the project file.",
                )
            yield found, Output(loaded.redactor), resources


@cache.command()
@json_option
@with_project
def ls(project: str, env: str | None, as_json: bool, log_level: str | None) -> None:  # noqa: ARG001
    """List the entries, by their keys: the fingerprints of results."""
    from odibi.cli.table import table
    from odibi.draw import visible

    with _opened(project, env, as_json=as_json) as (found, output, resources):
        nodes = _nodes_by_key(resources)
        entries = list(found.entries())
        if as_json:
            output.data({"entries": [{**_entry_data(entry), "node": nodes.get(entry.key)} for entry in entries]})
            return
        now = time.time()
        rows = [
            [
                visible(entry.key[:_SHOWN]),
                bytes_text(entry.size),
                visible(entry.label),
                ago(entry.created, now),
                ago(entry.used, now),
                _left(entry, now),
                visible(output.redactor.redact(nodes.get(entry.key, ""))),
            ]
            for entry in entries
        ]
        for line in table(rows, header=("KEY", "SIZE", "KIND", "CREATED", "USED", "EXPIRES", "NODE"), right={1}):
            output.line(line)
        output.line(f"{_entries(len(entries))}, {bytes_text(sum(entry.size for entry in entries))}")


@cache.command()
@json_option
@with_project
def stats(project: str, env: str | None, as_json: bool, log_level: str | None) -> None:  # noqa: ARG001
    """Print sizes, and counts since the cache was made, of all its users together."""
    from odibi.cli.report import plain

    with _opened(project, env, as_json=as_json) as (found, output, _):
        counts = found.stats()
        if as_json:
            output.data(plain(counts))
            return
        looked = counts.hits + counts.misses
        share = f" ({counts.hits / looked:.0%} of {looked:,} look-ups)" if looked else ""
        for name, said in (
            ("entries", f"{counts.entries:,}"),
            ("size", bytes_text(counts.bytes)),
            ("hits", f"{counts.hits:,}{share}"),
            ("misses", f"{counts.misses:,}"),
            ("stored", f"{counts.puts:,}"),
            ("evicted", f"{counts.evictions:,}"),
            ("damaged", f"{counts.corrupt:,}"),
        ):
            output.line(f"{name:8} {said}")


@cache.command()
@json_option
@with_project
def purge(project: str, env: str | None, as_json: bool, log_level: str | None) -> None:  # noqa: ARG001
    """Remove the entries whose time is up, and what killed writers left behind."""
    with _opened(project, env, as_json=as_json) as (found, output, _):
        _print_removed(found.purge_expired(), output, as_json)


@cache.command()
@click.option("--max-size", callback=size_of, metavar="SIZE", help="How much may stay, such as 500MB or 2GiB.")
@click.option("--all", "everything", is_flag=True, help="Remove everything.")
@json_option
@with_project
def evict(
    project: str,
    env: str | None,
    max_size: int | None,
    everything: bool,
    as_json: bool,
    log_level: str | None,  # noqa: ARG001
) -> None:
    """Remove the entries that were used the longest time ago.

    What an engine keeps past this process may still be read for hours after it was used; it stays, unless everything is
    to go.
    """
    if everything == (max_size is not None):
        raise click.UsageError("say how much may stay with --max-size, or remove --all.")
    with _opened(project, env, as_json=as_json) as (found, output, _):
        removed = found.evict(max_size or 0)
        for key in [entry.key for entry in found.entries()] if everything else ():
            found.delete(key)  # what the cache does not remove to make room, as somebody may read it
            removed += 1
        _print_removed(removed, output, as_json)


@cache.command()
@json_option
@with_project
def verify(project: str, env: str | None, as_json: bool, log_level: str | None) -> int:  # noqa: ARG001
    """Check the content of every entry. Removes those that are damaged, and exits with 1 if there are any."""
    from odibi.draw import visible

    with _opened(project, env, as_json=as_json) as (found, output, resources):
        nodes = _nodes_by_key(resources)
        damaged = list(found.verify())
        if as_json:
            removed = [{**_entry_data(entry), "node": nodes.get(entry.key)} for entry in damaged]
            output.data({"ok": not damaged, "damaged": removed})
            return 1 if damaged else 0
        for entry in damaged:
            node = f", the result of {nodes[entry.key]}" if entry.key in nodes else ""
            output.line(f"damaged and removed: {visible(entry.key)} ({bytes_text(entry.size)}{visible(node)})")
        if damaged:
            output.line(f"{_entries(len(damaged))} removed; what they held is computed again when it is needed")
        else:
            output.line(f"{_entries(found.stats().entries)}, all sound")
    return 1 if damaged else 0


def _print_removed(number: int, output: Output, as_json: bool) -> None:
    if as_json:
        output.data({"removed": number})
    else:
        output.line(f"removed {_entries(number)}")


def _entries(number: int) -> str:
    return f"{number:,} {'entry' if number == 1 else 'entries'}"


def _left(entry: CacheEntry, now: float) -> str:
    """When the time of an entry is up."""
    if entry.expires is None:
        return ""
    return f"in {length_text(entry.expires - now)}" if entry.expires > now else "expired"


def _entry_data(entry: CacheEntry) -> dict[str, Any]:
    from odibi.cli.report import plain

    return dict(plain(entry))


def _nodes_by_key(resources: Resources) -> dict[str, str]:
    """Whose newest result each key stands for, as far as the journals know."""
    store = resources.checkpoints()
    if store is None:
        return {}
    found: dict[str, str] = {}
    for pipeline in resources.project.pipelines:
        for node, result in store.results(pipeline.name).items():
            if "value" in result:
                found[str(result["value"])] = f"{pipeline.name}.{node}"
    return found
