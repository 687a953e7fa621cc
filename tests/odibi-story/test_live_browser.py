"""A run is followed in a real browser: nodes change where they stand, and whatever a reader does stays."""

from __future__ import annotations

import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from odibi.run.dispatch import settle

sys.path.insert(0, str(Path(__file__).parent))

from chromium import Browser, browser
from live_client import GATED, PROJECT, serving, until

SHOTS = [(1280, 900, False), (1280, 900, True), (390, 844, False), (390, 844, True)]


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser() as found:
        yield found


def state(page: Browser, node: str) -> str:
    """The state of a node as the list says it."""
    script = """
    const named = (node) => node.querySelector("h3").textContent === arguments[0];
    return [...document.querySelectorAll("details.node")].find(named).dataset.state;
    """
    return str(page.run(script, node))


def test_a_run_that_is_followed_and_compared(chromium, load, tmp_path) -> None:
    project = load(PROJECT, GATED)
    for name in ("one", "two"):
        (tmp_path / f"go-{name}").touch()
    assert project.run().ok
    assert not settle(30)
    (tmp_path / "go-one").unlink()
    (tmp_path / "go-two").unlink()
    (tmp_path / "break-two").touch()
    served = serving(tmp_path / "stories")
    runner = threading.Thread(target=lambda: project.run(force=True, check=False))
    page = chromium
    try:
        page.open(served.url)
        until(lambda: page.one("#follows").text == "Following")
        assert len(page.all("li.run")) == 1
        assert not page.one(".bottom").is_displayed()
        runner.start()

        # The run appears by itself, and stands above those that are past.
        link = until(lambda: page.all("section.going li.run a"))[0]
        assert page.one("section.going li.run .choose [name=b]").is_selected()
        assert page.one("section.past li.run .choose [name=a]").is_selected()
        link.click()
        until(lambda: page.one("#follows").text == "Following")
        assert [state(page, name) for name in ("one", "two", "three")] == ["running", "waiting", "waiting"]

        # What a reader does meanwhile stays: a node that is open, a word that is typed, the focus.
        page.one("#d0 > summary").click()
        page.run("window.kept = document.querySelector('#d0'); document.getElementById('find').focus()")
        page.one("#find").send_keys("t")
        box = "return document.querySelector('.box[data-box=\"0\"]')"
        page.run(f"{box.replace('return', 'window.box =')}")
        assert "busy" in page.run(f"{box}.getAttribute('class')")

        (tmp_path / "go-one").touch()
        until(lambda: state(page, "one") == "succeeded")
        until(lambda: "good" in page.run(f"{box}.getAttribute('class')"))
        until(lambda: state(page, "two") == "running")
        assert page.run("return window.kept.isConnected && window.kept.open && window.box.isConnected")
        assert page.run("return document.activeElement.id") == "find"
        assert page.one("#find").get_attribute("value") == "t"

        # What fails is told at the top, and opened in the list; shut once, it stays shut.
        (tmp_path / "go-two").touch()
        until(lambda: page.all("section.alarm"))
        assert "the partner's file has no header" in page.one("section.card.alarm .message").text
        until(lambda: page.run("return document.querySelector('#d1').open"))
        until(lambda: page.one("#follows").text == "Over")
        assert "failed" in page.one("#verdict").text.lower()
        assert state(page, "three") == "skipped"
        runner.join()

        # From one run to what changed since the one before.
        page.driver.find_element("link text", "Compare with the run before").click()
        until(lambda: "/compare?" in page.driver.current_url)
        assert "two" in page.one("main").text
        assert not page.problems()
    finally:
        for name in ("one", "two"):
            (tmp_path / f"go-{name}").touch()
        if runner.ident is not None:
            runner.join()
        served.close()


