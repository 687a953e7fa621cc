"""The stories of a project: where its ``story`` section puts them, and which of them is meant."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from odibi.errors import ConfigError, DataError, Problem
from odibi_story.places import place_of
from odibi_story.shelf import Shelf

if TYPE_CHECKING:
    from collections.abc import Iterator

    from odibi_story.record import RunStory
    from odibi_story.shelf import Found

_NAMES = ("odibi.yaml", "odibi.yml", "odibi.toml", "odibi.json")


@contextmanager
def stories_of(project: str, env: str | None) -> Iterator[Shelf]:
    """The stories of a project; no secret of it comes out of the block in an error.

    Args:
        project: its file, or the folder of that.
        env: one of its environments.

    Raises:
        ConfigError: there is no such project, or it keeps no stories.
    """
    import odibi

    loaded = odibi.load(_file(project), env=env)
    resources = loaded.resources()
    try:
        path, connection = _options(loaded.project)
        storage = resources.storage(connection) if connection is not None else None
        yield Shelf(place_of(path, storage, loaded.project.root), loaded.redactor.redact)
    except Exception as error:
        loaded.redactor.scrub_exception(error)
        raise
    finally:
        resources.close()
        loaded.close()


def _file(project: str) -> str:
    path = Path(project)
    if not path.is_dir():
        return project
    return str(next((path / name for name in _NAMES if (path / name).is_file()), path))


def _options(project: Any) -> tuple[str, str | None]:
    if project.story is not None:
        return project.story.path, project.story.connection
    for observer in project.observers:
        if observer.type == "story":
            return str(observer.options.get("path", "stories/")), observer.options.get("connection")
    what = "the project keeps no stories of its runs."
    raise ConfigError([Problem(what, None, "Add 'story: {path: stories/}' to the project file, and run it.")])


def one(shelf: Shelf, run: str | None, pipeline: str | None) -> tuple[Found, RunStory]:
    """The story that is meant.

    Args:
        shelf: of the project.
        run: the id of a run, or its beginning or end; the last run if ``None``.
        pipeline: only of this one.

    Raises:
        DataError: there is none, or several are meant.
    """
    found = shelf.found(pipeline)
    meant = found if run is None else [it for it in found if it.run.startswith(run) or it.run.endswith(run)]
    if not meant:
        raise _none(run, pipeline)
    if run is not None and len({it.run for it in meant}) > 1:
        names = ", ".join(it.run for it in meant[:5])
        raise DataError(f"'{run}' stands for several runs: {names}", remedy="Give more of the run's id.")
    return meant[0], shelf.get(meant[0])


def two(shelf: Shelf, runs: tuple[str, ...], pipeline: str | None) -> tuple[RunStory, RunStory]:
    """The two stories that are compared, the earlier one first.

    Args:
        shelf: of the project.
        runs: two ids, or beginnings of them; one is compared with the run of its pipeline before it; without any, the
            last two of a pipeline: the one that ran last.
        pipeline: only of this one.

    Raises:
        DataError: there are no two.
    """
    later, last = one(shelf, runs[-1] if runs else None, pipeline)
    if len(runs) > 1:
        earlier, first = one(shelf, runs[0], pipeline)
        if earlier.run == later.run:
            raise DataError(f"'{runs[0]}' and '{runs[1]}' are the same run", remedy="Name two runs.")
    else:
        before = [it for it in shelf.found(last.pipeline) if it.run < later.run]
        if not before:
            what = f"there is no story of a run of pipeline '{last.pipeline}' before {last.run_id}"
            raise DataError(what, remedy="Run it once more; odibi story ls shows what is there.")
        first = shelf.get(before[0])
    return (first, last) if first.started <= last.started else (last, first)


def _none(run: str | None, pipeline: str | None) -> DataError:
    of = f" of pipeline '{pipeline}'" if pipeline is not None else ""
    what = f"there is no story of a run{of} '{run}'" if run is not None else f"there is no story of a run{of} yet"
    return DataError(what, remedy="odibi story ls shows what is there." if run is not None else "Run the project.")
