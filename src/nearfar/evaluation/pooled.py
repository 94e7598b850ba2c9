"""Pool evaluations on several splits into one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from nearfar.core.errors import DataError, EmptyDataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation


def pooled(evaluations: Sequence[Evaluation], name: str = "all") -> Evaluation:
    """Pool evaluations of one algorithm on several splits, such as folds or time windows.

    Each user counts once: a user of several evaluations gets the mean of the values and of the
    numbers of interactions. So means, intervals, groups and paired tests are over users, as with
    one split. Catalogue metrics are left out, since they are not means over users.

    Differs: the interval covers the choice of users only. It does not cover that models of
    different folds share most of their training users (Bengio and Grandvalet 2004, "No unbiased
    estimator of the variance of k-fold cross-validation").

    Args:
        evaluations: evaluations with the same metrics.
        name: name of the result in tables.

    Raises:
        EmptyDataError: there is no evaluation.
        DataError: the metrics differ, or user ids are numbers in one and text in another.

    Examples:
        >>> halves = [nf.evaluate(ease, part) for part in (split.validation, split.test)]
        >>> nf.pooled(halves).n_users
        20
    """
    if not evaluations:
        raise EmptyDataError("no evaluations to pool")
    metrics = list(evaluations[0].per_user)
    for evaluation in evaluations:
        if list(evaluation.per_user) != metrics:
            raise DataError(
                f"{evaluation.name!r} has the metrics {', '.join(map(str, evaluation.per_user))}; "
                f"{evaluations[0].name!r} has {', '.join(map(str, metrics))}; evaluate all with "
                "the same metrics"
            )
    if len({evaluation.user_ids.is_integer for evaluation in evaluations}) > 1:
        raise DataError(
            "user ids are numbers in one evaluation and text in another; evaluate on splits of "
            "one log"
        )
    ids = pl.concat([evaluation.user_ids.ids for evaluation in evaluations])
    users = Vocabulary(ids.unique(maintain_order=True))
    rows = users.index(ids)
    n_evaluations = np.bincount(rows, minlength=len(users))

    def mean(parts: list[np.ndarray]) -> np.ndarray:
        return np.bincount(rows, np.concatenate(parts), minlength=len(users)) / n_evaluations

    n_held_out = np.maximum(1, np.rint(mean([evaluation.n_held_out for evaluation in evaluations])))
    n_interactions = np.rint(
        mean([evaluation.n_fold_in + evaluation.n_held_out for evaluation in evaluations])
    )
    return Evaluation(
        name=name,
        per_user={m: mean([evaluation.per_user[m] for evaluation in evaluations]) for m in metrics},
        user_ids=users,
        # A user whose number of interactions is the same in all splits stays in the same group.
        n_fold_in=np.maximum(0, n_interactions - n_held_out).astype(np.int64),
        n_held_out=n_held_out.astype(np.int64),
        n_dropped=sum(evaluation.n_dropped for evaluation in evaluations),
    )
