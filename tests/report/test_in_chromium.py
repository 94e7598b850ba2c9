"""The page in a real browser: drawn, silent, readable in the dark, on a phone, by keyboard."""

from __future__ import annotations

import importlib.util
import io
import re
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nearfar.maps.atlas import Atlas
from nearfar.maps.drawing import draw
from nearfar.report.page import write_report
from tests.report.cases import report
from tests.waiting import PATIENCE

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(
        importlib.util.find_spec("playwright") is None, reason="playwright is not installed"
    ),
    pytest.mark.skipif(CHROMIUM is None, reason="there is no Chromium on this machine"),
]

DESK = {"width": 1280, "height": 900}
PHONE = {"width": 390, "height": 844}
MILLISECONDS = 1000 * PATIENCE
DRAWN = "() => [...document.querySelectorAll('.chart')].every(c => c.querySelector('.main-svg'))"
CONTRASTS = """() => {
  const channel = (v) => (v /= 255) <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4;
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = (c) => .2126 * channel(c[0]) + .7152 * channel(c[1]) + .0722 * channel(c[2]);
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const c = parse(getComputedStyle(e).backgroundColor);
      if (c.length < 4 || c[3] > 0) return c;
    }
    return [255, 255, 255];
  };
  const told = [];
  const of = (element, colour) => {
    const [a, b] = [light(parse(colour)), light(behind(element))].sort((x, y) => y - x);
    told.push([(a + .05) / (b + .05), element.tagName, element.textContent.slice(0, 40)]);
  };
  document.querySelectorAll("h1, h2, h3, p, li, th, td, a, summary, caption, figcaption, pre")
    .forEach((e) => of(e, getComputedStyle(e).color));
  document.querySelectorAll(".chart text").forEach((e) => of(e, getComputedStyle(e).fill));
  return told.filter((each) => each[0] < 4.5);
}"""


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(
            executable_path=CHROMIUM, args=["--no-sandbox", "--disable-gpu"]
        )
        yield started
        started.close()


@pytest.fixture(scope="module")
def page_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("chromium") / "report.html"
    write_report(report(), path)
    return path


class Opened:
    """A page opened from disk, and all that it asked for or complained of."""

    def __init__(self, browser: Any, path: Path, **context: Any) -> None:
        self.context = browser.new_context(viewport=context.pop("viewport", DESK), **context)
        self.page = self.context.new_page()
        self.page.set_default_timeout(MILLISECONDS)
        self.asked: list[str] = []
        self.complaints: list[str] = []
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("console", self._heard)
        self.page.goto(path.as_uri())
        self.page.wait_for_function(DRAWN)

    def _heard(self, message: Any) -> None:
        if message.type in ("error", "warning"):
            self.complaints.append(message.text)

    def __enter__(self) -> Opened:
        return self

    def __exit__(self, *_: object) -> None:
        self.context.close()


def check(opened: Opened) -> None:
    """What holds of every page in every light and on every screen."""
    assert opened.complaints == []
    assert {url.partition(":")[0] for url in opened.asked} <= {"file", "data", "blob"}
    page = opened.page
    assert page.evaluate(CONTRASTS) == []
    width = page.evaluate("document.documentElement.clientWidth")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    empty = page.evaluate(
        "() => [...document.querySelectorAll('.chart')].filter(c => "
        "!c.querySelector('.points path, .lines path, .bars path, .point path, canvas'))"
        ".map(c => c.id)"
    )
    assert empty == []


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_every_chart_is_drawn_and_all_can_be_read(
    browser, page_file: Path, scheme: str, viewport: dict
) -> None:
    phone = viewport is PHONE
    with Opened(
        browser, page_file, color_scheme=scheme, viewport=viewport, has_touch=phone, is_mobile=phone
    ) as opened:
        check(opened)
        paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
        charts = opened.page.evaluate(
            "() => [...document.querySelectorAll('.chart')].map(c => "
            "[c.clientWidth, c.querySelector('.main-svg').clientWidth])"
        )
        assert len(charts) > 20
        assert all(abs(box - drawn) <= 1 and box >= 250 for box, drawn in charts)


def test_what_is_seen_is_not_blank(browser, page_file: Path) -> None:
    """Pixels: a page, and each chart of it, may be complete in the DOM and still show nothing."""
    from matplotlib.image import imread

    def colours(picture: bytes) -> np.ndarray:
        """How many pixels have each colour that is there, most first."""
        pixels = (imread(io.BytesIO(picture), "png")[..., :3] * 255).astype(np.uint32)
        packed = pixels[..., 0] << 16 | pixels[..., 1] << 8 | pixels[..., 2]
        return np.sort(np.unique(packed, return_counts=True)[1])[::-1]

    for scheme in ("light", "dark"):
        with Opened(browser, page_file, color_scheme=scheme) as opened:
            seen = colours(opened.page.screenshot())
            assert len(seen) > 100
            assert seen[0] < 0.98 * seen.sum()  # not all is paper
            for chart in opened.page.query_selector_all(".chart"):
                seen = colours(chart.screenshot())
                name = chart.get_attribute("id")
                assert len(seen) > 20, name
                assert 1 - seen[0] / seen.sum() > 0.002, name


def test_charts_follow_the_scheme_when_it_changes(browser, page_file: Path) -> None:
    with Opened(browser, page_file, color_scheme="light") as opened:
        ink = "getComputedStyle(document.querySelector('#map-2 .legendtext')).fill"
        before = opened.page.evaluate(ink)
        opened.page.emulate_media(color_scheme="dark")
        opened.page.wait_for_function(f"{ink} !== {before!r}")
        check(opened)
        crosses = opened.page.evaluate(
            "document.getElementById('map-2').data.filter(t => t.meta === 'ink')[0].marker.color"
        )
        assert crosses == opened.page.evaluate("getComputedStyle(document.body).color")


