"""Puts a page together: templates, styles and script in one document that asks nothing of anybody."""

from __future__ import annotations

import base64
import hashlib
import shlex
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import attrs

from odibi_story.comparing import SAME
from odibi_story.html import versus, words
from odibi_story.html.looks import look, rank
from odibi_story.html.outline import outline
from odibi_story.html.picture import BOX_HEIGHT, BOX_WIDTH, picture
from odibi_story.html.timeline import timeline
from odibi_story.html.view import Telling, Viewer
from odibi_story.record import INTERRUPTED, RUNNING, NodeStory, RunStory

if TYPE_CHECKING:
    from jinja2 import Environment

    from odibi_story.comparing import Comparison

_HERE = Path(__file__).parent
MOST = 3_400_000
"""Bytes that the nodes of a page may take together; the rest of a page of 1,000 nodes takes less than one million."""
SHORT = 2_500
"""Bytes that are kept free for each node that is still to be told in few words."""
FEW = 3
"""Nodes that are opened from the start, of those that failed."""


@attrs.frozen
class Around:
    """What a server puts around a page, markup all of it; the page then says in comments where its parts begin and end,
    and leaves it to the server to say what may be loaded.

    Attributes:
        top: at the top of the page.
        style, script: one more of each.
    """

    top: Any
    style: Any
    script: Any


def story_page(record: RunStory, around: Around | None = None) -> str:
    """The page of a run; see :func:`odibi_story.html.page`.

    Args:
        record: the run.
        around: of a page that is served; ``None`` for a file that stands alone.
    """
    viewer = Viewer(record.nodes)
    views = [viewer.line(index) for index in range(len(record.nodes))]
    told = _told(record.nodes, viewer)
    left_out = [*record.left_out]
    if short := sum(level is not Telling.FULL for level, _ in told):
        left_out.append(
            f"To keep this page small, {words.count(short, 'node')} of {len(views):,} are told without sample rows, "
            "definitions and the like; the JSON file beside this page has them."
        )
    graph, failed = picture(record.nodes), _failed(record.nodes)
    return _document(
        "page.html.j2",
        around,
        title=f"{record.pipeline}: {look(record.state).word}",
        where=(record.project, record.pipeline),
        skip=bool(record.nodes),
        run=record,
        look=look(record.state),
        verdict=_verdict(record, live=around is not None),
        failed=[views[index] for index in failed],
        notable=[view for view in views if view.node.state != "failed" and _is_notable(view.node)],
        nodes=views,
        bodies=[text for _, text in told],
        opened=set(failed[:FEW]),
        group_of={index: box.members[0] for box in graph.boxes if not box.alone for index in box.members},
        counts=sorted(_counts(record).items(), key=lambda item: rank(item[0])),
        command=_command(record),
        graph=graph,
        box=(BOX_WIDTH, BOX_HEIGHT),
        timeline=timeline(record),
        config=outline(record.config) if record.config else "",
        left_out=left_out,
        about=_about(record),
        record_facts=_surroundings(record),
    )


def _is_notable(node: NodeStory) -> bool:
    return bool(node.warnings or node.quarantined)


def comparison_page(comparison: Comparison, around: Around | None = None) -> str:
    """The page of what changed between two runs; see :func:`odibi_story.html.comparison`.

    Args:
        comparison: of the runs.
        around: of a page that is served; ``None`` for a file that stands alone.
    """
    before, after = comparison.before, comparison.after
    nodes = versus.nodes(comparison)
    counts = [(change, its, sum(node.change == change for node in nodes)) for change, its in versus.LOOKS.items()]
    changed = [node for node in nodes if node.change != SAME]
    parts = [
        ("run", "The run", [each for each in comparison.run if each.what not in ("state", "duration", "workers")]),
        ("config", "Configuration", comparison.config),
        ("plugins", "Plugins", comparison.plugins),
        ("environment", "Environment", comparison.environment),
    ]
    said = f"what changed in {words.count(len(changed), 'node')}" if changed else "no node changed"
    return _document(
        "comparison.html.j2",
        around,
        title=f"{after.pipeline}: {said}",
        where=(after.project, after.pipeline),
        skip=bool(changed),
        look=look(after.state),
        verdict=said,
        counts=[each for each in counts if each[2]],
        runs=list(_side_by_side(before, after)),
        tables=[(name, title, [versus.differ(each) for each in changes]) for name, title, changes in parts if changes],
        nodes=changed,
        opened={node.index for node in changed if node.worse or len(changed) <= FEW},
        same=[node.name for node in nodes if node.change == SAME],
    )


def _side_by_side(before: RunStory, after: RunStory) -> Iterator[tuple[str, str, str]]:
    """What each run says of itself, by its terms."""
    one, other = (
        {"Outcome": look(each.state).word, **dict(_about(each)), "Run": each.run_id} for each in (before, after)
    )
    for term in dict.fromkeys([*one, *other]):
        yield term, one.get(term, ""), other.get(term, "")


