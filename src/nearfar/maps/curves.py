"""The curves of a diagnosis as one picture."""

from __future__ import annotations

import io
from pathlib import Path

import numpy as np

from nearfar.core.errors import SettingsError
from nearfar.core.files import atomic_file
from nearfar.maps.colours import colour_of
from nearfar.maps.requirements import check_installed
from nearfar.theory.diagnosis import Diagnosis
from nearfar.theory.finding import Curve

PICTURES = (".png", ".svg", ".pdf")
COLUMNS = 3
PANEL_INCHES = 4.0
BARS_WIDTH = 0.8
FEW_POINTS = 20
DASHES = ("-", "--", ":", "-.")


def check_picture(path: Path) -> None:
    """Refuse a file that could not be drawn, before the work begins.

    Raises:
        SettingsError: its suffix is of no format known.
        MissingExtraError: the library that draws it is missing.
    """
    if path.suffix.lower() not in PICTURES:
        raise SettingsError(
            f"{path} ends in {path.suffix or 'nothing'}; curves are drawn as {', '.join(PICTURES)}"
        )
    check_installed("matplotlib", extra="plots", purpose="a picture of curves")


def charts(diagnosis: Diagnosis) -> dict[str, list[tuple[str, Curve]]]:
    """The curves by the picture that they belong into, each with its model's title.

    A line that is the same for all models is there once, without a title; one that is of a single
    model among several keeps it.
    """
    n_models = len({title for by_title in diagnosis.findings.values() for title in by_title})
    found: dict[str, list[tuple[str, Curve]]] = {}
    for by_title in diagnosis.findings.values():
        for title, finding in by_title.items():
            for curve in finding.curves:
                found.setdefault(curve.chart, []).append((title, curve))
    return {chart: _told_once(curves, n_models) for chart, curves in found.items()}


def _told_once(curves: list[tuple[str, Curve]], n_models: int) -> list[tuple[str, Curve]]:
    names = {curve.name for _, curve in curves}
    same = {name for name in names if len({c for _, c in curves if c.name == name}) == 1}
    if same != names or (n_models > 1 and len({title for title, _ in curves}) == 1):
        return curves
    return [("", curve) for curve in dict.fromkeys(curve for _, curve in curves)]


def draw_curves(diagnosis: Diagnosis, path: Path) -> None:
    """One panel a chart, a colour a model, a dash a curve's name; into one file.

    Raises:
        SettingsError: the suffix is of no format known, or there is nothing to draw.
        MissingExtraError: the library that draws it is missing.
    """
    check_picture(path)
    shown = charts(diagnosis)
    if not shown:
        raise SettingsError("no instrument found anything to draw")
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    titles = list(dict.fromkeys(t for curves in shown.values() for t, _ in curves if t))
    n_columns = min(COLUMNS, len(shown))
    n_rows = -(-len(shown) // n_columns)
    # Text stays text, and the same curves give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nearfar"}):
        figure = Figure(
            figsize=(PANEL_INCHES * n_columns, 0.85 * PANEL_INCHES * n_rows), layout="constrained"
        )
        FigureCanvasAgg(figure)
        axes = np.atleast_1d(figure.subplots(n_rows, n_columns)).ravel()
        for axis, (chart, curves) in zip(axes, shown.items(), strict=False):
            _draw_chart(axis, chart, curves, titles)
        for axis in axes[len(shown) :]:
            axis.set_visible(False)
        suffix = path.suffix.lower().lstrip(".")
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150, metadata=undated)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())


def _draw_chart(axis, chart: str, curves: list[tuple[str, Curve]], titles: list[str]) -> None:
    names = list(dict.fromkeys(curve.name for _, curve in curves))
    first = curves[0][1]
    for place, (title, curve) in enumerate(curves):
        colour = colour_of(titles.index(title)) if title else colour_of(names.index(curve.name))
        label = ", ".join(part for part in (title, curve.name) if part)
        if curve.kind == "bars":
            width = BARS_WIDTH / len(curves)
            left = np.arange(len(curve.y)) - BARS_WIDTH / 2 + (place + 0.5) * width
            axis.bar(left, curve.y, width, color=colour, label=label)
            continue
        dash = DASHES[names.index(curve.name) % len(DASHES)] if title else "-"
        few = len(curve.x) <= FEW_POINTS
        axis.plot(
            curve.x, curve.y, color=colour, label=label,
            linestyle="none" if curve.kind == "points" else dash,
            marker="o" if few or curve.kind == "points" else None, markersize=3, linewidth=1.4,
        )  # fmt: skip
    if first.kind == "bars":
        axis.set_xticks(np.arange(len(first.categories)), first.categories, parse_math=False)
    axis.set_title(chart, fontsize=10, parse_math=False)
    axis.set_xlabel(first.x_label, fontsize=8, parse_math=False)
    axis.set_ylabel(first.y_label, fontsize=8, parse_math=False)
    axis.tick_params(labelsize=7)
    axis.set_ylim(bottom=0)
    axis.spines[["top", "right"]].set_visible(False)
    if axis.get_legend_handles_labels()[1]:
        for text in axis.legend(fontsize=7, frameon=False).get_texts():
            text.set_parse_math(False)
