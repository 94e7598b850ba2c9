"""Training curves, from the records that bundles keep."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nearfar.evaluation.table import Table
from nearfar.pages.charts import Chart
from nearfar.pages.markup import bullets, paragraph, side_by_side, table
from nearfar.pages.section import Section
from nearfar.report.charts import Line, line_chart, lines_in_words
from nearfar.report.measured import Measured

TERMS = {
    "reconstruction": ("Reconstruction loss", "nats per user"),
    "kl": ("KL divergence from the prior", "nats per user"),
    "alignment": ("Distance to the item anchors (A)", "squared distance"),
}
WEIGHTS = {
    "kl": "Weight of the KL divergence (beta)",
    "alignment": "Weight of alignment (λ_A)",
}

Record = dict[str, Any]


def section(measured: Mapping[str, Measured]) -> Section:
    """What each epoch came to, for bundles that were trained in epochs."""
    runs = {title: one.bundle.about.training for title, one in measured.items()}
    without = [title for title, records in runs.items() if not records]
    parts = []
    if any(runs.values()):
        parts.append(
            paragraph("One line per bundle; the large dot is the epoch whose weights were kept.")
        )
        parts.append(side_by_side(chart.markup() for chart in _charts(runs)))
        parts.append(table(_summary(runs), "Trainings"))
    parts.append(
        bullets(
            f"{title} keeps no record of epochs: it was not fitted in any." for title in without
        )
    )
    return Section("training", "Training", "\n".join(parts))


def _charts(runs: Mapping[str, list[Record]]) -> list[Chart]:
    wanted: list[tuple[str, str, Callable[[Record], Any]]] = []
    for name in _names(runs, "validation"):
        wanted.append((f"Validation {name}", name, _reader("validation", name)))
    for name in _names(runs, "terms"):
        title, unit = TERMS.get(name, (f"Term {name}", "mean over users"))
        wanted.append((title, unit, _reader("terms", name)))
    for name in _names(runs, "weights"):
        values = {_reader("weights", name)(r) for records in runs.values() for r in records}
        if values - {1.0, None}:
            title = WEIGHTS.get(name, f"Weight of {name}")
            wanted.append((title, "weight", _reader("weights", name)))
    wanted.append(
        ("Collapsed latent dimensions", "dimensions", lambda r: r.get("collapsed_dimensions"))
    )
    kept = "Nearest neighbours kept since the epoch before"
    wanted.append((kept, "share", lambda r: r.get("neighbours_kept")))
    charts = []
    for title, label, value in wanted:
        lines = _lines(runs, value)
        if lines:
            words = lines_in_words(lines, "epoch", label)
            figure = line_chart(lines, "epoch", label, whole=True)
            charts.append(Chart(f"training-{len(charts) + 1}", title, words, figure))
    return charts


def _lines(runs: Mapping[str, list[Record]], value: Callable[[Record], Any]) -> list[Line]:
    lines = []
    for colour, (title, records) in enumerate(runs.items()):
        y = [value(record) for record in records]
        if any(v is not None for v in y):
            x = [record.get("epoch", place) + 1 for place, record in enumerate(records)]
            kept = _kept(records)
            lines.append(Line(title, x, y, colour, marked=None if kept is None else x[kept]))
    return lines


def _names(runs: Mapping[str, list[Record]], part: str) -> list[str]:
    """The names in a part of the records, in the order in which they first appear."""
    found: dict[str, None] = {}
    for records in runs.values():
        for record in records:
            found |= dict.fromkeys(record.get(part) or {})
    return list(found)


def _reader(part: str, name: str) -> Callable[[Record], Any]:
    return lambda record: (record.get(part) or {}).get(name)


def _kept(records: list[Record]) -> int | None:
    """The place of the record whose weights were kept: the last that was the best so far."""
    best = [place for place, record in enumerate(records) if record.get("best")]
    return best[-1] if best else None


def _summary(runs: Mapping[str, list[Record]]) -> Table:
    rows = []
    for title, records in runs.items():
        if not records:
            continue
        kept = _kept(records)
        reached = "-"
        if kept is not None:
            found = records[kept].get("validation") or {}
            reached = ", ".join(f"{name} {v:.4f}" for name, v in found.items() if v is not None)
        seconds = sum(r.get("seconds") or 0 for r in records)
        minutes = f"{seconds / 60:.1f}" if seconds >= 60 else f"{seconds / 60:.2f}"
        speed = [r["users_per_second"] for r in records if r.get("users_per_second")]
        rows.append(
            (
                title, f"{len(records)}", "-" if kept is None else f"{kept + 1}", reached or "-",
                minutes, f"{sum(speed) / len(speed):,.0f}" if speed else "-",
            )
        )  # fmt: skip
    header = ("model", "epochs", "epoch kept", "validation there", "minutes", "users per second")
    return Table(header, tuple(rows), ("minutes: of training steps, validation left out.",))
