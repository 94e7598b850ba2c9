"""Summarise a study row by row: values with intervals, beside the published ones."""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np

from nearfar.core import settings
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.intervals import mean_interval, standard_error
from nearfar.evaluation.pooled import pooled
from nearfar.experiments.reproduction.cells import CellResult
from nearfar.experiments.reproduction.rows import Published, TableRow
from nearfar.experiments.reproduction.study import SeedResult
from nearfar.metrics.metric import Metric

Status = Literal["done", "partial", "missing", "failed"]


@dataclass(frozen=True)
class Value:
    """One metric of one row.

    Args:
        mean: mean over test users; with several splits, the mean of the splits' means.
        low, high: confidence interval; None for fewer than two values.
        standard_error: standard error of the mean, over splits if there are several, else users.
        over: whether interval and standard error are over splits or users.
        by_seed: mean of each split.
        published: published value, or None.
        published_error: standard error of the published value, if published.
    """

    mean: float
    low: float | None
    high: float | None
    standard_error: float | None
    over: Literal["splits", "users"]
    by_seed: dict[int, float]
    published: float | None = None
    published_error: float | None = None

    @property
    def difference(self) -> float | None:
        """Our mean minus the published value."""
        return None if self.published is None else self.mean - self.published

    @property
    def in_standard_errors(self) -> float | None:
        """The difference in standard errors of our mean and, if known, of the published one."""
        if self.difference is None or not self.standard_error:
            return None
        return self.difference / math.hypot(self.standard_error, self.published_error or 0.0)

    def to_dict(self) -> dict[str, Any]:
        return {
            **vars(self),
            "by_seed": {str(seed): mean for seed, mean in self.by_seed.items()},
            "difference": self.difference,
            "difference_in_standard_errors": self.in_standard_errors,
        }


@dataclass(frozen=True)
class RowSummary:
    """A row over its seeds.

    Args:
        row: the row.
        entries: one per seed.
        values: metric -> value; empty while nothing is measured.
    """

    row: TableRow
    entries: tuple[SeedResult, ...]
    values: dict[Metric, Value] = field(default_factory=dict)

    @property
    def measured(self) -> dict[int, CellResult]:
        """The results of the measured cells, by seed."""
        return {e.seed: e.measured for e in self.entries if e.measured is not None}

    @property
    def status(self) -> Status:
        if len(self.measured) == len(self.entries):
            return "done"
        if any(entry.trouble for entry in self.entries):
            return "failed"
        return "partial" if self.measured else "missing"

    @property
    def troubles(self) -> list[str]:
        """The reasons why cells failed, each once."""
        return list(dict.fromkeys(e.trouble for e in self.entries if e.trouble))

    @property
    def fit_seconds(self) -> float | None:
        """The mean duration of a fit."""
        seconds = [m.fit["fit_seconds"] for m in self.measured.values()]
        return float(np.mean(seconds)) if seconds else None

    def validation(self, metric: Metric) -> float | None:
        """Return the mean over splits of the validation mean; None without validation users."""
        means = [m.validation.get(str(metric)) for m in self.measured.values()]
        measured = [mean for mean in means if mean is not None]
        return float(np.mean(measured)) if measured else None

    def pooled(self, seeds: Collection[int] | None = None) -> Evaluation:
        """Return the test users of these splits, or of all measured ones, each user once."""
        parts = [m.test for seed, m in self.measured.items() if seeds is None or seed in seeds]
        return pooled(parts, parts[0].name)

    def to_dict(self) -> dict[str, Any]:
        cells = [e.cell for e in self.entries if e.cell is not None]
        return {
            "label": self.row.label,
            "algorithm": self.row.algorithm,
            "in_the_paper": not self.row.extra,
            "settings": settings.to_plain(cells[0].algorithm) if cells else None,
            "status": self.status,
            "troubles": self.troubles,
            "metrics": {str(metric): value.to_dict() for metric, value in self.values.items()},
            "fits": {str(seed): m.fit for seed, m in self.measured.items()},
            "validation": {str(seed): m.validation for seed, m in self.measured.items()},
            "cells": [cell.fingerprint for cell in cells],
        }


def summarise(
    entries: Sequence[SeedResult],
    metrics: Sequence[Metric],
    published: Published,
    level: float = 0.95,
) -> list[RowSummary]:
    """Return the summaries of a study's rows, in order."""
    summaries = []
    for label in dict.fromkeys(entry.row.label for entry in entries):
        row_entries = tuple(entry for entry in entries if entry.row.label == label)
        summary = RowSummary(row_entries[0].row, row_entries)
        if summary.measured:
            values = {m: _value(summary.measured, m, label, published, level) for m in metrics}
            summary = replace(summary, values=values)
        summaries.append(summary)
    return summaries


def _value(
    measured: dict[int, CellResult], metric: Metric, label: str, published: Published, level: float
) -> Value:
    by_seed = {seed: m.test.mean(metric) for seed, m in measured.items()}
    over_splits = len(by_seed) > 1
    values = (
        np.array(list(by_seed.values()))
        if over_splits
        else next(iter(measured.values())).test.values(metric)
    )
    interval = mean_interval(values, level)
    return Value(
        mean=float(values.mean()),
        low=interval.low if interval else None,
        high=interval.high if interval else None,
        standard_error=standard_error(values),
        over="splits" if over_splits else "users",
        by_seed=by_seed,
        published=published.value(label, metric),
        published_error=published.standard_errors.get(str(metric)),
    )


def mean_and_half_width(values: Sequence[float], level: float) -> tuple[float | None, float | None]:
    """Return the mean and half of Student's interval; None for either if too few values."""
    if not values:
        return None, None
    array = np.array(values, dtype=np.float64)
    interval = mean_interval(array, level) if len(array) > 1 else None
    return float(array.mean()), None if interval is None else interval.half_width


def format_mean(mean: float | None, half_width: float | None) -> str:
    """Return the mean as text, with ± half of its interval if there is one; "-" for None."""
    if mean is None:
        return "-"
    return f"{mean:.3g}" if half_width is None else f"{mean:.3g} ± {half_width:.2g}"
