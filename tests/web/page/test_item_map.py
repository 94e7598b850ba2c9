"""The map of items, new items and the report, in a real browser."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.pages.chart import Line, LineChart
from nearfar.pages.page import Charts, Section, write_page
from tests.web.cases import Program
from tests.web.page.cases import (
    DESK,
    NEEDS_A_BROWSER,
    PHONE,
    Opened,
    eventually,
    expect,
    pick,
    picked,
    settled,
)

pytestmark = NEEDS_A_BROWSER
NEW = pl.DataFrame(
    {"item": [900, 901], "title": ["Star Cadets", "Toy Parade"], "genres": ["Comedy", "Drama"]}
)
MARKED = "new: placed by its features"
TRACES = "(n) => document.querySelector('.plot').data.at(n)"
PIXEL = """(item) => {
  const plot = document.querySelector(".plot");
  const { xaxis, yaxis } = plot._fullLayout;
  const { left, top } = plot.getBoundingClientRect();
  const traces = plot.data.slice(0, -1);
  for (const { x, y, customdata } of traces) {
    const at = customdata.indexOf(item);
    if (at >= 0) return [left + xaxis.l2p(x[at]), top + yaxis.l2p(y[at])];
  }
  return null;
}"""


@pytest.fixture(scope="module")
def extended(
    page_bundles: tuple[Path, Path, Path], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Program]:
    """PIA's model with two new items alone, and a report with a chart."""
    folder = tmp_path_factory.mktemp("extended")
    _, pia, split = page_bundles
    path = save_bundle(load_bundle(pia).with_new_items(NEW, exposure=100.0), folder / "pia")
    chart = LineChart("Loss", [Line("pia", [0, 1, 2], [3.0, 2.0, 1.5])])
    write_page(folder / "r.html", "Report: pia", ["A report."], [
        Section("one", "One", [Charts([chart])]), Section("two", "Two", ["The end."])
    ])  # fmt: skip
    arguments = ["--bundle", path, "--data", split, "--report", folder / "r.html", "--threads", "1"]
    with Program(*map(str, arguments)) as program:
        yield program


def open_items(page: Any) -> None:
    """Choose the tab of items, and wait for the map."""
    page.get_by_role("tab", name="Items").first.click()
    page.locator(".near .example").first.wait_for()
    settled_map(page)


def settled_map(page: Any) -> None:
    page.locator(".map[aria-busy]").first.wait_for(state="detached")


def names_of_picks(page: Any) -> list[str]:
    """What the trace of picks on the first map tells when pointed at."""
    return page.evaluate(f"({TRACES})(-1).hovertext")


def new_of(program: Program, picks: str) -> set[str]:
    """New items among the ten that are recommended for picks of an address."""
    items = re.findall(r"item=(\d+)", picks)
    told = program.post("/v1/recommend", {"items": items, "k": 10, "diversity": 1.0})
    return {str(each["item"]) for each in told["recommendations"] if each["new"]}


def history_that_brings_a_new_item(program: Program) -> str:
    """Picks for which a new item is recommended, as surprising as lists can be."""
    wanted = (f"?item={i}&surprise=1" for i in range(100, 148))
    return next(picks for picks in wanted if new_of(program, picks))


