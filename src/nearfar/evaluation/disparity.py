"""Disparity: how unequally a model serves groups of users."""

from __future__ import annotations

import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from jaxtyping import Bool, Float64
from scipy import stats

from nearfar.core.errors import DataError, SettingsError
from nearfar.evaluation.evaluation import Activity, Evaluation
from nearfar.evaluation.groups import Group, parse_groups
from nearfar.evaluation.intervals import Interval, check_level
from nearfar.evaluation.paired import holm
from nearfar.evaluation.table import Table
from nearfar.evaluation.text import p_value, with_half_width
from nearfar.metrics.metric import Metric, parse_metric


@dataclass(frozen=True)
class Disparity:
    """The comparison of one group of users with all users of the other groups.

    Args:
        metric: the metric compared.
        group: name of the group.
        n_users: number of users in the group.
        n_others: number of users in the other groups.
        mean: mean of the metric in the group.
        mean_others: mean of the metric in the other groups.
        difference: mean - mean_others.
        interval: interval of the difference (Welch's t); None if a side has fewer than two users.
        superiority: probability that a user of the group has a higher value than one of the
            others, equal values counting half: U / (n m). One half if neither side is better.
        superiority_interval: interval of the superiority; None as above.
        p: p-value of the Mann-Whitney test that superiority is one half; None as above.
        p_holm: `p` after Holm's correction for all groups and metrics tested together.

    Examples:
        >>> evaluation = nf.evaluate(ease, split.test, ["Recall@5"])
        >>> users = evaluation.user_ids.ids.to_list()
        >>> labels = {user: "new" if row < 5 else "old" for row, user in enumerate(users)}
        >>> [disparity.group for disparity in nf.disparities(evaluation, labels)]
        ['new', 'old']
    """

    metric: Metric
    group: str
    n_users: int
    n_others: int
    mean: float
    mean_others: float
    difference: float
    interval: Interval | None
    superiority: float
    superiority_interval: Interval | None
    p: float | None
    p_holm: float | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the disparity as JSON-able values; a value that does not exist is None."""
        fields = {k: v for k, v in vars(self).items() if "interval" not in k and k != "metric"}
        bounds = {
            f"{name}_{end}": None if interval is None else getattr(interval, end)
            for name, interval in (
                ("difference", self.interval), ("superiority", self.superiority_interval)
            )
            for end in ("low", "high")
        }  # fmt: skip
        return {"metric": str(self.metric), **fields, **bounds}


def disparities(
    evaluation: Evaluation,
    groups: str | Sequence[Group] | Mapping[Any, str],
    metrics: Sequence[Metric | str] | None = None,
    *,
    by: Activity = "total",
    level: float = 0.95,
) -> list[Disparity]:
    """Compare each group of users with the users of all other groups, metric by metric.

    Source: Mann and Whitney 1947, "On a test of whether one of two random variables is
    stochastically larger than the other"; the interval of the superiority by DeLong, DeLong and
    Clarke-Pearson 1988, "Comparing the areas under two or more correlated receiver operating
    characteristic curves". Ekstrand et al. 2018, "All the cool kids, how do they fit in?", also
    compare groups of users by accuracy.

    Args:
        evaluation: the evaluation of one model.
        groups: bounds of the number of interactions, as text or `Group`s; or a mapping of user id
            to label. Users in no group are left out.
        metrics: metrics with one value per user; by default all such metrics of the evaluation.
        by: which interactions count: "total" or "fold_in".
        level: confidence level of the intervals.

    Raises:
        SettingsError: fewer than two groups have users, or `level` is not between 0 and 1.
        DataError: the mapping has none of the evaluation's users.
        UnknownNameError: a metric was not evaluated.

    Examples:
        >>> evaluation = nf.evaluate(ease, split.test, ["Recall@5"])
        >>> users = evaluation.user_ids.ids.to_list()
        >>> labels = {user: "new" if row < 5 else "old" for row, user in enumerate(users)}
        >>> [disparity.group for disparity in nf.disparities(evaluation, labels)]
        ['new', 'old']
    """
    check_level(level)
    group_masks = _group_masks(evaluation, groups, by)
    group_masks = {name: rows for name, rows in group_masks.items() if rows.any()}
    if len(group_masks) < 2:
        raise SettingsError(
            f"only {', '.join(group_masks) or 'none'} of the groups has users; disparity needs at "
            "least two groups with users"
        )
    in_any_group = np.any(list(group_masks.values()), axis=0)
    metrics = tuple(evaluation.per_user) if metrics is None else metrics
    results = [
        _compare_group(metric, name, values[rows], values[in_any_group & ~rows], level)
        for metric in (parse_metric(m) if isinstance(m, str) else m for m in metrics)
        for values in [evaluation.values(metric)]
        for name, rows in group_masks.items()
    ]
    p_holm = iter(holm(np.array([d.p for d in results if d.p is not None])).tolist())
    return [d if d.p is None else replace(d, p_holm=next(p_holm)) for d in results]


def disparity_table(results: Sequence[Disparity]) -> Table:
    """Return a table with one row per metric and group: difference, superiority and p-values."""
    header = ("metric", "group", "users", "difference", "superiority", "p", "p Holm")
    rows = tuple(
        (
            str(d.metric),
            d.group,
            f"{d.n_users}",
            with_half_width(
                d.difference, d.interval.half_width if d.interval else None, d.metric, signed=True
            ),
            _superiority(d),
            p_value(d.p),
            p_value(d.p_holm),
        )
        for d in results
    )
    levels = [d.interval.level for d in results if d.interval][:1]
    notes = [
        "Each group against the users of the other groups; superiority: chance that a user of the "
        "group has the higher value; p: Mann-Whitney."
    ] + [f"± and in brackets: the {level:.0%} interval." for level in levels]
    return Table(header, rows, tuple(notes), tuple(d.to_dict() for d in results))


def _superiority(disparity: Disparity) -> str:
    interval = disparity.superiority_interval
    text = _without_zero(disparity.superiority)
    return (
        text
        if interval is None
        else f"{text} [{_without_zero(interval.low)}, {_without_zero(interval.high)}]"
    )


def _without_zero(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _group_masks(
    evaluation: Evaluation, groups: str | Sequence[Group] | Mapping[Any, str], by: Activity
) -> dict[str, Bool[np.ndarray, " users"]]:
    if not isinstance(groups, Mapping):
        parsed_groups = parse_groups(groups) if isinstance(groups, str) else groups
        activity = evaluation.activity(by)
        return {str(group): group.contains(activity) for group in parsed_groups}
    labels = [groups.get(user) for user in evaluation.user_ids.ids.to_list()]
    if not any(label is not None for label in labels):
        example = evaluation.user_ids.ids[0] if evaluation.n_users else None
        raise DataError(
            f"groups has no label for any of the {evaluation.n_users} users of "
            f"{evaluation.name!r}, such as {example!r}; give a mapping of user id to label"
        )
    user_labels = np.array([str(label) if label is not None else "" for label in labels])
    labelled = np.array([label is not None for label in labels])
    names = sorted({str(label) for label in labels if label is not None})
    return {name: labelled & (user_labels == name) for name in names}


def _compare_group(
    metric: Metric,
    name: str,
    group: Float64[np.ndarray, " users"],
    others: Float64[np.ndarray, " others"],
    level: float,
) -> Disparity:
    n, m = len(group), len(others)
    # below: share of the others below each user of the group; above: share of the group below
    # each of the others.
    ranks = stats.rankdata(np.concatenate([group, others]))
    below = (ranks[:n] - stats.rankdata(group)) / m
    above = (ranks[n:] - stats.rankdata(others)) / n
    superiority = float(below.mean())
    interval = superiority_interval = p = None
    if min(n, m) >= 2:
        difference = group.mean() - others.mean()
        squared_error = group.var(ddof=1) / n + others.var(ddof=1) / m
        low = high = difference
        p = 1.0
        if squared_error > 0:
            with warnings.catch_warnings():  # SciPy warns if all values of one side are equal
                warnings.simplefilter("ignore", RuntimeWarning)
                welch = stats.ttest_ind(group, others, equal_var=False)
                low, high = welch.confidence_interval(level)
        if np.ptp(np.concatenate([group, others])) > 0:
            p = float(stats.mannwhitneyu(group, others, alternative="two-sided").pvalue)
        interval = Interval(float(low), float(high), level, "Welch")
        half_width = stats.norm.ppf((1 + level) / 2) * np.sqrt(
            below.var(ddof=1) / n + above.var(ddof=1) / m
        )
        superiority_interval = Interval(
            max(0.0, float(superiority - half_width)),
            min(1.0, float(superiority + half_width)),
            level,
            "DeLong",
        )
    return Disparity(
        metric, name, n, m, float(group.mean()), float(others.mean()),
        float(group.mean() - others.mean()), interval, superiority, superiority_interval, p,
    )  # fmt: skip