def test_the_keyboard_reaches_the_content_and_every_section(browser, page_file: Path) -> None:
    with Opened(browser, page_file) as opened:
        page = opened.page
        page.keyboard.press("Tab")
        focused = "document.activeElement.getAttribute('href')"
        assert page.evaluate(focused) == "#content"
        box = page.evaluate("document.activeElement.getBoundingClientRect().x")
        assert box >= 0  # seen once it has the focus
        reached = []
        for _ in range(8):
            page.keyboard.press("Tab")
            reached.append(page.evaluate(focused))
        sections = page.evaluate("[...document.querySelectorAll('section')].map(s => s.id)")
        assert reached == [f"#{name}" for name in sections]
        page.keyboard.press("Enter")
        page.wait_for_function("location.hash === '#reproduce'")
        page.evaluate("document.activeElement.blur(); scrollTo(0, 0)")
        page.keyboard.press("Tab")
        page.evaluate("document.querySelector('.skip').focus()")
        page.keyboard.press("Enter")
        page.wait_for_function("document.activeElement.id === 'content'")


def test_titles_are_shown_as_they_are_and_nothing_in_them_runs(browser, page_file: Path) -> None:
    with Opened(browser, page_file) as opened:
        page = opened.page
        names = page.evaluate(
            "() => [...document.querySelectorAll('#training-1 .legendtext')].map(e => "
            "e.textContent)"
        )
        assert names == ["plain", "pia <img src=x onerror=alert(1)>"]
        dots = (
            "() => [...document.querySelectorAll('#quality-1 .ytick text')].map(e => e.textContent)"
        )
        assert page.evaluate(dots)[:3] == ["pop", "ease", "plain"]
        assert page.evaluate("document.querySelectorAll('.chart img, .chart a[href]').length") == 0


def test_pointing_at_a_user_tells_of_the_history(browser, page_file: Path) -> None:
    with Opened(browser, page_file) as opened:
        page = opened.page
        page.evaluate("document.getElementById('map-1').scrollIntoView()")
        page.evaluate("Plotly.Fx.hover('map-1', [{curveNumber: 0, pointNumber: 0}])")
        told = page.text_content("#map-1 .hoverlayer")
        assert re.search(r"\d+ interactions", told or "")
        assert "Film" in (told or "")


def test_a_cohort_is_hidden_in_all_maps(browser, page_file: Path) -> None:
    with Opened(browser, page_file) as opened:
        page = opened.page
        page.evaluate("document.getElementById('map-1').scrollIntoView()")
        page.locator("#map-1 .legendtoggle").first.click()
        hidden = "['map-1', 'map-2'].map(m => document.getElementById(m).data[0].visible)"
        page.wait_for_function(f"{hidden}.every(v => v === 'legendonly')")
        page.locator("#map-2 .legendtoggle").first.click()
        page.wait_for_function(f"{hidden}.every(v => v === true)")


def test_maps_fill_the_width_and_names_of_anchors_are_seen(browser, tmp_path: Path) -> None:
    atlas = report().atlas
    assert isinstance(atlas, Atlas)
    draw(replace(atlas, maps=atlas.maps[1:]), tmp_path / "maps.html")
    for viewport in (DESK, PHONE):
        with Opened(browser, tmp_path / "maps.html", viewport=viewport) as opened:
            width = opened.page.evaluate("document.querySelector('main').clientWidth")
            plot = opened.page.evaluate(
                "document.querySelector('.nsewdrag').getBoundingClientRect().width"
            )
            assert plot > 0.95 * width
            names = opened.page.evaluate(
                "[...document.querySelectorAll('.textpoint text')].map(e => e.textContent)"
            )
            assert len([name for name in names if name]) >= 3


def test_it_prints_light_and_within_the_paper(browser, page_file: Path) -> None:
    with Opened(browser, page_file, color_scheme="dark") as opened:
        page = opened.page
        page.evaluate("window.dispatchEvent(new Event('beforeprint'))")
        widths = page.evaluate(
            "() => [...document.querySelectorAll('.chart .main-svg')].map(s => s.clientWidth)"
        )
        assert max(widths) <= 340
        ink = "getComputedStyle(document.querySelector('#map-2 .legendtext')).fill"
        assert page.evaluate(ink) == "rgb(31, 35, 40)"
        page.evaluate("window.dispatchEvent(new Event('afterprint'))")
        assert page.evaluate(ink) == "rgb(230, 230, 230)"
        check(opened)
        assert page.pdf().startswith(b"%PDF")
        assert opened.complaints == []


def test_the_page_of_maps_holds_the_same(browser, tmp_path: Path) -> None:
    atlas = report().atlas
    assert isinstance(atlas, Atlas)
    draw(atlas, tmp_path / "maps.html")
    for scheme in ("light", "dark"):
        with Opened(browser, tmp_path / "maps.html", color_scheme=scheme, viewport=PHONE) as opened:
            check(opened)


def test_webgl_draws_many_users(browser, tmp_path: Path, monkeypatch) -> None:
    """WebGL compiles code, which the page's policy has to allow."""
    monkeypatch.setattr("nearfar.pages.plotly.WEBGL_POINTS", 10)
    atlas = report().atlas
    assert isinstance(atlas, Atlas)
    draw(atlas, tmp_path / "maps.html")
    with Opened(browser, tmp_path / "maps.html") as opened:
        refused = [c for c in opened.complaints if "Content Security Policy" in c]
        assert not refused
        assert opened.page.evaluate("document.querySelectorAll('.chart canvas').length") > 0
