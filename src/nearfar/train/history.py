"""The history of a training run: one record per epoch."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import polars as pl

from nearfar.core.files import atomic_file
from nearfar.core.frames import summary_text, to_pandas


@dataclass(frozen=True)
class StepReport:
    """Progress of a run within an epoch.

    Args:
        epoch: the current epoch, from 0.
        n_epochs: epochs of the run, at most.
        step: steps done in this epoch.
        n_steps: steps per epoch.
        terms: mean of each objective term over the epoch so far.
        users_per_second: training users per second in this epoch.
        total_step: steps done over all epochs.

    Examples:
        >>> class Steps(nf.Callback):
        ...     def step(self, report):
        ...         print(f"step {report.step} of {report.n_steps}")
        >>> run = nf.Run(seed=1, callbacks=[Steps()])
        >>> model = nf.MultVAE(epochs=1, **small).fit(split.train, split.validation, run=run)
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
    """What was measured in one epoch.

    Args:
        epoch: the epoch, from 0.
        step: steps done at its end, over all epochs.
        loss: mean of the objective over users and steps.
        terms: means over users and steps in nats or squared distance, before weighting.
        weights: weights of the terms in the last step.
        collapsed_dimensions: latent dimensions with less than .01 nats of information about the
            user; see `Information`.
        validation: validation scores; the first one decides which epoch is best.
        best: whether the epoch is the best so far.
        seconds: training time, without validation.
        validation_seconds: time of validation.
        users_per_second: training users per second, without validation.
        neighbours_kept: share of their ten nearest neighbours in the latent space that 256
            training users have kept since the previous epoch; None in the first.

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
    """One of several networks that an algorithm trained to choose among them.

    Args:
        label: the network's name in tables.
        score: its best validation score, by the metric that decides; None if training failed.
        epochs: epochs trained.
        error: why training failed.
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

    Args:
        records: one per epoch.
        interrupted: whether Ctrl-C or SIGTERM stopped the run.
        stopped_early: whether it stopped because validation had not improved for the patience.
        attempts: all networks, if the algorithm tried several; the other fields are of the best.

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
        """The epoch whose weights the model has, from 0; None without epochs."""
        best = [r.epoch for r in self.records if r.best]
        return best[-1] if best else None

    @property
    def best_score(self) -> float:
        """The best epoch's score by the first validation metric; -inf without validation."""
        scores = [next(iter(r.validation.values())) for r in self.records if r.validation]
        return max(scores, default=float("-inf"))

    @property
    def seconds(self) -> float:
        """Time of training and validation, over all epochs."""
        return sum(r.seconds + r.validation_seconds for r in self.records)

    def to_polars(self) -> pl.DataFrame:
        """Return a frame with one row per epoch.

        Columns are the fields of `EpochRecord`. A field with several values has a column for each,
        as `terms.kl`, `weights.alignment` and `validation.NDCG@100`, null if an epoch lacks it.
        """
        return pl.DataFrame(
            [flatten(record.to_dict()) for record in self.records], infer_schema_length=None
        )

    def to_pandas(self) -> Any:
        """Return what `to_polars` returns as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas(self.to_polars())

    def __repr__(self) -> str:
        best = "none" if self.best_epoch is None else str(self.best_epoch + 1)
        return summary_text("History", {"epochs": len(self.records), "best epoch": best})

    def clear(self) -> None:
        """Remove all records and attempts, and reset the flags."""
        self.records.clear()
        self.attempts.clear()
        self.interrupted = self.stopped_early = False

    def write_jsonl(self, path: Path) -> None:
        """Write all records as JSON lines, atomically."""
        with atomic_file(path, text=True) as file:
            for record in self.records:
                file.write(json.dumps(record.to_dict()) + "\n")

    @staticmethod
    def append_jsonl(path: Path, record: EpochRecord) -> None:
        """Append a record as a JSON line."""
        with path.open("a", encoding="utf-8") as file:
            file.write(json.dumps(record.to_dict()) + "\n")


def flatten(values: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """Return values without nesting: `{"terms": {"kl": 1.0}}` becomes `{"terms.kl": 1.0}`."""
    flat: dict[str, Any] = {}
    for name, value in values.items():
        if isinstance(value, Mapping):
            flat |= flatten(value, f"{prefix}{name}.")
        else:
            flat[prefix + name] = value
    return flat
