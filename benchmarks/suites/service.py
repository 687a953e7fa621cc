"""How late the service is: when very many schedules are due at once, and day in, day out; and what waiting costs."""

from __future__ import annotations

import json
import random
import subprocess
import sys
from datetime import UTC, datetime
from importlib import import_module
from statistics import median
from typing import Any
from zoneinfo import ZoneInfo

from benchmarks.contenders import is_installed
from benchmarks.crew import ROOT
from benchmarks.figures import NOTHING, Report, Samples, Table, number, ratio
from benchmarks.settings import Settings, progress
from benchmarks.turns import in_turns, shuffled

WHO = {"odibi": "odibi", "pool": "a heap and a thread pool", "apscheduler": "APScheduler"}
STORES = ("memory", "sqlite")
ZONES = ("Europe/Berlin", "America/New_York", "Asia/Kolkata", "UTC", "Australia/Lord_Howe")
BEGIN = datetime(2026, 5, 1, 7, 3, tzinfo=UTC)
SHARES = (0.5, 0.99, 1.0)


def measure(settings: Settings) -> Report:
    """10,000 due at once, 100,000 that are set, and services of 1,000 triggers; with ``quick`` of a few."""
    quick = settings.quick
    report = Report("service")
    report.tables.append(_due(report, *((200, 1) if quick else (10_000, 7))))
    for needed in ("odibi_triggers", "croniter"):
        if not is_installed(needed):
            table = Table("service", ["what"])
            table.note(f"nothing more is measured: '{needed}' is not installed")
            report.tables.append(table)
            return report
    progress("service: setting the moments of cron schedules")
    report.tables.append(_set(report, *((200, 1) if quick else (100_000, 5))))
    report.tables.append(_served(report, *((20, 1.5) if quick else (1_000, 30.0))))
    return report


# --- all at once ------------------------------------------------------------------------------------------------------


def _due(report: Report, count: int, rounds: int) -> Table:
    there = [who for who in WHO if who != "apscheduler" or is_installed(who)]
    found: dict[str, list[list[float]]] = {who: [] for who in there}
    for turn, order in enumerate(shuffled(there, rounds), 1):
        progress(f"service: {count:,} schedules due at once, {turn} of {rounds}")
        for who in order:
            found[who].append(_quantiles(_probe("due", who, count)))
    table = Table(
        f"service: {count:,} schedules due at once, ms from the moment to the start of the function",
        ["who", "p50 (least, most)", "p99", "last", "p50 / odibi"],
    )
    ours = median(halves for halves, *_ in found["odibi"])
    for who, rows in found.items():
        halves = [row[0] for row in rows]
        spread = f"{_ms(median(halves))} ({_ms(min(halves))} to {_ms(max(halves))})"
        others = [_ms(median(row[at] for row in rows)) for at in (1, 2)]
        table.rows.append([WHO[who], spread, *others, number(median(halves) / ours)])
        report.raw.append({"due": count, "who": who, "seconds": halves, "p50, p99, last": rows})
    if "apscheduler" not in there:
        table.note("APScheduler is left out: it is not installed")
    table.note(f"medians of {rounds} processes, each with ten threads, which have run something before")
    table.note(
        "odibi: the service's timers and dispatcher, each schedule in a lane of its own; the functions do nothing"
    )
    table.note("to be: APScheduler is at least 5 times as late in the median")
    return table


# --- very many --------------------------------------------------------------------------------------------------------


