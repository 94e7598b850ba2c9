"""Markup: whatever is text stays text, and tables say what their cells are."""

from nearfar.evaluation.table import Table
from nearfar.pages import markup
from tests.pages.reading import Page

EVIL = '</td><script>alert(1)</script><a href="http://evil.example">x</a> & "y"'


def test_text_cannot_become_markup() -> None:
    found = Table((EVIL, "n"), ((EVIL, EVIL),), (EVIL,))
    parts = [
        markup.heading(EVIL), markup.paragraph(EVIL), markup.bullets([EVIL]),
        markup.table(found, EVIL), markup.folded(EVIL, ""), markup.commands([EVIL]),
    ]  # fmt: skip
    for part in parts:
        page = Page(part)
        assert not page.of("script")
        assert not page.of("a")
        assert EVIL in page.words


def test_a_table_names_its_rows_and_columns_and_can_be_scrolled_by_keys() -> None:
    found = Table(("model", "users", "recall"), (("a", "3", ".1"), ("b", "4", ".2")), ("A note.",))
    text = markup.table(found, "Test users")
    page = Page(text)
    assert [t["scope"] for t in page.of("th")] == ["col"] * 3 + ["row"] * 2
    assert [t["class"] for t in page.of("td")] == ["number"] * 4
    (region,) = page.of("div")
    assert (region["role"], region["aria-label"], region["tabindex"]) == (
        "region",
        "Test users",
        "0",
    )
    assert "<caption><span>Test users</span></caption>" in text
    assert "A note." in page.words


def test_columns_of_numbers_are_told_from_columns_of_text() -> None:
    cells = {
        "number": ["-", "1,417", ".4343 ±.0529", "+.2511 ±.1", "-0.5", "<.001", "49.0 ± 0.6 %",
                   "2.68e-07", "0.00207 ± 1.5e-05", "46.9%"],
        "text": ["", "none", "5-10", "2026-11-24T02:55:30+00:00", "600, 200", "NDCG@100 0.4"],
    }  # fmt: skip
    for kind, texts in cells.items():
        for cell in texts:
            page = Page(markup.table(Table(("name", "x"), (("1", "3"), ("2", cell))), "c"))
            assert [t["class"] for t in page.of("td")] == [kind] * 2, cell
            assert page.of("th")[-1]["class"] == "text"  # a name, be it a number
    assert "<tbody>" in markup.table(Table(("name", "x"), ()), "nothing")


def test_nothing_to_say_is_no_markup() -> None:
    assert markup.paragraph("") == ""
    assert markup.bullets([]) == ""
    assert markup.side_by_side([]) == ""
