"""Compare models on the same held-out users: a table, and paired tests against a baseline."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, overload

import polars as pl

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import SettingsError, kind_of
from nearfar.core.frames import to_pandas
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluate import Recommender, RecommenderWithItems, evaluate
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import N_RESAMPLES, Paired, Test, compare_all
from nearfar.evaluation.paired import compare as compare_pair
from nearfar.evaluation.table import comparison_table, paired_table
from nearfar.metrics.metric import Metric

Comparable = Recommender | RecommenderWithItems | Evaluation


@dataclass(frozen=True, eq=False)
class Comparison:
    """Evaluations of several models on the same users, and the paired tests between them.

    It prints as two tables: the means, one row per model; and the gain of each model over the
    baseline, one row per paired test.

    Args:
        evaluations: name of the model -> its evaluation.
        baseline: name of the model that the others are tested against.
        pairs: one test per other model and metric; p-values are corrected for all of them (Holm).
        level: confidence level of the printed intervals.

    Examples:
        >>> table = nf.compare({"EASE": ease, "Mult-VAE": vae}, split.test, ["Recall@5"])
        >>> table.to_polars().columns[:6]
        ['model', 'metric', 'n_users', 'mean', 'low', 'high']
    """

    evaluations: dict[str, Evaluation]
    baseline: str
    pairs: list[Paired]
    level: float = 0.95

    @property
    def models(self) -> list[str]:
        """The names of the models, in order."""
        return list(self.evaluations)

    def __getitem__(self, model: str) -> Evaluation:
        return self.evaluations[model]

    def to_polars(self) -> pl.DataFrame:
        """Return a frame with one row per model and metric.

        The columns are `model`, `metric`, `n_users`, `mean`, `low`, `high` (interval of the mean),
        `difference` from the baseline with `difference_low` and `difference_high`, `p`, `p_holm`.
        A value that does not exist is null, as for the baseline itself. Intervals are at `level`.
        """
        pairs = {(pair.b, str(pair.metric)): pair for pair in self.pairs}
        rows = []
        for name, evaluation in self.evaluations.items():
            for row in evaluation.to_polars(level=self.level).iter_rows(named=True):
                pair = pairs.get((name, row["metric"]))
                interval = None if pair is None else pair.interval
                rows.append(
                    {
                        "model": name,
                        **{k: row[k] for k in ("metric", "n_users", "mean", "low", "high")},
                        "difference": None if pair is None else pair.difference,
                        "difference_low": None if interval is None else interval.low,
                        "difference_high": None if interval is None else interval.high,
                        "p": None if pair is None else pair.p,
                        "p_holm": None if pair is None else pair.p_holm,
                    }
                )
        types = dict.fromkeys(("difference", "difference_low", "difference_high", "p", "p_holm"))
        return pl.DataFrame(
            rows, schema_overrides=dict.fromkeys(types, pl.Float64), infer_schema_length=None
        )

    def to_pandas(self) -> Any:
        """Return `to_polars` as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas(self.to_polars())

    def __str__(self) -> str:
        means = comparison_table(self.evaluations, level=self.level)
        if not self.pairs:
            return str(means)
        gains = paired_table(self.pairs)
        return f"{means}\n\ngain over {self.baseline}, user by user\n{gains}"

    __repr__ = __str__

    def _repr_html_(self) -> str:
        means = comparison_table(self.evaluations, level=self.level)
        return means._repr_html_() + (paired_table(self.pairs)._repr_html_() if self.pairs else "")


@overload
def compare(
    models: Evaluation,
    data: Evaluation,
    metrics: Metric | str,
    *,
    method: Test = ...,
    level: float = ...,
    seed: int = ...,
    n_resamples: int = ...,
) -> Paired: ...
@overload
def compare(
    models: Sequence[Comparable] | Mapping[str, Comparable],
    data: FoldIn | None = ...,
    metrics: Metric | str | Sequence[Metric | str] | None = ...,
    *,
    baseline: str | None = ...,
    method: Test = ...,
    level: float = ...,
    seed: int = ...,
    n_resamples: int = ...,
) -> Comparison: ...
@validate_arguments()
def compare(
    models: Any,
    data: Any = None,
    metrics: Any = None,
    *,
    baseline: str | None = None,
    method: Test = "t",
    level: float = 0.95,
    seed: int = 0,
    n_resamples: int = N_RESAMPLES,
) -> Comparison | Paired:
    """Compare models on the same held-out users, or two evaluations on one metric.

    ```python
    print(nf.compare([ease, plain, aligned], split.test))      # a table of all
    nf.compare({"old": a, "new": b}, split.test, ["NDCG@100"], baseline="old").to_pandas()
    nf.compare(evaluation_a, evaluation_b, "NDCG@100").p       # one paired test
    ```

    Args:
        models: fitted models, bundles or evaluations, in a list or a mapping of names. A model in
            a list is named after its algorithm and settings.
        data: held-out users, such as `split.test`; not needed if all `models` are evaluations.
        metrics: one or several metrics or their printed forms; by default Recall@20, Recall@50 and
            NDCG@100.
        baseline: name of the model that the others are tested against; by default the first.
        method: the paired test, see `evaluation.paired.compare`.
        level: confidence level of the intervals.
        seed: random seed of the resampling.
        n_resamples: number of resamples.

    Returns:
        A `Comparison`; for two evaluations and one metric, one `Paired` test.

    Raises:
        SettingsError: `models` is empty or not a list or mapping, or `data` is missing.
        UnknownNameError: no model is called `baseline`, or a metric is unknown.
        DataError: the evaluations have different users.

    Examples:
        >>> table = nf.compare({"EASE": ease, "Mult-VAE": vae}, split.test, ["Recall@5"])
        >>> table.models
        ['EASE', 'Mult-VAE']
        >>> nf.compare(table["EASE"], table["Mult-VAE"], "Recall@5").n_users
        10
    """
    options = {"method": method, "level": level, "seed": seed, "n_resamples": n_resamples}
    if isinstance(models, Evaluation):
        return compare_pair(models, data, metrics, **options)
    if not isinstance(models, Mapping | Sequence):
        raise SettingsError(
            f"models is {kind_of(models)}; expected a list or a mapping of several, such as "
            "nf.compare([a, b], split.test)"
        )
    named = models if isinstance(models, Mapping) else _by_label(models)
    if not named:
        raise SettingsError("models is empty; give a list of fitted models to compare")
    evaluations = {}
    for name, model in named.items():
        if isinstance(model, Evaluation):
            evaluations[name] = replace(model, name=name)
        elif data is None:
            raise SettingsError("no held-out users to compare on; give data=split.test")
        else:
            evaluations[name] = evaluate(model, data, metrics, name=name)
    baseline_name = baseline if baseline is not None else next(iter(evaluations))
    return Comparison(
        evaluations, baseline_name, compare_all(evaluations, baseline_name, **options), level
    )


def _by_label(models: Sequence[Any]) -> dict[str, Any]:
    """Name models by their labels, and number equal labels."""
    labels = [
        getattr(getattr(m, "model", m), "label", None) or getattr(m, "name", None)
        or type(m).__name__ for m in models
    ]  # fmt: skip
    counts: dict[str, int] = {}
    named = {}
    for label, model in zip(labels, models, strict=True):
        counts[label] = counts.get(label, 0) + 1
        named[label if labels.count(label) == 1 else f"{label} {counts[label]}"] = model
    return named
