"""Runs that consume batches, with no plugin: what is found, what it is known by, and what is left on record."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import SimpleNamespace
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import odibi
from odibi import hookimpl
from odibi.config.check import check_project
from odibi.config.load import load_project
from odibi.contracts import Batch, FileVersion, Source, payload_of
from odibi.contracts.finding import check_versions, first_changed, parts_of
from odibi.contracts.format import WriteMode
from odibi.errors import ConfigError, Conflict, DataError, NotFound, Transient
from odibi.host import Host
from odibi.model import Node, Read, Write
from odibi.run.batches import as_first_tried, earlier_attempt, stream_of
from odibi.sources import SourceVersions, batch_version, is_there
from odibi.testing.reference.checkpoint import MemoryCheckpoints
from odibi.testing.reference.storage import MemoryStorage, shelf

PLACE = "odibi.testing.reference"
TREE = [
    "in/a.csv", "in/b.csv", "in/_c.csv", "in/.d/e.csv", "in/year=2013/f.csv", "in/year=2014/month=1/g.csv",
    "in/year=2014/_tmp/h.csv", "input/i.csv", "in/deep/er/j.csv", "k.csv", "x[1].csv", "in/year=2013/_k=1/l.csv",
]  # fmt: skip
PATHS = ["in", "", "in/*", "in/*.csv", "in/**", "in/**/*.csv", "in/y*", "in/year=201[34]", "in/a.csv", "x[1].csv", "i*"]


@pytest.fixture
def host() -> Host:
    return Host(
        plugins=[
            SimpleNamespace(
                odibi_engines=hookimpl(lambda: {"rows": f"{PLACE}.engine:RowsEngine"}),
                odibi_storages=hookimpl(lambda: {"memory": f"{PLACE}.storage:MemoryStorage"}),
                odibi_formats=hookimpl(lambda: {"rows.jsonl": f"{PLACE}.format:JsonLines"}),
                odibi_checkpoints=hookimpl(lambda: {"memory": f"{PLACE}.checkpoint:MemoryCheckpoints"}),
                odibi_triggers=hookimpl(lambda: {"folder": f"{PLACE}.trigger:FolderSource"}),
            )
        ],
        discover=False,
    )


@pytest.fixture
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """A name for what the test keeps in memory."""
    yield request.node.nodeid
    shelf(request.node.nodeid).objects.clear()


def source(storage: Any, path: str, only: list[FileVersion] | None = None) -> Source:
    form: Any = None
    return Source(storage, "lake", form, "csv", path, only=None if only is None else tuple(only))


def versions(storage: Any, *paths: str) -> list[FileVersion]:
    return [FileVersion(stat.path, stat.etag, stat.size) for stat in map(storage.stat, paths)]


def filled() -> MemoryStorage:
    storage = MemoryStorage()
    for path in TREE:
        storage.write(path, path.encode())
    return storage


# --- which objects --------------------------------------------------------------------------------------------------


@given(path=st.sampled_from(PATHS), data=st.data(), partitioned=st.booleans())
@settings(max_examples=200, deadline=None)
def test_a_part_of_what_a_path_means_is_found_as_the_whole_is(
    path: str, data: st.DataObject, partitioned: bool
) -> None:
    """Each object with the same values of its folders, in the order in which it is asked for."""
    storage = filled()
    whole = {part.path: part for part in parts_of(source(storage, path), partitioned=False)}
    chosen = data.draw(st.lists(st.sampled_from(sorted(whole)), min_size=1, unique=True))
    hidden = [each for each in TREE if each.startswith(("in/_", "in/."))]
    mixed = data.draw(st.permutations([*chosen, *data.draw(st.lists(st.sampled_from(hidden), unique=True))]))
    only = versions(storage, *dict.fromkeys(mixed))
    found = parts_of(source(storage, path, only), partitioned=False)
    assert found == [whole[each] for each in mixed if each in whole]
    if partitioned:
        try:
            values = {part.path: part for part in parts_of(source(storage, path), partitioned=True)}
        except DataError:
            return  # the folders of the whole do not go together
        assert parts_of(source(storage, path, only), partitioned=True) == [values[part.path] for part in found]


@given(path=st.sampled_from(PATHS), file=st.sampled_from(TREE))
def test_what_a_path_does_not_mean_is_refused_unless_it_is_hidden(path: str, file: str) -> None:
    storage = filled()
    meant = {part.path for part in parts_of(source(storage, path), partitioned=False)}
    if file in meant:
        return
    hidden = any(piece.startswith(("_", ".")) and "=" not in piece for piece in file.split("/"))
    with pytest.raises(NotFound if hidden else DataError):
        parts_of(source(storage, path, versions(storage, file)), partitioned=False)


def test_an_object_that_is_named_twice_is_read_once() -> None:
    storage = filled()
    only = versions(storage, "in/b.csv", "in/a.csv", "in/b.csv")
    assert [part.path for part in parts_of(source(storage, "in", only), partitioned=False)] == ["in/b.csv", "in/a.csv"]


@pytest.mark.parametrize("gone", [False, True])
def test_an_object_that_is_not_there_any_more_as_it_was(gone: bool) -> None:
    storage = filled()
    wanted = source(storage, "in", versions(storage, "in/a.csv", "in/b.csv"))
    check_versions(wanted)
    storage.delete("in/b.csv") if gone else storage.write("in/b.csv", b"new")
    said = "gone since the batch was made" if gone else "replaced since the batch was made"
    for look in (check_versions, lambda it: parts_of(it, partitioned=True)):
        with pytest.raises(Conflict, match=f"^lake:in/b.csv: it .*{said}"):
            look(wanted)
    assert not is_there(storage, wanted.only or ())


@pytest.mark.parametrize("changed", [0, 15, 16, 17, 255, 256, 999])
def test_the_first_of_many_objects_that_changed_is_told(changed: int) -> None:
    storage = MemoryStorage()
    paths = [f"in/{at:04}" for at in range(1000)]
    for path in paths:
        storage.write(path, b"old")
    wanted = source(storage, "in", versions(storage, *paths))
    assert first_changed(storage, wanted.only or ()) is None
    for path in paths[changed:]:
        storage.write(path, b"new")
    found = first_changed(storage, wanted.only or ())
    assert found is not None
    assert (found[0].path, found[1]) == (paths[changed], storage.stat(paths[changed]).etag)
    for few in (1, 16, 17):
        less = (wanted.only or ())[changed : changed + few]
        assert first_changed(storage, less) == found
    with pytest.raises(Conflict, match=f"lake:{paths[changed]}:"):
        parts_of(wanted, partitioned=False)


def test_without_a_batch_nothing_is_looked_at() -> None:
    check_versions(source(None, "in"))


# --- what it is known by --------------------------------------------------------------------------------------------

FILES = st.lists(st.builds(FileVersion, st.text(min_size=1), st.text(), st.integers(0, 1 << 40)), max_size=4)


@given(one=FILES, other=FILES)
def test_batches_of_the_same_files_have_the_same_version_and_others_another(
    one: list[FileVersion], other: list[FileVersion]
) -> None:
    first, second = batch_version(one), batch_version(other)
    assert (first.digest == second.digest) == (one == other)
    assert (first.objects, first.bytes) == (len(one), sum(file.size for file in one))


def test_a_batch_that_is_all_there_is_has_the_version_of_that() -> None:
    """It is the same data: what was made of it need not be made again."""
    storage = filled()
    paths = [stat.path for stat in storage.list("in")]
    whole = SourceVersions(lambda _: storage).of("lake", "in")
    assert batch_version(versions(storage, *paths)).digest == whole.digest


# --- runs -----------------------------------------------------------------------------------------------------------


def pipeline(host: Host, name: str, *nodes: Node, **settings: Any) -> odibi.Pipeline:
    return odibi.Pipeline(
        "sales",
        nodes or [Node("orders", read=Read("lake", "in", stream="arrivals", format="jsonl", **settings), write=LOG)],
        engine="rows",
        host=host,
        connections={"lake": {"type": "memory", "name": name}},
        checkpoints={"type": "memory", "name": name},
    )


LOG = Write("lake", "log", format="jsonl", mode=WriteMode.APPEND)


def arrive(name: str, **ids: int) -> list[FileVersion]:
    storage = MemoryStorage(name=name)
    for key, number in ids.items():
        storage.write(f"in/{key}.jsonl", f'{{"id": {number}}}\n'.encode())
    return versions(storage, *(f"in/{key}.jsonl" for key in ids))


def arrivals(name: str, files: list[FileVersion]) -> Mapping[str, Batch]:
    return {"arrivals": Batch(name, {"upto": name}, payload_of(files))}


def logged(name: str) -> list[str]:
    storage = MemoryStorage(name=name)
    return sorted(storage.read(stat.path).decode().strip() for stat in storage.list("log"))


def test_the_offset_of_a_batch_moves_with_the_end_of_its_run(host: Host, name: str) -> None:
    files = arrive(name, a=1, b=2)
    sales = pipeline(host, name)
    assert stream_of("sales", "arrivals") == "sales/arrivals"
    sales.run(batches=arrivals("one", files[:1]), offsets={"other": 7})
    assert dict(MemoryCheckpoints(name=name).offsets()) == {"other": 7, "sales/arrivals": {"upto": "one"}}
    assert logged(name) == ['{"id": 1}']
    sales.start(batches=arrivals("two", files[1:]), offsets={"sales/arrivals": "told"}).result()
    assert MemoryCheckpoints(name=name).offset("sales/arrivals") == "told"
    assert logged(name) == ['{"id": 1}', '{"id": 2}']


def test_a_batch_without_an_offset_leaves_the_stream_where_it_stands(host: Host, name: str) -> None:
    """As one that is consumed again, long after the others; the stream is not forgotten either."""
    files = arrive(name, a=1, b=2)
    sales = pipeline(host, name)
    sales.run(batches=arrivals("one", files[:1]))
    sales.run(batches={"arrivals": Batch("again", None, payload_of(files[1:]))}, offsets={"letter": None})
    assert dict(MemoryCheckpoints(name=name).offsets()) == {"sales/arrivals": {"upto": "one"}}


def test_the_plan_is_of_the_batch(host: Host, name: str) -> None:
    files = arrive(name, a=1, b=2)
    sales = pipeline(host, name)
    (made,) = sales.plan(batches=arrivals("one", files[:1])).prints
    assert made.source is not None
    assert (made.source.objects, made.source.batch) == (1, tuple(files[:1]))
    assert sales.plan(batches=arrivals("one", files[:1])).prints[0].whole == made.whole
    others = [sales.plan(batches=batches).prints[0].whole for batches in (arrivals("two", files[1:]), None)]
    assert len({made.whole, *others}) == 3
    assert logged(name) == []


def test_a_stream_by_itself_changes_no_fingerprint(host: Host, name: str) -> None:
    arrive(name, a=1)
    (plain,) = pipeline(host, name, Node("orders", read=Read("lake", "in", format="jsonl"), write=LOG)).plan().prints
    (named,) = pipeline(host, name).plan().prints
    assert plain.whole == named.whole


class Odd:
    """As a frame: whether it is equal to something cannot be said in a word."""

    __hash__ = None  # type: ignore[assignment]

    def __eq__(self, other: object) -> Any:
        raise ValueError("the truth value is ambiguous")


def test_a_value_may_be_given_in_place_of_the_payload(host: Host, name: str) -> None:
    def tell(arrivals: Any) -> str:
        return type(arrivals).__name__

    sales = pipeline(host, name, odibi.node(tell).__odibi_node__)  # type: ignore[attr-defined]
    tick = {"arrivals": Batch("tick", 1, {"moment": "12:00"})}
    assert sales.run(batches=tick, inputs={"arrivals": Odd()})["tell"] == "Odd"
    assert sales.run(batches=tick)["tell"] == "dict"


def test_a_secret_of_a_batch_is_not_on_record(host: Host, name: str) -> None:
    files = arrive(name, a=1)
    sales = pipeline(host, name)
    sales._loaded.redactor.register("hush-hush-hush")
    sales.run(batches={"arrivals": Batch("hush-hush-hush", 1, {**payload_of(files), "by": "hush-hush-hush"})})
    (record,) = MemoryCheckpoints(name=name).runs("sales")
    assert "hush" not in repr(record.detail)
    assert record.detail["batches"]["arrivals"]["offset"] == 1


def test_the_record_of_a_run_without_batches_says_nothing_of_them(host: Host, name: str) -> None:
    arrive(name, a=1)
    pipeline(host, name).run()
    (record,) = MemoryCheckpoints(name=name).runs("sales")
    assert "batches" not in record.detail


def test_the_last_attempt_at_the_same_batches_is_found(host: Host, name: str) -> None:
    files = arrive(name, a=1, b=2)
    sales = pipeline(host, name)
    one, two = arrivals("one", files), arrivals("two", files[:1])
    store = MemoryCheckpoints(name=name)
    assert earlier_attempt(store, "sales", one) is None
    first = sales.run(batches=one)
    sales.run(batches=two)
    sales.run()
    found = earlier_attempt(store, "sales", one)
    assert found is not None
    assert found.run_id == first.run_id
    assert earlier_attempt(store, "sales", {**one, "more": two["arrivals"]}) is None
    assert earlier_attempt(store, "sales", {}) is None

    less = arrivals("one", files[:1])
    assert as_first_tried(found, less) == dict(one)
    assert as_first_tried(found, two) == dict(two), "another id is another batch"
    stranger = arrivals("one", [FileVersion("in/z.jsonl", "1", 1)])
    assert as_first_tried(found, stranger) == dict(stranger), "files that were never in it make another batch"
    assert as_first_tried(None, less) == dict(less)


class Broken(MemoryStorage):
    """Does not say what is there while it is told so."""

    broken = False

    def stat(self, path: str) -> Any:
        if Broken.broken and path.startswith("in/"):
            raise Transient("the storage does not answer", where=path)
        return super().stat(path)


def test_a_storage_that_does_not_answer_is_no_replaced_file(monkeypatch: pytest.MonkeyPatch) -> None:
    storage = Broken()
    storage.write("in/a.csv", b"1")
    wanted = source(storage, "in", versions(storage, "in/a.csv"))
    monkeypatch.setattr(Broken, "broken", True)
    with pytest.raises(Transient):
        check_versions(wanted)


@pytest.mark.parametrize("mode", ["append", "overwrite", "error", "ignore"])
def test_a_conflict_of_what_is_read_in_chunks_is_not_taken_for_one_of_what_is_written(
    host: Host, name: str, mode: str
) -> None:
    """A writer whose object is there already answers a Conflict by saying that it wrote nothing."""
    files = arrive(name, a=1, b=2)
    MemoryStorage(name=name).write("in/b.jsonl", b'{"id": 3}\n')
    write = Write("lake", "log" if mode == "append" else "log/x.jsonl", format="jsonl", mode=WriteMode(mode))
    read = Read("lake", "in", stream="arrivals", format="jsonl", chunk_rows=1)
    sales = pipeline(host, name, Node("orders", read=read, write=write))
    result = sales.run(batches=arrivals("one", files), check=False)
    error = result.outcomes["orders"].error
    assert isinstance(error, Conflict)
    assert "in/b.jsonl" in str(error)
    assert logged(name) == []
    assert MemoryCheckpoints(name=name).offset("sales/arrivals") is None


def test_a_query_has_no_files(host: Host, name: str) -> None:
    files = arrive(name, a=1)
    sales = pipeline(host, name, Node("orders", read=Read("lake", query="SELECT 1", format="jsonl", stream="arrivals")))
    error = sales.run(batches=arrivals("one", files), check=False).outcomes["orders"].error
    assert isinstance(error, ConfigError)
    assert "'SELECT 1' is read as a whole" in str(error)


def test_files_without_their_versions_are_refused(host: Host, name: str) -> None:
    arrive(name, a=1)
    for payload in ({"files": ["in/a.jsonl"]}, {"files": 1}, {"files": [{"path": "in/a.jsonl", "etag": "1"}]}):
        with pytest.raises(DataError, match="trigger 'arrivals': the files of batch 'one'"):
            pipeline(host, name).run(batches={"arrivals": Batch("one", 1, payload)})


# --- projects -------------------------------------------------------------------------------------------------------

PROJECT = """\
project: p
engine: rows
connections: {lake: {type: memory}}
triggers: {arrivals: {type: folder, folder: in}}
pipelines:
- pipeline: p
  nodes:
  - {name: a, function: 'builtins:list', depends_on: [arrivals]}
  - {name: b, read: {connection: lake, format: jsonl, path: in, stream: arrivals}}
