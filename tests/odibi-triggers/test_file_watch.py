"""``file_watch``: what counts as complete, what is waited for, and what is an error."""

from __future__ import annotations

import logging
import os
import queue
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from odibi.contracts.trigger import Batch, FileVersion
from odibi.errors import AccessDenied, Transient
from odibi.testing.reference.files import FileStorage
from odibi.testing.reference.storage import MemoryStorage
from odibi_triggers import notices, watching
from odibi_triggers.file_watch import FileWatch
from odibi_triggers.ledger import LedgerDamaged
from odibi_triggers.notices import Notices, folder_of, is_remote
from odibi_triggers.watching import id_of

PATIENCE = 20.0
NONE_COMES = 0.3
"""Seconds in which nothing may come that must not."""


class Polled:
    """A watch that is polled on a thread."""

    def __init__(self, watch: FileWatch, offset: Any = None) -> None:
        self.stop = threading.Event()
        self.batches: queue.SimpleQueue[Batch | BaseException] = queue.SimpleQueue()
        self.offset = offset
        self._polled = watch.poll(offset, self.stop)
        self.thread = threading.Thread(target=self._run, daemon=True)
        self.thread.start()

    def _run(self) -> None:
        try:
            for batch in self._polled:
                self.batches.put(batch)
        except BaseException as error:
            self.batches.put(error)

    def batch(self, patience: float = PATIENCE) -> Batch:
        found = self.batches.get(timeout=patience)
        if isinstance(found, BaseException):
            raise found
        self.offset = found.offset
        return found

    def paths(self, n: int) -> list[str]:
        found: list[str] = []
        while len(found) < n:
            found += [file["path"] for file in self.batch().payload["files"]]
        return found

    def nothing(self) -> None:
        with pytest.raises(queue.Empty):
            self.batch(NONE_COMES)


@contextmanager
def polling(watch: FileWatch, offset: Any = None) -> Iterator[Polled]:
    polled = Polled(watch, offset)
    try:
        yield polled
    finally:
        polled.stop.set()
        polled.thread.join(PATIENCE)
        watch.close()
    assert not polled.thread.is_alive()


class Place:
    def __init__(self, root: Path) -> None:
        self.root = root
        self.storage: Any = FileStorage(str(root / "data"))

    def watch(self, **options: Any) -> FileWatch:
        given = {"connection": self.storage, "path": "in", "complete": "rename", "ledger": str(self.root / "ledger")}
        return FileWatch(**{**given, **options})

    def file(self, name: str) -> Path:
        return self.root / "data" / name

    def put(self, name: str, text: str = "x") -> None:
        file = self.file(name)
        file.parent.mkdir(parents=True, exist_ok=True)
        draft = file.with_name(f".{file.name}")
        draft.write_text(text, "utf-8")
        os.replace(draft, file)


@pytest.fixture
def place(tmp_path: Path) -> Place:
    return Place(tmp_path)


