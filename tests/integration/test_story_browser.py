"""Stories in a real browser: from disk, with and without a script, by keyboard, light and dark, narrow and wide."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("odibi_story")
pytest.importorskip("playwright.sync_api")

sys.path.insert(0, str(Path(__file__).parents[1] / "odibi-story"))

import made_records as made
from playwright.sync_api import sync_playwright

from odibi_story.comparing import compare
from odibi_story.html import comparison, page
from odibi_story.record import RunStory

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
if CHROMIUM is None:
    pytest.skip("there is no Chromium on this machine", allow_module_level=True)

RECORDS: dict[str, Callable[[], RunStory]] = {
    "quarantined": made.quarantined,
    "reused": made.reused,
    "failed": made.failed,
    "running": made.running,
    "hostile": made.hostile,
    "many": made.many,
}

WORST = """() => {
  // Relative luminance and contrast as WCAG 2.2 defines them.
  const linear = (value) => (value <= 0.03928 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4);
  const channel = (value) => linear(value / 255);
  const parse = (colour) => (colour.match(/[\\d.]+/g) || []).map(Number);
  const light = ([r, g, b]) => 0.2126 * channel(r) + 0.7152 * channel(g) + 0.0722 * channel(b);
  const behind = (element) => {
    for (let at = element; at; at = at.parentElement) {
      const face = at.matches("a.box, a.bar") && at.querySelector(".face");
      if (face) return parse(getComputedStyle(face).fill);
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length === 3) return colour;
    }
    return [255, 255, 255];
  };
  const worst = [];
  const texts = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let text = texts.nextNode(); text; text = texts.nextNode()) {
    const element = text.parentElement;
    if (!text.data.trim() || !element.checkVisibility() || element.closest("script, style, title, option")) continue;
    const style = getComputedStyle(element);
    const front = parse(element instanceof SVGElement ? style.fill : style.color).slice(0, 3);
    const [one, other] = [light(front), light(behind(element))].sort((a, b) => b - a);
    worst.push([(one + 0.05) / (other + 0.05), element.outerHTML.slice(0, 160)]);
  }
  worst.sort((a, b) => a[0] - b[0]);
  return { number: worst.length, least: worst[0] };
}"""

NAMELESS = """() => [...document.querySelectorAll("a, button, input, select, summary, [tabindex='0']")]
  .filter((each) => each.checkVisibility())
  .filter((each) => !(each.getAttribute("aria-label") || each.textContent.trim()
    || (each.labels && [...each.labels].some((label) => label.textContent.trim()))))
  .map((each) => each.outerHTML.slice(0, 160))"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield started
        started.close()


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("stories of runs")
    texts = {name: page(record()) for name, record in RECORDS.items()}
    texts["comparison"] = comparison(compare(made.quarantined(), made.failed()))
    texts["comparison of hostile"] = comparison(compare(made.failed(), made.hostile()))
    for name, text in texts.items():
        (folder / f"{name}.html").write_text(text, "utf-8")
    return {name: (folder / f"{name}.html").as_uri() for name in texts}


@pytest.fixture
def opened(browser: Any, files: dict[str, str]) -> Callable[..., Any]:
    """Opens a page; at the end the console must be empty, nothing asked of anybody, and nobody else's script run."""

    @contextmanager
    def open_page(name: str, *, width: int = 1280, fragment: str = "", **options: Any) -> Iterator[Any]:
        context = browser.new_context(viewport={"width": width, "height": 900}, **options)
        context.set_default_timeout(60_000)
        tab = context.new_page()
        asked: list[str] = []
        said: list[str] = []
        tab.on("request", lambda request: asked.append(request.url))
        tab.on("console", lambda message: said.append(message.text))
        tab.on("pageerror", lambda error: said.append(str(error)))
        tab.on("dialog", lambda dialog: (said.append(dialog.message), dialog.dismiss()))
        tab.goto(files[name] + fragment)
        yield tab
        if options.get("java_script_enabled", True):
            assert tab.evaluate("typeof window.hurt") == "undefined"
        context.close()
        assert said == []
        assert {each.partition("#")[0] for each in asked if not each.startswith("data:")} == {files[name]}

    return open_page


