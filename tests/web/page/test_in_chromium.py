"""The page in a real browser: picking, seeing why, comparing, sharing, going back."""

from __future__ import annotations

from typing import Any

from tests.web.cases import Program
from tests.web.page.cases import (
    HOSTILE,
    NEEDS_A_BROWSER,
    PLAIN_TITLES,
    Opened,
    eventually,
    expect,
    pick,
    picked,
    settled,
    shown,
    you,
)

pytestmark = NEEDS_A_BROWSER
SHARED = "?item=100&item=104&surprise=0.4&model=pia&model=plain"


def recommended(served: Program, items: list[str], model: str, **more: Any) -> dict[str, Any]:
    """What the service itself recommends."""
    body = {"items": items, "k": 10, "model": model, "explain": True, **more}
    return served.post("/v1/recommend", body)


def test_nothing_picked_shows_examples_and_the_maps(browser: Any, served: Program) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go()
        expect(page.locator(".example")).to_have_count(8)
        popular = served.post("/v1/recommend", {"k": 8, "model": "plain"})
        titles = [each["title"] or f"Item {each['item']}" for each in popular["recommendations"]]
        assert page.locator(".example").all_text_contents() == titles
        expect(page.locator(".blank")).to_have_count(2)
        expect(page.locator(".plot .scatterlayer .points path").first).to_be_attached()
        assert you(page, 0) is None
        assert opened.page.url == f"{served.url}/"
        page.locator(".example").first.click()
        settled(page)
        assert picked(page) == titles[:1]
        expect(page.locator("#examples")).to_be_hidden()
        expect(page.locator("#search")).to_be_focused()
        opened.check()


def test_picking_by_typing_shows_what_the_service_recommends_and_why(
    browser: Any, served: Program
) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go()
        pick(page, "nigth tra", "Night Train")  # mistyped
        pick(page, "amelie", "Amélie")  # without its accent
        settled(page)
        assert picked(page) == ["Night Train (1991)", "Café Amélie (1996)"]
        assert page.url == f"{served.url}/?item=100&item=105&model=plain&model=pia"
        assert page.title() == "2 picks · nearfar"
        for column, model in enumerate(("plain", "pia")):
            told = recommended(served, ["100", "105"], model)["recommendations"]
            assert shown(page, column) == [str(each["item"]) for each in told]
            card = page.locator(".card").nth(column)
            assert card.locator("h2").text_content() == model
            for row, each in zip(card.locator(".recommended > li").all(), told, strict=True):
                why = row.locator(".why").text_content()
                for carrier in each["because"]:
                    assert carrier["title"] in why
                    share = f"{round(100 * carrier['share'])}%"
                    assert share in why or len(each["because"]) == 1
                assert f"{each['score']:.2f}" == row.locator(".number").text_content()
        lengths = page.evaluate(
            "[...document.querySelectorAll('.card:first-child .bar')].map(b => "
            "Number(b.style.getPropertyValue('--share')))"
        )
        assert lengths[0] == 1
        assert lengths == sorted(lengths, reverse=True)
        said = page.locator("#announced")
        expect(said).to_contain_text("New recommendations. plain: ")
        expect(said).to_contain_text("pia: ")
        opened.check()


def test_the_point_moves_on_both_maps_as_items_are_added(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, reduced_motion="reduce") as opened:
        page = opened.go("?item=100")
        settled(page)
        before = [you(page, 0), you(page, 1)]
        page.locator(".card").first.locator(".add").first.click()
        expect(page.locator("#chips .chip")).to_have_count(2)
        settled(page)
        ids = page.evaluate("new URLSearchParams(location.search).getAll('item')")
        for column, model in enumerate(("plain", "pia")):
            body = {"items": ids, "model": model}
            told = served.post("/v1/map/point", body)
            assert [told["x"], told["y"]] != before[column]
            eventually(page, lambda at=told, c=column: you(page, c) == [at["x"], at["y"]])
            expect(page.locator(".where").nth(column)).to_contain_text("You are nearest")
        way = page.evaluate("document.querySelector('.plot').data.at(-2).x.length")
        assert way == 2
        legends = [each.text_content() for each in page.locator(".legend").all()]
        assert ["anchor" in each for each in legends] == [False, True]
        opened.check()


def test_the_point_glides_and_ends_where_it_belongs(browser: Any, served: Program) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go("?item=100")
        settled(page)
        pick(page, "harbour")
        settled(page)
        body = {"items": [100, 102], "model": "plain"}
        told = served.post("/v1/map/point", body)
        eventually(page, lambda: you(page, 0) == [told["x"], told["y"]])
        opened.check()


