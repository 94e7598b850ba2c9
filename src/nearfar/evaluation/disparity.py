"""Disparity: whether a model serves groups of users unequally."""

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
    """How a group of users fares against all users of the other groups.

    Args:
        metric: what was measured.
        group: the group.
        n_users: users of the group.
        n_others: users of the other groups.
        mean: of the group.
        mean_others: of the others.
        difference: mean - mean_others.
        interval: of the difference (Welch's t); None with fewer than two users on a side.
        superiority: the chance that a user of the group has a higher value than one of the others,
            equal values counting half: U / (n m). One half where neither fares better.
        superiority_interval: of that; None as above.
        p: of the Mann-Whitney test that superiority is one half; None as above.
        p_holm: `p` after Holm's correction for all groups and metrics tested together.

    Examples:
        >>> evaluation = nf.evaluate(ease, split.test, ["Recall@5"])
        >>> users = evaluation.user_ids.ids.to_list()
        >>> labels = {user: "new" if row < 5 else "old" for row, user in enumerate(users)}
        >>> [found.group for found in nf.disparities(evaluation, labels)]
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
        """The disparity as JSON-able values; what does not exist is None."""
        rest = {k: v for k, v in vars(self).items() if "interval" not in k and k != "metric"}
        bounds = {
            f"{name}_{end}": None if interval is None else getattr(interval, end)
            for name, interval in (
                ("difference", self.interval), ("superiority", self.superiority_interval)
            )
            for end in ("low", "high")
        }  # fmt: skip
        return {"metric": str(self.metric), **rest, **bounds}


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
    characteristic curves". Ekstrand et al. 2018, "All the cool kids, how do they fit in?", compare
    groups of users by accuracy so.

    Args:
        evaluation: of one model.
        groups: by number of interactions, as text or groups; or user id -> label. Users in no
            group are left out.
        metrics: metrics with one value per user; by default all of the evaluation.
        by: which interactions count: "total" or "fold_in".
        level: of the intervals.

    Raises:
        SettingsError: there are fewer than two groups with users, or the level is not between 0
            and 1.
        DataError: no user id of the mapping is one of the evaluation.
        UnknownNameError: a metric was not evaluated.

    Examples:
        >>> evaluation = nf.evaluate(ease, split.test, ["Recall@5"])
        >>> users = evaluation.user_ids.ids.to_list()
        >>> labels = {user: "new" if row < 5 else "old" for row, user in enumerate(users)}
        >>> [found.group for found in nf.disparities(evaluation, labels)]
        ['new', 'old']
    """
    check_level(level)
    members = _members(evaluation, groups, by)
    members = {name: rows for name, rows in members.items() if rows.any()}
    if len(members) < 2:
        raise SettingsError(
            f"groups of users: {', '.join(members) or 'none'} of the groups has users; disparity "
            "needs at least two"
        )
    anyone = np.any(list(members.values()), axis=0)
    chosen = tuple(evaluation.per_user) if metrics is None else metrics
    found = [
        _disparity(metric, name, values[rows], values[anyone & ~rows], level)
        for metric in (parse_metric(m) if isinstance(m, str) else m for m in chosen)
        for values in [evaluation.values(metric)]
        for name, rows in members.items()
    ]
    corrected = iter(holm(np.array([d.p for d in found if d.p is not None])).tolist())
    return [d if d.p is None else replace(d, p_holm=next(corrected)) for d in found]


def disparity_table(found: Sequence[Disparity]) -> Table:
    """One row per metric and group: users, difference from the others, superiority, p."""
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
        for d in found
    )
    levels = [d.interval.level for d in found if d.interval][:1]
    notes = [
        "Each group against the users of the others; superiority: chance that a user of it has "
        "the higher value; p: Mann-Whitney."
    ] + [f"± and in brackets: the {level:.0%} interval." for level in levels]
    return Table(header, rows, tuple(notes), tuple(d.to_dict() for d in found))


def _superiority(d: Disparity) -> str:
    interval = d.superiority_interval
    text = _bound(d.superiority)
    return text if interval is None else f"{text} [{_bound(interval.low)}, {_bound(interval.high)}]"


def _bound(share: float) -> str:
    return f"{share:.3f}".removeprefix("0")


def _members(
    evaluation: Evaluation, groups: str | Sequence[Group] | Mapping[Any, str], by: Activity
) -> dict[str, Bool[np.ndarray, " users"]]:
    if not isinstance(groups, Mapping):
        bounds = parse_groups(groups) if isinstance(groups, str) else groups
        activity = evaluation.activity(by)
        return {str(group): group.contains(activity) for group in bounds}
    labels = [groups.get(user) for user in evaluation.user_ids.ids.to_list()]
    if not any(label is not None for label in labels):
        one = evaluation.user_ids.ids[0] if evaluation.n_users else None
        raise DataError(
            f"the groups name none of the {evaluation.n_users} users of {evaluation.name!r}, such "
            f"as {one!r}; give user id -> label"
        )
    of_user = np.array([str(label) if label is not None else "" for label in labels])
    known = np.array([label is not None for label in labels])
    names = sorted({str(label) for label in labels if label is not None})
    return {name: known & (of_user == name) for name in names}


def _disparity(
    metric: Metric,
    name: str,
    group: Float64[np.ndarray, " users"],
    others: Float64[np.ndarray, " others"],
    level: float,
) -> Disparity:
    n, m = len(group), len(others)
    # Share of the others below each user of the group, and of the group below each other.
    both = stats.rankdata(np.concatenate([group, others]))
    below = (both[:n] - stats.rankdata(group)) / m
    above = (both[n:] - stats.rankdata(others)) / n
    superiority = float(below.mean())
    interval = of_superiority = p = None
    if min(n, m) >= 2:
        difference = group.mean() - others.mean()
        error2 = group.var(ddof=1) / n + others.var(ddof=1) / m
        low = high = difference
        p = 1.0
        if error2 > 0:
            with warnings.catch_warnings():  # one side may have equal values
                warnings.simplefilter("ignore", RuntimeWarning)
                welch = stats.ttest_ind(group, others, equal_var=False)
                low, high = welch.confidence_interval(level)
        if np.ptp(np.concatenate([group, others])) > 0:
            p = float(stats.mannwhitneyu(group, others, alternative="two-sided").pvalue)
        interval = Interval(float(low), float(high), level, "Welch")
        reach = stats.norm.ppf((1 + level) / 2) * np.sqrt(
            below.var(ddof=1) / n + above.var(ddof=1) / m
        )
        of_superiority = Interval(
            max(0.0, float(superiority - reach)), min(1.0, float(superiority + reach)), level,
            "DeLong",
        )  # fmt: skip
    return Disparity(
        metric, name, n, m, float(group.mean()), float(others.mean()),
        float(group.mean() - others.mean()), interval, superiority, of_superiority, p,
    )  # fmt: skip
