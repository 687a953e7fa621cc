"""Random histories of an engine that writes and reads, beside a model."""

from __future__ import annotations

from typing import TYPE_CHECKING

import hypothesis.strategies as st
import pytest
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from odibi.errors import Conflict, DataError, NotFound
from odibi.testing.component import close
from odibi.testing.engine_base import people

if TYPE_CHECKING:
    from collections.abc import Callable

    from odibi.testing.engine_base import Bench

_MODES = ("overwrite", "append", "append_once", "upsert", "error", "ignore")
_PATHS = ("a", "b/c")
_PARTS = ("p1", "p2", "p3")


def histories(new_bench: Callable[[], Bench]) -> type[RuleBasedStateMachine]:
    """A state machine that begins each history on a new bench."""

    class Histories(RuleBasedStateMachine):
        """Writes to two paths, of which either is an object, a folder of parts, or nothing."""

        def __init__(self) -> None:
            super().__init__()
            self.bench = new_bench()
            self.rows: dict[str, dict[int, str] | None] = dict.fromkeys(_PATHS)
            self.parts: dict[str, set[str]] = {path: set() for path in _PATHS}

        def teardown(self) -> None:
            close(self.bench.storage)

        @rule(
            path=st.sampled_from(_PATHS),
            mode=st.sampled_from(_MODES),
            ids=st.lists(st.integers(0, 5), unique=True, min_size=1, max_size=4),
            part=st.sampled_from(_PARTS),
            name=st.sampled_from(["x", "y"]),
        )
        def write(self, path: str, mode: str, ids: list[int], part: str, name: str) -> None:
            """Write some rows; those of a part are always the same."""
            if mode == "append":
                ids, name = [10 * (1 + _PARTS.index(part)) + at for at in range(3)], "p"
            if mode in ("append_once", "upsert") and not self.bench.suite.merges:
                return
            before = self.bench.objects()
            there, parts = self.rows[path], self.parts[path]
            may_refuse = (mode == "append" and there is not None and not parts) or (
                mode in ("overwrite", "append_once", "upsert") and bool(parts)
            )
            must_refuse = mode == "error" and there is not None
            refused = None
            try:
                report = self.bench.write(people(*ids, name=name), path, mode, part=part, keys=("id",))
            except (DataError, Conflict) as error:
                refused = error
            if refused is not None:
                assert may_refuse or must_refuse, f"{mode} is refused: {refused}"
                assert self.bench.objects() == before, f"{mode} was refused, and changed something"
                return
            assert not must_refuse, "mode 'error' went on though something was there"
            new = {each: f"{name}{each}" for each in ids}
            if mode == "append":
                assert report.skipped == (part in parts)
                parts.add(part)
                self.rows[path] = {**(there or {}), **new}
            elif mode == "overwrite":
                self.rows[path] = new
                parts.clear()
                if any(each.startswith(f"{path}/") for each in self.bench.objects()):
                    parts.add("of the overwrite")
            elif mode == "upsert":
                self.rows[path] = {**(there or {}), **new}
            elif mode == "append_once":
                self.rows[path] = {**new, **(there or {})}
            elif there is None:
                self.rows[path] = new
            else:
                assert report.skipped
                assert self.bench.objects() == before, "mode 'ignore' changed something"

        @invariant()
        def is_as_the_model(self) -> None:
            """Each path has the rows that it should, once each."""
            for path, rows in self.rows.items():
                if rows is None:
                    with pytest.raises(NotFound):
                        self.bench.read(path)
                    continue
                found = self.bench.read(path)
                assert sorted(found.rows) == sorted(rows.items()), path

    return Histories
