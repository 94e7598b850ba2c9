"""`nearfar evaluate` and `nearfar compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table as RichTable

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.bundle.similar import item_facts
from nearfar.cli import inputs
from nearfar.cli.options import DeviceOption, Level, Seed, with_options
from nearfar.cli.output import Output, rich_table
from nearfar.cli.rerank_options import RerankOptions
from nearfar.core import discovery
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import FoldIn, Split
from nearfar.evaluation.disparity import disparities, disparity_table
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, parse_metrics
from nearfar.evaluation.evaluate import evaluate as evaluate_model
from nearfar.evaluation.groups import parse_groups
from nearfar.evaluation.paired import Paired, compare_all
from nearfar.evaluation.table import Table, comparison_table, group_table, paired_table, tall
from nearfar.evaluation.text import remark_on_depths
from nearfar.metrics.metric import PACKAGE, Metric, UserMetric
from nearfar.reranking.reranked import Reranked

MAX_NAME = 14
"""Length of the longest name with which the tables of `compare` fit 80 columns."""

MAX_COLUMNS = 4
"""How many metrics fit side by side in 80 columns."""

RERANKED = "re-ranked"

Part = Annotated[
    Literal["test", "validation"],
    typer.Option("--part", help="Which held-out users to measure on."),
]
Metrics = Annotated[
    str | None,
    typer.Option(
        "--metrics",
        help="Each with its cutoff, comma-separated, as recall@20,ndcg@100,ild@10: "
        f"{', '.join(discovery.discover(PACKAGE, Metric))}. By default "
        f"{','.join(map(str, DEFAULT_METRICS)).lower()}. See docs/guide/metrics.md.",
    ),
]


def parse_metric_list(text: str | None) -> tuple[Metric, ...]:
    """Return the metrics of `--metrics`, or the default ones."""
    return parse_metrics(text) if text else DEFAULT_METRICS


def parse_user_metrics(text: str | None) -> tuple[UserMetric, ...]:
    """Return the metrics of `--metrics`, or the default ones; all have a value per user.

    Raises:
        SettingsError: a metric has a single value for all users.
    """
    parsed = parse_metric_list(text)
    if overall := [str(m) for m in parsed if not isinstance(m, UserMetric)]:
        raise SettingsError(
            f"{', '.join(overall)}: one value for all users, which cannot be compared user by "
            "user; see nearfar evaluate"
        )
    return tuple(m for m in parsed if isinstance(m, UserMetric))


def _measure(
    bundle: Bundle, split: Split, part: FoldIn, metrics: tuple[Metric, ...], output: Output
) -> Evaluation:
    if not bundle.trained_on(split.train):
        output.warning(
            "the bundle was not trained on this split's training users; it may have seen the "
            "users that it is measured on"
        )
    data = inputs.align_to_bundle(part, bundle.items, output)
    return evaluate_model(bundle.model, data, metrics)


def _remark_on_depths(metrics: Sequence[Metric], data: FoldIn, output: Output) -> None:
    if remark := remark_on_depths(metrics, data):
        output.remark(remark)


@with_options()
def evaluate(
    bundle: Annotated[Path, typer.Argument(help="A bundle's folder.")],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    part: Part = "test",
    metrics: Metrics = None,
    groups: Annotated[
        str | None,
        typer.Option(
            "--groups",
            help="User groups by number of interactions, such as 5-10,11-50,51-100,101-. Each "
            "group is also tested against all other users (Mann-Whitney).",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option(
            "-k",
            help="With --rerank or --rules: length of the re-ranked list; items after it are "
            "ordered by score.",
            min=1,
        ),
    ] = 20,
    reranked: RerankOptions = RerankOptions(),
    level: Level = 0.95,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Measure a bundle on a split's held-out users: means with intervals.

    With --rerank or --rules, the lists with and without re-ranking are compared user by user.

    nearfar evaluate BUNDLE --data SPLIT --metrics ndcg@100,ild@10,tailshare@10
    nearfar evaluate BUNDLE --data SPLIT --groups 5-10,11-50,51-100,101-
    nearfar evaluate BUNDLE --data SPLIT --rerank "mmr diversity=0.3" -k 10 --metrics ndcg@10
    """
    metric_list = parse_metric_list(metrics)
    bounds = parse_groups(groups) if groups else None
    reranking = reranked.reranking
    split, held_out = inputs.open_held_out(data, part)
    _remark_on_depths(metric_list, held_out, output)
    loaded = load_bundle(bundle, device=device)
    result = _measure(loaded, split, held_out, metric_list, output)
    results = {bundle.name: result}
    if reranking is not None:
        builder = reranking.over(item_facts(loaded))
        for unknown in builder.rules.unknown:
            output.warning(f"{unknown}; the rule is ignored")
        results[RERANKED] = evaluate_model(
            Reranked(loaded.model, builder, k), held_out.on_items(loaded.items), metric_list
        )
    means = comparison_table(results, level=level, seed=seed)
    own_split = loaded.trained_on(split.train)
    seen = "" if own_split else ", perhaps seen in training"
    tables = [metrics_table(means, f"{part} users{seen}{_dropped(result)}", 2)]
    value = {
        "bundle": str(bundle), "part": part, "trained_on_this_split": own_split,
        **result.to_dict(level=level),
    }  # fmt: skip
    if reranking is not None:
        user_metrics = [metric for metric in metric_list if isinstance(metric, UserMetric)]
        pairs = compare_all(results, bundle.name, user_metrics, level=level, seed=seed)
        value["k"] = k
        value["reranked"] = results[RERANKED].to_dict(level=level)
        value["paired"] = [pair.to_dict() for pair in pairs]
        if pairs:
            tables.append(gains_table(pairs, f"\ngain over {bundle.name}, user by user"))
    if bounds is not None:
        by_group = group_table(results, bounds, level=level, seed=seed)
        value["groups"] = by_group.to_dict()["rows"]
        tables.append(metrics_table(by_group, "\nby number of interactions", 3))
        n_groups = sum(group.n_users > 0 for group in result.groups(bounds).values())
        if n_groups > 1 and result.per_user:
            tests = disparity_table(disparities(result, bounds, level=level))
            value["disparities"] = tests.to_dict()["rows"]
            tables.append(rich_table(tests, "\neach group against the others", left=2))
    output.result(value, *tables)