def test_the_tab_shows_items_by_genre_and_highlights_picks(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100&item=104") as opened:
        page = opened.go()
        settled(page)
        tabs = page.locator(".card").first.get_by_role("tab")
        assert tabs.all_text_contents() == ["Users", "Items"]
        open_items(page)
        told = served.get("/v1/map/items?model=plain").json()
        assert len(told["groups"]) == 4
        points = page.evaluate("document.querySelector('.plot').data.slice(0, -1).map(t => t.x)")
        by_group = [[e["x"] for e in told["items"] if e["group"] == g] for g in told["groups"]]
        assert points[1:5] == by_group
        assert points[0] == [e["x"] for e in told["items"] if e["group"] is None]
        assert names_of_picks(page) == ["Paper Moons (1979) · Drama", "Night Train (1991)"]
        legend = page.locator(".legend").first
        for text in [*told["groups"], "other or none", "your picks"]:
            expect(legend).to_contain_text(text)
        expect(page.locator(".where").first).to_contain_text("Nearest to Paper Moons (1979)")
        # The users' map is as it was, with the reader's point.
        page.get_by_role("tab", name="Users").first.click()
        expect(page.locator(".where").first).to_contain_text("You are nearest")
        opened.check()


def test_a_click_on_a_point_adds_the_item(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100", reduced_motion="reduce") as opened:
        page = opened.go()
        settled(page)
        open_items(page)
        told = served.get("/v1/map/items?model=plain").json()["items"]
        # One that no other point lies upon.
        far = lambda a: min(  # noqa: E731
            abs(a["x"] - b["x"]) + abs(a["y"] - b["y"]) for b in told if b is not a
        )
        index = max(range(len(told)), key=lambda i: far(told[i]) if told[i]["item"] != 100 else 0)
        x, y = page.evaluate(PIXEL, index)
        page.mouse.move(x - 1, y)
        page.mouse.move(x, y)
        name = told[index]["title"] or f"Item {told[index]['item']}"
        expect(page.locator(".hoverlayer text").first).to_contain_text(name[:20])
        page.mouse.click(x, y)
        expect(page.locator("#chips .chip")).to_have_count(2)
        assert picked(page)[1] == name
        eventually(page, lambda: len(names_of_picks(page)) == 2)
        assert page.url.count("item=") == 2
        opened.check()


def test_the_tabs_and_what_lies_near_work_by_keyboard(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100") as opened:
        page = opened.go()
        settled(page)
        tabs = page.locator(".card").first.get_by_role("tab")
        tabs.first.focus()
        page.keyboard.press("ArrowRight")
        expect(tabs.nth(1)).to_be_focused()
        expect(tabs.nth(1)).to_have_attribute("aria-selected", "true")
        near = page.locator(".near .example")
        near.first.wait_for()
        name = near.first.text_content()
        expect(page.locator(".plot").first).to_have_attribute(
            "aria-label", f"Map of the items of plain. Nearest to {picked(page)[0]} on the map: "
            f"{', '.join(near.all_text_contents())}."
        )  # fmt: skip
        page.keyboard.press("Tab")
        expect(near.first).to_be_focused()
        page.keyboard.press("Enter")
        expect(page.locator("#chips .chip")).to_have_count(2)
        assert picked(page)[1] == name
        assert page.evaluate("document.activeElement.dataset.role") == "near"
        tabs.nth(1).focus()
        page.keyboard.press("Home")
        expect(tabs.first).to_be_focused()
        expect(tabs.first).to_have_attribute("aria-selected", "true")
        opened.check()


def test_a_new_item_is_marked_wherever_it_is_shown(browser: Any, extended: Program) -> None:
    with Opened(browser, extended.url) as opened:
        page = opened.go()
        page.locator("#search").press_sequentially("star cad", delay=10)
        option = page.locator("#found > li").first
        expect(option).to_contain_text(MARKED)
        option.click()
        settled(page)
        chip = page.locator("#chips .chip").first
        expect(chip).to_contain_text(f"Star Cadets{MARKED}")
        open_items(page)
        expect(page.locator(".legend")).to_contain_text(MARKED)
        assert names_of_picks(page) == [f"Star Cadets · Comedy · {MARKED}"]
        picks = history_that_brings_a_new_item(extended)
        opened.go(picks)
        settled(page)
        rows = page.locator(".recommended > li:has(.new)")
        ids = {row.get_attribute("data-item") for row in rows.all()}
        assert ids == new_of(extended, picks)
        expect(rows.first.locator(".new")).to_have_text(MARKED)
        item = rows.first.get_attribute("data-item")
        rows.first.locator("button.title").click()
        dialog = page.get_by_role("dialog")
        expect(dialog.locator("[aria-busy]")).to_have_count(0)
        similar = extended.get(f"/v1/items/{item}/similar?k=10").json()["similar"]
        expect(dialog.locator("li .new")).to_have_count(sum(each["new"] for each in similar))
        opened.accessible()
        page.keyboard.press("Escape")
        opened.check()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_in_the_map_of_items(
    browser: Any, served: Program, scheme: str, viewport: dict[str, int]
) -> None:
    with Opened(
        browser, served.url, "?item=100&item=104", color_scheme=scheme, viewport=viewport,
        is_mobile=viewport is PHONE, reduced_motion="reduce",
    ) as opened:  # fmt: skip
        page = opened.go()
        settled(page)
        open_items(page)
        page.locator("summary").first.click()
        opened.accessible()
        opened.check()


def test_the_report_is_linked_and_works_as_it_is_written(
    browser: Any, extended: Program, served: Program
) -> None:
    with Opened(browser, served.url) as opened:
        expect(opened.go().locator("#report")).to_be_hidden()
    with Opened(browser, extended.url, "?item=100") as opened:
        page = opened.go()
        page.get_by_role("link", name="Report").click()
        expect(page.get_by_role("heading", name="Report: pia")).to_be_visible()
        expect(page.locator(".chart .main-svg").first).to_be_visible()
        page.get_by_role("link", name="Two").click()
        assert page.url == f"{extended.url}/report#two"
        assert page.evaluate("window.origin") == "null"  # reaches nothing of the page's
        opened.check()
        page.go_back()
        page.go_back()
        settled(page)
        assert picked(page) == ["Night Train (1991)"]


def test_without_a_split_the_map_of_items_is_there_all_the_same(
    browser: Any, page_bundles: tuple[Path, Path, Path]
) -> None:
    with (
        Program("--bundle", str(page_bundles[1]), "--threads", "1") as program,
        Opened(browser, program.url) as opened,
    ):
        page = opened.go()
        expect(page.get_by_role("tab")).to_have_text(["Items"])
        page.locator(".near .example").first.wait_for()
        expect(page.locator(".where")).to_contain_text("one of the most popular")
        pick(page, "harbour")
        settled(page)
        eventually(
            page, lambda: names_of_picks(page) == ["The Harbour (1988) · &lt;b&gt;War&lt;/b&gt;"]
        )
        opened.accessible()
        opened.check()
