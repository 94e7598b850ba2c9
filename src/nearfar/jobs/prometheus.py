"""Metrics in Prometheus' text format, for its node exporter to pick up from a file."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from prometheus_client import CollectorRegistry, Gauge, generate_latest

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
    registry = CollectorRegistry()
    for name, description in HELP.items():
        samples = sorted((labels, v) for (n, labels), v in values.items() if n == name)
        if samples:
            label_names = [label for label, _ in samples[0][0]]
            gauge = Gauge(f"nearfar_{name}", description, label_names, registry=registry)
            for labels, value in samples:
                (gauge.labels(**dict(labels)) if labels else gauge).set(value)
    with atomic_file(path) as file:
        file.write(generate_latest(registry))