EVERY = [*RECORDS, "comparison", "comparison of hostile"]


@pytest.mark.parametrize("name", EVERY)
@pytest.mark.parametrize("width", [390, 1280])
def test_it_fits_in_its_width(opened: Callable[..., Any], name: str, width: int) -> None:
    with opened(name, width=width) as tab:
        if name not in ("many", "comparison of hostile") and tab.locator("#all").count():
            tab.click("#all")
        assert tab.evaluate("document.documentElement.scrollWidth") <= width


@pytest.mark.parametrize("name", [name for name in EVERY if name != "many"])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_text_can_be_told_from_what_is_behind_it(opened: Callable[..., Any], name: str, scheme: str) -> None:
    with opened(name, color_scheme=scheme) as tab:
        if tab.locator("#all").count():
            tab.click("#all")
        found = tab.evaluate(WORST)
        assert found["number"] > 20
        assert found["least"][0] >= 4.5, found["least"]


@pytest.mark.parametrize("name", EVERY)
def test_whatever_takes_the_focus_has_a_name_and_ids_stay_unique(opened: Callable[..., Any], name: str) -> None:
    with opened(name) as tab:
        if name != "many" and tab.locator("#all").count():
            tab.click("#all")
        assert tab.evaluate(NAMELESS) == []
        ids = tab.evaluate("[...document.querySelectorAll('[id]')].map((each) => each.id)")
        assert len(ids) == len(set(ids))


def test_all_of_it_can_be_read_without_a_script(opened: Callable[..., Any]) -> None:
    with opened("quarantined", java_script_enabled=False) as tab:
        assert tab.locator("form.filter").is_hidden()
        sql = tab.locator("#n1 .steps pre", has_text="CAST(amount AS DOUBLE)")
        assert sql.is_hidden()
        tab.click("#d1 > summary")
        sql.wait_for(state="visible")
        assert tab.locator("#n1 .grid").count() == 2


def test_without_a_script_a_link_opens_what_it_leads_to(opened: Callable[..., Any]) -> None:
    with opened("quarantined", java_script_enabled=False) as tab:
        tab.locator("svg.graph a.box").nth(1).click()
        tab.locator("#n1 .steps").wait_for(state="visible")


def test_a_node_is_opened_by_keyboard(opened: Callable[..., Any]) -> None:
    with opened("quarantined") as tab:
        assert tab.locator("#n0 section").count() == 0
        tab.locator("#d0 > summary").focus()
        tab.keyboard.press("Enter")
        tab.locator("#n0 section").first.wait_for(state="visible")
        tab.keyboard.press("Enter")
        tab.locator("#n0 section").first.wait_for(state="hidden")


def test_a_box_of_the_graph_is_reached_by_keyboard_and_shows_what_hangs_on_it(opened: Callable[..., Any]) -> None:
    with opened("failed") as tab:
        tab.locator("#find").focus()
        for _ in range(60):
            tab.keyboard.press("Shift+Tab")
            if tab.evaluate("document.activeElement?.matches('a.box')"):
                break
        assert tab.locator("svg.graph.looking").count() == 1
        lit = tab.locator("a.box.lit title").all_text_contents()
        assert {each.partition(":")[0] for each in lit} == {"export", "totals", "orders", "raw_orders"}
        tab.keyboard.press("Enter")
        tab.locator("#d7 > summary:focus").wait_for()
        assert tab.locator("#d7").get_attribute("open") == ""


def test_a_bar_of_the_timeline_opens_its_node(opened: Callable[..., Any]) -> None:
    with opened("failed") as tab:
        tab.locator("a.bar", has_text="totals").first.click()
        tab.locator("#n5 .steps").wait_for(state="visible")


