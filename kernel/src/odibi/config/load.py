"""A project file to a :class:`~odibi.model.Project`, or to all of its mistakes."""

from __future__ import annotations

import os
from collections.abc import Iterable, Mapping
from pathlib import Path

import attrs

from odibi.config.functions import load_functions
from odibi.config.references import References
from odibi.config.shape import is_component_option, project_converter
from odibi.config.sources import Sources, apply_environment
from odibi.config.tree import Positions, Table
from odibi.errors import ConfigError, Position, Problem
from odibi.model import Project
from odibi.redact import Redactor
from odibi.structure import StructureError, structure

__all__ = ["Loaded", "load_project"]


@attrs.frozen
class Loaded:
    """A project with what is known of its text.

    Attributes:
        project: the model.
        positions: where each part was written: ``positions("pipelines", 0, "nodes", 3, "read", "path")``.
        sources: the files, imported ones before those that import them.
        redactor: masks the project's secrets; whatever shows text to anybody asks it.
        env: the environment that was chosen.
    """

    project: Project
    positions: Positions
    sources: tuple[Path, ...]
    redactor: Redactor
    env: str | None = None


def load_project(
    path: str | os.PathLike[str], *, env: str | None = None, environ: Mapping[str, str] | None = None
) -> Loaded:
    """Read a project file.

    Args:
        path: a YAML, JSON or TOML file, or a step table (SQLite, CSV, a JSON list).
        env: which of the project's ``environments`` to put on it.
        environ: the environment variables; those of the process by default.

    Raises:
        ConfigError: with every mistake that was found, in the order of their positions.
    """
    from odibi.config.steptables import is_step_table, read_steps

    name, file = os.fspath(path), Path(path)
    redactor = Redactor()
    references = References(os.environ if environ is None else environ, redactor, is_component_option)
    sources = Sources(references)
    try:
        tree = read_steps(file, name) if is_step_table(file) else sources.read(file, name)
    except ConfigError as error:
        raise _redacted(error.problems, redactor) from None
    if tree is None or sources.problems:
        raise _redacted([*sources.problems, *references.problems], redactor)
    return build(tree, file.resolve().parent, env, references, redactor, tuple(sources.paths or [file]))


def build(
    tree: Table,
    root: Path,
    env: str | None,
    references: References,
    redactor: Redactor,
    sources: tuple[Path, ...],
) -> Loaded:
    """The model of a joined tree.

    Raises:
        ConfigError: with every mistake that was found.
    """
    problems = apply_environment(tree, env)
    variables = references.replace(tree.drop("vars"), ("vars",))
    if isinstance(variables, Mapping):
        references.vars = variables
    references.replace(tree)
    positions = Positions(tree)
    problems += references.problems
    problems += [_misplaced(at) for path, at in references.secrets if not is_component_option(path)]
    failed = references.failed | {at for path, at in references.secrets if not is_component_option(path)}
    try:
        project = structure(tree, Project, converter=project_converter())
    except StructureError as error:
        found = [Problem(what, positions.of_problem(path, what), remedy) for path, what, remedy in error.problems]
        problems += [problem for problem in found if problem.where not in failed]
        raise _redacted(problems, redactor) from None
    try:
        functions = load_functions(root)
    except ConfigError as error:
        problems += error.problems
        functions = {}
    if problems:
        raise _redacted(problems, redactor)
    return Loaded(attrs.evolve(project, root=root, functions=functions), positions, sources, redactor, env)


def _misplaced(at: Position) -> Problem:
    remedy = "Secrets go into the options of connections and components; elsewhere use an environment variable."
    return Problem("a secret cannot stand here", at, remedy)


def _redacted(problems: Iterable[Problem], redactor: Redactor) -> ConfigError:
    """An error with the problems in order, each once, without secrets."""
    shown = {Problem(redactor.redact(each.what), each.where, redactor.redact(each.remedy)): None for each in problems}
    files = {each.where.file: place for place, each in reversed(list(enumerate(shown))) if each.where}

    def order(problem: Problem) -> tuple[int, int, int]:
        at = problem.where
        return (files[at.file], at.line, at.column) if at else (len(shown), 0, 0)

    return ConfigError(sorted(shown, key=order))
