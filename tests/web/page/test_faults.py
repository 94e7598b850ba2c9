"""What the page does when something is wrong: no service, errors, a token, no map."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path
from typing import Any

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from tests.bundle.cases import ABOUT, make_model
from tests.web.cases import Program
from tests.web.page.cases import (
    N_ITEMS,
    NEEDS_A_BROWSER,
    Opened,
    eventually,
    expect,
    items,
    pick,
    picked,
    settled,
    shown,
    you,
)
from tests.web.page.conftest import arguments

pytestmark = NEEDS_A_BROWSER
TOKEN = "a-secret-of-some-length"


def test_a_service_that_stops_is_told_of_and_found_again(
    browser: Any, page_bundles: tuple[Path, Path, Path]
) -> None:
    given = arguments(page_bundles)
    with Program(*given) as program:
        port = str(program.port)
        with Opened(browser, program.url, "?item=100") as opened:
            page = opened.go()
            settled(page)
            before = shown(page, 0)
            program.stop()
            page.locator(".card").first.locator(".add").first.click()
            banner = page.locator("#banner")
            expect(banner).to_contain_text("The service does not answer.")
            assert shown(page, 0) == before  # what was there is still there
            assert len(picked(page)) == 2
            opened.accessible()
            with Program(*given, "--port", port):
                expect(banner).to_be_empty()
                expect(page.locator("#chips .chip")).to_have_count(2)
                settled(page)
                expect(page.locator("#announced")).to_contain_text("New recommendations.")
                assert shown(page, 0) != before
                assert you(page, 1) is not None
                opened.check(refusals=True)


def problem(status: int, **more: Any) -> dict[str, Any]:
    body = {
        "type": "urn:problem-type:nearfar:x", "title": "Unprocessable Content", "status": status,
        "detail": "the reason <b>why</b>", "request_id": "abc123",
    }  # fmt: skip
    return {
        "status": status, "body": json.dumps(body), "content_type": "application/problem+json",
        **more,
    }  # fmt: skip


def test_an_error_is_told_in_the_service_s_words_and_can_be_tried_again(
    browser: Any, served: Program
) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go()
        wrong = lambda route: (  # noqa: E731
            route.fulfill(**problem(422))
            if '"model":"pia"' in (route.request.post_data or "")
            else route.continue_()
        )
        page.route("**/v1/recommend", wrong)
        pick(page, "harbour")
        trouble = page.locator(".trouble")
        expect(trouble).to_have_count(1)
        expect(trouble).to_contain_text("Unprocessable Content")
        expect(trouble).to_contain_text("the reason <b>why</b>")
        expect(trouble).to_contain_text("abc123")
        opened.accessible()
        settled(page)
        assert len(shown(page, 0)) == 10  # the other model is unharmed
        page.unroute("**/v1/recommend", wrong)
        page.get_by_role("button", name="Try again").click()
        expect(trouble).to_have_count(0)
        expect(page.locator(".card").nth(1).locator(".recommended > li:not(.ghost)")).to_have_count(
            10
        )
        opened.check(refusals=True)


def test_a_busy_service_is_asked_again_when_it_says(browser: Any, served: Program) -> None:
    with Opened(browser, served.url) as opened:
        page = opened.go()
        asked = []

        def busy(route: Any) -> None:
            asked.append(route.request.post_data)
            if len(asked) <= 2:
                route.fulfill(**problem(429, headers={"Retry-After": "1"}))
            else:
                route.continue_()

        page.route("**/v1/recommend", busy)
        pick(page, "harbour")
        expect(page.locator(".ghost").first).to_be_visible()
        settled(page)
        assert len(shown(page, 0)) == len(shown(page, 1)) == 10
        assert len(asked) == 4
        expect(page.locator(".trouble")).to_have_count(0)


def test_the_latest_choice_wins_whatever_is_answered_last(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100") as opened:
        page = opened.go()
        settled(page)
        page.evaluate(
            "() => { window.signals = []; const asking = window.fetch;"
            " window.fetch = (path, options) => { if (path === 'v1/recommend')"
            " window.signals.push(options.signal); return asking(path, options); }; }"
        )
        from playwright.sync_api import Error

        held = []
        page.route("**/v1/recommend", lambda route: held.append(route))
        pick(page, "harbour")
        eventually(page, lambda: len(held) == 2)
        expect(page.locator(".body[aria-busy]")).to_have_count(2)
        page.unroute("**/v1/recommend")
        pick(page, "winter")
        expect(page.locator("#chips .chip")).to_have_count(3)
        settled(page)
        latest = shown(page, 0)
        assert page.evaluate("window.signals.map((s) => s.aborted)") == [True, True, False, False]
        late = {"recommendations": [], "history": [], "unknown": [], "source": "history"}
        for route in held:
            with contextlib.suppress(Error):
                route.fulfill(json=late)
        page.wait_for_timeout(300)
        assert shown(page, 0) == latest
        asked = page.evaluate("new URLSearchParams(location.search).getAll('item')")
        assert asked == ["100", "102", "103"]
        opened.check()


def test_without_plotly_all_but_the_map_is_there(browser: Any, served: Program) -> None:
    with Opened(browser, served.url, "?item=100") as opened:
        opened.page.route("**/plotly.min.js", lambda route: route.fulfill(**problem(404)))
        page = opened.go()
        expect(page.locator(".nomap").first).to_contain_text("has no Plotly")
        settled(page)
        assert len(shown(page, 0)) == 10
        opened.accessible()
        opened.check(refusals=True)


def test_a_plain_model_behind_a_token(browser: Any, tmp_path: Path) -> None:
    """It has no map and no likeness, and is alone; and it asks who comes."""
    bundle = Bundle(make_model("constant", N_ITEMS), items(), ABOUT)
    path = save_bundle(bundle, tmp_path / "popular")
    arguments = ["--bundle", str(path), "--threads", "1"]
    with (
        Program(*arguments, environment={"NEARFAR_TOKEN": TOKEN}) as program,
        Opened(browser, program.url) as opened,
    ):
        page = opened.page
        page.goto(f"{program.url}/?item=100")
        dialog = page.get_by_role("dialog")
        expect(dialog.get_by_role("heading")).to_have_text("This service wants a token")
        opened.accessible()
        for given in ("wrong", TOKEN):
            expect(dialog).to_be_visible()
            dialog.get_by_label("Token").fill(given)
            dialog.get_by_role("button", name="Go on").click()
        settled(page)
        assert TOKEN not in page.url
        assert len(shown(page, 0)) == 10
        expect(page.locator(".card")).to_have_count(1)
        expect(page.locator(".map, button.title")).to_have_count(0)
        expect(page.locator("#models")).to_be_hidden()
        expect(page.locator("#surprise")).to_be_disabled()
        expect(page.locator("#surprise-message")).to_contain_text("cannot tell how alike")
        pick(page, "harbour")
        settled(page)
        assert page.url == f"{program.url}/?item=100&item=102"
        opened.accessible()
        opened.check(refusals=True)


def test_a_link_may_name_what_is_not_served_here(browser: Any, served: Program) -> None:
    wanted = "?item=100&item=nothing&item=&surprise=nonsense&model=gone&model=pia"
    with Opened(browser, served.url, wanted) as opened:
        page = opened.go()
        settled(page)
        assert picked(page) == ["Night Train (1991)", "Item nothing"]
        assert page.locator(".card h2").all_text_contents() == ["pia"]
        expect(page.locator("#models")).to_contain_text("Not served here: gone")
        expect(page.locator(".body .message")).to_contain_text("does not know 1 of your picks")
        assert page.locator("#surprise").input_value() == "0"
        opened.check()
        page.goto(f"{served.url}/?item=nothing")
        settled(page)
        expect(page.locator(".body .message").first).to_contain_text("knows none of your picks")
        opened.accessible()
        opened.check()
