"""A run is followed in a real browser: nodes change where they stand, and whatever a reader does stays."""

from __future__ import annotations

import re
import shutil
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

pytest.importorskip("odibi_story")
pytest.importorskip("playwright.sync_api")

sys.path.insert(0, str(Path(__file__).parents[1] / "odibi-story"))

from live_client import Gated, serving, until
from playwright.sync_api import sync_playwright

from odibi_story.places import FolderPlace
from odibi_story.record import RunStory
from odibi_story.shelf import Shelf

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no Chromium on this machine", allow_module_level=True)

STATE = """(name) => [...document.querySelectorAll("details.node")]
  .find((node) => node.querySelector("h3").textContent === name).dataset.state"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture
def opened(browser: Any) -> Callable[..., Any]:
    """Opens an address; at the end the console must be empty, and nobody else may have been asked."""

    @contextmanager
    def open_page(address: str, *, width: int = 1280, complains: bool = False, **options: Any) -> Iterator[Any]:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(60_000)
        tab = context.new_page()
        asked: set[str] = set()
        said: list[str] = []
        tab.on("request", lambda request: asked.add(urlsplit(request.url).netloc))
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.goto(address)
        yield tab
        context.close()
        assert asked == {urlsplit(address).netloc}
        assert complains or not said

    return open_page


def follows(tab: Any, words: str = "Following") -> None:
    """Wait until the page says so of itself."""
    until(lambda: tab.text_content("#follows") == words)


def states(tab: Any) -> list[str]:
    return [tab.evaluate(STATE, name) for name in ("one", "two", "three")]


def test_a_run_is_followed_to_its_failure_and_compared(opened, tmp_path) -> None:
    with Gated(tmp_path) as gated, serving(tmp_path / "stories") as served:
        gated.go("one", "two")
        gated.run()
        gated.stop("one", "two")
        (tmp_path / "break-two").touch()
        with opened(served.url) as tab:
            follows(tab)
            assert tab.locator("li.run").count() == 1
            assert not tab.locator(".bottom").is_visible(), "there is nothing to compare yet"
            runner = threading.Thread(target=gated.run)
            runner.start()

            # The run comes by itself, stands above those that are past, and is what would be compared.
            row = tab.locator("section.going li.run")
            row.wait_for()
            assert row.locator("[name=b]").is_checked()
            assert tab.locator("section.past li.run [name=a]").is_checked()
            row.locator("a").click()
            follows(tab)
            assert states(tab) == ["running", "waiting", "waiting"]

            # What a reader does meanwhile stays: a node that is open, a word that is typed, the focus.
            tab.locator("#d0 > summary").click()
            tab.locator("#find").fill("t")
            tab.evaluate("() => { window.kept = [document.querySelector('#d0'), document.querySelector('.box')] }")
            tone = tab.locator(".box").first
            assert "busy" in tone.get_attribute("class")
            gated.go("one")
            until(lambda: states(tab)[:2] == ["succeeded", "running"])
            until(lambda: "good" in tone.get_attribute("class"))
            assert tab.evaluate("() => window.kept.every((each) => each.isConnected) && window.kept[0].open")
            assert tab.evaluate("() => document.activeElement.id") == "find"
            assert tab.input_value("#find") == "t"

            # What fails is told at the top, and opened in the list.
            gated.go("two")
            alarm = tab.locator("section.card.alarm")
            alarm.wait_for()
            assert "the partner's file has no header" in alarm.text_content()
            until(lambda: tab.locator("#d1").evaluate("(node) => node.open"))
            follows(tab, "Over")
            assert states(tab) == ["succeeded", "failed", "skipped"]
            assert "Failed" in tab.text_content("#verdict")
            runner.join()

            tab.get_by_role("link", name="Compare with the run before").click()
            tab.wait_for_url(re.compile("/compare[?]"))
            assert "what changed in" in tab.text_content("main")


def test_what_failed_and_was_shut_stays_shut(opened, tmp_path) -> None:
    with Gated(tmp_path) as gated, serving(tmp_path / "stories") as served:
        (tmp_path / "break-one").touch()
        gated.go("one")
        with opened(served.url) as tab:
            runner = threading.Thread(target=gated.run)
            runner.start()
            tab.locator("li.run a").first.click()
            until(lambda: tab.locator("#d0").evaluate("(node) => node.open"))
            tab.locator("#d0 > summary").click()
            gated.go("aside")
            runner.join()
            follows(tab, "Over")
            assert not tab.locator("#d0").evaluate("(node) => node.open")


def test_what_was_chosen_and_typed_stays_when_runs_come(opened, tmp_path) -> None:
    with Gated(tmp_path) as gated, serving(tmp_path / "stories") as served:
        gated.go("one", "two")
        for _ in range(3):
            gated.run()
        with opened(served.url) as tab:
            follows(tab)
            rows = tab.locator("li.run")
            rows.nth(2).locator("[name=a]").check(force=True)
            chosen = tab.locator("[name=a]:checked").get_attribute("value")
            tab.locator("#runs").fill("nothing like it")
            gated.run()
            until(lambda: rows.count() == 4)
            assert tab.locator("[name=a]:checked").get_attribute("value") == chosen
            # What was not chosen follows the newest.
            until(lambda: rows.nth(0).locator("[name=b]").is_checked())
            until(lambda: not any(row.is_visible() for row in rows.all()))
            assert tab.evaluate("() => document.activeElement.id") == "runs"
            tab.locator("#runs").fill("daily succeeded")
            until(lambda: all(row.is_visible() for row in rows.all()))
            tab.locator(".bottom button").click()
            tab.wait_for_url(re.compile("/compare[?]"))


def test_a_server_that_comes_back_is_followed_on(opened, tmp_path) -> None:
    shelf = Shelf(FolderPlace(tmp_path / "stories"))
    shelf.put(RunStory("20260101T000000.000000-0000000a", "daily", "shop", "succeeded"))
    with ExitStack() as stack:
        with serving(tmp_path / "stories") as served:
            tab = stack.enter_context(opened(served.url, complains=True))
            follows(tab)
        follows(tab, "Not connected; trying again")
        shelf.put(RunStory("20260102T000000.000000-0000000b", "daily", "shop", "failed"))
        with serving(tmp_path / "stories", port=urlsplit(served.url).port or 0):
            follows(tab)
            until(lambda: tab.locator("li.run").count() == 2)


def test_the_token_is_asked_for_by_a_page(opened, tmp_path) -> None:
    with (
        serving(tmp_path / "stories", "to+ken") as served,
        opened(served.url, complains=True) as tab,
    ):
        tab.locator("[name=token]").fill("to+ken")
        tab.locator("form.token button").click()
        follows(tab)
        assert tab.url == served.url


def test_the_list_and_the_pages_are_read_without_a_script(opened, tmp_path) -> None:
    with Gated(tmp_path) as gated, serving(tmp_path / "stories") as served:
        gated.go("one", "two")
        gated.run()
        gated.run()
        with opened(served.url, java_script_enabled=False) as tab:
            tab.locator(".bottom button").click()
            assert "no node changed" in tab.text_content("main")
            tab.go_back()
            tab.locator("li.run a").first.click()
            assert "Succeeded" in tab.text_content("#verdict")


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [1280, 390])
def test_no_page_is_wider_than_its_window(opened, tmp_path, width, scheme) -> None:
    with Gated(tmp_path) as gated, serving(tmp_path / "stories") as served:
        gated.go("one", "two")
        gated.run()
        (tmp_path / "break-two").touch()
        gated.run()
        with opened(served.url, width=width, color_scheme=scheme, complains=True) as tab:
            hrefs = tab.locator("li.run a, nav a").evaluate_all("(links) => links.map((link) => link.href)")
            for target in [served.url, *hrefs, f"{served.url}nowhere"]:
                tab.goto(target)
                assert tab.evaluate("() => document.documentElement.scrollWidth <= innerWidth"), target
                ids = tab.evaluate("() => [...document.querySelectorAll('[id]')].map((each) => each.id)")
                assert len(ids) == len(set(ids))
