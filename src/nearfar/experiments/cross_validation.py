"""Cross-validation: one algorithm on several splits, folds of users or rolling time windows."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from nearfar.algorithms.algorithm import Algorithm
from nearfar.core.arguments import validate_arguments
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
    """The metrics of an algorithm on several splits.

    Printed, it is a table with a row per split and a row for all users together.

    Args:
        evaluations: evaluation of each split's test users, in order.
        pooled: evaluation of all test users, each user once. Use it to compare two algorithms:
            `nf.compare(a.pooled, b.pooled, "NDCG@100")`.

    Examples:
        >>> validation = nf.cross_validate(nf.EASE(l2=50), nf.split_k_fold(log, 2), ["Recall@5"])
        >>> len(validation.evaluations)
        2
    """

    evaluations: tuple[Evaluation, ...]
    pooled: Evaluation

    def table(self, level: float = 0.95) -> Table:
        """Return a table with a row per split and one for all users.

        Args:
            level: confidence level of the intervals of the mean over users.
        """
        rows = {row.name: row for row in (*self.evaluations, self.pooled)}
        return comparison_table(rows, list(self.pooled.per_user), level=level)

    def __str__(self) -> str:
        return str(self.table())

    __repr__ = __str__

    def _repr_html_(self) -> str:
        return self.table()._repr_html_()


@validate_arguments()
def cross_validate(
    algorithm: Algorithm,
    splits: Iterable[Split],
    metrics: Metric | str | Sequence[Metric | str] | None = None,
    *,
    run: Run | None = None,
) -> CrossValidation:
    """Fit on the training users of each split and measure on its test users.

    Settings that are None are derived from each split's training users, and early stopping uses
    each split's validation users. Test users influence neither.

    Args:
        algorithm: algorithm to fit anew on each split.
        splits: splits from `split_k_fold`, `split_rolling`, or your own.
        metrics: metrics as for `evaluate`.
        run: options of each fit. Each split uses its own subfolder of `run.folder`; `run.history`
            stays empty.

    Raises:
        EmptyDataError: there is no split.
        SettingsError: `algorithm` is not an algorithm, or `splits` are not splits.

    Examples:
        >>> validation = nf.cross_validate(nf.EASE(l2=50), nf.split_k_fold(log, 2), ["Recall@5"])
        >>> len(validation.evaluations)
        2
    """
    if not isinstance(algorithm, Algorithm):
        raise SettingsError(
            f"an algorithm was expected, not {kind_of(algorithm)}; compare several with "
            "nf.compare({name: nf.cross_validate(algorithm, splits).pooled, ...}) on the same "
            "splits"
        )
    if isinstance(splits, Log | Interactions | Split):
        raise SettingsError(
            f"several splits were expected, not {kind_of(splits)}; make them with "
            "nf.split_k_fold(log, 5)"
        )
    run = run or Run()
    evaluations = []
    for number, split in enumerate(splits, start=1):
        name = f"split {number}"
        folder = run.folder and run.folder / f"split-{number}"
        split_run = replace(run, history=History(), folder=folder)
        model = algorithm.fit(split.train, split.validation, run=split_run)
        evaluations.append(evaluate(model, split.test, metrics, name=name))
    if not evaluations:
        raise EmptyDataError("there are no splits to measure on")
    return CrossValidation(tuple(evaluations), pooled(evaluations))
