"""Evaluations on several splits as one."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import polars as pl

from nearfar.core.errors import DataError, EmptyDataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation


def pooled(evaluations: Sequence[Evaluation], name: str = "all") -> Evaluation:
    """Join evaluations of one algorithm on several splits, such as folds or time windows.

    Each user counts once: a user of several evaluations has the mean of the values, and of the
    numbers of interactions. So means, intervals, groups and paired tests are those of the users,
    as with one split. Catalogue metrics are left out, since no mean over users gives them.

    Differs: the interval covers the choice of users. That models of different folds share most of
    their training users is in no interval (Bengio and Grandvalet 2004, "No unbiased estimator of
    the variance of k-fold cross-validation").

    Args:
        evaluations: with the same metrics.
        name: what tables call the result.

    Raises:
        EmptyDataError: there is no evaluation.
        DataError: they were not made with the same metrics, or their user ids are of two kinds.

    Examples:
        >>> halves = [nf.evaluate(ease, part) for part in (split.validation, split.test)]
        >>> nf.pooled(halves).n_users
        20
    """
    if not evaluations:
        raise EmptyDataError("no evaluations to pool")
    metrics = list(evaluations[0].per_user)
    for each in evaluations:
        if list(each.per_user) != metrics:
            raise DataError(
                f"{each.name!r} was measured by {', '.join(map(str, each.per_user))}, and "
                f"{evaluations[0].name!r} by {', '.join(map(str, metrics))}"
            )
    if len({each.user_ids.is_integer for each in evaluations}) > 1:
        raise DataError("user ids are numbers in one evaluation and text in another")
    ids = pl.concat([each.user_ids.ids for each in evaluations])
    users = Vocabulary(ids.unique(maintain_order=True))
    rows = users.index(ids)
    times = np.bincount(rows, minlength=len(users))

    def mean(parts: list[np.ndarray]) -> np.ndarray:
        return np.bincount(rows, np.concatenate(parts), minlength=len(users)) / times

    n_held_out = np.maximum(1, np.rint(mean([each.n_held_out for each in evaluations])))
    n_in_all = np.rint(mean([each.n_fold_in + each.n_held_out for each in evaluations]))
    return Evaluation(
        name=name,
        per_user={m: mean([each.per_user[m] for each in evaluations]) for m in metrics},
        user_ids=users,
        # A user whose number of interactions is the same in all splits stays in the same group.
        n_fold_in=np.maximum(0, n_in_all - n_held_out).astype(np.int64),
        n_held_out=n_held_out.astype(np.int64),
        n_dropped=sum(each.n_dropped for each in evaluations),
    )
