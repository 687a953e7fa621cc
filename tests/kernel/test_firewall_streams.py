from __future__ import annotations

import io
import sys
from threading import Barrier, Thread

import pytest

from odibi.host.firewall import judge, quiet, words


def test_other_threads_print_as_always(capsys):
    inside, printed = Barrier(2), Barrier(2)

    def other() -> None:
        inside.wait()
        print("from another thread")
        printed.wait()

    thread = Thread(target=other)
    thread.start()
    with quiet() as caught:
        print("from this one")
        inside.wait()
        printed.wait()
    thread.join()
    assert caught == b"from this one\n"
    assert capsys.readouterr().out == "from another thread\n"


def test_overlapping_threads_each_catch_their_own_and_the_streams_come_back():
    before = sys.stdout, sys.stderr
    both_in, first_out = Barrier(2), Barrier(2)
    caught = {}

    def run(name: str) -> None:
        with quiet() as sink:
            both_in.wait()
            print(name, end="")
            if name == "second":
                first_out.wait()
                print(" still", end="")
        if name == "first":
            first_out.wait()
        caught[name] = bytes(sink)

    threads = [Thread(target=run, args=(name,)) for name in ("first", "second")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert caught == {"first": b"first", "second": b"second still"}
    assert (sys.stdout, sys.stderr) == before


def test_nested(capsys):
    with quiet() as outer:
        print("a")
        with quiet() as inner:
            print("b")
        print("c")
    print("d")
    assert (outer, inner) == (b"a\nc\n", b"b\n")
    assert capsys.readouterr().out == "d\n"


def test_the_streams_come_back_after_an_error_and_after_a_plugin_replaced_them():
    before = sys.stdout, sys.stderr

    def plugin() -> None:
        sys.stdout = io.StringIO()
        raise ValueError("x")

    with pytest.raises(ValueError, match="x"), quiet():
        plugin()
    assert (sys.stdout, sys.stderr) == before


def test_a_stream_that_was_kept_goes_on_working(capsys):
    with quiet():
        kept = sys.stdout
    print("später", file=kept, flush=True)
    assert capsys.readouterr().out == "später\n"


def test_where_there_are_no_streams(monkeypatch):
    monkeypatch.setattr(sys, "stdout", None)
    with quiet() as caught:
        print("x")
        kept = sys.stdout
    assert sys.stdout is None
    assert caught == b"x\n"
    kept.write("nowhere")
    with pytest.raises(OSError, match="no such stream"):
        kept.fileno()


def test_a_flood_is_cut_short():
    with quiet() as caught:
        for _ in range(100):
            print("x" * 1000)
    assert len(caught) == 4_000


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (ValueError("two\n  lines"), "ValueError: two lines"),
        (ValueError(), "ValueError"),
        (SystemExit("why"), "it called sys.exit('why')"),
        (OSError("x" * 1000), "OSError: " + "x" * 300),
    ],
)
def test_words(error, expected):
    assert words(error, place=True) == expected


@pytest.mark.parametrize(
    ("missing", "requires", "package"),
    [
        ("yaml", ("PyYAML",), "yaml"),  # nothing tells that PyYAML brings it
        ("Azure_Storage", ("azure-storage",), "azure-storage"),
        ("duckdb", ("pandas", "duckdb"), "duckdb"),
    ],
)
def test_what_brings_a_missing_module(missing, requires, package):
    error = ModuleNotFoundError(name=missing + ".deep")
    verdict = judge(error, module="mine", distribution="odibi-mine", requires=requires)
    assert verdict.cause == f"it needs {missing!r}, which is not installed"
    assert verdict.remedy == f"Install it: pip install {package}"
