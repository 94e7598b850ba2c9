"""The analysis of an A/B test: every metric of every arm, on all cards and on each."""

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
from nearfar.abtest.warnings import told_of_late, warnings_of
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
    """How an A/B test is analysed.

    Args:
        metrics: what is measured.
        level: of the intervals, and 1 - level of the tests.
        cuped: adjust by what users did before the start, where the logs reach back.
        by_card: besides all cards together, each card alone.
        n_resamples: samples of the bootstrap, which is for one look at the end; 0 for none.
        expected_uplift: makes intervals and p-values valid for daily looks; the relative uplift
            that is hoped for, chosen before the first look. None for one look at the end.
        seed: of the bootstrap.

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
    """What an A/B test found.

    Args:
        units: the users, all cards together.
        rows: one a card, arm and metric; all cards together come first.
        notes: what the reader must know.
        warnings: why the numbers may not be believed: the test is not over, or not sound.
    """

    units: Units
    rows: tuple[ArmComparison, ...]
    notes: tuple[str, ...]
    warnings: tuple[str, ...] = ()

    @property
    def n_users(self) -> dict[str, int]:
        """Users of each arm."""
        counts = dict(self.units.frame["arm"].value_counts().iter_rows())
        return {arm: counts[arm] for arm in self.units.experiment.arms}

    @property
    def sentences(self) -> tuple[str, ...]:
        """One a row."""
        return tuple(row.sentence for row in self.rows)

    def to_dict(self) -> dict[str, Any]:
        """Everything, JSON-able."""
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
        """One row a card, arm and metric."""
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
        logs: exposures and clicks, and earlier ones for CUPED.
        experiment: arms and window.
        settings: what is measured and how.
        on_step: called with what is done next.

    Raises:
        MissingExtraError: tea-tasting is not installed.
        DataError: an exposure has no arm, or one that the experiment does not have.
        EmptyDataError: an arm has fewer than two users, or no metric can be told.

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
    chosen = settings or AnalysisSettings()
    cards: list[str | None] = [None]
    if chosen.by_card and len(logs.cards) > 1:
        cards += logs.cards
    rows: list[ArmComparison] = []
    of_all: Units | None = None
    for card in cards:
        if on_step is not None:
            on_step(f"{'all cards' if card is None else f'card {card}'} ...")
        units = make_units(logs, experiment, card)
        of_all = of_all or units
        rows += _rows(units, card, chosen)
    assert of_all is not None
    if not rows:
        wanted = ", ".join(m.name for m in chosen.metrics)
        raise EmptyDataError(f"the logs tell nothing of {wanted}; play time needs play_seconds")
    return Analysis(
        of_all,
        tuple(corrected(rows)),
        _notes(logs, of_all, chosen, len(rows)),
        warnings_of(logs, of_all),
    )


def _rows(units: Units, card: str | None, settings: AnalysisSettings) -> list[ArmComparison]:
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
    if told := told_of_late(logs, units):
        notes.append(told)
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
    found = row.resampled
    if found is None:
        return "-"
    if row.uplift.relative is None or found.relative_low is None or found.relative_high is None:
        ends = [
            shown(e, row.metric, signed=True) for e in (found.difference_low, found.difference_high)
        ]
    else:
        ends = [percent(e) for e in (found.relative_low, found.relative_high)]
    return " to ".join(ends)