"""


def problems(tmp_path: Any, host: Host, text: str) -> list[str]:
    file = tmp_path / "odibi.yaml"
    file.write_text(text)
    return [str(problem).replace(str(tmp_path), "") for problem in check_project(load_project(file), host)]


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("", "", []),
        ("stream: arrivals", "stream: arivals", ["9:73: there is no trigger 'arivals'. Did you mean 'arrivals'?"]),
        ("[arrivals]", "[arival]", ["8:55: node 'a': it depends on 'arival', which is no node of this pipeline. Did"]),
        (
            "path: in",
            "query: q",
            ["9:73: only files come in batches, and this reads no path. Remove 'stream', or give"],
        ),
        ("triggers: {arrivals: {type: folder, folder: in}}", "", ["8:55: node 'a': it", "9:73: there is no trigger"]),
        ("name: a,", "name: arrivals,", ["8:62: node 'arrivals': it depends on itself."]),
    ],
)
def test_what_is_said_of_streams(tmp_path: Any, host: Host, old: str, new: str, said: list[str]) -> None:
    found = problems(tmp_path, host, PROJECT.replace(old, new) if old else PROJECT)
    assert len(found) == len(said), found
    for line, expected in zip(found, said, strict=True):
        assert line.startswith(f"/odibi.yaml:{expected}"), line


def test_a_node_that_names_a_trigger_gets_nothing_without_a_batch(tmp_path: Any, host: Host) -> None:
    (tmp_path / "odibi.yaml").write_text(PROJECT.replace("'builtins:list'", "tell"))
    (tmp_path / "transforms.py").write_text("def tell(arrivals):\n    return [arrivals]\n")
    loaded = odibi.load(tmp_path / "odibi.yaml", host=host)
    assert loaded.run("p", targets=["a"])["p"]["a"] == [None]
    tick = {"arrivals": Batch("tick", 1, 12)}
    assert loaded["p"].run(targets=["a"], batches=tick)["a"] == [12]
    assert loaded["p"].run(targets=["a"], batches=tick, inputs={"arrivals": 13})["a"] == [13]
    assert loaded["p"].plan(targets=["a"], inputs=["arrivals"]).graph.given == ("arrivals",)
    assert list(loaded["p"].graph().given) == ["arrivals"]
    with pytest.raises(ConfigError, match=r"no trigger 'arival'\. Did you mean 'arrivals'\?"):
        loaded["p"].run(batches={"arival": tick["arrivals"]})