def _set(report: Report, count: int, rounds: int) -> Table:
    """Finding the first moment of all and setting them, beside asking all of them who is first."""
    from croniter import croniter  # type: ignore[import-untyped]

    from odibi.service.timers import Timers

    schedule_of: Any = import_module("odibi_triggers.cron").CronSchedule
    chance = random.Random(1)
    texts = [f"{chance.randrange(60)} {chance.randrange(24)} * * {chance.randrange(7)}" for _ in range(count)]
    zones = [chance.choice(ZONES) for _ in range(count)]
    schedules = [schedule_of(cron=text, zone=zone) for text, zone in zip(texts, zones, strict=True)]
    sample = max(count // 20, 1)
    begins = {zone: BEGIN.astimezone(ZoneInfo(zone)) for zone in ZONES}
    pairs = list(zip(texts, zones, strict=True))[:sample]
    walks = [croniter(text, begins[zone], ret_type=datetime) for text, zone in pairs]
    firsts = list(enumerate(it.next_after(BEGIN) for it in schedules))

    def fill() -> None:
        timers: Timers[int] = Timers()
        timers.fill((at, it.next_after(BEGIN)) for at, it in enumerate(schedules))

    def timers_alone() -> None:
        timers: Timers[int] = Timers()
        timers.fill(iter(firsts))

    def scan() -> None:
        min(it.get_next(start_time=it.get_current(datetime), update_current=False) for it in walks)

    found = in_turns({"fill": fill, "timers alone": timers_alone, "scan": scan}, rounds)
    for what, samples in found.items():
        size = sample if what == "scan" else count
        report.raw.append({"set": what, "count": size, "seconds": samples.seconds})
    scanned = Samples(seconds=[it * count / sample for it in found["scan"].seconds])
    table = Table(
        f"service: the moments of {count:,} cron schedules in five zones", ["what", "s", "us each", "scan / this"]
    )
    for what, samples in (
        ("ask all of them, and fill the timers", found["fill"]),
        ("fill the timers alone", found["timers alone"]),
        ("croniter: ask all of them for the first", scanned),
    ):
        beside = NOTHING if samples is scanned else ratio(scanned, samples)
        table.rows.append([what, number(samples.median), number(samples.median / count * 1e6), beside])
    table.note(f"the scan is of {sample:,} schedules, and its time taken {count // sample} times")
    table.note("to be: the scan takes at least 10 times as long as to ask and fill")
    return table


# --- a whole service --------------------------------------------------------------------------------------------------


def _served(report: Report, count: int, seconds: float) -> Table:
    table = Table(
        f"service: {count:,} intervals on one core, ms",
        [
            *("store", "intervals", "fires"),
            *(f"{what}, {which}" for what in ("thread", "node") for which in ("p50", "p99", "last")),
            *("CPU, %", "CPU a fire"),
        ],
    )
    for store in STORES:
        if store == "sqlite" and not is_installed("odibi_local"):
            table.note("sqlite is left out: 'odibi_local' is not installed")
            continue
        for least, most in ((seconds * 2 / 3, seconds * 2), (3600.0, 3601.0)):
            progress(f"service: {count:,} intervals of {number(least)} to {number(most)} s, {store}")
            found = _probe("serve", store, count, least, most, seconds)
            fires, share = len(found["dispatch"]), found["cpu"] / found["wall"]
            late = [_ms(each) for what in ("dispatch", "node") for each in _quantiles(found[what])]
            each = number(1e3 * found["cpu"] / fires) if fires else NOTHING
            intervals = f"{number(least)} to {number(most)} s"
            table.rows.append([store, intervals, f"{fires:,}", *late, number(100 * share), each])
            report.raw.append({"served": count, "store": store, "intervals": [least, most], **found})
    table.note(f"{seconds:g} s each; every trigger has a pipeline of its own, of one node that does nothing")
    table.note("thread: from the moment to when a thread of the service takes it up; node: to the call of its function")
    table.note("to be: thread, p99 below 20 ms; CPU below 2 % with hourly ones, which are spread over the hour")
    return table


def _probe(*arguments: object) -> Any:
    command = [sys.executable, "-m", "benchmarks.service_probe", *map(str, arguments)]
    return json.loads(subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True).stdout)


def _quantiles(seconds: list[float]) -> list[float]:
    found = sorted(seconds)
    return [found[min(len(found) - 1, int(len(found) * share))] if found else float("nan") for share in SHARES]


def _ms(seconds: float) -> str:
    return NOTHING if seconds != seconds else number(1e3 * seconds)
