"""The section with the training curves, from the records in bundles."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nearfar.evaluation.table import Table
from nearfar.pages.page import Block, Bullets, Captioned, Charts, Section
from nearfar.report.report import MeasuredBundle
from nearfar.report.training_curves import kept_epoch, training_charts


def section(measured: Mapping[str, MeasuredBundle]) -> Section:
    """Return the section with the training curves of bundles that were trained in epochs."""
    runs = {title: bundle.bundle.metadata.training for title, bundle in measured.items()}
    blocks: list[Block] = []
    if any(runs.values()):
        blocks = [
            "One line per bundle; the large dot is the epoch whose weights were kept.",
            Charts(training_charts(runs)),
            Captioned(_summary(runs), "Trainings"),
        ]
    without = [
        f"{title} has no record of epochs, since its training has none."
        for title, records in runs.items()
        if not records
    ]
    return Section("training", "Training", [*blocks, Bullets(without)])


def _summary(runs: Mapping[str, list[dict[str, Any]]]) -> Table:
    rows = []
    for title, records in runs.items():
        if not records:
            continue
        best = kept_epoch(records)
        validation = "-"
        if best is not None:
            values = records[best].get("validation") or {}
            validation = ", ".join(f"{name} {v:.4f}" for name, v in values.items() if v is not None)
        seconds = sum(r.get("seconds") or 0 for r in records)
        minutes = f"{seconds / 60:.1f}" if seconds >= 60 else f"{seconds / 60:.2f}"
        speed = [r["users_per_second"] for r in records if r.get("users_per_second")]
        rows.append(
            (
                title, f"{len(records)}", "-" if best is None else f"{best + 1}", validation or "-",
                minutes, f"{sum(speed) / len(speed):,.0f}" if speed else "-",
            )
        )  # fmt: skip
    header = ("model", "epochs", "epoch kept", "validation there", "minutes", "users per second")
    return Table(header, tuple(rows), ("minutes: of training steps, validation left out.",))
