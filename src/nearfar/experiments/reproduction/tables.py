"""The tables of a study as text, each with its numbers."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain

from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.groups import Group
from nearfar.evaluation.paired import Paired, compare
from nearfar.evaluation.table import Table
from nearfar.evaluation.text import number, p_value, with_half_width
from nearfar.experiments.reproduction.gains import Gain
from nearfar.experiments.reproduction.rows import EASE, Published
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.metrics.metric import Metric

NOT_IN_PAPER = "†"


def main_table(
    summaries: Sequence[RowSummary],
    metrics: Sequence[Metric],
    published: Published,
    n_seeds: int,
    level: float = 0.95,
    same_users: bool = False,
) -> Table:
    """Return a table with a row per summary; with published values, three columns per metric.

    Args:
        summaries: the rows.
        metrics: metrics to show.
        published: published values of the table.
        n_seeds: number of splits of the plan.
        level: confidence level of the intervals.
        same_users: whether all splits have the same test users.
    """
    has_published = bool(published.rows)
    header = ["model"]
    for metric in metrics:
        header += [str(metric), "published", "diff/se"] if has_published else [str(metric)]
    rows = []
    for summary in summaries:
        label = summary.row.label + (f" {NOT_IN_PAPER}" if summary.row.extra else "")
        cells = [_cells(summary, metric, published, has_published) for metric in metrics]
        if not summary.values:
            cells[0][0] = summary.status
        rows.append((label, *chain(*cells), _seconds(summary), _seeds(summary, n_seeds)))
    for label in published.beyond([s.row.label for s in summaries]):
        cells = [["", _published_value(published, label, m), ""] for m in metrics]
        rows.append((f"{label} {NOT_IN_PAPER}", *chain(*cells), "", ""))
    header += ["fit", "splits"]
    data = tuple(summary.to_dict() for summary in summaries)
    notes = _notes(summaries, published, n_seeds, level, same_users)
    return Table(tuple(header), tuple(rows), notes, data)


def gain_table(gains: Sequence[Gain], level: float = 0.95) -> Table:
    """Return a table with a row per comparison and metric."""
    several = any(len(gain.by_seed) > 1 for gain in gains)
    header = ["gain", "metric", "difference", "p", "p Holm", "better", "worse"]
    header += ["over splits", "p", "splits up"] if several else []
    rows = []
    for gain in gains:
        pair = gain.users
        row = [
            f"{pair.b} over {pair.a}", str(pair.metric), _signed_difference(pair),
            p_value(pair.p), p_value(pair.p_holm), f"{pair.better_share:.1%}",
            f"{pair.worse_share:.1%}",
        ]  # fmt: skip
        if several:
            mean = sum(gain.by_seed.values()) / len(gain.by_seed)
            half_width = _half_width(gain.low, gain.high)
            n_up = sum(value > 0 for value in gain.by_seed.values())
            row += [
                with_half_width(mean, half_width, pair.metric, signed=True),
                p_value(gain.p_splits), f"{n_up} of {len(gain.by_seed)}",
            ]  # fmt: skip
        rows.append(tuple(row))
    notes = [
        f"± half the {level:.0%} interval of the mean difference, user by user"
        + (", over the test users of all splits, each once." if several else "."),
        "p: paired t test; p Holm: corrected for all tests of this table.",
    ]
    if best := next((gain.users.b for gain in gains if gain.users.a == EASE), None):
        notes.append(f"{best}: the best variational autoencoder on validation users.")
    return Table(tuple(header), tuple(rows), tuple(notes), tuple(g.to_dict() for g in gains))


def grouped_table(
    plain: RowSummary,
    aligned: RowSummary,
    metrics: Sequence[Metric],
    groups: Sequence[Group],
    published: Published,
    level: float = 0.95,
) -> Table:
    """Return a table of two rows by groups of users, with the gain of the second row."""
    shared = [seed for seed in plain.measured if seed in aligned.measured]
    evaluations = [s.pooled(shared) for s in (plain, aligned)]
    by_group = [evaluation.groups(groups) for evaluation in evaluations]
    labels = [plain.row.label, aligned.row.label]
    header = ["interactions", "users", "metric", *labels, "gain", "p"]
    header += ["published", "published gain"] if published.rows else []
    rows, data = [], []
    for group in groups:
        a, b = (parts[group] for parts in by_group)
        for metric in metrics:
            row, entry = _group_row(a, b, group, metric, labels, published, level)
            rows.append(tuple(row[: len(header)]))
            data.append(entry)
    n_outside = evaluations[0].n_users - sum(part.n_users for part in by_group[0].values())
    notes = [
        "Groups by all interactions of a test user, fold-in and held-out together.",
        f"± half the {level:.0%} interval of the mean gain, user by user.",
    ]
    if n_outside:
        notes.append(f"{n_outside} test users are in no group.")
    return Table(tuple(header), tuple(rows), tuple(notes), tuple(data))


def _group_row(
    a: Evaluation,
    b: Evaluation,
    group: Group,
    metric: Metric,
    labels: Sequence[str],
    published: Published,
    level: float,
) -> tuple[list[str], dict[str, object]]:
    pair = compare(a, b, metric, level=level) if a.n_users else None
    published_values = [published.value(f"{group} {label}", metric) for label in labels]
    row = [
        str(group), f"{a.n_users:,}", str(metric), number(a.mean(metric), metric),
        number(b.mean(metric), metric), _signed_difference(pair) if pair else "-",
        p_value(pair.p) if pair else "-",
        *_published_gain(published, f"{group} {labels[0]}", f"{group} {labels[1]}", metric),
    ]  # fmt: skip
    data = {
        "group": str(group),
        "metric": str(metric),
        "n_users": a.n_users,
        "gain": pair.to_dict() if pair else None,
        "values": {
            label: {**_summary(part, metric, level), "published": value}
            for label, part, value in zip(labels, (a, b), published_values, strict=True)
        },
    }
    return row, data


def _published_gain(published: Published, old: str, new: str, metric: Metric) -> tuple[str, str]:
    values = published.value(old, metric), published.value(new, metric)
    if values[0] is None or values[1] is None:
        return "", ""
    text = " → ".join(_published_value(published, label, metric) for label in (old, new))
    return text, number(values[1] - values[0], metric, published.digits, signed=True)


def _summary(part: Evaluation, metric: Metric, level: float) -> dict[str, float | None]:
    interval = part.interval(metric, level)
    return {
        "mean": part.mean(metric) if part.n_users else None,
        "standard_error": part.standard_error(metric),
        "low": interval.low if interval else None,
        "high": interval.high if interval else None,
    }


def _cells(
    summary: RowSummary, metric: Metric, published: Published, has_published: bool
) -> list[str]:
    value = summary.values.get(metric)
    ours = with_half_width(value.mean, _half_width(value.low, value.high), metric) if value else ""
    if not has_published:
        return [ours]
    errors = value.in_standard_errors if value else None
    return [
        ours,
        _published_value(published, summary.row.label, metric),
        "" if errors is None else f"{errors:+.1f}",
    ]


def _published_value(published: Published, label: str, metric: Metric) -> str:
    value = published.value(label, metric)
    return "" if value is None else number(value, metric, published.digits)


def _half_width(low: float | None, high: float | None) -> float | None:
    return None if low is None or high is None else (high - low) / 2


def _signed_difference(pair: Paired) -> str:
    half_width = pair.interval.half_width if pair.interval else None
    return with_half_width(pair.difference, half_width, pair.metric, signed=True)


def _seconds(summary: RowSummary) -> str:
    seconds = summary.fit_seconds
    return "" if seconds is None else f"{seconds:,.1f} s"


def _seeds(summary: RowSummary, n_seeds: int) -> str:
    return f"{len(summary.measured)} of {n_seeds}"


def _notes(
    summaries: Sequence[RowSummary],
    published: Published,
    n_seeds: int,
    level: float,
    same_users: bool,
) -> tuple[str, ...]:
    over = "over splits" if n_seeds > 1 else "over users"
    notes = [f"± half the {level:.0%} t interval of the mean {over}."]
    if n_seeds > 1 and same_users:
        notes.append("All splits have the same test users: they differ only in training.")
    if n_seeds > 1 and any(len(s.measured) == 1 for s in summaries):
        notes.append("Rows with one split: over its users.")
    if published.rows:
        notes.append("diff/se: ours minus published, in standard errors of ours.")
    labels = [s.row.label for s in summaries]
    if any(s.row.extra for s in summaries) or published.beyond(labels):
        notes.append(f"{NOT_IN_PAPER} not a row of the paper's table.")
    if elsewhere := [label for label in labels if label in published.elsewhere]:
        notes.append(f"Published in other work under this protocol: {', '.join(elsewhere)}.")
    notes += [f"{s.row.label}: {reason}" for s in summaries for reason in s.troubles]
    return tuple(notes)