@pytest.fixture
def unwatched(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(notices, "is_remote", lambda folder: True)


def until(condition: Callable[[], object]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline, "it does not come to be"
        time.sleep(0.01)


# --- what counts as complete ------------------------------------------------------------------------------------------


def test_a_file_that_still_grows_is_not_given(place: Place) -> None:
    place.file("in").mkdir(parents=True)
    settle = 1.5
    with polling(place.watch(complete="stable", settle=settle)) as polled:
        for at in range(5):  # a version that a machine which stood still has left for so long may well be given
            size, longest = grown(place.file(f"in/{at}.csv"))
            sizes: list[int] = []
            while size not in sizes:
                sizes += [it["size"] for it in polled.batch().payload["files"]]
            if longest < settle:
                assert sizes == [size]
                return
    pytest.skip("this machine stands still too often to tell")


def grown(path: Path) -> tuple[int, float]:
    """Let a file grow; its size in the end, and for how many seconds at most a version before that was there."""
    longest, before = 0.0, time.monotonic()
    with path.open("w") as file:
        for _ in range(30):
            begin = time.monotonic()
            file.write("x" * 100)
            file.flush()
            longest, before = max(longest, time.monotonic() - before), begin
            time.sleep(0.02)
        return file.tell(), longest


def test_a_second_is_enough_unless_etags_need_longer(place: Place) -> None:
    assert place.watch(complete="stable")._settle() == 1.0
    place.storage.etag_resolution = 2.0
    assert place.watch(complete="stable")._settle() == 2.0
    assert place.watch(complete="stable", settle="500ms")._settle() == 0.5


def test_names_of_what_is_not_finished_do_not_count(place: Place) -> None:
    for name in ("in/.hidden", "in/_SUCCESS", "in/a.csv.tmp", "in/_work/b.csv", "in/c.csv~"):
        place.put(name)
    place.put("in/z.csv")
    with polling(place.watch()) as polled:
        assert polled.paths(1) == ["in/z.csv"]
        os.rename(place.file("in/a.csv.tmp"), place.file("in/a.csv"))
        assert polled.paths(1) == ["in/a.csv"]
        polled.nothing()


def test_a_file_with_a_marker_is_given_once_its_marker_is_as_new(place: Place) -> None:
    place.put("in/a.csv")
    place.put("in/b.csv")
    place.put("in/b.csv.done")
    with polling(place.watch(complete="marker")) as polled:
        assert polled.paths(1) == ["in/b.csv"]
        place.put("in/a.csv.done")
        assert polled.paths(1) == ["in/a.csv"]
        place.put("in/a.csv", "rewritten")
        later = time.time() + 5
        os.utime(place.file("in/a.csv"), (later, later))
        polled.nothing()
        place.put("in/a.csv.done")
        polled.nothing()
        os.utime(place.file("in/a.csv.done"), (later, later))
        assert polled.paths(1) == ["in/a.csv"]
        polled.nothing()


def test_markers_of_one_object_lie_beside_it(place: Place) -> None:
    place.put("in/a.csv")
    with polling(place.watch(complete="marker", path="in/a.csv", marker=".ok")) as polled:
        polled.nothing()
        place.put("in/a.csv.ok")
        assert polled.paths(1) == ["in/a.csv"]
    place.put("in/a.csv", "new")
    place.put("in/a.csv.ok")
    with polling(place.watch(complete="marker", path="in/a.csv", marker=".ok"), polled.offset) as polled:
        assert polled.paths(1) == ["in/a.csv"]


@pytest.mark.parametrize("how", ["told", "not told"])
def test_a_file_that_is_rewritten_or_renamed_is_given_anew(
    how: str, place: Place, request: pytest.FixtureRequest
) -> None:
    if how == "not told":
        request.getfixturevalue("unwatched")
    place.put("in/log")
    with polling(place.watch(interval=0.05 if how == "not told" else None)) as polled:
        assert polled.paths(1) == ["in/log"]
        os.rename(place.file("in/log"), place.file("in/log.1"))
        assert polled.paths(1) == ["in/log.1"]
        place.put("in/log", "next")
        assert polled.paths(1) == ["in/log"]
        place.put("in/log", "next")
        assert polled.paths(1) == ["in/log"]
        polled.nothing()


def test_old_files_that_are_moved_in_are_given(place: Place) -> None:
    place.put("in/new.csv")
    place.put("elsewhere/old.csv")
    os.utime(place.file("elsewhere/old.csv"), (1, 1))
    with polling(place.watch()) as polled:
        assert polled.paths(1) == ["in/new.csv"]
        os.rename(place.file("elsewhere/old.csv"), place.file("in/old.csv"))
        assert polled.paths(1) == ["in/old.csv"]


# --- order, batches, beginning ----------------------------------------------------------------------------------------


def test_what_waits_is_given_by_time_and_then_path_or_by_path(place: Place) -> None:
    for name, moment in (("in/c", 30), ("in/a", 20), ("in/d", 20), ("in/b", 40)):
        place.put(name)
        os.utime(place.file(name), (moment, moment))
    with polling(place.watch(max_files=3)) as polled:
        sizes = [len(polled.batch().payload["files"]) for _ in range(2)]
    assert sizes == [3, 1]
    with polling(place.watch()) as polled:
        assert polled.paths(4) == ["in/a", "in/d", "in/c", "in/b"]
    with polling(place.watch(order="path")) as polled:
        assert polled.paths(4) == ["in/a", "in/b", "in/c", "in/d"]


def test_what_is_gone_or_rewritten_before_it_is_handed_over_is_passed_over(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "FRESH", 0.0)
    for name in ("in/1", "in/2", "in/3"):
        place.put(name)
    stop = threading.Event()
    polled = place.watch(max_files=1, order="path").poll(None, stop)
    given = [next(polled).payload["files"]]
    place.file("in/2").unlink()
    place.put("in/3", "longer")
    given += [next(polled).payload["files"]]
    stop.set()
    assert next(polled, None) is None
    assert [[(it["path"], it["size"]) for it in files] for files in given] == [[("in/1", 1)], [("in/3", 6)]]


def test_the_id_is_one_of_the_versions() -> None:
    a, b = FileVersion("a", "1", 3), FileVersion("b", "1", 3)
    others = [[a, b], [b, a], [a], [FileVersion("a", "2", 3), b], [FileVersion("a", "1", 4), b]]
    assert len({id_of(files) for files in others}) == len(others)
    assert id_of([a, b]) == id_of([FileVersion("a", "1", 3), b])


def test_only_what_comes_later_also_if_nothing_was_committed_before_a_restart(place: Place) -> None:
    place.put("in/old.csv")
    with polling(place.watch(start="new")) as polled:
        until(lambda: list((place.root / "ledger").glob("*/start")))
        polled.nothing()
    place.put("in/new.csv")
    for _ in range(2):
        with polling(place.watch(start="new")) as polled:
            assert polled.paths(1) == ["in/new.csv"]
            polled.nothing()


def test_what_waits_for_its_marker_at_the_beginning_comes_later(place: Place) -> None:
    place.put("in/old.csv")
    place.put("in/old.csv.done")
    place.put("in/half.csv")
    with polling(place.watch(start="new", complete="marker")) as polled:
        until(lambda: list((place.root / "ledger").glob("*/start")))
        place.put("in/half.csv.done")
        assert polled.paths(1) == ["in/half.csv"]
        polled.nothing()


def test_an_offset_holds_when_the_path_or_the_place_of_the_ledger_is_said_otherwise(place: Place) -> None:
    for at in range(300):  # more than an offset holds by itself
        place.put(f"in/{at}.csv")
    with polling(place.watch(path="in/*.csv")) as polled:
        polled.paths(300)
    place.put("in/more.txt")
    with polling(place.watch(path="in"), polled.offset) as polled:
        assert polled.paths(1) == ["in/more.txt"]
        polled.nothing()
    with pytest.raises(LedgerDamaged):
        next(iter(place.watch(ledger=str(place.root / "other")).poll(polled.offset, threading.Event())))


def test_the_ledger_can_lie_in_a_connection(place: Place) -> None:
    kept = MemoryStorage()
    for at in range(300):
        place.put(f"in/{at}.csv")
    with polling(place.watch(ledger_connection=kept)) as polled:
        polled.paths(300)
    assert [stat.path for stat in kept.list("_odibi/streams")]
    assert not (place.root / "ledger").exists()
    place.put("in/more.csv")
    with polling(place.watch(ledger_connection=kept), polled.offset) as polled:
        assert polled.paths(1) == ["in/more.csv"]


# --- folders that come and go -----------------------------------------------------------------------------------------


def test_a_folder_that_is_not_there_is_waited_for_and_found_again(place: Place) -> None:
    with polling(place.watch(path="a/b/in")) as polled:
        place.put("a/b/in/1.csv")
        assert polled.paths(1) == ["a/b/in/1.csv"]
        shutil.rmtree(place.file("a"))
        place.put("a/b/in/2.csv")
        assert polled.paths(1) == ["a/b/in/2.csv"]
        os.rename(place.file("a"), place.file("away"))
        place.put("a/b/in/3.csv")
        assert polled.paths(1) == ["a/b/in/3.csv"]


def test_folders_that_appear_with_files_in_them_are_looked_into(place: Place) -> None:
    place.put("in/first.csv")
    place.put("elsewhere/x/y/1.csv")
    place.put("elsewhere/x/2.csv")
    with polling(place.watch()) as polled:
        polled.paths(1)
        os.rename(place.file("elsewhere/x"), place.file("in/x"))
        assert sorted(polled.paths(2)) == ["in/x/2.csv", "in/x/y/1.csv"]
        for at in range(20):
            place.put(f"in/z/{at}/deep/{at}.csv")
        assert len(polled.paths(20)) == 20
        place.put("in/x/y/3.csv")
        assert polled.paths(1) == ["in/x/y/3.csv"]


def test_what_nobody_told_of_is_found_by_the_next_listing(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Notices, "wait", lambda self, seconds, stop: time.sleep(min(seconds, 0.01)) or set())
    place.put("in/a.csv")
    with polling(place.watch(interval=0.1)) as polled:
        polled.paths(1)
        place.put("in/b.csv")
        assert polled.paths(1) == ["in/b.csv"]


def test_after_a_burst_all_is_listed(place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    """As the system drops what does not fit into its queue."""
    monkeypatch.setattr(watching, "BURST", 0)
    monkeypatch.setattr(watching.Poll, "_changed", lambda self, path, is_new: None)
    place.put("in/a.csv")
    with polling(place.watch()) as polled:
        polled.paths(1)
        place.put("in/b.csv")
        assert polled.paths(1) == ["in/b.csv"]


def test_no_thread_and_no_watch_is_left(place: Place) -> None:
    def told_by() -> list[str]:
        names = []
        for task in os.listdir("/proc/self/task"):
            with suppress(OSError):
                names.append(Path(f"/proc/self/task/{task}/comm").read_text("utf-8"))
        return [name for name in names if name.startswith("notify")]

    until(lambda: not told_by())  # those of other tests
    place.put("in/a.csv")
    threads = threading.active_count()
    watch = place.watch()
    polled = watch.poll(None, threading.Event())
    next(polled)
    assert threading.active_count() == threads
    until(told_by)
    watch.close()
    until(lambda: not told_by())
    assert next(polled, None) is None, "closed, it comes to its end"


# --- errors -----------------------------------------------------------------------------------------------------------


class Shaky(MemoryStorage):
    """A storage that fails as it is told to."""

    error: Exception | None = None
    asked = 0

    def list(self, prefix: str = "") -> Any:
        self.asked += 1
        if self.error is not None:
            raise self.error
        return super().list(prefix)


def test_a_storage_that_does_not_answer_is_asked_again(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watching, "BACKOFF", (0.01, 0.02))
    place.storage = storage = Shaky()
    storage.error = Transient("cut off", where="in")
    storage.write("in/a.csv", b"x")
    with caplog.at_level(logging.INFO, "odibi.trigger"), polling(place.watch(interval=0.02)) as polled:
        for round_ in (1, 2):
            asked = storage.asked
            until(lambda asked=asked: storage.asked > asked + 5)  # type: ignore[misc]
            storage.error = None
            assert polled.paths(1) == ["in/a.csv"]
            until(lambda round_=round_: caplog.text.count("answers again") == round_)  # type: ignore[misc]
            assert caplog.text.count("does not answer") == round_
            storage.error = Transient("cut off", where="in")
            until(lambda round_=round_: caplog.text.count("does not answer") > round_)  # type: ignore[misc]
            storage.write("in/a.csv", b"y")


def test_a_storage_that_refuses_is_an_error(place: Place) -> None:
    place.storage = storage = Shaky()
    storage.error = AccessDenied("the key is wrong", where="in")
    with pytest.raises(AccessDenied):
        next(iter(place.watch().poll(None, threading.Event())))


def test_a_system_that_cannot_watch_any_more_is_said_once_and_listed(
    place: Place, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    import watchfiles._rust_notify

    def refuse(*arguments: object) -> None:
        raise OSError(28, "no more watches")

    monkeypatch.setattr(watchfiles._rust_notify, "RustNotify", refuse)
    place.put("in/a.csv")
    with polling(place.watch(interval=0.05)) as polled:
        polled.paths(1)
        place.put("in/b.csv")
        assert polled.paths(1) == ["in/b.csv"]
    assert caplog.text.count("no more watches") == 1


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"complete": "renamed"}, "complete"),
        ({"complete": "rename", "settle": 1}, "settle"),
        ({"complete": "stable", "marker": ".done"}, "marker"),
        ({"complete": "marker", "marker": ""}, "marker"),
        ({"complete": "marker", "marker": "a/b"}, "marker"),
        ({"complete": "stable", "settle": "soon"}, "duration"),
        ({"interval": -1}, "duration"),
        ({"max_files": 0}, "max_files"),
        ({"order": "size"}, "order"),
        ({"start": "later"}, "start"),
        ({"path": "../x"}, "climbs"),
        ({"ledger_prefix": "/x"}, "absolute"),
    ],
    ids=str,
)
def test_options_that_mean_nothing_are_refused(options: dict[str, Any], message: str, place: Place) -> None:
    with pytest.raises(ValueError, match=message):
        place.watch(**options)


