"""One algorithm on several splits: folds of users or rolling time windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nearfar.algorithms.algorithm import Algorithm
from nearfar.core.arguments import told_in_words
from nearfar.core.errors import EmptyDataError, SettingsError, kind_of
from nearfar.data.events import Log
from nearfar.data.interactions import Interactions, Split
from nearfar.evaluation.evaluate import evaluate
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.pooled import pooled
from nearfar.evaluation.table import Table, comparison_table
from nearfar.metrics.metric import Metric
from nearfar.train.history import History
from nearfar.train.run import Run


@dataclass(frozen=True, eq=False)
class CrossValidation:
    """What an algorithm came to on several splits.

    Printed, it is a table: a row per split, and one of all users together.

    Args:
        evaluations: of the test users of each split, in order.
        pooled: of all of them, each user once; two algorithms are compared by it:
            `nf.compare(a.pooled, b.pooled, "NDCG@100")`.

    Examples:
        >>> found = nf.cross_validate(nf.EASE(l2=50), nf.split_k_fold(log, 2), ["Recall@5"])
        >>> len(found.evaluations)
        2
    """

    evaluations: tuple[Evaluation, ...]
    pooled: Evaluation

    def table(self, level: float = 0.95) -> Table:
        """A row per split and one of all users, with intervals of the mean over users."""
        rows = {each.name: each for each in (*self.evaluations, self.pooled)}
        return comparison_table(rows, list(self.pooled.per_user), level=level)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


@told_in_words()
def cross_validate(
    algorithm: Algorithm,
    splits: Iterable[Split],
    metrics: Metric | str | Sequence[Metric | str] | None = None,
    *,
    run: Run | None = None,
) -> CrossValidation:
    """Fit on the training users of each split and measure on its test users.

    Settings that are None are taken from each split's own training users, and early stopping
    looks at each split's validation users, so no test user chooses anything.

    Args:
        algorithm: what is fitted, anew on each split.
        splits: from `split_k_fold`, `split_rolling`, or your own.
        metrics: as of `evaluate`.
        run: options of each fit; its folder gets one per split, its history stays empty.

    Raises:
        EmptyDataError: there is no split.
        SettingsError: it is no algorithm, or these are no splits.

    Examples:
        >>> found = nf.cross_validate(nf.EASE(l2=50), nf.split_k_fold(log, 2), ["Recall@5"])
        >>> len(found.evaluations)
        2
    """
    if not isinstance(algorithm, Algorithm):
        raise SettingsError(
            f"an algorithm was expected, not {kind_of(algorithm)}; compare several by "
            "nf.compare({name: nf.cross_validate(each, splits).pooled, ...}), each with the same "
            "splits"
        )
    if isinstance(splits, Log | Interactions | Split):
        raise SettingsError(
            f"several splits were expected, not {kind_of(splits)}; make them by "
            "nf.split_k_fold(log, 5)"
        )
    run = run or Run()
    evaluations = []
    for number, split in enumerate(splits, start=1):
        name = f"split {number}"
        one = replace(run, history=History(), folder=run.folder and run.folder / f"split-{number}")
        model = algorithm.fit(split.train, split.validation, run=one)
        evaluations.append(evaluate(model, split.test, metrics, name=name))
    if not evaluations:
        raise EmptyDataError("there are no splits to measure on")
    return CrossValidation(tuple(evaluations), pooled(evaluations))