def gains_table(pairs: Sequence[Paired], title: str) -> RichTable:
    """Return a table of paired tests against the baseline, which the title names."""
    return rich_table(_without_column(paired_table(list(pairs)), "versus"), title, left=2)


def metrics_table(table: Table, title: str, n_leading: int = 2) -> RichTable:
    """Return a table of metrics, with a row per metric if there are too many for columns."""
    fitted = tall(table, n_leading, MAX_COLUMNS)
    return rich_table(fitted, title, left=1 if fitted is table else 2)


def _dropped(result: Evaluation) -> str:
    return f"; {result.n_dropped:,} without targets left out" if result.n_dropped else ""


@with_options()
def compare(
    bundles: Annotated[
        list[Path], typer.Argument(help="Two or more bundle folders; the first is the baseline.")
    ],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    part: Part = "test",
    metrics: Metrics = None,
    level: Level = 0.95,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Compare bundles on the same held-out users: paired differences, intervals, p-values."""
    if len(bundles) < 2:
        raise typer.BadParameter("give two bundles or more", param_hint="BUNDLES")
    by_name = inputs.bundles_by_name(bundles)
    user_metrics = parse_user_metrics(metrics)
    split, held_out = inputs.open_held_out(data, part)
    _remark_on_depths(user_metrics, held_out, output)
    results = {
        name: _measure(load_bundle(path, device=device), split, held_out, user_metrics, output)
        for name, path in by_name.items()
    }
    baseline = next(iter(by_name))
    pairs = compare_all(results, baseline, user_metrics, level=level, seed=seed)
    labels = _labels(list(results))
    by_label = {labels[name]: result for name, result in results.items()}
    means = comparison_table(by_label, user_metrics, level=level, seed=seed)
    gains = [replace(p, a=labels[p.a], b=labels[p.b]) for p in pairs]
    first = next(iter(results.values()))
    output.result(
        {
            "part": part,
            "baseline": baseline,
            "level": level,
            "evaluations": {n: r.to_dict(level=level) for n, r in results.items()},
            "paired": [p.to_dict() for p in pairs],
        },
        *(f"{label} = {name}" for name, label in labels.items() if label != name),
        metrics_table(means, f"{part} users" + _dropped(first), 2),
        gains_table(gains, f"\ngain over {labels[baseline]}, user by user"),
    )


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Return a label per name: the name, or M1, M2, ... if one is too long for 80 columns."""
    if max(map(len, names)) <= MAX_NAME:
        return {name: name for name in names}
    return {name: f"M{number}" for number, name in enumerate(names, start=1)}


def _without_column(table: Table, column: str) -> Table:
    i = table.header.index(column)
    header, *rows = (line[:i] + line[i + 1 :] for line in (table.header, *table.rows))
    return replace(table, header=header, rows=tuple(rows))