# --- where the system tells -------------------------------------------------------------------------------------------


def test_only_folders_of_this_machine_are_watched(tmp_path: Path) -> None:
    assert folder_of("s3://bucket/x") is None
    assert folder_of("file:///data/a%20b") == Path("/data/a b")
    mounts = (
        "21 1 8:1 / / rw,relatime - ext4 /dev/vda rw\n"
        "30 21 0:30 / /mnt/share rw - nfs4 server:/x rw\n"
        "31 21 0:31 / /mnt/share\\040two rw shared:5 - fuse.sshfs server: rw\n"
        "32 30 8:2 / /mnt/share/local rw - xfs /dev/vdb rw\n"
    )
    expected = {"/data": False, "/mnt/share": True, "/mnt/share/in": True, "/mnt/shared": False}
    expected |= {"/mnt/share two/in": True, "/mnt/share/local/in": False}
    assert {path: is_remote(Path(path), mounts) for path in expected} == expected


def test_at_rest_it_has_given_what_was_there(place: Place) -> None:
    watch = place.watch(complete="stable", settle=0.3)
    assert not watch.at_rest, "it has not looked yet"
    place.put("in/a.csv")
    with polling(watch) as polled:
        until(lambda: watch.at_rest)
        assert not polled.batches.empty(), "also what had to settle first"
        assert polled.paths(1) == ["in/a.csv"]
