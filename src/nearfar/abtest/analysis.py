"""The analysis of an A/B test: every metric and arm, on all cards together and on each."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Annotated, Any

import numpy as np
from annotated_types import Gt, Lt

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.bootstrap import percentiles
from nearfar.abtest.comparison import ArmComparison, corrected
from nearfar.abtest.cuped import coefficient, covariate_of
from nearfar.abtest.logs import Logs
from nearfar.abtest.metrics import METRICS, UpliftMetric, percent, shown
from nearfar.abtest.moments import Moments
from nearfar.abtest.sequential import always_valid
from nearfar.abtest.units import Units, make_units
from nearfar.abtest.uplift import measure
from nearfar.abtest.warnings import note_on_late_events, warnings_of
from nearfar.core.errors import EmptyDataError
from nearfar.core.extras import require
from nearfar.core.ranges import NonNegativeInt, PositiveFloat
from nearfar.core.seeding import generator
from nearfar.core.settings import Settings
from nearfar.evaluation.intervals import N_RESAMPLES, resampled_means
from nearfar.evaluation.table import Table
from nearfar.evaluation.text import p_value


@dataclass(frozen=True)
class AnalysisSettings(Settings):
    """The settings of an analysis of an A/B test.

    Args:
        metrics: the metrics to compare.
        level: confidence level of the intervals; the tests use alpha = 1 - level.
        cuped: adjust by the users' activity before the start, if the logs contain it.
        by_card: analyse each card alone too, besides all cards together.
        n_resamples: samples of the bootstrap, which is for one look at the end; 0 for none.
        expected_uplift: the expected relative uplift, chosen before the first look. It makes
            intervals and p-values valid for daily looks; None for one look at the end.
        seed: random seed of the bootstrap.

    Examples:
        >>> from nearfar.abtest.analysis import AnalysisSettings
        >>> AnalysisSettings(by_card=False).by_card
        False
    """

    metrics: tuple[UpliftMetric, ...] = METRICS
    level: Annotated[float, Gt(0), Lt(1)] = 0.95
    cuped: bool = True
    by_card: bool = True
    n_resamples: NonNegativeInt = N_RESAMPLES
    expected_uplift: PositiveFloat | None = None
    seed: int = 0


@dataclass(frozen=True)
class Analysis:
    """The result of an A/B test.

    Args:
        units: the users, for all cards together.
        rows: one comparison per card, arm and metric; all cards together come first.
        notes: remarks for the reader.
        warnings: reasons not to trust the numbers: the test is not over, or a check failed.
    """

    units: Units
    rows: tuple[ArmComparison, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def n_users(self) -> dict[str, int]:
        """The number of users in each arm."""
        counts = dict(self.units.frame["arm"].value_counts().iter_rows())
        return {arm: counts[arm] for arm in self.units.experiment.arms}

    @property
    def sentences(self) -> tuple[str, ...]:
        """One sentence per row."""
        return tuple(row.sentence for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Return the analysis as JSON-able values."""
        return {
            "experiment": self.units.experiment.name,
            "first_day": str(self.units.first_day),
            "last_day": str(self.units.last_day),
            "n_days": self.units.n_days,
            "n_planned_days": self.units.n_planned_days,
            "n_users": self.n_users,
            "n_mixed": self.units.n_mixed,
            "rows": [row.to_dict() for row in self.rows],
            "notes": list(self.notes),
            "warnings": list(self.warnings),
        }

    def table(self) -> Table:
        """Return a table with one row per card, arm and metric."""
        daily = any(row.daily for row in self.rows)
        header = (
            "metric", "card", "arm", "control", "arm's", "uplift",
            "always valid interval" if daily else "interval", "bootstrap", "p", "Holm", "BH",
            "CUPED",
        )  # fmt: skip
        rows = [
            (
                row.metric.name, row.card or "all", row.arm, shown(row.uplift.control, row.metric),
                shown(row.uplift.treatment, row.metric), row.change,
                row.interval_text.partition("interval ")[2] or "-", _bootstrap_text(row),
                p_value(row.p), p_value(row.p_holm), p_value(row.p_bh),
                _reduction_text(row),
            )
            for row in self.rows
        ]  # fmt: skip
        return Table(header, tuple(rows), self.notes, tuple(r.to_dict() for r in self.rows))


