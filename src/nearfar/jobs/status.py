"""The status of a pipeline, for the command line and for Prometheus."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from prometheus_client import CollectorRegistry, Gauge, generate_latest

from nearfar.core.files import atomic_file
from nearfar.jobs.registry import Registry

N_RECENT = 10


def status(registry_folder: Path) -> dict[str, Any]:
    """Return the versions (latest last), the pointer and the last run of each job; JSON-able.

    Examples:
        >>> from nearfar.jobs.status import status
        >>> current = status(Path("shop/registry"))["current"]  # doctest: +SKIP
    """
    registry = Registry(registry_folder)
    versions = registry.versions()
    last: dict[str, Any] = {}
    for event in registry.events():
        last.setdefault(event["job"], event)
    current = registry.current()
    return {
        "current": current,
        "age_seconds": _age(registry),
        "versions": [
            {
                "version": v.name, "as_of": v.as_of, "passed": v.passed,
                "current": v.name == current,
                "metrics": v.record.get("metrics", {}).get("candidate", {}),
                "failed_gates": [g["gate"] for g in v.record.get("gates", []) if not g["passed"]],
                "warm_from": v.record.get("lineage", {}).get("warm_from"),
            }
            for v in versions[-N_RECENT:]
        ],
        "n_versions": len(versions),
        "unfinished": registry.unfinished(),
        "last": last,
    }  # fmt: skip


def write_prometheus(registry_folder: Path, path: Path) -> None:
    """Write the status as metrics for Prometheus' node exporter."""
    registry = Registry(registry_folder)
    values: dict[tuple[str, tuple[tuple[str, str], ...]], float] = {}
    for name in ("train", "publish", "score"):
        values["last_success_timestamp_seconds", (("job", name),)] = 0.0
    events = registry.events()
    for event in reversed(events):
        job = (("job", event["job"]),)
        at = datetime.fromisoformat(event["at"]).timestamp()
        values["last_run_timestamp_seconds", job] = at
        failed = event["outcome"] in ("failed", "refused")
        values["last_run_failed", job] = float(failed)
        if not failed:
            values["last_success_timestamp_seconds", job] = at
        if event["seconds"] is not None:
            values["last_run_seconds", job] = event["seconds"]
        detail = event["detail"]
        if event["job"] == "train" and "gates" in detail:
            values["gates_failed", ()] = float(sum(not g["passed"] for g in detail["gates"]))
            values["events", ()] = float(detail["events"])
        if "rejected" in detail:
            values["events_rejected", ()] = float(detail["rejected"])
        if "left_out" in detail:
            values["rows_left_out", ()] = float(sum(detail["left_out"].values()))
        if event["job"] == "score" and event["outcome"] == "done":
            values["users_scored", ()] = float(detail["users"])
    for version in registry.versions()[-N_RECENT:]:
        measured = version.record.get("metrics", {}).get("candidate", {}).get("NDCG@100")
        if measured is not None:
            values["ndcg_at_100", (("version", version.name),)] = measured
    created = _created(registry)
    if created is not None:
        values["current_version_timestamp_seconds", ()] = created.timestamp()
    write_metrics(path, values)


def _created(registry: Registry) -> datetime | None:
    """Return when the current version was trained; None without one."""
    current = registry.current()
    if current is None:
        return None
    return datetime.fromisoformat(registry.version(current).record["created"])


def _age(registry: Registry) -> float | None:
    """Return the seconds since the current version was trained; None without one."""
    created = _created(registry)
    return None if created is None else (datetime.now(UTC) - created).total_seconds()


HELP = {
    "last_success_timestamp_seconds": "When a job last succeeded; 0 for never.",
    "last_run_timestamp_seconds": "When a job last ended, in whatever way.",
    "last_run_failed": "1 if the last run of a job failed, else 0.",
    "last_run_seconds": "How long the last run of a job took.",
    "events": "Events of the last training's window.",
    "events_rejected": "Events that the contract refused in the last training or scoring.",
    "rows_left_out": "Rows of the last window read that are no events, as impressions and refunds.",
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
        path: file to write; the textfile collector reads files whose name ends in .prom.
        values: (name, labels) -> value; names as in `HELP`, without the prefix `nearfar_`.
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
