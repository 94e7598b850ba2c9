"""The page for everybody: by keyboard, read aloud, on a phone, in the dark, without motion."""

from __future__ import annotations

from typing import Any

import pytest

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
    shown,
)

pytestmark = NEEDS_A_BROWSER
FOCUSED = "document.activeElement.id || document.activeElement.getAttribute('aria-label')"
PICKS = "?item=100&item=104&item=108&surprise=0.3"


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [DESK, PHONE], ids=["desk", "phone"])
def test_axe_finds_nothing_in_any_state(
    browser: Any, served: Program, scheme: str, viewport: dict[str, int]
) -> None:
    phone = viewport is PHONE
    with Opened(
        browser, served.url, color_scheme=scheme, viewport=viewport, has_touch=phone,
        is_mobile=phone, reduced_motion="reduce",
    ) as opened:  # fmt: skip
        page = opened.go()
        expect(page.locator(".example")).to_have_count(8)
        opened.accessible()
        page.locator("#search").press_sequentially("film", delay=5)
        page.locator("#found > li").first.wait_for()
        opened.accessible()
        opened.check()
        page.goto(f"{served.url}/{PICKS}")
        settled(page)
        page.locator("summary").first.click()
        opened.accessible()
        paper = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (paper == "rgb(246, 248, 250)") == (scheme == "light")
        opened.check()
        page.locator("button.title").first.click()
        expect(page.locator("dialog [aria-busy]")).to_have_count(0)
        opened.accessible()
        opened.check()


def test_everything_is_done_by_keyboard_alone(browser: Any, served: Program) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go()
        keys = page.keyboard
        keys.press("Tab")
        assert page.evaluate("document.activeElement.className") == "skip"
        assert page.evaluate("document.activeElement.getBoundingClientRect().x") >= 0
        for _ in range(3):
            keys.press("Tab")
        assert page.evaluate(FOCUSED) == "search"
        keys.type("film", delay=10)
        options = page.locator("#found > li")
        options.first.wait_for()
        active = "document.getElementById('search').getAttribute('aria-activedescendant')"
        assert page.evaluate(active) == "found-0"
        keys.press("ArrowDown")
        assert page.evaluate(active) == "found-1"
        expect(options.nth(1)).to_have_attribute("aria-selected", "true")
        keys.press("ArrowUp")
        keys.press("ArrowUp")
        assert page.evaluate(active) == f"found-{options.count() - 1}"
        keys.press("Escape")
        expect(page.locator("#search")).to_have_attribute("aria-expanded", "false")
        assert page.locator("#search").input_value() == "film"
        keys.press("Escape")
        assert page.locator("#search").input_value() == ""
        keys.type("harbour", delay=10)
        options.first.wait_for()
        keys.press("Enter")
        settled(page)
        assert picked(page) == ["The Harbour (1988)"]
        expect(page.locator("#search")).to_be_focused()
        keys.press("Tab")
        assert page.evaluate(FOCUSED) == "Remove The Harbour (1988)"
        keys.press("Tab")
        assert page.evaluate(FOCUSED) == "surprise"
        keys.press("ArrowRight")
        assert page.locator("#surprise").input_value() == "0.05"
        settled(page)
        for _ in range(5):  # two choices of models, a tab, a map's notes, the first title
            keys.press("Tab")
        first = shown(page, 0)[0]
        assert page.evaluate("document.activeElement.dataset.item") == first
        keys.press("Enter")
        expect(page.get_by_role("dialog").get_by_role("heading")).to_be_focused()
        keys.press("Escape")
        assert page.evaluate("document.activeElement.dataset.item") == first
        keys.press("Tab")
        keys.press("Enter")  # adds it
        expect(page.locator("#chips .chip")).to_have_count(2)
        settled(page)
        # The row is gone; the one in its place has the focus.
        Program.until(lambda: page.evaluate("document.activeElement.dataset.role") == "add", 15)
        assert page.evaluate("document.activeElement.dataset.item") == shown(page, 0)[0] != first
        opened.check()


def test_removing_a_pick_leaves_the_focus_near(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100&item=101&item=102") as opened:
        page = opened.go()
        settled(page)
        page.get_by_label("Remove Night Ferry (1994)").press("Enter")
        assert page.evaluate(FOCUSED) == "Remove The Harbour (1988)"
        page.keyboard.press("Enter")
        page.keyboard.press("Enter")
        expect(page.locator("#search")).to_be_focused()
        expect(page.locator(".blank")).to_have_count(2)
        expect(page.locator("#announced")).to_contain_text("Removed Night Train (1991).")
        opened.check()


def test_a_phone_has_room_for_all(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, viewport=PHONE, has_touch=True, is_mobile=True) as opened:
        page = opened.go()
        pick(page, "star fi")
        settled(page)
        cards = [card.bounding_box() for card in page.locator(".card").all()]
        assert cards[0]["x"] == cards[1]["x"]
        assert cards[1]["y"] >= cards[0]["y"] + cards[0]["height"]
        for button in page.locator("button:visible").all():
            box = button.bounding_box()
            assert min(box["width"], box["height"]) >= 18 or "title" in button.get_attribute(
                "class"
            )
        drawn = page.evaluate(
            "[...document.querySelectorAll('.plot')].map(p => "
            "[p.clientWidth, p.querySelector('.main-svg').clientWidth])"
        )
        assert all(abs(box - inside) <= 1 and box > 300 for box, inside in drawn)
        opened.check()


def test_maps_follow_the_scheme_when_it_changes(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, PICKS, color_scheme="light") as opened:
        page = opened.go()
        settled(page)
        colour = "document.querySelector('.plot').data.at(-1).marker.color"
        before = page.evaluate(colour)
        page.emulate_media(color_scheme="dark")
        eventually(page, lambda: page.evaluate(colour) != before)
        accent = "getComputedStyle(document.querySelector('.card h2')).color"
        assert page.evaluate(colour) == page.evaluate(accent)
        opened.check()


def test_nothing_moves_for_who_wants_no_motion(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100", reduced_motion="reduce") as opened:
        page = opened.go()
        settled(page)
        page.evaluate(
            "() => { window.moves = 0; const animate = Plotly.animate;"
            " Plotly.animate = (...given) => { window.moves += 1; return animate(...given); }; }"
        )
        pick(page, "harbour")
        settled(page)
        page.wait_for_timeout(500)
        assert page.evaluate("window.moves") == 0
        assert page.evaluate("document.getAnimations().length") == 0
        page.emulate_media(reduced_motion="no-preference")
        pick(page, "winter")
        settled(page)
        eventually(page, lambda: page.evaluate("window.moves") == 2)
