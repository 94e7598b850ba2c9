"""Metrics in Prometheus' text format, for its node exporter to pick up from a file."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path

from nearfar.core.files import atomic_file

HELP = {
    "last_success_timestamp_seconds": "When a job last succeeded; 0 for never.",
    "last_run_timestamp_seconds": "When a job last ended, in whatever way.",
    "last_run_failed": "1 if the last run of a job failed, else 0.",
    "last_run_seconds": "How long the last run of a job took.",
    "events": "Events of the last training's window.",
    "events_rejected": "Events that the contract refused in the last training or scoring.",
    "users_scored": "Users that the last scoring wrote recommendations for.",
    "ndcg_at_100": "NDCG@100 of a version on its held-out users.",
    "gates_failed": "Gates that the last candidate did not pass.",
    "current_version_timestamp_seconds": "When the published version was trained.",
}


def write_metrics(
    path: Path, values: Mapping[tuple[str, tuple[tuple[str, str], ...]], float]
) -> None:
    """Write all metrics at once, atomically.

    Args:
        path: ends in .prom for the textfile collector.
        values: (name, labels) -> value; names as in `HELP`, without their prefix.
    """
    lines = []
    for name, told in HELP.items():
        mine = sorted((labels, v) for (n, labels), v in values.items() if n == name)
        if not mine:
            continue
        lines += [f"# HELP nearfar_{name} {told}", f"# TYPE nearfar_{name} gauge"]
        for labels, value in mine:
            inside = ",".join(f'{k}="{_escaped(v)}"' for k, v in labels)
            lines.append(f"nearfar_{name}{{{inside}}} {_number(value)}" if inside
                         else f"nearfar_{name} {_number(value)}")  # fmt: skip
    with atomic_file(path, text=True) as file:
        file.write("\n".join(lines) + "\n")


def _escaped(text: str) -> str:
    return text.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")


def _number(value: float) -> str:
    if math.isnan(value):
        return "NaN"
    return repr(float(value)) if math.isfinite(value) else ("+Inf" if value > 0 else "-Inf")
