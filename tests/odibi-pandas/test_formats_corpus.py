"""Every broken file is met with a sentence that names it, never with a traceback of a library."""

from __future__ import annotations

import importlib.util
import random
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, given, settings

from odibi.errors import DataError


def load_corpus() -> ModuleType:
    path = Path(__file__).parent / "corpus_data" / "broken.py"
    spec = importlib.util.spec_from_file_location("odibi_pandas_corpus", path)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    import sys

    sys.modules[spec.name] = module  # attrs looks a class's module up
    spec.loader.exec_module(module)
    return module


CORPUS = load_corpus()
CASES = {case.name: case for case in CORPUS.cases()}


def format_of(name: str, **options: Any) -> Any:
    import odibi_pandas

    module, _, cls = odibi_pandas.odibi_formats()[f"pandas.{name}"].partition(":")
    return getattr(import_module(module), cls)(**options)


def test_the_corpus_is_large_enough() -> None:
    assert len(CASES) >= 60
    assert len(CASES) == len(CORPUS.cases())


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("in_chunks", [False, True])
def test_broken_files(lake: Any, name: str, in_chunks: bool) -> None:
    case = CASES[name]
    for path, data in case.objects.items():
        lake.storage.write(path, data)
    path = case.path or next(iter(case.objects))
    source = lake.source(path, format_of(case.format, **case.options), columns=case.columns)
    with pytest.raises(DataError) as caught:
        list(lake.engine.read_chunks(source, 100)) if in_chunks else lake.engine.read(source)
    message = str(caught.value)
    assert message.startswith("lake:")
    at = 0
    for part in case.says:
        assert part in message[at:], message
        at = message.index(part, at)
    assert caught.value.remedy
    assert caught.value.what.count("\n") == 0
    assert "Traceback" not in message
    assert "0x7f" not in message


@pytest.mark.parametrize("name", ["parquet", "arrow", "avro", "excel"])  # ORC's own library can crash on such files
def test_files_damaged_anywhere(lake: Any, name: str) -> None:
    """A damaged file is refused with a DataError, or gives a sound table; whatever the library does inside."""
    whole = CORPUS.MAKERS[name]()
    format_ = format_of(name)
    chance = random.Random(20130101)
    for _ in range(60):
        data = bytearray(whole)
        kind = chance.randrange(3)
        at = chance.randrange(len(data))
        if kind == 0:
            data = data[:at]
        elif kind == 1:
            data[at] ^= 1 << chance.randrange(8)
        else:
            del data[at : at + chance.randrange(1, 50)]
        lake.storage.write("x", bytes(data))
        result = outcome(lambda: lake.engine.to_arrow(lake.read("x", format_)).to_pylist())
        assert not isinstance(result, str) or result.startswith("lake:x")


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    text=st.text(st.sampled_from("ab1,;\"\n\r\t\0é'#"), max_size=40),
    options=st.sampled_from(
        [
            {},
            {"delimiter": "auto"},
            {"comment": "#"},
            {"on_bad_lines": "collect"},
            {"encoding": "cp1252"},
            {"header": False},
        ]
    ),
)
def test_any_text_as_csv(lake: Any, text: str, options: dict[str, Any]) -> None:
    lake.storage.write("x.csv", text.encode())
    format_ = format_of("csv", **options)
    whole = outcome(lambda: lake.engine.to_arrow(lake.read("x.csv", format_)))
    pieces = outcome(lambda: joined(lake, "x.csv", format_))
    assert whole == pieces


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(text=st.text(st.sampled_from('{}[]",:ab1.e-\n \\u0nulltrue'), max_size=40))
def test_any_text_as_json(lake: Any, text: str) -> None:
    lake.storage.write("x.json", text.encode())
    format_ = format_of("json")
    whole = outcome(lambda: lake.engine.to_arrow(lake.read("x.json", format_)))
    pieces = outcome(lambda: joined(lake, "x.json", format_))
    assert whole == pieces


def joined(lake: Any, path: str, format_: Any) -> Any:
    import pyarrow as pa

    return pa.concat_tables([lake.engine.to_arrow(it) for it in lake.read_chunks(path, format_, 2)])


def outcome(call: Any) -> Any:
    try:
        return call()
    except DataError as error:
        return str(error)
