"""Training curves, from the records that bundles keep."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfar.evaluation.table import Table
from nearfar.pages.page import Block, Bullets, Captioned, Charts, Section
from nearfar.report.report import MeasuredBundle
from nearfar.report.training_curves import kept_epoch, training_charts


def section(measured: Mapping[str, MeasuredBundle]) -> Section:
    """What each epoch came to, for bundles that were trained in epochs."""
    runs = {title: one.bundle.about.training for title, one in measured.items()}
    blocks: list[Block] = []
    if any(runs.values()):
        blocks = [
            "One line per bundle; the large dot is the epoch whose weights were kept.",
            Charts(training_charts(runs)),
            Captioned(_summary(runs), "Trainings"),
        ]
    without = [
        f"{title} keeps no record of epochs: it was not fitted in any."
        for title, records in runs.items()
        if not records
    ]
    return Section("training", "Training", [*blocks, Bullets(without)])


def _summary(runs: Mapping[str, list[dict[str, Any]]]) -> Table:
    rows = []
    for title, records in runs.items():
        if not records:
            continue
        kept = kept_epoch(records)
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