def test_what_was_chosen_and_typed_stays_when_runs_come(chromium, load, tmp_path) -> None:
    project = load(PROJECT, GATED)
    for name in ("one", "two"):
        (tmp_path / f"go-{name}").touch()
    for _ in range(3):
        assert project.run(force=True).ok
    assert not settle(30)
    served = serving(tmp_path / "stories")
    page = chromium
    try:
        page.open(served.url)
        until(lambda: page.one("#follows").text == "Following")
        rows = page.all("li.run")
        page.run("arguments[0].click()", rows[2].find_element("css selector", "[name=a]"))
        chosen = page.one("[name=a]:checked").get_attribute("value")
        page.one("#runs").send_keys("nothing like it")
        assert project.run(force=True).ok
        until(lambda: len(page.all("li.run")) == 4)
        assert page.one("[name=a]:checked").get_attribute("value") == chosen
        newest = page.all("li.run")[0].find_element("css selector", "[name=b]")
        assert newest.is_selected(), "what was not chosen follows the newest"
        assert not [row for row in page.all("li.run") if row.is_displayed()]
        assert page.run("return document.activeElement.id") == "runs"
        for _ in range(len("nothing like it")):
            page.one("#runs").send_keys("\b")
        until(lambda: all(row.is_displayed() for row in page.all("li.run")))
        page.one(".bottom button").click()
        until(lambda: "/compare?" in page.driver.current_url)
        assert not page.problems()
    finally:
        served.close()
    assert not settle(30)


def test_a_server_that_comes_back_is_followed_on(chromium, load, tmp_path) -> None:
    from odibi_story.live.addresses import address_of
    from odibi_story.live.answers import Answers
    from odibi_story.live.followed import Pages
    from odibi_story.live.gate import Gate
    from odibi_story.live.runs import Runs
    from odibi_story.live.server import Server
    from odibi_story.places import FolderPlace
    from odibi_story.record import RunStory
    from odibi_story.shelf import Shelf

    shelf = Shelf(FolderPlace(tmp_path / "stories"))
    shelf.put(RunStory("20260101T000000.000000-0000000a", "daily", "shop", "succeeded"))
    served = serving(tmp_path / "stories")
    page = chromium
    try:
        page.open(served.url)
        until(lambda: page.one("#follows").text == "Following")
        port = int(served.url.rstrip("/").rpartition(":")[2])
        served.close()
        until(lambda: page.one("#follows").text == "Not connected; trying again")
        shelf.put(RunStory("20260102T000000.000000-0000000b", "daily", "shop", "failed"))
        address = address_of("127.0.0.1", port)
        served = Server(Answers(Pages(Runs(shelf))), address, Gate(address, None))
        until(lambda: page.one("#follows").text == "Following")
        until(lambda: len(page.all("li.run")) == 2)
    finally:
        served.close()
        page.problems()


def test_the_token_is_asked_for_by_a_page(chromium, tmp_path) -> None:
    served = serving(tmp_path / "stories", "to+ken")
    page = chromium
    try:
        page.open(served.url)
        page.one("[name=token]").send_keys("to+ken")
        page.one("form.token button").click()
        until(lambda: page.all("#follows[data-events]"))
        assert page.driver.current_url == served.url
        until(lambda: page.one("#follows").text == "Following")
    finally:
        served.close()
        page.problems()


@pytest.mark.parametrize(("width", "height", "dark"), SHOTS)
def test_no_page_is_wider_than_its_window(chromium, load, tmp_path, width, height, dark) -> None:
    project = load(PROJECT, GATED)
    for name in ("one", "two"):
        (tmp_path / f"go-{name}").touch()
    for name in ("x", "break-two"):
        (tmp_path / name).touch()
        project.run(force=True, check=False)
    assert not settle(30)
    served = serving(tmp_path / "stories")
    page = chromium
    try:
        page.size(width, height, dark=dark)
        page.open(served.url)
        targets = [page.one("main").get_property("baseURI"), *(e.get_attribute("href") for e in page.all("li.run a"))]
        for target in [*targets, served.url + "nowhere"]:
            page.open(target)
            assert page.run("return document.documentElement.scrollWidth <= innerWidth"), target
            ids = page.run("return [...document.querySelectorAll('[id]')].map(e => e.id)")
            assert len(ids) == len(set(ids))
    finally:
        page.size(1280, 900)
        page.problems()
        served.close()
