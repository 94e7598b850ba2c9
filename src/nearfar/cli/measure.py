"""`nearfar evaluate` and `nearfar compare`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.cli import inputs
from nearfar.cli.output import Debug, DeviceOption, Json, Output, Quiet, Seed, table
from nearfar.data.interactions import FoldIn, Split
from nearfar.evaluate.evaluate import DEFAULT_METRICS, Evaluation
from nearfar.evaluate.evaluate import evaluate as evaluate_model
from nearfar.evaluate.groups import parse_groups
from nearfar.evaluate.paired import compare_all
from nearfar.metrics.metric import Metric, UserMetric, parse_metric

Part = Annotated[
    Literal["test", "validation"], typer.Option("--part", help="Which held-out users.")
]
Metrics = Annotated[
    str | None,
    typer.Option("--metrics", help="For example recall@20,ndcg@100,coverage@50."),
]
Level = Annotated[float, typer.Option("--level", help="Confidence level of intervals.")]


def _metrics(text: str | None) -> tuple[Metric, ...]:
    return tuple(parse_metric(part) for part in text.split(",")) if text else DEFAULT_METRICS


def _measure(
    bundle: Bundle, split: Split, part: FoldIn, metrics: tuple[Metric, ...], output: Output
) -> Evaluation:
    trained_on = bundle.about.data.get("fingerprint")
    if trained_on not in (None, split.train.fingerprint):
        output.warning(
            "the bundle was not trained on this split's training users; it may have seen the "
            "users that it is measured on"
        )
    return evaluate_model(bundle.model, inputs.aligned(part, bundle.items, output), metrics)


def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    part: Part = "test",
    metrics: Metrics = None,
    groups: Annotated[
        str | None,
        typer.Option(
            "--groups", help="Groups by number of interactions, as 5-10,11-50,51-100,101-."
        ),
    ] = None,
    level: Level = 0.95,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Measure a bundle on a split's held-out users: means with intervals."""
    output = Output(as_json=as_json, quiet=quiet)
    chosen = _metrics(metrics)
    bounds = parse_groups(groups) if groups else None
    split, held_out = inputs.open_held_out(data, part)
    result = _measure(load_bundle(bundle, device=device), split, held_out, chosen, output)
    value = {"bundle": str(bundle), "part": part, **result.to_dict(level=level)}
    rows = [[str(m), f"{result.mean(m):.4f}", *_bounds(result, m, level)] for m in result.per_user]
    rows += [[str(m), f"{v:.4f}", "", ""] for m, v in result.overall.items()]
    shown = [
        table(
            f"{result.n_users:,} {part} users" + _dropped(result),
            ["metric", "mean", "from", "to"],
            rows,
        )
    ]
    if bounds is not None:
        parts = result.groups(bounds)
        value["groups"] = {name: e.to_dict(level=level) for name, e in parts.items()}
        columns = ["interactions", "users", *(str(m) for m in result.per_user)]
        shown.append(table("", columns, [_group_row(n, e, level) for n, e in parts.items()]))
    output.result(value, *shown)


def _dropped(result: Evaluation) -> str:
    return f"; {result.n_dropped:,} without targets left out" if result.n_dropped else ""


def _bounds(result: Evaluation, metric: Metric, level: float) -> list[str]:
    interval = result.interval(metric, level=level)
    return ["", ""] if interval is None else [f"{interval[0]:.4f}", f"{interval[1]:.4f}"]


def _group_row(name: str, part: Evaluation, level: float) -> list[str]:
    cells = []
    for metric in part.per_user:
        interval = part.interval(metric, level=level) if part.n_users else None
        mean = f"{part.mean(metric):.4f}" if part.n_users else "-"
        cells.append(mean + (f" ±{(interval[1] - interval[0]) / 2:.4f}" if interval else ""))
    return [name, f"{part.n_users:,}", *cells]


def compare(
    bundles: Annotated[list[Path], typer.Argument(help="Two or more; the first is the baseline.")],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    part: Part = "test",
    metrics: Metrics = None,
    level: Level = 0.95,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    as_json: Json = False,
    quiet: Quiet = False,
    debug: Debug = False,
) -> None:
    """Compare bundles on the same held-out users: paired differences, intervals, p-values."""
    output = Output(as_json=as_json, quiet=quiet)
    if len(bundles) < 2:
        raise typer.BadParameter("name two bundles or more", param_hint="BUNDLES")
    chosen = tuple(m for m in _metrics(metrics) if isinstance(m, UserMetric))
    split, held_out = inputs.open_held_out(data, part)
    results = {
        str(path): _measure(load_bundle(path, device=device), split, held_out, chosen, output)
        for path in bundles
    }
    pairs = compare_all(results, baseline=str(bundles[0]), metrics=chosen, level=level)
    columns = ["bundle", *(str(m) for m in chosen)]
    rows = []
    for name, result in results.items():
        cells = []
        for metric in chosen:
            interval = result.interval(metric, level=level)
            half = f" ±{(interval[1] - interval[0]) / 2:.4f}" if interval else ""
            cells.append(f"{result.mean(metric):.4f}{half}")
        rows.append([name, *cells])
    differences = [
        [
            p.challenger, str(p.metric), f"{p.difference:+.4f}",
            f"{p.interval[0]:+.4f} to {p.interval[1]:+.4f}" if p.interval else "",
            f"{p.p:.2g}", f"{p.p_holm:.2g}" if p.p_holm is not None else "",
        ]
        for p in pairs
    ]  # fmt: skip
    first = next(iter(results.values()))
    output.result(
        {
            "part": part, "baseline": str(bundles[0]), "level": level,
            "evaluations": {n: r.to_dict(level=level) for n, r in results.items()},
            "paired": [p.to_dict() for p in pairs],
        },
        table(f"{first.n_users:,} {part} users" + _dropped(first), columns, rows),
        table(
            f"\ndifference to {bundles[0]}, user by user",
            ["bundle", "metric", "difference", f"{level:.0%} interval", "p", "p (Holm)"],
            differences,
            left=2,
        ),
    )  # fmt: skip
