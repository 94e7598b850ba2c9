"""The page's files, and the headers they come with."""

from __future__ import annotations

import re
from importlib.util import find_spec
from pathlib import Path

import pytest

from nearfar.web import page_routes
from nearfar.web.settings import ServiceSettings
from tests.web.cases import Answering, bundles

ALLOWED = {"'none'", "'self'"}


@pytest.fixture(scope="module")
def answering(tmp_path_factory: pytest.TempPathFactory) -> Answering:
    return Answering(ServiceSettings(bundles=bundles(tmp_path_factory.mktemp("page")), threads=1))


def sources() -> list[Path]:
    return sorted(page_routes.FOLDER.iterdir())


def test_every_file_is_served_under_a_policy_that_allows_this_host_only(
    answering: Answering,
) -> None:
    paths = ["/", *(f"/{path.name}" for path in sources() if path.name != "index.html")]
    assert {"/", "/main.js", "/page.css"} <= set(paths)
    for path in paths:
        answer = answering.ask("GET", path)
        assert answer.status_code == 200, path
        policy = dict(
            part.strip().split(" ", 1)
            for part in answer.headers["Content-Security-Policy"].split(";")
        )
        assert policy["default-src"] == "'none'"
        assert set(policy.values()) <= ALLOWED
        assert policy["script-src"] == policy["connect-src"] == "'self'"
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
    kinds = {path: answering.ask("GET", path).headers["Content-Type"] for path in paths[:1]}
    assert kinds == {"/": "text/html; charset=utf-8"}


def test_a_file_that_the_browser_has_is_not_sent_again(answering: Answering) -> None:
    first = answering.ask("GET", "/main.js")
    again = answering.ask("GET", "/main.js", headers={"If-None-Match": first.headers["ETag"]})
    assert first.headers["Cache-Control"] == "no-cache"
    assert (again.status_code, again.content) == (304, b"")


def test_all_that_the_page_names_is_there(answering: Answering) -> None:
    page = answering.ask("GET", "/").text
    named = set(re.findall(r'(?:href|src)="([^"#]+)"', page)) - {"./", "/openapi.json"}
    named |= {
        name for path in sources() if path.suffix == ".js"
        for name in re.findall(r'from "\./([^"]+)"', path.read_text(encoding="utf-8"))
    }  # fmt: skip
    assert {"main.js", "map.js", "page.css", "mark.svg"} <= named
    assert not [name for name in named if ":" in name]
    for name in named:
        assert answering.ask("GET", f"/{name}").status_code == 200, name


def test_no_script_makes_markup_of_text_and_nothing_stands_inline() -> None:
    parsing = re.compile(
        r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|DOMParser|\beval\b"
    )
    for path in sources():
        text = path.read_text(encoding="utf-8")
        assert "http" not in text.replace("http://www.w3.org/2000/svg", "").replace(
            "https and", ""
        ), path
        if path.suffix == ".js":
            assert not parsing.search(text), path
        if path.suffix == ".html":
            assert not re.search(r"<script(?![^>]*\bsrc=)|<style|\sstyle=|\son[a-z]+=", text)


def test_plotly_comes_from_its_own_package(
    answering: Answering, monkeypatch: pytest.MonkeyPatch
) -> None:
    answer = answering.ask("GET", page_routes.PLOTLY)
    if find_spec("plotly") is not None:
        assert answer.status_code == 200
        assert b"plotly.js v" in answer.content[:200]
        assert "Content-Security-Policy" in answer.headers
    monkeypatch.setattr(page_routes, "find_spec", lambda name: None)
    answer = answering.ask("GET", page_routes.PLOTLY)
    assert answer.status_code == 404
    assert answer.json()["type"] == "urn:problem-type:nearfar:no-plotly"
    assert "nearfar[maps]" in answer.json()["detail"]


def test_the_page_takes_nothing_from_the_interface(answering: Answering) -> None:
    """A wrong method is still told as such, and a path of nothing leads nowhere."""
    assert answering.ask("POST", "/healthz").status_code == 405
    assert answering.ask("GET", "/v1/recommend").status_code == 405
    assert answering.ask("GET", "/nothing.js").status_code == 404
    assert answering.ask("GET", "/../app.py").status_code == 404
    assert answering.ask("HEAD", "/").status_code == 200
    described = answering.ask("GET", "/openapi.json").json()["paths"]
    assert not [path for path in described if path.endswith((".js", ".css")) or path == "/"]
