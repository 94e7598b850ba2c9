"""A diagnosis as a picture."""

import re
from dataclasses import replace
from pathlib import Path

import pytest

from nearfar.core.errors import SettingsError
from nearfar.maps.curves import charts, check_picture, draw_curves
from nearfar.theory.diagnosis import Diagnosis
from nearfar.theory.finding import Curve, Finding

matplotlib = pytest.importorskip("matplotlib")


def finding(*curves: Curve) -> Finding:
    return Finding("i", "title", "source", "meaning.", (), curves)


def line(chart: str, name: str = "", *y: float) -> Curve:
    return Curve(chart, name, "x in items", "y", tuple(map(float, range(len(y)))), y)


DIAGNOSIS = Diagnosis(
    {
        "one": {
            "$a$ <b>": finding(line("Same", "p", 1.0, 2.0)),
            "b": finding(line("Same", "p", 1.0, 2.0)),
        },
        "two": {
            "$a$ <b>": finding(line("Differs", "", 1.0, 2.0)),
            "b": finding(line("Differs", "", 2.0, float("nan"), 1.0)),
        },
        "three": {"$a$ <b>": Finding("three", "t", "s", absent="no"), "b": finding()},
    }
)


def test_a_line_that_all_models_share_is_there_once() -> None:
    found = charts(DIAGNOSIS)
    assert list(found) == ["Same", "Differs"]
    assert [title for title, _ in found["Same"]] == [""]
    assert [title for title, _ in found["Differs"]] == ["$a$ <b>", "b"]


def test_the_picture_names_charts_models_and_axes(tmp_path: Path) -> None:
    path = tmp_path / "curves.svg"
    draw_curves(DIAGNOSIS, path)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", path.read_text())
    for expected in ("Same", "Differs", "$a$ &lt;b&gt;", "b", "p", "x in items"):
        assert expected in texts
    again = tmp_path / "again.svg"
    draw_curves(DIAGNOSIS, again)
    assert again.read_bytes() == path.read_bytes()


def test_points_and_bars_are_drawn_with_their_names(tmp_path: Path) -> None:
    points = Curve("Users", "users", "x", "y", (0.1, 0.5), (0.2, 0.4), "points")
    equal = Curve("Users", "equal", "x", "y", (0.0, 0.5), (0.0, 0.5))
    bars = Curve("Parts", "", "x", "nats", (0.0, 1.0), (9.0, 7.5), "bars", ("K$L$", "most"))
    higher = replace(bars, y=(12.0, 1.0))
    found = Diagnosis({"one": {"a": finding(points, equal, bars), "b": finding(higher)}})
    draw_curves(found, tmp_path / "curves.svg")
    drawn = (tmp_path / "curves.svg").read_text()
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", drawn)
    for expected in ("a, users", "a, equal", "a", "b", "K$L$", "most"):
        assert expected in texts
    joined = re.findall(r'<path d="([^"]*)"[^>]*stroke-width: 1.4', drawn)
    assert len(joined) == 2  # the line and its sample in the legend; points are not joined
    alone = Diagnosis({"one": {"a": finding(bars)}})
    draw_curves(alone, tmp_path / "alone.svg")
    assert "K$L$" in (tmp_path / "alone.svg").read_text()


def test_what_cannot_be_drawn_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\.txt"):
        check_picture(tmp_path / "x.txt")
    with pytest.raises(SettingsError, match="anything to draw"):
        draw_curves(Diagnosis({"one": {"a": finding()}}), tmp_path / "x.png")
