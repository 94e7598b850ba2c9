"""The shell of pages: one file, nothing fetched, ways through it by keyboard."""

from pathlib import Path

import pytest

from nearfar.pages import shell
from nearfar.pages.section import Section
from tests.pages.reading import Page

EVIL = "</title><script>alert(1)</script>"


@pytest.fixture(scope="module")
def text() -> str:
    sections = (Section("one", "One", "<p>first</p>"), Section("two", EVIL, "<p>second</p>"))
    return shell.page(EVIL, "<p>before</p>", sections)


def test_nothing_is_fetched(text: str) -> None:
    page = Page(text)
    page.check_asks_nothing_of_others()
    (policy,) = [m["content"] for m in page.of("meta") if "http-equiv" in m]
    assert str(policy).startswith("default-src 'none'")
    assert "http" not in str(policy)
    for own in ("page.css", "charts.js"):
        content = (Path(shell.__file__).parent / own).read_text()
        assert content in text
        assert "http" not in content
        assert "@import" not in content
        assert "url(" not in content
    assert text.count("plotly.js v") == 1


def test_titles_stay_text(text: str) -> None:
    page = Page(text)
    assert len(page.of("script")) == 2
    assert page.words.count(EVIL) == 4  # title, heading, navigation, heading of the section


def test_a_keyboard_and_a_screen_reader_find_their_way(text: str) -> None:
    page = Page(text)
    assert page.of("html") == [{"lang": "en"}]
    ids = {t["id"] for _, t in page.tags if "id" in t}
    links = [str(a["href"]) for a in page.of("a")]
    assert links[0] == "#content"
    assert {link[1:] for link in links} <= ids
    assert links[1:] == ["#one", "#two"]
    assert page.of("main")[0]["id"] == "content"
    assert [s["aria-labelledby"] for s in page.of("section")] == ["one-heading", "two-heading"]
    levels = [tag for tag, _ in page.tags if tag in ("h1", "h2", "h3")]
    assert levels == ["h1", "h2", "h2"]


def test_one_section_needs_no_navigation() -> None:
    page = Page(shell.page("title", "", [Section("one", "One", "")]))
    assert not page.of("nav")


def test_the_file_is_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "folder" / "page.html"
    sections = (Section("one", "One", "<p>first</p>"), Section("two", EVIL, "<p>second</p>"))
    shell.write_page(path, EVIL, "<p>before</p>", sections)
    assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]
