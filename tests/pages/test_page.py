"""Pages: one file, nothing fetched, text stays text, ways through it by keyboard."""

from pathlib import Path

import pytest

from nearfar.core.errors import SettingsError
from nearfar.evaluation.table import Table
from nearfar.pages import page
from nearfar.pages.chart import Line, LineChart
from nearfar.pages.page import (
    Block,
    Bullets,
    Captioned,
    Charts,
    Commands,
    Details,
    Heading,
    Remark,
    Section,
)
from tests.pages.reading import Page, section_html

EVIL = '</script></td><script>alert(1)</script><a href="http://evil.example">x</a> & "y" <!--'
SECTIONS = (Section("one", "One", ["first"]), Section("two", EVIL, ["second"]))


def html(*blocks: Block) -> str:
    return section_html(Section("some", "Some", blocks))


@pytest.fixture(scope="module")
def text() -> str:
    return page.page(EVIL, ["before"], SECTIONS)


def test_nothing_is_fetched(text: str) -> None:
    found = Page(text)
    found.check_asks_nothing_of_others()
    (policy,) = [m["content"] for m in found.of("meta") if "http-equiv" in m]
    assert policy == page.POLICY
    assert policy.startswith("default-src 'none'")
    assert "http" not in policy
    for own in ("page.css", "charts.js"):
        content = (Path(page.__file__).parent / own).read_text()
        assert content in text
        assert "http" not in content
        assert "@import" not in content
        assert "url(" not in content
    assert text.count("plotly.js v") == 1


def test_titles_stay_text(text: str) -> None:
    found = Page(text)
    assert len(found.of("script")) == 2
    assert found.words.count(EVIL) == 4  # title, heading, navigation, heading of the section


def test_a_keyboard_and_a_screen_reader_find_their_way(text: str) -> None:
    found = Page(text)
    assert found.of("html") == [{"lang": "en"}]
    ids = {t["id"] for _, t in found.tags if "id" in t}
    links = [str(a["href"]) for a in found.of("a")]
    assert links[0] == "#content"
    assert {link[1:] for link in links} <= ids
    assert links[1:] == ["#one", "#two"]
    assert found.of("main")[0]["id"] == "content"
    assert [s["aria-labelledby"] for s in found.of("section")] == ["one-heading", "two-heading"]
    levels = [tag for tag, _ in found.tags if tag in ("h1", "h2", "h3")]
    assert levels == ["h1", "h2", "h2"]


def test_one_section_needs_no_navigation() -> None:
    assert not Page(page.page("title", [], [Section("one", "One", [])])).of("nav")


def test_the_file_is_whole(tmp_path: Path, text: str) -> None:
    path = tmp_path / "folder" / "page.html"
    page.write_page(path, EVIL, ["before"], SECTIONS)
    assert path.read_text(encoding="utf-8") == text
    assert [p.name for p in path.parent.iterdir()] == ["page.html"]


def test_text_cannot_become_markup() -> None:
    table = Table((EVIL, "n"), ((EVIL, EVIL),), (EVIL,))
    for block in (
        EVIL, Heading(EVIL), Remark(EVIL), Bullets([EVIL]), Commands([EVIL]),
        Captioned(table, EVIL), Details(EVIL, [EVIL]),
    ):  # fmt: skip
        found = Page(html(block))
        assert not found.of("script")
        assert not found.of("a")
        assert EVIL in found.words


def test_a_chart_comes_back_and_nothing_breaks_out() -> None:
    chart = LineChart(EVIL, [Line(EVIL, [0.0, 1.0, 2.0], [1.0, None, float("nan")])])
    text = html(Charts([chart, chart]), Details("more", [Charts([chart])]))
    found = Page(text)
    assert not found.of("a")
    assert list(found.figures) == ["some-1", "some-2", "some-3"]
    assert found.figures["some-1"]["data"][0]["y"] == [1.0, None, None]
    assert "colorway" not in found.figures["some-1"]["layout"]  # colours are the page's
    assert text.count("</script>") == 3
    box = next(t for t in found.of("div") if t.get("class") == "chart")
    assert (box["role"], box["aria-label"]) == ("img", chart.words())
    assert str(box["style"]).startswith("height:")  # its room is kept
    assert EVIL in found.words


def test_a_table_names_its_rows_and_columns_and_can_be_scrolled_by_keys() -> None:
    table = Table(("model", "users", "recall"), (("a", "3", ".1"), ("b", "4", ".2")), ("A note.",))
    text = html(Captioned(table, "Test users"))
    found = Page(text)
    assert [t["scope"] for t in found.of("th")] == ["col"] * 3 + ["row"] * 2
    assert [t["class"] for t in found.of("td")] == ["number"] * 4
    (region,) = found.of("div")
    assert (region["role"], region["aria-label"], region["tabindex"]) == (
        "region",
        "Test users",
        "0",
    )
    assert "<caption><span>Test users</span></caption>" in text
    assert "A note." in found.words


def test_columns_of_numbers_are_told_from_columns_of_text() -> None:
    cells = {
        "number": ["-", "1,417", ".4343 ±.0529", "+.2511 ±.1", "-0.5", "<.001", "49.0 ± 0.6 %",
                   "2.68e-07", "0.00207 ± 1.5e-05", "46.9%"],
        "text": ["", "none", "5-10", "2026-11-24T02:55:30+00:00", "600, 200", "NDCG@100 0.4"],
    }  # fmt: skip
    for kind, texts in cells.items():
        for cell in texts:
            table = Table(("name", "x"), (("1", "3"), ("2", cell)))
            assert Captioned(table, "c").kinds() == ["text", kind], cell
    assert "<tbody>" in html(Captioned(Table(("name", "x"), ()), "nothing"))


def test_nothing_to_say_is_no_markup() -> None:
    assert html("", Bullets([]), Charts([]), Commands([])).split() == html().split()


def test_only_pages_are_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ends in \.pdf; a report is a \.html file"):
        page.check_page(tmp_path / "page.pdf", "a report")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        page.check_page(tmp_path / "folder.html", "a report")
