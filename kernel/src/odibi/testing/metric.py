"""Whether a metric sink keeps what its contract promises.

For the author of a sink::

    from odibi.testing.metric import MetricSuite


    class TestMySink(MetricSuite):
        component = MySink

        def options(self, place):
            return {"port": 0}

        def read(self, subject):  # name and labels to value; count and sum for timers and histograms
            return {key(name, labels): value for name, labels, value in parse(subject.scrape())}

A sink whose ``export()`` gives what :class:`~odibi.testing.reference.metric.MemoryMetrics` gives need not say how it is
read. One that sends to somewhere says more:

* :meth:`MetricSuite.delivered`: what has come there, read behind the sink's back, also after it is closed;
* :meth:`MetricSuite.blocked`: a sink of which the other end does not answer.

Needs pytest and hypothesis: ``pip install odibi-kernel[testing]``.
"""

from __future__ import annotations

import itertools
import json
import math
import re
import sys
import threading
from collections import defaultdict
from contextlib import contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any, ClassVar, cast

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from odibi.contracts.metric import Kind, Measurement, MetricSink, ScrapedSink
from odibi.structure import option_fields
from odibi.testing.component import PLANTED, ComponentSuite, close, needs, no_secret_in, together

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

__all__ = ["Key", "MetricSuite", "key"]

Key = tuple[str, frozenset[tuple[str, str]]]
"""A name and a set of labels."""

Value = float | tuple[float, float]
"""Of a counter or gauge; or the count and the sum of a timer or histogram."""

PATIENCE = 20.0
"""Seconds after which a call counts as one that does not return."""

LABEL_VALUES = (
    "plain",
    "",
    " ",
    'say "hi"',
    "back\\slash",
    "two\nlines",
    "\\n",
    "a,b",
    'a",b="c',
    "a=b",
    "{x}",
    "日本語 🚀",
    "é",
    "e\u0301",
    "É",
    "tab\t",
    "\r",
    "#",
    "'",
    "x" * 500,
)
"""Values that an exporter might take for one another, or for something else than a value."""

_SAMPLE = re.compile(
    r"(?P<name>[a-zA-Z_:][a-zA-Z0-9_:]*)"
    r'(\{([a-zA-Z_][a-zA-Z0-9_]*="([^"\\\n]|\\["\\n])*"(,(?!\})|(?=\}))|,(?=\}))*\})?'
    r" (NaN|[+-]Inf|[+-]?[0-9.]+([eE][+-]?[0-9]+)?)( -?[0-9]+)?"
)
"""A line of Prometheus' text format 0.0.4 that is no comment."""

_FLOATS = st.floats(0, 1e9, allow_nan=False).map(lambda value: round(value, 6))
_TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=8)


def key(name: str, labels: Mapping[str, str] | None = None) -> Key:
    """What :meth:`MetricSuite.read` has for one series."""
    return name, frozenset((labels or {}).items())


def counter(name: str, value: float = 1.0, **labels: str) -> Measurement:
    """Something happened."""
    return Measurement(name, Kind.COUNTER, value, labels)


def gauge(name: str, value: float, **labels: str) -> Measurement:
    """Something is so now."""
    return Measurement(name, Kind.GAUGE, value, labels)


def timer(name: str, value: float, **labels: str) -> Measurement:
    """Something took so long."""
    return Measurement(name, Kind.TIMER, value, labels)


def histogram(name: str, value: float, **labels: str) -> Measurement:
    """Something was observed."""
    return Measurement(name, Kind.HISTOGRAM, value, labels)


