"""A project file to a :class:`~odibi.model.Project`, or to all of its mistakes."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any

import attrs

from odibi.config.functions import load_functions, resolve_function
from odibi.config.references import References
from odibi.config.shape import is_address_of_an_alert, is_component_option, project_converter
from odibi.config.sources import Sources, apply_environment
from odibi.config.steptables import is_step_table, read_steps
from odibi.config.text import READERS
from odibi.config.tree import Positions, Table, copied, stop
from odibi.errors import ConfigError, Position, Problem
from odibi.functions import AnyFunction, inputs_of
from odibi.model import Function, Pipeline, Project
from odibi.redact import Redactor
from odibi.structure import StructureError, describe, structure

__all__ = ["Loaded", "load_project", "load_steps"]


@attrs.frozen
class Loaded:
    """A project with what is known of its text.

    Attributes:
        project: the model.
        positions: where each part was written: ``positions("pipelines", 0, "nodes", 3, "read", "path")``.
        sources: the files, imported ones before those that import them.
        redactor: masks the project's secrets; whatever shows text to anybody asks it.
        env: the environment that was chosen.
        problems: mistakes in the text; the project is what is left without them. Only where they were asked for.
    """

    project: Project
    positions: Positions
    sources: tuple[Path, ...]
    redactor: Redactor
    env: str | None = None
    problems: tuple[Problem, ...] = ()


def load_project(
    path: str | os.PathLike[str],
    *,
    env: str | None = None,
    environ: Mapping[str, str] | None = None,
    lenient: bool = False,
) -> Loaded:
    """Read a project file.

    Args:
        path: a YAML, JSON or TOML file, the folder of an ``odibi.yaml``, or a step table (SQLite, CSV, a JSON list).
        env: which of the project's ``environments`` to put on it.
        environ: the environment variables; those of the process by default.
        lenient: give mistakes that leave a project to look at with it instead of raising them, so that
            :func:`odibi.config.check.check_project` can tell all in one go.

    Raises:
        ConfigError: with every mistake that was found, in the order of their positions.
    """
    name, file = os.fspath(path), Path(path)
    if file.is_dir():
        name, file = _in_folder(name, file)
    if is_step_table(file):
        return build_from(lambda: read_steps(file, name), file, environ, env)
    return build_from(None, file, environ, env, name, lenient=lenient)


def load_steps(
    path: str | os.PathLike[str],
    *,
    project: str | None = None,
    layer: str | None = None,
    enabled_only: bool = True,
    engine: str | None = None,
    environ: Mapping[str, str] | None = None,
) -> Loaded:
    """Read a step table.

    Args:
        path: an SQLite database, a CSV file, or a JSON list.
        project: only rows of this project; needed where the table holds several.
        layer: only rows of this layer.
        enabled_only: leave disabled rows out.
        engine: for every step, instead of what its row says.
        environ: the environment variables; those of the process by default.

    Raises:
        ConfigError: with every mistake that was found.
    """
    file = Path(path)

    def read() -> Table:
        return read_steps(file, os.fspath(path), project=project, layer=layer, enabled_only=enabled_only, engine=engine)

    return build_from(read, file, environ)


def _in_folder(name: str, folder: Path) -> tuple[str, Path]:
    for ending in READERS:
        if (folder / f"odibi{ending}").is_file():
            return os.path.join(name, f"odibi{ending}"), folder / f"odibi{ending}"  # noqa: PTH118 - as it was written
    raise stop("this folder holds no odibi.yaml", Position(name), "Give the project file, or run 'odibi init'.")


def build_from(
    read: Callable[[], Table] | None,
    file: Path,
    environ: Mapping[str, str] | None,
    env: str | None = None,
    name: str = "",
    *,
    lenient: bool = False,
) -> Loaded:
    """The model of a project file, or of the tree that ``read`` gives.

    Raises:
        ConfigError: with every mistake that was found, without secrets.
    """
    redactor = Redactor()
    references = References(
        os.environ if environ is None else environ, redactor, is_component_option, is_address_of_an_alert
    )
    sources = Sources(references)
    try:
        tree = sources.read(file, name) if read is None else read()
        if tree is None or sources.problems:
            raise ConfigError([*sources.problems, *references.problems])
        project, positions, problems = _model(tree, env, references)
        if problems and not lenient:
            raise ConfigError(problems)
        root = file.resolve().parent
        functions = {**load_functions(root), **_module_functions(project, root)}
    except ConfigError as error:
        raise _redacted(error.problems, redactor) from None
    pipelines = tuple(_with_inputs(pipeline, functions) for pipeline in project.pipelines)
    project = attrs.evolve(project, root=root, functions=functions, pipelines=pipelines)
    said = tuple(_redacted(problems, redactor).problems)
    return Loaded(project, positions, tuple(sources.paths or [file]), redactor, env, said)


def _model(tree: Table, env: str | None, references: References) -> tuple[Project, Positions, list[Problem]]:
    """The model with the mistakes that it can do without.

    Raises:
        ConfigError: with all mistakes, if one of them leaves no model.
    """
    problems = apply_environment(tree, env)
    vars_at = tree.value_at.get("vars", tree.at)
    variables = references.replace(tree.drop("vars"), ("vars",))
    if isinstance(variables, Mapping):
        references.vars = variables
    elif variables is not None:
        problems.append(Problem(f"expected a mapping of variables, found {describe(variables)}", vars_at))
    references.replace(tree)
    positions = Positions(tree)
    misplaced = [at for path, at in references.secrets if not is_component_option(path)]
    problems += references.problems
    problems += [Problem("a secret cannot stand here", at, _MISPLACED) for at in misplaced]
    try:
        project = structure(tree, Project, converter=project_converter())
    except StructureError as error:
        found = [Problem(what, positions.of_problem(path, what), remedy) for path, what, remedy in error.problems]
        # What a missing variable would have been is not known, so that it does not fit is no mistake of its own.
        known = references.failed.union(misplaced)
        problems += [problem for problem in found if problem.where not in known]
        project = _without(tree, error, problems)
    return project, positions, problems


def _without(tree: Table, error: StructureError, problems: list[Problem]) -> Project:
    """What is left of a project without its unknown keys.

    Raises:
        ConfigError: with all mistakes, if there are others: what a wrong value was meant to be, nobody can say.
    """
    if not all(what.startswith("unknown key ") for _, what, _ in error.problems):
        raise ConfigError(problems)
    left = copied(tree)
    for path, _, _ in error.problems:
        table: Any = left
        for step in path[:-1]:
            table = table[step]
        table.drop(path[-1])
    try:
        return structure(left, Project, converter=project_converter())
    except StructureError:
        raise ConfigError(problems) from None


_MISPLACED = "Secrets go into the options of connections and components; elsewhere use an environment variable."


def _module_functions(project: Project, root: Path) -> dict[str, AnyFunction]:
    """The functions that the project names as ``module:name``; one that is not there is left to the check."""
    found = {}
    for function in named_functions(project):
        if ":" in function:
            with contextlib.suppress(ConfigError):
                found[function] = resolve_function(function, {}, root)
    return found


def _with_inputs(pipeline: Pipeline, functions: Mapping[str, AnyFunction]) -> Pipeline:
    """The pipeline with the inputs that its nodes' functions name, as :func:`odibi.node` finds them."""
    nodes = list(pipeline.nodes)
    for at, node in enumerate(nodes):
        function = functions.get(node.function) if isinstance(node.function, str) else None
        if function is not None and not node.depends_on:
            nodes[at] = attrs.evolve(node, depends_on=inputs_of(function, node.params, node.arguments))
    return attrs.evolve(pipeline, nodes=tuple(nodes))


def named_functions(project: Project) -> Iterator[str]:
    """Every name of a function in a project."""
    for pipeline in project.pipelines:
        for node in pipeline.nodes:
            steps = node.transform.steps if node.transform else ()
            for each in (node.function, *(step.function for step in steps if isinstance(step, Function))):
                if isinstance(each, str):
                    yield each


def _redacted(problems: Iterable[Problem], redactor: Redactor) -> ConfigError:
    """An error with the problems in order, each once, without secrets."""
    shown = {Problem(redactor.redact(each.what), each.where, redactor.redact(each.remedy)): None for each in problems}
    return ConfigError(in_order(shown))


def in_order(problems: Iterable[Problem]) -> list[Problem]:
    """Problems by file, line and column; files in the order in which they first show, problems without one last."""
    listed = list(problems)
    files: dict[str, int] = {}
    for each in listed:
        if each.where:
            files.setdefault(each.where.file, len(files))

    def place(problem: Problem) -> tuple[int, int, int]:
        at = problem.where
        return (files[at.file], at.line, at.column) if at else (len(files), 0, 0)

    return sorted(listed, key=place)