def analyse(
    logs: Logs,
    experiment: Experiment,
    settings: AnalysisSettings | None = None,
    *,
    on_step: Callable[[str], object] | None = None,
) -> Analysis:
    """Compare every arm with the control.

    Args:
        logs: exposures and clicks; for CUPED also those before the start.
        experiment: the arms and the window of days.
        settings: the settings of the analysis.
        on_step: called with the name of the next step.

    Raises:
        MissingExtraError: tea-tasting is not installed.
        DataError: an exposure has no arm, or one that the experiment does not have.
        EmptyDataError: an arm has fewer than two users, or the logs have data for no metric.

    Examples:
        >>> from nearfar.abtest.assignment import Experiment
        >>> from nearfar.abtest.logs import read_logs
        >>> from nearfar.abtest.simulate import Simulation, simulate_logs
        >>> simulation = Simulation(n_users=500, days=4, pre_days=4)
        >>> experiment = Experiment("home", salt="s", start=simulation.start)
        >>> logs = read_logs(*simulate_logs(simulation, experiment))
        >>> from nearfar.abtest.analysis import analyse
        >>> sorted(analyse(logs, experiment).n_users)
        ['control', 'treatment']
    """
    require("tea_tasting", extra="abtest", purpose="an A/B test")
    settings = settings or AnalysisSettings()
    cards: list[str | None] = [None]
    if settings.by_card and len(logs.cards) > 1:
        cards += logs.cards
    rows: list[ArmComparison] = []
    all_units: Units | None = None
    for card in cards:
        if on_step is not None:
            on_step(f"{'all cards' if card is None else f'card {card}'} ...")
        units = make_units(logs, experiment, card)
        all_units = all_units or units
        rows += _compare_arms(units, card, settings)
    assert all_units is not None
    if not rows:
        names = ", ".join(m.name for m in settings.metrics)
        raise EmptyDataError(f"the logs have no data for {names}; play time needs play_seconds")
    return Analysis(
        all_units,
        tuple(corrected(rows)),
        _notes(logs, all_units, settings, len(rows)),
        warnings_of(logs, all_units),
    )


def _compare_arms(
    units: Units, card: str | None, settings: AnalysisSettings
) -> list[ArmComparison]:
    control, *others = units.experiment.arms
    daily = settings.expected_uplift is not None
    values = {arm: units.values(arm) for arm in units.experiment.arms}
    moments = {arm: Moments.of(units.sums, v) for arm, v in values.items()}
    means = {}
    if settings.n_resamples and not daily:
        means = {
            arm: resampled_means(
                v,
                settings.n_resamples,
                generator(settings.seed, "abtest bootstrap", f"{card}/{arm}"),
            )
            for arm, v in values.items()
        }
    rows = []
    for arm in others:
        total = Moments.of(units.sums, np.concatenate([values[control], values[arm]]))
        for metric in settings.metrics:
            if not units.has(metric):
                continue
            covariate = covariate_of(metric, total) if settings.cuped else None
            pair = (moments[control], moments[arm])
            plain = measure(metric, *pair, level=settings.level)
            adjusted, adjustment = None, None
            if covariate is not None and plain.p is not None:
                adjusted = measure(metric, *pair, level=settings.level, covariate=covariate)
                theta = coefficient(metric, covariate, total)
                adjustment = (covariate, theta, moments[arm].n / total.n)
            rows.append(
                ArmComparison(
                    metric, arm, card, settings.level,
                    uplift=adjusted or plain,
                    plain=plain if adjusted else None,
                    resampled=percentiles(
                        metric, units.sums, means[control], means[arm], settings.level, adjustment
                    ) if means else None,
                    daily=daily,
                    always_valid=always_valid(
                        metric, *pair, expected=settings.expected_uplift, level=settings.level,
                        covariate=covariate if adjusted else None,
                    ) if settings.expected_uplift is not None and plain.p is not None else None,
                )
            )  # fmt: skip
    return rows


def _notes(logs: Logs, units: Units, settings: AnalysisSettings, n_rows: int) -> tuple[str, ...]:
    level = f"{np.round(100 * settings.level, 6):g} %"
    notes = [
        f"{units.first_day} to {units.last_day}, {units.n_days} days; {level} intervals; p-values "
        f"corrected for all {n_rows} rows (Holm; Benjamini-Hochberg)."
    ]
    if units.n_days % 7:
        notes.append(f"{units.n_days} days are not whole weeks: some days of the week count more.")
    if units.n_mixed:
        notes.append(f"{units.n_mixed:,} users were in several arms and are left out.")
    if note := note_on_late_events(logs, units):
        notes.append(note)
    if settings.cuped and not units.has_pre:
        notes.append("No CUPED: the logs hold nothing from before the start.")
    if settings.expected_uplift is None:
        notes.append(
            "One look only: who looks daily and stops when p is small needs the always valid "
            "interval."
        )
    missing = [m.name for m in settings.metrics if not units.has(m)]
    if missing:
        notes.append(f"Not in the logs: {', '.join(missing)}.")
    return tuple(notes)


def _reduction_text(row: ArmComparison) -> str:
    reduction = row.variance_reduction
    return "-" if reduction is None else percent(0.0 - round(reduction, 2))


def _bootstrap_text(row: ArmComparison) -> str:
    resampled = row.resampled
    if resampled is None:
        return "-"
    if (
        row.uplift.relative is None
        or resampled.relative_low is None
        or resampled.relative_high is None
    ):
        ends = [
            shown(e, row.metric, signed=True)
            for e in (resampled.difference_low, resampled.difference_high)
        ]
    else:
        ends = [percent(e) for e in (resampled.relative_low, resampled.relative_high)]
    return " to ".join(ends)