class MetricSuite(ComponentSuite):
    """Tests of one metric sink; see the module for how to use it."""

    family: ClassVar[str] = "metric"

    # --- what a subclass says ---------------------------------------------------------------------------------------

    def read(self, subject: MetricSink) -> Mapping[Key, Value]:
        """What the sink holds or has sent: by default what ``export()`` says, a mapping a series.

        A sink that keeps series of one name and two kinds apart gives each a name of its own here.
        """
        if not self.capability("export").is_there:
            pytest.skip(f"declared: metric {self.component.__qualname__} has no 'export', and its suite no read()")
        found: dict[Key, Value] = {}
        for row in subject.export():
            name = key(row["name"], row["labels"])
            assert name not in found, f"two series are {name}"
            is_sum = row["kind"] in ("counter", "gauge")
            found[name] = _number(row["value"]) if is_sum else (_number(row["count"]), _number(row["sum"]))
        return found

    def delivered(self, place: Path) -> Mapping[Key, Value] | None:  # noqa: ARG002 - for those that send
        """What the component on this place has sent, looked up where it goes; ``None`` if it sends nothing."""
        return None

    @contextmanager
    def blocked(self, place: Path) -> Iterator[MetricSink]:  # noqa: ARG002
        """A sink whose other end takes what is sent and does not answer, until the block is left."""
        pytest.skip(f"declared: metric {self.component.__qualname__}'s suite has no other end that could block it")
        yield  # type: ignore[unreachable]

    # --- what the tests use -----------------------------------------------------------------------------------------

    def check(self, subject: MetricSink, expected: Mapping[Key, Value]) -> None:
        """The sink holds this, once it is flushed; series of its own beside it do not matter."""
        subject.flush()
        found = self.read(subject)
        for name, value in expected.items():
            assert name in found, f"{name} is not there, but {sorted(map(str, found))[:20]}"
            assert found[name] == pytest.approx(value, rel=1e-9, abs=1e-9), f"{name}"
        names = {name for name, _ in expected}
        more = {name for name in found if name[0] in names} - set(expected)
        assert not more, f"there are series that nobody recorded: {more}"

    # --- sums -------------------------------------------------------------------------------------------------------

    def test_a_counter_adds(self, subject: MetricSink) -> None:
        """Within one call, and from one to the next."""
        subject.record([counter("odibi_rows_total", 3), counter("odibi_rows_total", 4)])
        self.check(subject, {key("odibi_rows_total"): 7})
        subject.record([counter("odibi_rows_total", 0.5)])
        self.check(subject, {key("odibi_rows_total"): 7.5})

    def test_a_counter_of_nothing_is_there(self, subject: MetricSink) -> None:
        """So that whoever watches it sees its first rise."""
        subject.record([counter("odibi_errors_total", 0)])
        self.check(subject, {key("odibi_errors_total"): 0})

    @pytest.mark.parametrize("value", [-1.0, -1e-9, math.nan, -math.inf])
    def test_a_counter_never_falls(self, subject: MetricSink, value: float) -> None:
        """What would let it fall is refused or left out, and what comes afterwards counts."""
        subject.record([counter("odibi_rows_total", 5)])
        _try(subject, [counter("odibi_rows_total", value)])
        self.check(subject, {key("odibi_rows_total"): 5})
        subject.record([counter("odibi_rows_total", 1)])
        self.check(subject, {key("odibi_rows_total"): 6})

    def test_a_gauge_keeps_the_last(self, subject: MetricSink) -> None:
        """Within one call, and from one to the next; it may fall, and be negative."""
        subject.record([gauge("odibi_queue_nodes", 3), gauge("odibi_queue_nodes", 8)])
        self.check(subject, {key("odibi_queue_nodes"): 8})
        for value in (2, -1.5, 0):
            subject.record([gauge("odibi_queue_nodes", value)])
            self.check(subject, {key("odibi_queue_nodes"): value})

    @pytest.mark.parametrize("make", [timer, histogram])
    def test_observations_are_counted_and_summed(
        self, subject: MetricSink, make: Callable[[str, float], Measurement]
    ) -> None:
        """Those of nothing too, and very long ones."""
        values = [0.25, 0.0, 1e-6, 3.5, 86_400.0, 0.25]
        subject.record([make("odibi_node_duration_seconds", value) for value in values[:4]])
        subject.record([make("odibi_node_duration_seconds", value) for value in values[4:]])
        self.check(subject, {key("odibi_node_duration_seconds"): (len(values), sum(values))})

    @pytest.mark.parametrize("kind", [Kind.TIMER, Kind.HISTOGRAM])
    def test_observations_may_come_together(self, subject: MetricSink, kind: Kind) -> None:
        """Several in one measurement are as many as if each came by itself, beside such as do."""
        subject.record([Measurement("a_seconds", kind, 1, {"node": "x"}, (2, 4)), Measurement("a_seconds", kind, 8)])
        self.check(subject, {key("a_seconds", {"node": "x"}): (3, 7), key("a_seconds"): (1, 8)})
        subject.record([Measurement("a_seconds", kind, 0.5, {"node": "x"}, [0.0] * 100)])
        subject.record([Measurement("a_seconds", kind, 0.5, {"node": "x"})])
        self.check(subject, {key("a_seconds", {"node": "x"}): (105, 8), key("a_seconds"): (1, 8)})

    @pytest.mark.parametrize("value", [math.nan, -1.0])
    def test_observations_that_come_together_do_not_spoil_others(self, subject: MetricSink, value: float) -> None:
        """What is no duration among them is refused or left out; the sum is as if it never came."""
        subject.record([Measurement("a_seconds", Kind.TIMER, 2, {}, (2,))])
        _try(subject, [Measurement("a_seconds", Kind.TIMER, 0, {}, (0, value))])
        subject.record([Measurement("a_seconds", Kind.TIMER, 3, {}, (3,))])
        subject.flush()
        count, total = cast("tuple[float, float]", self.read(subject)[key("a_seconds")])
        assert total == 10
        assert 4 <= count <= 7

    def test_kinds_do_not_mix(self, subject: MetricSink) -> None:
        """In one call and beside each other."""
        subject.record(
            [
                *(counter("a_total", 1), gauge("b_ratio", 2), timer("c_seconds", 3), histogram("d_bytes", 4)),
                *(counter("a_total", 5), gauge("b_ratio", 6), timer("c_seconds", 7), histogram("d_bytes", 8)),
            ]
        )
        expected: dict[Key, Value] = {key("a_total"): 6, key("b_ratio"): 6}
        self.check(subject, {**expected, key("c_seconds"): (2, 10), key("d_bytes"): (2, 12)})

    def test_very_large_and_very_small_values(self, subject: MetricSink) -> None:
        """Whole numbers beyond 32 bits come back as they are."""
        subject.record([counter("a_bytes_total", 2**53 - 1), gauge("b_bytes", 1e300), gauge("c_seconds", 1e-300)])
        expected: dict[Key, Value] = {key("a_bytes_total"): 2**53 - 1, key("b_bytes"): 1e300}
        self.check(subject, expected)
        assert self.read(subject)[key("c_seconds")] == pytest.approx(1e-300)

    @pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
    def test_a_gauge_takes_what_is_no_finite_number(self, subject: MetricSink, value: float) -> None:
        """A ratio of nothing to nothing is one; the rest of its call is taken, and a number replaces it."""
        subject.record([gauge("a_ratio", value), counter("b_total", 1)])
        self.check(subject, {key("b_total"): 1})
        json.dumps(subject.export(), allow_nan=False)
        subject.record([gauge("a_ratio", 0.5)])
        self.check(subject, {key("a_ratio"): 0.5, key("b_total"): 1})

    @pytest.mark.parametrize("make", [timer, histogram])
    def test_what_is_no_number_does_not_spoil_observations(
        self, subject: MetricSink, make: Callable[[str, float], Measurement]
    ) -> None:
        """It is refused or left out: a sum that holds it once shows nothing ever after."""
        subject.record([make("a_seconds", 2)])
        _try(subject, [make("a_seconds", math.nan)])
        subject.record([make("a_seconds", 3)])
        subject.flush()
        count, total = cast("tuple[float, float]", self.read(subject)[key("a_seconds")])
        assert total == 5
        assert count in (2, 3)

    def test_one_that_is_refused_does_not_take_others_with_it(self, subject: MetricSink) -> None:
        """Or none of its call is taken; but all that came before, and all that comes later."""
        subject.record([counter("a_total", 1)])
        taken = _try(subject, [counter("b_total", 1), counter("a_total", -5), counter("b_total", 1)])
        subject.record([counter("a_total", 1), counter("b_total", 1)])
        subject.flush()
        found = self.read(subject)
        assert found[key("a_total")] == 2
        assert found[key("b_total")] in ((3,) if taken else (1, 2, 3))

    def test_nothing_is_recorded_by_recording_nothing(self, subject: MetricSink) -> None:
        """An empty call is no mistake."""
        subject.record([])
        subject.record(())
        subject.record([counter("a_total", 1)])
        subject.record([])
        self.check(subject, {key("a_total"): 1})

    def test_measurements_may_change_afterwards(self, subject: MetricSink) -> None:
        """They are the caller's, who may use them, their labels and the list again."""
        labels, more = {"node": "a"}, [1.0, 1.0]
        measurement = Measurement("a_total", Kind.COUNTER, 1, labels)
        batch = [measurement, Measurement("d_seconds", Kind.TIMER, 1, {}, more)]
        subject.record(batch)
        labels["node"] = "b"
        more.append(100)
        measurement.value = 100
        measurement.name = "b_total"
        batch.append(counter("c_total", 1))
        subject.flush()
        self.check(subject, {key("a_total", {"node": "a"}): 1, key("d_seconds"): (3, 3)})
        assert not {name for name, _ in self.read(subject)} & {"b_total", "c_total"}

    def test_random_measurements(self, place: Path) -> None:
        """Beside plain dicts that do the same."""
        names = {"a_total": Kind.COUNTER, "b_ratio": Kind.GAUGE, "c_seconds": Kind.TIMER, "d_rows": Kind.HISTOGRAM}
        one = st.tuples(st.sampled_from(sorted(names)), _FLOATS, _TEXTS, st.sampled_from(["x", "y"]))

        @settings(max_examples=25, deadline=None, suppress_health_check=list(HealthCheck))
        @given(st.lists(st.lists(one, max_size=8), max_size=6))
        def law(batches: list[list[tuple[str, float, str, str]]]) -> None:
            expected: dict[Key, Value] = {}
            known: defaultdict[Key, list[float]] = defaultdict(list)
            folder = place / str(next(numbers))
            folder.mkdir()
            subject = self.make(folder)
            try:
                for batch in batches:
                    measurements = []
                    for name, value, first, second in batch:
                        kind, labels = names[name], {"one": first, "two": second}
                        measurements.append(Measurement(name, kind, value, labels))
                        values = known[key(name, labels)]
                        values.append(value)
                        total: Value = values[-1] if kind is Kind.GAUGE else math.fsum(values)
                        is_sum = kind in (Kind.COUNTER, Kind.GAUGE)
                        expected[key(name, labels)] = total if is_sum else (len(values), math.fsum(values))
                    subject.record(measurements)
                self.check(subject, expected)
            finally:
                close(subject)

        numbers = itertools.count()
        law()

    # --- labels -----------------------------------------------------------------------------------------------------

    @pytest.mark.parametrize("make", [counter, gauge, timer, histogram])
    def test_sets_of_labels_are_kept_apart(self, subject: MetricSink, make: Callable[..., Measurement]) -> None:
        """By each label's value, whatever the order in which they are said."""
        subject.record([make("a_seconds", 1, node="x", state="failed"), make("a_seconds", 2, node="y", state="failed")])
        subject.record([make("a_seconds", 4, state="done", node="x"), make("a_seconds", 8, state="failed", node="x")])
        sums = {("x", "failed"): [1, 8], ("y", "failed"): [2], ("x", "done"): [4]}
        expected: dict[Key, Value] = {}
        for (node, state), values in sums.items():
            value: Value = values[-1] if make is gauge else sum(values)
            expected[key("a_seconds", {"node": node, "state": state})] = (
                (len(values), sum(values)) if make in (timer, histogram) else value
            )
        self.check(subject, expected)

    def test_names_are_kept_apart(self, subject: MetricSink) -> None:
        """Though one begins as the other does."""
        subject.record([counter("a_rows_total", 1), counter("a_total", 2), counter("a_rows_read_total", 4)])
        self.check(subject, {key("a_rows_total"): 1, key("a_total"): 2, key("a_rows_read_total"): 4})

    def test_label_values_are_any_text(self, subject: MetricSink) -> None:
        """With quotes, backslashes, line ends, separators; each stays what it is, and apart from the others."""
        subject.record([counter("a_total", at + 1, node=text) for at, text in enumerate(LABEL_VALUES) if text])
        self.check(subject, {key("a_total", {"node": text}): at + 1 for at, text in enumerate(LABEL_VALUES) if text})

    def test_a_value_does_not_spill_into_the_next_label(self, subject: MetricSink) -> None:
        """However the exporter joins them."""
        pairs = [("1,b=2", "3"), ("1", "2,b=3"), ('1",b="2', "3"), ("1", '2",b="3'), ("1\x1f2", "3"), ("1", "2\x1f3")]
        subject.record([counter("a_total", at + 1, a=a, b=b) for at, (a, b) in enumerate(pairs)])
        self.check(subject, {key("a_total", {"a": a, "b": b}): at + 1 for at, (a, b) in enumerate(pairs)})

    def test_swapped_values_are_other_labels(self, subject: MetricSink) -> None:
        """The label that a value belongs to counts."""
        subject.record([counter("a_total", 1, left="x", right="y"), counter("a_total", 2, left="y", right="x")])
        one, two = {"left": "x", "right": "y"}, {"left": "y", "right": "x"}
        self.check(subject, {key("a_total", one): 1, key("a_total", two): 2})

    def test_other_label_names_are_kept_apart_or_refused(self, subject: MetricSink) -> None:
        """Some systems want the same labels for a name each time; none may add up what has others."""
        subject.record([counter("a_total", 1, node="x")])
        took = _try(subject, [counter("a_total", 10, pipeline="x")])
        subject.record([counter("a_total", 1, node="x")])
        subject.flush()
        found = self.read(subject)
        assert found[key("a_total", {"node": "x"})] == 2
        if took:
            assert found[key("a_total", {"pipeline": "x"})] == 10

    @pytest.mark.parametrize("first", list(Kind))
    def test_another_kind_under_the_same_name_is_refused_or_kept_apart(self, subject: MetricSink, first: Kind) -> None:
        """What was recorded first stays right, and goes on; the error names the metric."""
        subject.record([Measurement("a_things", first, 3, {})])
        for kind in Kind:
            if kind is first:
                continue
            error = _error_of(subject, [Measurement("a_things", kind, 100, {})])
            assert error is None or "a_things" in str(error), f"{error!r} does not say which metric is meant"
        subject.record([Measurement("a_things", first, 4, {})])
        subject.flush()
        wanted: Value = {Kind.COUNTER: 7, Kind.GAUGE: 4}.get(first, (2, 7))
        assert wanted in self.read(subject).values()

    # --- scraped ----------------------------------------------------------------------------------------------------

    def test_a_scrape_is_in_the_text_format(self, subject: MetricSink) -> None:
        """Each line is a comment or a sample; samples of one metric stand together, below its type, and none twice."""
        if not isinstance(subject, ScrapedSink):
            pytest.skip(f"declared: metric {self.component.__qualname__} is no ScrapedSink")
        odd = 'say "hi", back\\slash, {x}, two\nlines, 日本'
        subject.record([counter("a_total", 2, node=odd), gauge("b_ratio", math.nan), counter("a_total", 1, node="x")])
        subject.record([timer("c_seconds", 2, node=odd), timer("c_seconds", 2, node="y"), gauge("b_ratio", math.inf)])
        text = subject.scrape()
        assert text.endswith("\n")
        kinds, samples, before = dict[str, str](), list[str](), ""
        for line in text.splitlines():
            if line.startswith("# TYPE "):
                before, kind = line.removeprefix("# TYPE ").split()
                assert before not in kinds, f"{before} is there twice"
                kinds[before] = kind
            elif not line.startswith("#"):
                found = _SAMPLE.fullmatch(line)
                assert found is not None, f"this is no sample: {line!r}"
                own = (before, *(f"{before}{end}" for end in ("_bucket", "_sum", "_count")))
                assert found["name"] in own, f"a sample stands below the type of another metric: {line!r}"
                samples.append(line.rpartition(" ")[0])
        assert (kinds["a_total"], kinds["b_ratio"]) == ("counter", "gauge")
        assert kinds["c_seconds"] in ("histogram", "summary")
        assert len(samples) == len(set(samples)), "a series is there twice"
        said = odd.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
        assert f'a_total{{node="{said}"}} 2.0\n' in text or f'a_total{{node="{said}"}} 2\n' in text

    # --- flush, export, close ---------------------------------------------------------------------------------------

    def test_flushing_does_not_reset(self, subject: MetricSink) -> None:
        """Counters never fall while the sink lives, and it lives for many runs."""
        subject.flush()
        expected = 0
        for n in range(1, 5):
            subject.record([counter("a_total", n), timer("b_seconds", n)])
            subject.flush()
            subject.flush()
            expected += n
            self.check(subject, {key("a_total"): expected, key("b_seconds"): (n, expected)})

    def test_a_flush_loses_nothing(self, subject: MetricSink, place: Path) -> None:
        """Not what was recorded right before it, however much; where it goes, it has come when the call returns."""
        for batch in range(20):
            subject.record([counter("a_total", 1, batch=str(batch)) for _ in range(50)])
        expected = {key("a_total", {"batch": str(batch)}): 50.0 for batch in range(20)}
        subject.flush()
        sent = self.delivered(place)
        assert sent is None or {name: sent[name] for name in expected} == expected
        self.check(subject, expected)

    def test_closing_loses_nothing(self, place: Path) -> None:
        """It flushes first: what was recorded is where the sink sends it."""
        subject = self.make(place)
        subject.record([counter("a_total", 2), gauge("b_ratio", 0.5)])
        close(subject)
        sent = self.delivered(place)
        if sent is None:
            pytest.skip(f"declared: metric {self.component.__qualname__}'s suite has no delivered()")
        assert (sent[key("a_total")], sent[key("b_ratio")]) == (2, 0.5)

    @needs("export")
    def test_an_export_is_of_json_values(self, subject: MetricSink) -> None:
        """Strictly: JSON has no NaN and no infinity; and label values are as they were recorded."""
        subject.record([gauge("a_ratio", math.nan), gauge("b_ratio", math.inf), counter("c_total", 1)])
        subject.record([timer("d_seconds", 2, node='"\\\n日本'), histogram("e_rows", 3)])
        found = subject.export()
        assert found is not None
        assert json.loads(json.dumps(found, allow_nan=False)) == found

    @needs("export")
    def test_exporting_does_not_reset(self, subject: MetricSink) -> None:
        """Whoever looks changes nothing: two looks see the same."""
        subject.record([counter("a_total", 2), gauge("b_ratio", 3), timer("c_seconds", 4), histogram("d_rows", 5)])
        subject.flush()
        first = json.dumps(subject.export(), sort_keys=True)
        assert json.dumps(subject.export(), sort_keys=True) == first
        subject.record([counter("a_total", 1), gauge("b_ratio", 1), timer("c_seconds", 1), histogram("d_rows", 1)])
        expected: dict[Key, Value] = {key("a_total"): 3, key("b_ratio"): 1}
        self.check(subject, {**expected, key("c_seconds"): (2, 5), key("d_rows"): (2, 6)})

    @needs("export")
    def test_an_export_is_the_callers(self, subject: MetricSink) -> None:
        """It does not change when more is recorded, and what is done to it does not change the sink."""
        subject.record([counter("a_total", 2, node="x")])
        subject.flush()
        found = subject.export()
        before = json.dumps(found, sort_keys=True)
        subject.record([counter("a_total", 1, node="x"), counter("b_total", 1, node="x")])
        subject.flush()
        assert json.dumps(found, sort_keys=True) == before
        _spoil(found)
        self.check(subject, {key("a_total", {"node": "x"}): 3, key("b_total", {"node": "x"}): 1})

    def test_two_sinks_have_nothing_in_common(self, subject: MetricSink, place: Path, tmp_path: Path) -> None:
        """An application may have two, of the same names, one after the other or at once."""
        assert place != tmp_path
        elsewhere = tmp_path / "elsewhere"
        elsewhere.mkdir()
        subject.record([counter("a_total", 1)])
        other = self.make(elsewhere)
        try:
            other.record([counter("a_total", 10), gauge("b_ratio", 1)])
            subject.record([counter("a_total", 1)])
            self.check(subject, {key("a_total"): 2})
            self.check(other, {key("a_total"): 10, key("b_ratio"): 1})
        finally:
            close(other)
        self.check(subject, {key("a_total"): 2})

    def test_recording_after_it_was_closed_does_not_hang(self, place: Path) -> None:
        """It raises, or it is ignored: a node that was given up on may still tell how long it took."""
        for used in (False, True):
            subject = self.make(place)
            if used:
                subject.record([counter("a_total", 1)])
            close(subject)
            calls: tuple[Callable[[], object], ...] = (
                partial(subject.record, [counter("a_total", 1)]),
                subject.flush,
                subject.export,
            )
            for call in calls:
                _returns(call, "called after it was closed")
            _returns(partial(close, subject), "closed again")

    def test_what_was_told_can_be_read_after_it_was_closed(self, place: Path) -> None:
        """Or nothing can; but not something else."""
        subject = self.make(place)
        subject.record([counter("a_total", 7)])
        subject.flush()
        close(subject)
        try:
            found = self.read(subject)
        except Exception:
            return  # it has let go of it
        assert found.get(key("a_total"), 7) == 7

    # --- never in the way -------------------------------------------------------------------------------------------

    def test_recording_does_not_wait_for_the_other_end(self, place: Path) -> None:
        """Which takes what is sent and does not answer: the node that measures goes on, and so does the next."""
        flusher = None
        with self.blocked(place) as subject:
            _returns(partial(subject.record, [counter("a_total", 1)]), "recorded while nobody answers")
            flusher = threading.Thread(target=lambda: _quietly(subject.flush), daemon=True)
            flusher.start()
            for round_ in range(3):
                flusher.join(0.05)  # time for it to be held up; whether it is, nobody else can know
                batch = [counter("a_total", 1, round=str(round_), n=str(n % 50)) for n in range(1000)]
                _returns(partial(subject.record, batch), "recorded while nobody answers")
        flusher.join(PATIENCE)
        assert not flusher.is_alive(), "a flush does not end though the other end answers again"

    def test_much_can_be_recorded_at_once(self, subject: MetricSink) -> None:
        """By a run of ten thousand nodes."""
        batch = [counter("a_total", 1, node=str(n % 100)) for n in range(10_000)]
        batch += [timer("b_seconds", 0.5, node=str(n % 100)) for n in range(10_000)]
        subject.record(batch)
        expected: dict[Key, Value] = {key("a_total", {"node": str(n)}): 100 for n in range(100)}
        self.check(subject, expected | {key("b_seconds", {"node": str(n)}): (100, 50.0) for n in range(100)})

    def test_many_series(self, subject: MetricSink) -> None:
        """A thousand values of a label are not few, but none is lost."""
        for begin in range(0, 1000, 100):
            subject.record([counter("a_total", n + 1, node=f"n{n}") for n in range(begin, begin + 100)])
        self.check(subject, {key("a_total", {"node": f"n{n}"}): n + 1 for n in range(1000)})

    def test_others_may_look_meanwhile(self, subject: MetricSink) -> None:
        """Exporting and flushing on other threads neither fails nor loses what is recorded."""
        over = threading.Event()

        def record() -> None:
            try:
                for n in range(3000):
                    subject.record([counter("a_total", 1, node=f"n{n}"), timer("b_seconds", 1)])
            finally:
                over.set()

        def look() -> None:
            while not over.is_set():
                subject.export()

        def send() -> None:
            while not over.is_set():
                subject.flush()

        before = sys.getswitchinterval()
        sys.setswitchinterval(1e-5)  # so that threads come in between each other's steps
        try:
            assert together(record, look, send) == [None, None, None]
        finally:
            sys.setswitchinterval(before)
        expected: dict[Key, Value] = {key("a_total", {"node": f"n{n}"}): 1 for n in range(3000)}
        self.check(subject, {**expected, key("b_seconds"): (3000, 3000)})

    def test_counters_are_never_seen_to_fall(self, subject: MetricSink) -> None:
        """By one who looks again and again while others record and flush."""
        over, seen = threading.Event(), list[float]()

        def record() -> None:
            try:
                for n in range(300):
                    subject.record([counter("a_total", 1)])
                    if n % 10 == 0:
                        subject.flush()
            finally:
                over.set()

        def look() -> None:
            while not over.is_set():
                value = self.read(subject).get(key("a_total"))
                if value is not None:
                    seen.append(cast("float", value))

        subject.record([counter("a_total", 1)])
        subject.flush()
        results = together(record, look)
        if any(isinstance(each, pytest.skip.Exception) for each in results):
            pytest.skip(f"declared: metric {self.component.__qualname__} cannot be read")
        assert results == [None, None]
        assert seen == sorted(seen)

    # --- secrets ----------------------------------------------------------------------------------------------------

    def test_no_option_that_is_secret_is_exported(self, place: Path) -> None:
        """Nor does it show in what is raised by recording and flushing, say because it is the wrong one."""
        secrets = [field for field in option_fields(self.component) if field.secret and "Secret" not in str(field.type)]
        with no_secret_in(PLANTED) as look:
            try:
                subject = self.component(**{**self.options(place), **{field.name: PLANTED for field in secrets}})
            except Exception as error:
                look(error)
                return
            calls: tuple[Callable[[], Any], ...] = (
                lambda: subject.record([counter("a_total", 1)]),
                lambda: look(json.dumps(subject.export())),
                subject.flush,
                subject.close,
            )
            for call in calls:
                try:
                    call()
                except Exception as error:
                    look(error)
            look(subject)


def _number(value: Any) -> float:
    """As :func:`odibi.testing.reference.metric.plain` wrote it."""
    return float(value)


def _try(subject: MetricSink, batch: Sequence[Measurement]) -> bool:
    """Record what the sink may refuse, in words; whether it took it."""
    error = _error_of(subject, batch)
    assert error is None or str(error).strip(), f"{type(error).__name__} does not say what is wrong"
    return error is None


def _error_of(subject: MetricSink, batch: Sequence[Measurement]) -> Exception | None:
    try:
        subject.record(batch)
    except Exception as error:
        return error
    return None


def _quietly(call: Callable[[], object]) -> None:
    with suppress(Exception):
        call()


def _returns(call: Callable[[], object], what: str) -> None:
    """The call comes to an end, with an error or without."""
    thread = threading.Thread(target=lambda: _quietly(call), daemon=True)
    thread.start()
    thread.join(PATIENCE)
    assert not thread.is_alive(), f"{what}, it does not return within {PATIENCE:g} s"


def _spoil(value: Any) -> None:
    """Empty all lists and mappings."""
    for each in list(value.values()) if isinstance(value, dict) else list(value) if isinstance(value, list) else []:
        _spoil(each)
    if isinstance(value, dict | list):
        value.clear()
