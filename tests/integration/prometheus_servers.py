"""Prometheus and its Pushgateway on loopback, for tests: ``apt-get install prometheus prometheus-pushgateway``."""

from __future__ import annotations

import json
import shutil
import socket
import subprocess
import time
import urllib.error
import urllib.parse
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

STARTED = 60.0


def program(name: str) -> str:
    """A program's path; a test that needs one that is not here is skipped."""
    found = shutil.which(name)
    if found is None:
        pytest.skip(f"{name} is not installed: apt-get install prometheus prometheus-pushgateway")
    return found


def free_port() -> int:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def until(holds: Callable[[], Any], what: str, patience: float = STARTED) -> Any:
    """What ``holds`` gives once it gives something; the other end may not answer yet."""
    deadline = time.monotonic() + patience
    while True:
        try:
            found = holds()
        except OSError:
            found = None
        if found:
            return found
        assert time.monotonic() < deadline, f"it did not come about that {what}"
        time.sleep(0.05)


def get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:
        text: str = answer.read().decode("utf-8")
        return text


@contextmanager
def running(log: Path, *command: str) -> Iterator[None]:
    with log.open("w") as out:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=out)
        try:
            yield
        finally:
            process.terminate()
            process.wait()


class Prometheus:
    """A Prometheus that runs."""

    def __init__(self, url: str) -> None:
        self.url = url

    def query(self, expression: str) -> list[dict[str, Any]]:
        """What an expression comes to now: a mapping a series, with ``metric`` and ``value``."""
        said = json.loads(get(f"{self.url}/api/v1/query?{urllib.parse.urlencode({'query': expression})}"))
        assert said["status"] == "success"
        found: list[dict[str, Any]] = said["data"]["result"]
        return found

    def firing(self) -> set[str]:
        """The alerts that fire."""
        alerts = json.loads(get(f"{self.url}/api/v1/alerts"))["data"]["alerts"]
        return {each["labels"]["alertname"] for each in alerts if each["state"] == "firing"}

    def targets(self) -> list[dict[str, Any]]:
        """What it scrapes, and how that goes."""
        found: list[dict[str, Any]] = json.loads(get(f"{self.url}/api/v1/targets"))["data"]["activeTargets"]
        return found


@contextmanager
def prometheus(folder: Path, target: str, rules: Path) -> Iterator[Prometheus]:
    """One that scrapes ``HOST:PORT`` four times a second, and knows the rules of a file."""
    server = program("prometheus")
    settings = folder / "prometheus.yml"
    settings.write_text(
        "global: {scrape_interval: 250ms, evaluation_interval: 250ms}\n"
        f"rule_files: [{json.dumps(str(rules))}]\n"
        f"scrape_configs: [{{job_name: odibi, static_configs: [{{targets: [{json.dumps(target)}]}}]}}]\n"
    )
    address = f"127.0.0.1:{free_port()}"
    command = (server, f"--config.file={settings}", f"--storage.tsdb.path={folder / 'tsdb'}")
    with running(folder / "prometheus.log", *command, f"--web.listen-address={address}"):
        until(lambda: get(f"http://{address}/-/ready"), "Prometheus started")
        yield Prometheus(f"http://{address}")


@contextmanager
def pushgateway(folder: Path) -> Iterator[str]:
    """The address of a Pushgateway."""
    server = program("prometheus-pushgateway")
    address = f"127.0.0.1:{free_port()}"
    with running(folder / "pushgateway.log", server, f"--web.listen-address={address}"):
        until(lambda: get(f"http://{address}/-/ready"), "the Pushgateway started")
        yield f"http://{address}"
