"""The gain of alignment for users of uniform and of diverse taste."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from jaxtyping import Float
from scipy.stats import rankdata

from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import compare
from nearfar.evaluation.table import Table
from nearfar.evaluation.text import number, p_value, with_half_width
from nearfar.experiments.reproduction.summary import RowSummary
from nearfar.metrics.metric import Metric

THIRDS = ("uniform", "middle", "diverse")


def diversity_table(
    summaries: Sequence[RowSummary], metrics: Sequence[Metric], level: float = 0.95
) -> Table | None:
    """Return a table of the aligned rows' gains by thirds of users, from uniform to diverse taste.

    Test users of a split are ranked by V(S) of their fold-in items, under the anchors of the
    aligned model; a user of several splits has the mean rank.

    Args:
        summaries: the rows.
        metrics: metrics to compare.
        level: confidence level of the intervals.

    Returns:
        The table, or None if no aligned row shares a measured split with its plain row.
    """
    by_label = {s.row.label: s for s in summaries}
    rows, data = [], []
    for aligned in summaries:
        plain = by_label.get(aligned.row.plain or "")
        if not aligned.row.groups_users or plain is None:
            continue
        shared = [s for s, m in aligned.measured.items()
                  if s in plain.measured and m.spread is not None]  # fmt: skip
        if not shared:
            continue
        a = plain.pooled(shared)
        b = aligned.pooled(shared)
        rank = _mean_ranks(aligned, shared, b)
        for third_number, third in enumerate(THIRDS):
            users = np.minimum(rank * 3, 2).astype(int) == third_number
            if not users.any():
                continue
            for metric in metrics:
                pair = compare(a.only(users), b.only(users), metric, level=level)
                items = float(b.n_fold_in[users].mean())
                half_width = pair.interval.half_width if pair.interval else None
                rows.append((
                    aligned.row.label, f"{third} ({users.sum():,} users, {items:.0f} items each)",
                    str(metric), number(pair.mean_a, metric), number(pair.mean_b, metric),
                    with_half_width(pair.difference, half_width, metric, signed=True),
                    p_value(pair.p),
                ))  # fmt: skip
                data.append({"third": third, "mean_fold_in": items, **pair.to_dict()})
    if not rows:
        return None
    notes = (
        "Thirds of each split's test users by the spread V(S) of their fold-in items, under the "
        "anchors of the aligned row.",
        f"± half the {level:.0%} interval of the mean gain, user by user.",
    )
    header = ("alignment", "taste", "metric", "no alignment", "aligned", "gain", "p")
    return Table(header, tuple(rows), notes, tuple(data))


def _mean_ranks(
    aligned: RowSummary, seeds: Sequence[int], users: Evaluation
) -> Float[np.ndarray, " users"]:
    """Return each pooled user's mean rank by spread, scaled to 0 (first) to below 1."""
    total, n_splits = np.zeros(users.n_users), np.zeros(users.n_users)
    for seed in seeds:
        measured = aligned.measured[seed]
        assert measured.spread is not None
        rows = users.user_ids.index(measured.test.user_ids.ids)
        total[rows] += (rankdata(measured.spread, method="ordinal") - 1) / len(rows)
        n_splits[rows] += 1
    return total / n_splits