def test_an_address_with_a_node_opens_it(opened: Callable[..., Any]) -> None:
    with opened("quarantined", fragment="#n1") as tab:
        tab.locator("#n1 .rules").wait_for(state="visible")


def visible_nodes(tab: Any) -> list[str]:
    return tab.locator("details.node:visible h3").all_text_contents()


def test_the_list_is_filtered_by_what_nodes_say_inside(opened: Callable[..., Any]) -> None:
    with opened("failed") as tab:
        everything = visible_nodes(tab)
        tab.keyboard.press("/")
        tab.keyboard.type("sum(amount)")
        tab.locator("#found", has_text="1 of 8 nodes").wait_for()
        assert visible_nodes(tab) == ["totals"]
        tab.keyboard.press("Escape")
        assert visible_nodes(tab) == everything


def test_the_list_is_filtered_by_outcome_and_put_in_order(opened: Callable[..., Any]) -> None:
    with opened("failed") as tab:
        tab.click(".chip[data-show=skipped]")
        assert visible_nodes(tab) == ["report", "mail"]
        tab.click(".chip[data-show=failed]")
        assert visible_nodes(tab) == ["by_region", "report", "mail"]
        tab.click(".counts a[data-state=cancelled]")
        assert visible_nodes(tab) == ["export"]
        tab.click(".chip[data-show=cancelled]")
        tab.select_option("#order", "slow")
        assert visible_nodes(tab)[:3] == ["by_region", "totals", "orders"]
        tab.select_option("#order", "graph")
        assert visible_nodes(tab)[:2] == ["raw_orders", "orders"]


def test_colours_are_chosen_and_remembered(opened: Callable[..., Any]) -> None:
    colour = "getComputedStyle(document.documentElement).backgroundColor"
    with opened("reused", color_scheme="light") as tab:
        light = tab.evaluate(colour)
        tab.locator("#theme-dark").check(force=True)
        dark = tab.evaluate(colour)
        assert dark != light
        tab.reload()
        assert tab.evaluate(colour) == dark


def test_the_command_is_copied(opened: Callable[..., Any]) -> None:
    with opened("failed", permissions=["clipboard-read", "clipboard-write"]) as tab:
        tab.click("[data-copy]")
        tab.get_by_text("Copied").wait_for()
        copied = tab.evaluate("navigator.clipboard.readText()")
        assert copied == "cd '/srv/sales data' && odibi run odibi.yaml --pipeline silver"


def test_on_paper_there_is_what_was_open_and_nothing_to_press(opened: Callable[..., Any]) -> None:
    with opened("failed", color_scheme="dark") as tab:
        tab.emulate_media(media="print")
        assert tab.locator("form.filter").is_hidden()
        assert tab.locator(".themes").is_hidden()
        assert tab.locator("#n3 .message").first.is_visible()
        assert tab.evaluate("getComputedStyle(document.querySelector('.card')).backgroundColor") == "rgb(255, 255, 255)"


def test_a_thousand_nodes_can_be_gone_through(opened: Callable[..., Any]) -> None:
    with opened("many") as tab:
        assert tab.locator("details.node").count() == 1000
        group = tab.locator("a.box.many").first
        name = group.locator("title").text_content()
        group.click()
        tab.locator("#found", has_text="of 1000 nodes").wait_for()
        shown = tab.evaluate("[...document.querySelectorAll('details.node:not([hidden])')].length")
        assert f"{shown} nodes" in name
        assert 1 < shown < 1000
        tab.keyboard.press("Escape")
        assert tab.evaluate("document.querySelectorAll('details.node[hidden]').length") == 0


def test_a_live_page_may_replace_its_parts(opened: Callable[..., Any]) -> None:
    with opened("failed") as tab:
        tab.click(".chip[data-show=skipped]")
        tab.evaluate("""() => {
          document.getElementById("d0").dataset.state = "skipped";
          document.dispatchEvent(new Event("odibi:changed"));
        }""")
        assert visible_nodes(tab) == ["raw_orders", "report", "mail"]