def test_two_models_are_compared_and_one_can_stand_alone(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100&item=101") as opened:
        page = opened.go()
        settled(page)
        lists = [set(shown(page, 0)), set(shown(page, 1))]
        for column in (0, 1):
            rows = page.locator(".card").nth(column).locator(".recommended > li").all()
            only = {r.get_attribute("data-item") for r in rows if r.locator(".only").is_visible()}
            assert only == lists[column] - lists[1 - column]
        page.get_by_label("Beside it").select_option("none")
        expect(page.locator(".card")).to_have_count(1)
        settled(page)
        assert page.url.endswith("?item=100&item=101&model=plain")
        expect(page.locator(".only:visible")).to_have_count(0)
        page.get_by_label("Model", exact=True).select_option("pia")
        expect(page.locator(".card h2")).to_have_text("pia")
        settled(page)
        told = recommended(served, ["100", "101"], "pia")["recommendations"]
        assert shown(page, 0) == [str(each["item"]) for each in told]
        opened.check()


def test_a_shared_link_shows_the_same(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, SHARED) as one, Opened(browser, served.url) as other:
        page = one.go()
        settled(page)
        page.locator("#surprise").press("ArrowRight")
        pick(page, "ferry")
        settled(page)
        assert "surprise=0.45" in page.url
        again = other.go(page.url.removeprefix(f"{served.url}/"))
        settled(again)
        for column, model in enumerate(("pia", "plain")):
            told = recommended(served, ["100", "104", "101"], model, diversity=0.45)
            expected = [str(each["item"]) for each in told["recommendations"]]
            for each in (page, again):
                eventually(each, lambda p=each, c=column, e=expected: shown(p, c) == e)
            eventually(page, lambda c=column: you(page, c) == you(again, c))
        assert picked(again) == picked(page) == [PLAIN_TITLES[0], PLAIN_TITLES[4], PLAIN_TITLES[1]]
        assert again.locator("#surprise").input_value() == "0.45"
        assert again.locator(".card h2").all_text_contents() == ["pia", "plain"]
        one.check()
        other.check()


def test_the_link_is_copied(browser: Any, served: Program) -> None:
    granted = ["clipboard-read", "clipboard-write"]
    with Opened(browser, served.url, SHARED, permissions=granted) as opened:
        page = opened.go()
        page.get_by_role("button", name="Copy link").click()
        expect(page.get_by_role("button", name="Copied")).to_be_visible()
        assert page.evaluate("navigator.clipboard.readText()") == f"{served.url}/{SHARED}"


def test_back_and_forward_go_through_what_was_shown(browser: Any, served: Program) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go()
        pick(page, "harbour")
        settled(page)
        one = shown(page, 0)
        pick(page, "winter")
        expect(page.locator("#chips .chip")).to_have_count(2)
        settled(page)
        two = shown(page, 0)
        assert one != two
        page.locator("#surprise").fill("1")
        settled(page)
        page.go_back()
        expect(page.locator("#chips .chip")).to_have_count(1)
        settled(page)
        assert shown(page, 0) == one
        page.go_back()
        expect(page.locator(".blank")).to_have_count(2)
        assert picked(page) == []
        page.go_forward()
        page.go_forward()
        expect(page.locator("#chips .chip")).to_have_count(2)
        assert page.locator("#surprise").input_value() == "1"
        opened.check()


def test_what_is_like_an_item_as_each_model_sees_it(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100&item=104") as opened:
        page = opened.go()
        settled(page)
        title = page.locator(".card").nth(1).locator("button.title").first
        item = title.get_attribute("data-item")
        title.click()
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading")).to_be_focused()
        for model in ("pia", "plain"):
            dialog.get_by_role("button", name=model, exact=True).click()
            expect(dialog.locator("[aria-busy]")).to_have_count(0)
            told = served.get(f"/v1/items/{item}/similar?model={model}").json()
            expected = [str(each["item"]) for each in told["similar"]]
            found = [r.get_attribute("data-item") for r in dialog.locator("ol > li").all()]
            assert found == expected
        dialog.get_by_role("button", name="Add").first.click()
        expect(page.locator("#chips .chip")).to_have_count(3)
        assert page.evaluate("document.querySelector('dialog').contains(document.activeElement)")
        page.keyboard.press("Escape")
        expect(dialog).to_have_count(0)
        assert page.evaluate("document.activeElement !== document.body")
        opened.check()


def test_titles_are_shown_as_they_are_and_nothing_in_them_runs(
    browser: Any, served: Program
) -> None:
    wanted = "?" + "&".join(f"item={108 + i}" for i in range(len(HOSTILE)))
    with Opened(browser, served.url, wanted + "&item=112") as opened:
        page = opened.go()
        settled(page)
        assert picked(page) == [*HOSTILE, "Item 112"]
        page.evaluate(
            "() => { const plot = document.querySelectorAll('.plot')[1];"
            " const anchors = plot.data.length - 4;"
            " const pointNumber = plot.data[anchors].text.findIndex((t) => t.includes('onerror'));"
            " Plotly.Fx.hover(plot, [{ curveNumber: anchors, pointNumber }]); }"
        )
        expect(page.locator(".hoverlayer text").first).to_contain_text(HOSTILE[0])
        page.get_by_label(f"Remove {HOSTILE[0]}").click()
        page.locator("#search").press_sequentially("img src", delay=10)
        option = page.locator("#found > li").first
        expect(option).to_contain_text("<img src=x onerror=window.hacked=1>")
        assert page.evaluate("window.hacked") is None
        assert (
            page.evaluate("document.querySelectorAll('main img, main script, .plot a').length") == 0
        )
        opened.check()
