"""What it costs to know when a schedule fires next, and to know it of very many."""

from __future__ import annotations

import gc
import heapq
import random
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from importlib import import_module
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.contenders import is_installed
from benchmarks.figures import NOTHING, Report, Samples, Table, number, ratio
from benchmarks.settings import Settings, progress
from benchmarks.turns import in_turns

OURS, CRONITER, CRONSIM, APSCHEDULER = "odibi", "croniter", "cronsim", "APScheduler"
ZONE = "Europe/Berlin"
ZONES = (ZONE, "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe")
EXPRESSIONS = ("*/5 * * * *", "30 2 * * *", "0 9-17 * * mon-fri", "0 6 1 * *", "0 0 29 2 *")
BEGIN = datetime(2026, 5, 1, 7, 3, tzinfo=UTC)
Act = Callable[[], Any]


def measure(settings: Settings) -> Report:
    """The next fire of five expressions, and a heap of 100,000 schedules; with ``quick`` of 500."""
    report = Report("triggers")
    for needed in ("croniter", "odibi_triggers"):
        try:
            import_module(needed)
        except ImportError as error:
            table = Table("triggers", ["expression"])
            table.note(f"nothing is measured: {error}")
            report.tables.append(table)
            return report
    progress("triggers: the next fire")
    report.tables.append(_next_fires(report, *((20, 3) if settings.quick else (2000, 15))))
    count = 500 if settings.quick else 100_000
    progress(f"triggers: {count:,} schedules")
    report.tables.append(_many(report, count, 2 if settings.quick else 5))
    return report


def _next_fires(report: Report, calls: int, rounds: int) -> Table:
    peers = [who for who in (CRONITER, CRONSIM, APSCHEDULER) if is_installed(who.lower())]
    table = Table(
        f"triggers: the next fire in {ZONE}, us, median (minimum)",
        ["expression", OURS, *peers, *(f"{who} / {OURS}" for who in peers)],
    )
    for expression in EXPRESSIONS:
        found = in_turns(_contenders(expression, calls, peers), rounds)
        times = [f"{_per(found[who].median, calls)} ({_per(found[who].least, calls)})" for who in (OURS, *peers)]
        table.rows.append([expression, *times, *(ratio(found[who], found[OURS]) for who in peers)])
        for who, samples in found.items():
            report.raw.append({"expression": expression, "who": who, "calls": calls, "seconds": samples.seconds})
    for who in (CRONITER, CRONSIM, APSCHEDULER):
        if who not in peers:
            table.note(f"{who} is left out: it is not installed")
    table.note("each is asked for one fire after another; what is read of an expression once is not counted")
    table.note("to be: croniter takes at least 5 times as long")
    return table


def _contenders(expression: str, calls: int, peers: list[str]) -> dict[str, Act]:
    from croniter import croniter  # type: ignore[import-untyped]

    from odibi_triggers.cron import CronSchedule

    zone = ZoneInfo(ZONE)
    begin = BEGIN.astimezone(zone)
    schedule = CronSchedule(cron=expression, zone=ZONE)
    walk = croniter(expression, begin, ret_type=datetime)

    def ours() -> Any:
        moment: Any = BEGIN
        for _ in range(calls):
            # Rare fires leave the calendar soon.
            moment = schedule.next_after(moment) if moment.year < 2090 else BEGIN
        return moment

    def theirs() -> Any:
        moment = begin
        for _ in range(calls):
            moment = walk.get_next(start_time=moment) if moment.year < 2090 else begin
        return moment

    acts: dict[str, Act] = {OURS: ours, CRONITER: theirs}
    if CRONSIM in peers:
        from cronsim import CronSim

        def simulated() -> Any:
            moments, moment = CronSim(expression, begin), begin
            for _ in range(calls):
                if moment.year < 2090:
                    moment = next(moments)
                else:
                    moments, moment = CronSim(expression, begin), begin
            return moment

        acts[CRONSIM] = simulated
    if APSCHEDULER in peers:
        from apscheduler.triggers.cron import CronTrigger  # type: ignore[import-untyped]

        trigger = CronTrigger.from_crontab(expression, zone)

        def triggered() -> Any:
            moment = begin
            for _ in range(calls):
                later = moment + timedelta(microseconds=1)
                moment = trigger.get_next_fire_time(None, later) if moment.year < 2090 else begin
            return moment

        acts[APSCHEDULER] = triggered
    return acts


def _many(report: Report, count: int, rounds: int) -> Table:
    """Who is due first, of many; a heap knows at once, who asks all of them anew does not."""
    from croniter import croniter

    from odibi_triggers.cron import CronSchedule
    from odibi_triggers.cron_fields import compiled

    chance = random.Random(1)
    expressions = [f"{chance.randrange(60)} {chance.randrange(24)} * * {chance.randrange(7)}" for _ in range(count)]
    zones = [chance.choice(ZONES) for _ in range(count)]
    begins = {zone: BEGIN.astimezone(ZoneInfo(zone)) for zone in zones}
    schedules: list[CronSchedule] = []
    heap: list[tuple[Any, int]] = []

    def make() -> None:
        compiled.cache_clear()
        schedules[:] = [CronSchedule(cron=text, zone=zone) for text, zone in zip(expressions, zones, strict=True)]

    def build() -> None:
        heap[:] = [(it.next_after(BEGIN), at) for at, it in enumerate(schedules)]
        heapq.heapify(heap)

    def move() -> None:
        for _ in range(count):
            then, at = heap[0]
            heapq.heapreplace(heap, (schedules[at].next_after(then), at))

    sample = max(count // 20, 1)
    walks = [
        croniter(text, begins[zone], ret_type=datetime)
        for text, zone in zip(expressions[:sample], zones[:sample], strict=True)
    ]

    def scan() -> Any:
        return min(it.get_next(start_time=it.get_current(datetime), update_current=False) for it in walks)

    make()
    gc.freeze()
    try:
        acts: dict[str, Act] = {"make": make, "build": build, "scan": scan}
        found = in_turns(acts, rounds)
        build()
        found |= in_turns({"move": move}, rounds)
    finally:
        gc.unfreeze()
    for what, samples in found.items():
        report.raw.append({"many": what, "count": sample if what == "scan" else count, "seconds": samples.seconds})
    scanned = Samples(seconds=[it * count / sample for it in found["scan"].seconds])
    table = Table(f"triggers: {count:,} cron schedules in five zones", ["what", "s, median", "us each", "scan / this"])
    for what, samples in (
        ("make the schedules", found["make"]),
        ("build the heap", found["build"]),
        ("take the first and put it back, each once", found["move"]),
        ("croniter: ask all of them, for the first", scanned),
    ):
        beside = NOTHING if samples is scanned else ratio(scanned, samples)
        table.rows.append([what, number(samples.median), _per(samples.median, count), beside])
    table.note(f"the scan is of {sample:,} schedules, and its time taken {count // sample} times")
    return table


def _per(seconds: float, calls: int) -> str:
    return number(seconds / calls * 1e6)