def _about(record: RunStory) -> list[tuple[str, str]]:
    """What the run took, as terms and values."""
    cpu = sum(node.cpu or 0.0 for node in record.nodes)
    written = [node.written.rows for node in record.nodes if node.written and node.written.rows is not None]
    known = [
        ("Began", words.moment(record.started)),
        ("Took", words.took(record.duration)),
        ("Nodes", words.count(len(record.nodes))),
        ("Workers", words.count(record.workers)),
        ("Rows written", words.count(sum(written)) if written else ""),
        ("Processor time", words.took(cpu) if cpu else ""),
        ("Peak memory", words.size(max((node.memory or 0 for node in record.nodes), default=0) or None)),
        ("Run", record.run_id),
        ("Goes on with", record.resumes),
    ]
    return [(term, value) for term, value in known if value]


def _surroundings(record: RunStory) -> list[tuple[str, str]]:
    """Where the run was, as terms and values."""
    commit = record.commit
    known = [("Run", record.run_id), ("Folder", record.folder)]
    if commit is not None:
        place = f" on {commit.branch}" if commit.branch else ""
        known.append(("Commit", f"{commit.id[:12]}{place}{', with changes not committed' * commit.dirty}"))
    known += [(name.capitalize(), value) for name, value in record.environment.items()]
    return [(term, value) for term, value in known if value]


def _told(nodes: Sequence[NodeStory], viewer: Viewer) -> list[tuple[Telling, str]]:
    """What is said of each node when it is opened: of those that matter most in full, as long as there is room."""
    template = environment().get_template("node.html.j2")
    told = [(Telling.NOTHING, "")] * len(nodes)
    room, level = MOST, Telling.FULL
    order = sorted(range(len(nodes)), key=lambda index: _matters(nodes[index]))
    for waiting, index in zip(reversed(range(len(order))), order, strict=True):
        view = viewer.whole(index)
        while level:
            text = template.render(view=view, level=level)
            size = len(text.encode("utf-8", "replace"))
            if size + (waiting * SHORT if level is Telling.FULL else 0) <= room:
                told[index] = level, text
                room -= size
                break
            # Those that follow matter less, and would not find more room.
            level = Telling(level - 1)
    return told


def _matters(node: NodeStory) -> tuple[int, bool, bool, float]:
    """What is told first: what failed, warned, decided the run's length, took long."""
    started, finished = node.started or 0.0, node.finished or 0.0
    return (0 if node.failure else 1), not (node.warnings or node.quarantined), not node.critical, started - finished


def _failed(nodes: Sequence[NodeStory]) -> list[int]:
    """The nodes that failed, the first one first."""
    failed = [index for index, node in enumerate(nodes) if node.failure is not None or node.state == "failed"]
    return sorted(failed, key=lambda index: (nodes[index].finished is None, nodes[index].finished or 0.0))


def _counts(record: RunStory) -> Mapping[str, int]:
    counts: dict[str, int] = {}
    for node in record.nodes:
        counts[node.state] = counts.get(node.state, 0) + 1
    return counts or {state: number for state, number in record.counts.items() if number}


def _verdict(record: RunStory, *, live: bool) -> str:
    """What became of the run, in a sentence."""
    after = f" after {words.took(record.duration)}" if record.duration is not None else ""
    if record.state == "succeeded":
        return f"Succeeded{after}"
    if record.state == RUNNING:
        return f"Running for {words.took(record.duration)}" if live else "Still running when this was written"
    if record.state == INTERRUPTED:
        return f"Interrupted{after}: it was killed, or its machine was, so its end is not on record"
    return f"{look(record.state).word.capitalize()}{after}"


def _command(record: RunStory) -> str:
    """The command that runs the same again, from wherever it is given."""
    if not record.command:
        return ""
    command = shlex.join(record.command)
    return f"cd {shlex.quote(record.folder)} && {command}" if record.folder else command


def _document(template: str, around: Around | None, **values: Any) -> str:
    style, script = asset("style.css"), asset("script.js")
    allowed = policy([style], [script]) if around is None else ""
    text = (
        environment().get_template(template).render(style=style, script=script, policy=allowed, around=around, **values)
    )
    return words.visible(text)


@cache
def asset(name: str) -> Any:
    """A file of ours, as markup."""
    return _ours((_HERE / name).read_text("utf-8"))


def policy(styles: Sequence[str], scripts: Sequence[str], forms: str = "'none'") -> str:
    """Nothing may be loaded, and of styles and scripts just these may count, by their digests.

    Args:
        styles, scripts: their texts.
        forms: where forms may be sent.
    """
    return (
        f"default-src 'none'; style-src {_digests(styles)}; script-src {_digests(scripts)}; "
        f"img-src data:; base-uri 'none'; form-action {forms}"
    )


def _digests(texts: Sequence[str]) -> str:
    digests = (base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() for text in texts)
    return " ".join(f"'sha256-{digest}'" for digest in digests)


@cache
def environment() -> Environment:
    """What our templates are rendered with; they escape every value."""
    import jinja2

    made = jinja2.Environment(
        loader=jinja2.FileSystemLoader(_HERE),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    made.filters.update(took=words.took, size=words.size, count=words.count, moment=words.moment, safe=_refuse_safe)
    made.globals.update(look_of=look, ours=_ours)
    return made


def _ours(text: str) -> Any:
    """Text that is a part of the page as it stands: an asset, or what a template of ours made."""
    from markupsafe import Markup

    return Markup(text)  # noqa: S704 - the templates escaped its values


def _refuse_safe(value: object) -> object:
    """Templates have no way to say that a value needs no escaping."""
    raise TypeError(f"a template calls {type(value).__name__} safe")
