"""The history of a training run: one record per epoch."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from nearfar.core.files import atomic_file
from nearfar.core.frames import summary_text, to_pandas


@dataclass(frozen=True)
class StepReport:
    """Where a run stands in the middle of an epoch.

    `step` of `n_steps` is counted in the epoch, `total_step` over all epochs; `terms` are means
    so far over the epoch.

    Examples:
        >>> class Steps(nf.Callback):
        ...     def step(self, report):
        ...         print(f"step {report.step} of {report.n_steps}")
        >>> told = nf.Run(seed=1, callbacks=[Steps()])
        >>> model = nf.MultVAE(epochs=1, **small).fit(split.train, split.validation, run=told)
        step 1 of 2
        step 2 of 2
    """

    epoch: int
    n_epochs: int
    step: int
    n_steps: int
    terms: dict[str, float]
    users_per_second: float
    total_step: int


@dataclass(frozen=True)
class EpochRecord:
    """One epoch.

    `terms` are means over users and steps in nats or squared distance, before weighting;
    `weights` those in force in the last step; `collapsed_dimensions` counts the latent
    dimensions with less than .01 nats of information about the user (see `Information`);
    `seconds` excludes validation; `neighbours_kept` is the share of their ten nearest neighbours in
    the latent space that 256 training users kept since the epoch before, None in the first.

    Examples:
        >>> record = run.history.records[0]
        >>> record.epoch, sorted(record.terms)
        (0, ['kl', 'reconstruction'])
    """

    epoch: int
    step: int
    loss: float
    terms: dict[str, float]
    weights: dict[str, float]
    collapsed_dimensions: int
    validation: dict[str, float]
    best: bool
    seconds: float
    validation_seconds: float
    users_per_second: float
    neighbours_kept: float | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Attempt:
    """One of several networks that were trained to find out which suits the data.

    `score` is its best validation score, by the metric that chooses, None where training failed
    with `error`; `epochs` is how many were trained.
    """

    label: str
    score: float | None
    epochs: int
    error: str | None = None

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass
class History:
    """The epochs of a run in order.

    `interrupted` says that it was stopped by hand, `stopped_early` that validation had not
    improved for the plan's patience; `best_epoch` is the one whose weights were kept. Where
    several networks were tried, `attempts` has all of them and the rest is of the best one.

    Examples:
        >>> run.history
        History(2 epochs, best epoch: 2)
        >>> run.history.to_polars().select("epoch", "best").shape
        (2, 2)
    """

    records: list[EpochRecord] = field(default_factory=list)
    interrupted: bool = False
    stopped_early: bool = False
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def best_epoch(self) -> int | None:
        best = [r.epoch for r in self.records if r.best]
        return best[-1] if best else None

    @property
    def best_score(self) -> float:
        """The best epoch's validation score, of the metric that chooses; -inf without any."""
        scores = [next(iter(r.validation.values())) for r in self.records if r.validation]
        return max(scores, default=float("-inf"))

    @property
    def seconds(self) -> float:
        """Time spent on steps and on validation, over all epochs."""
        return sum(r.seconds + r.validation_seconds for r in self.records)

    def to_polars(self) -> pl.DataFrame:
        """One row per epoch.

        Columns are the fields of `EpochRecord`; of those with several values one column each, as
        `terms.kl`, `weights.alignment` and `validation.NDCG@100`, null where an epoch has none.
        """
        return pl.DataFrame(
            [_flat(record.to_dict()) for record in self.records], infer_schema_length=None
        )

    def to_pandas(self) -> Any:
        """As `to_polars`, for pandas.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas(self.to_polars())

    def __repr__(self) -> str:
        best = "none" if self.best_epoch is None else str(self.best_epoch + 1)
        return summary_text("History", {"epochs": len(self.records), "best epoch": best})

    def clear(self) -> None:
        """Forget an earlier run."""
        self.records.clear()
        self.attempts.clear()
        self.interrupted = self.stopped_early = False

    def write_jsonl(self, path: Path) -> None:
        """All records as JSON lines, atomically."""
        with atomic_file(path, text=True) as file:
            for record in self.records:
                file.write(json.dumps(record.to_dict()) + "\n")

    @staticmethod
    def append_jsonl(path: Path, record: EpochRecord) -> None:
        """One more line at the end."""
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record.to_dict()) + "\n")


def _flat(record: dict[str, Any]) -> dict[str, Any]:
    """Nested values as columns of their own, `terms.kl` for `{"terms": {"kl": ...}}`."""
    flat: dict[str, Any] = {}
    for name, value in record.items():
        if isinstance(value, dict):
            flat |= {f"{name}.{inner}": number for inner, number in value.items()}
        else:
            flat[name] = value
    return flat
