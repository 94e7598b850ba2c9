"""`nearfar evaluate` and `nearfar compare`."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Literal

import typer
from rich.table import Table as Drawn

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.bundle.similar import item_facts
from nearfar.cli import inputs
from nearfar.cli.options import DeviceOption, Level, Seed, with_options
from nearfar.cli.output import Output, drawn
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
"""Characters of the longest name that fits the tables of `compare` in 80 columns."""

MAX_COLUMNS = 4
"""Metrics that fit beside each other in 80 columns."""
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


def chosen_metrics(text: str | None) -> tuple[Metric, ...]:
    """The metrics of `--metrics`, or the default ones."""
    return parse_metrics(text) if text else DEFAULT_METRICS


def metrics_of_users(text: str | None) -> tuple[UserMetric, ...]:
    """The metrics of `--metrics`, or the default ones, as far as users have a value each.

    Raises:
        SettingsError: one has a single value for all users.
    """
    chosen = chosen_metrics(text)
    if overall := [str(m) for m in chosen if not isinstance(m, UserMetric)]:
        raise SettingsError(
            f"{', '.join(overall)}: one value for all users, which cannot be compared user by "
            "user; see nearfar evaluate"
        )
    return tuple(m for m in chosen if isinstance(m, UserMetric))


def _measure(
    bundle: Bundle, split: Split, part: FoldIn, metrics: tuple[Metric, ...], output: Output
) -> Evaluation:
    if not bundle.trained_on(split.train):
        output.warning(
            "the bundle was not trained on this split's training users; it may have seen the "
            "users that it is measured on"
        )
    data = inputs.aligned(part, bundle.items, output)
    if told := remark_on_depths(metrics, data):
        output.remark(told)
    return evaluate_model(bundle.model, data, metrics)


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
    chosen = chosen_metrics(metrics)
    bounds = parse_groups(groups) if groups else None
    reranking = reranked.reranking
    split, held_out = inputs.open_held_out(data, part)
    loaded = load_bundle(bundle, device=device)
    result = _measure(loaded, split, held_out, chosen, output)
    named = {bundle.name: result}
    if reranking is not None:
        builder = reranking.over(item_facts(loaded))
        for unknown in builder.rules.unknown:
            output.warning(f"{unknown}; the rule is ignored")
        named[RERANKED] = evaluate_model(
            Reranked(loaded.model, builder, k), held_out.on_items(loaded.items), chosen
        )
    found = comparison_table(named, level=level, seed=seed)
    shown = [drawn_metrics(found, f"{part} users" + _dropped(result), 2)]
    value = {"bundle": str(bundle), "part": part, **result.to_dict(level=level)}
    if reranking is not None:
        of_users = [metric for metric in chosen if isinstance(metric, UserMetric)]
        pairs = compare_all(named, bundle.name, of_users, level=level, seed=seed)
        value["k"] = k
        value["reranked"] = named[RERANKED].to_dict(level=level)
        value["paired"] = [pair.to_dict() for pair in pairs]
        if pairs:
            shown.append(drawn_gains(pairs, f"\ngain over {bundle.name}, user by user"))
    if bounds is not None:
        grouped = group_table(named, bounds, level=level, seed=seed)
        value["groups"] = grouped.to_dict()["rows"]
        shown.append(drawn_metrics(grouped, "\nby number of interactions", 3))
        n_filled = sum(each.n_users > 0 for each in result.groups(bounds).values())
        if n_filled > 1 and result.per_user:
            unequal = disparity_table(disparities(result, bounds, level=level))
            value["disparities"] = unequal.to_dict()["rows"]
            shown.append(drawn(unequal, "\neach group against the others", left=2))
    output.result(value, *shown)


def drawn_gains(pairs: Sequence[Paired], title: str) -> Drawn:
    """Paired tests against the first model, which the title names."""
    return drawn(_without(paired_table(list(pairs)), "versus"), title, left=2)


def drawn_metrics(found: Table, title: str, n_leading: int = 2) -> Drawn:
    """A table of metrics, with a row for each of them where they are too many for columns."""
    shown = tall(found, n_leading, MAX_COLUMNS)
    return drawn(shown, title, left=1 if shown is found else 2)


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
        raise typer.BadParameter("name two bundles or more", param_hint="BUNDLES")
    names = inputs.named_bundles(bundles)
    chosen = metrics_of_users(metrics)
    split, held_out = inputs.open_held_out(data, part)
    results = {
        name: _measure(load_bundle(path, device=device), split, held_out, chosen, output)
        for name, path in names.items()
    }
    baseline = next(iter(names))
    pairs = compare_all(results, baseline, chosen, level=level, seed=seed)
    labels = _labels(list(results))
    found = comparison_table(
        {labels[name]: result for name, result in results.items()}, chosen, level=level, seed=seed
    )
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
        drawn_metrics(found, f"{part} users" + _dropped(first), 2),
        drawn_gains(gains, f"\ngain over {labels[baseline]}, user by user"),
    )


def _labels(names: Sequence[str]) -> dict[str, str]:
    """Names that fit a table of 80 columns: the names themselves, or M1, M2, ... if one is long."""
    if max(map(len, names)) <= MAX_NAME:
        return {name: name for name in names}
    return {name: f"M{number}" for number, name in enumerate(names, start=1)}


def _without(table: Table, column: str) -> Table:
    at = table.header.index(column)
    header, *rows = (line[:at] + line[at + 1 :] for line in (table.header, *table.rows))
    return replace(table, header=header, rows=tuple(rows))
