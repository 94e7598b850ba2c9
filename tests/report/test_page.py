"""The whole page: one file, the same bytes each time, all sections, nothing of users' ids."""

import re
from itertools import pairwise
from pathlib import Path

import pytest

from nearfar.core.errors import SettingsError
from nearfar.report.page import write_report
from nearfar.report.report import Options, make_report
from tests.pages.reading import Page
from tests.report.cases import EVIL, EVIL_NAME, bundles, plain_report, report, split

SECTIONS = (
    "data", "training", "quality", "groups", "popularity", "map", "diagnostics", "reproduce",
)  # fmt: skip


@pytest.fixture(scope="module")
def text(tmp_path_factory) -> str:
    path = tmp_path_factory.mktemp("report") / "page.html"
    write_report(report(), path, source="split", command="nearfar report x")
    return path.read_text(encoding="utf-8")


def test_all_sections_are_there_and_charts_have_names_of_their_own(text: str) -> None:
    page = Page(text)
    assert tuple(s["id"] for s in page.of("section")) == SECTIONS
    ids = [t["id"] for _, t in page.tags if "id" in t]
    assert len(ids) == len(set(ids))
    charts = [t for t in page.of("div") if str(t.get("class")).split()[0] == "chart"]
    assert len(charts) == len(page.figures) > 20
    assert all(t["aria-label"] for t in charts)
    levels = [int(tag[1]) for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(b - a <= 1 for a, b in pairwise(levels))


def test_nothing_is_fetched_and_nothing_hostile_runs(text: str) -> None:
    page = Page(text)
    page.check_asks_nothing_of_others()
    assert EVIL not in text
    assert EVIL_NAME not in text
    assert EVIL in page.words
    assert f"Report: pop, ease, plain, {EVIL_NAME}" in page.words


def test_ids_of_users_are_not_on_it(text: str) -> None:
    assert "person-" not in text


def test_the_same_inputs_give_the_same_bytes(text: str, tmp_path: Path) -> None:
    again = make_report(bundles(), split(), Options(users=60, seed=5))
    write_report(again, tmp_path / "page.html", source="split", command="nearfar report x")
    assert (tmp_path / "page.html").read_text(encoding="utf-8") == text


def test_one_bundle_is_enough(tmp_path: Path) -> None:
    write_report(plain_report("pop"), tmp_path / "page.html")
    page = Page((tmp_path / "page.html").read_text(encoding="utf-8"))
    assert "pop has NDCG@100" in page.words
    assert tuple(s["id"] for s in page.of("section")) == SECTIONS


def test_only_pages_are_written(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"ends in \.pdf; a report is a \.html file"):
        write_report(plain_report("pop"), tmp_path / "page.pdf")
    (tmp_path / "folder.html").mkdir()
    with pytest.raises(SettingsError, match="is a folder"):
        write_report(plain_report("pop"), tmp_path / "folder.html")
