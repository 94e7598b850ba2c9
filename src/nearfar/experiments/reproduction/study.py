"""A study: all cells of a table on a data set, of which it fits the missing ones in turn."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import save_bundle
from nearfar.core.errors import NearfarError, SettingsError, UnknownNameError
from nearfar.core.manifest import is_bundle
from nearfar.data.interactions import Split
from nearfar.evaluation.evaluate import evaluate
from nearfar.experiments.provenance import provenance
from nearfar.experiments.reproduction.ablation import fold_in_spread
from nearfar.experiments.reproduction.cells import Cell, CellResult, CellStore
from nearfar.experiments.reproduction.datasets import DataSet
from nearfar.experiments.reproduction.latent_numbers import latent_numbers
from nearfar.experiments.reproduction.row_settings import (
    Overrides,
    check_overrides,
    row_algorithm,
)
from nearfar.experiments.reproduction.rows import TABLES, Table, TableRow, rows_of
from nearfar.experiments.reproduction.study_splits import Splits, training_data
from nearfar.experiments.stopping import Budget, Stop, StopAtBudget, raising_on_sigterm, reason_of
from nearfar.metrics.metric import Metric, UserMetric
from nearfar.train.callback import Callback, Reporting, silent
from nearfar.train.run import Device, Precision, Run


@dataclass(frozen=True)
class StudyPlan:
    """The table to reproduce, its data, and how to run.

    Args:
        table: name of the table or figure.
        data: the data set.
        folder: folder of all files; tables of one data set share their cells.
        only: labels or algorithms of the rows to fit; all if empty.
        seeds: number of seeds; each has its own split and training.
        seed: the first seed.
        metrics: metrics instead of the data set's own; each must have one value per user.
        overrides: settings to merge over those of the rows; see `row_algorithm`.
        keep_models: save every model as a bundle; figure2 always does.
        device, precision: device and precision of the runs.

    Raises:
        SettingsError: there is no seed, a metric has no values per user, or a setting of a row is
            wrong.
        UnknownNameError: a row or an algorithm of `overrides` is not in the table.

    Examples:
        >>> from nearfar.experiments.reproduction.datasets import data_set
        >>> from nearfar.experiments.reproduction.study import StudyPlan
        >>> rows = ("ease", "wmf")
        >>> plan = StudyPlan("table1", data_set("ml-1m"), Path("tables"), only=rows, seeds=5)
        >>> [row.label for row in plan.rows]
        ['EASE', 'WMF']
    """

    table: Table
    data: DataSet
    folder: Path
    only: tuple[str, ...] = ()
    seeds: int = 1
    seed: int = 0
    metrics: tuple[Metric, ...] = ()
    overrides: Overrides = field(default_factory=dict)
    keep_models: bool = False
    device: Device = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if self.seeds < 1 or self.seed < 0:
            raise SettingsError(
                f"seeds is {self.seeds} and seed {self.seed}; seeds must be at least 1 and seed 0"
            )
        for metric in self.measured:
            if not isinstance(metric, UserMetric):
                raise SettingsError(
                    f"{metric} has no value per user, which the intervals need; leave it out"
                )
        rows_of(self.table, self.only)
        check_overrides(self.overrides, TABLES[self.table])
        for row in self.rows:
            try:
                row_algorithm(row, self.data.settings_names, self.overrides)
            except UnknownNameError:
                continue  # the table reports an algorithm that is not installed in its own row
            except SettingsError as error:
                raise SettingsError(f"{row.label}: {error}") from None
        self.run_options()

    @property
    def rows(self) -> tuple[TableRow, ...]:
        return rows_of(self.table, self.only)

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics of the table; the best row is selected by the last one."""
        return self.metrics or self.data.metrics

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    @property
    def with_models(self) -> bool:
        return self.keep_models or self.table == "figure2"

    def run_options(self, seed: int = 0) -> Run:
        """Return a new run with the plan's options."""
        return Run(seed=seed, device=self.device, precision=self.precision)


@dataclass(frozen=True)
class SeedResult:
    """The state of a row on one seed.

    Args:
        row: the row.
        seed: the seed.
        cell: the cell; None before the split is made, or if the algorithm cannot be built.
        measured: results of the cell; None if it is missing.
        trouble: why the cell failed or cannot be built, or None.
        begun: whether a stopped training can resume.
    """

    row: TableRow
    seed: int
    cell: Cell | None = None
    measured: CellResult | None = None
    trouble: str | None = None
    begun: bool = False


@dataclass
class Study:
    """Fits and measures the cells of a plan.

    Args:
        plan: the plan.
        say: called with each line of progress.
        reporting: returns the callbacks of each training.
        raise_errors: raise the first error instead of recording it and continuing.
    """

    plan: StudyPlan
    say: Callable[[str], None] = lambda text: None
    reporting: Reporting = silent
    raise_errors: bool = False

    def __post_init__(self) -> None:
        self.store = CellStore(self.plan.folder)
        self.splits = Splits(self.plan.data, self.plan.folder / "splits", self.say)

    def entries(self) -> list[SeedResult]:
        """Return the state of every row on every seed, seed by seed, without running anything."""
        return [self._entry(row, seed) for seed in self.plan.all_seeds for row in self.plan.rows]

    def run(self, budget: Budget | None = None) -> Stop | None:
        """Fit and measure the missing cells; return what stopped the study, or None.

        A stopped training leaves its checkpoint. The next run resumes from there and reaches the
        same numbers.

        Raises:
            DataError: the data cannot be read.
            FetchError: the data cannot be downloaded.
        """
        budget = budget or Budget(None)
        try:
            with raising_on_sigterm():
                self.splits.prepare(self.plan.all_seeds)
                return self._run_missing(budget)
        except KeyboardInterrupt as stop:
            return reason_of(stop, budget)

    def _run_missing(self, budget: Budget) -> Stop | None:
        entries = self.entries()
        missing = [e for e in entries if e.cell is not None and e.measured is None]
        times = _CellTimes(entries)
        if missing:
            self.say(f"{len(missing)} of {len(entries)} cells to fit{times.time_left(missing)}")
        split: tuple[int, Split] | None = None
        for number, entry in enumerate(missing, start=1):
            if budget.used_up:
                return "budget"
            if split is None or split[0] != entry.seed:
                split = None  # frees the old split before the new one is loaded
                split = entry.seed, self.splits.load(entry.seed)
            title = f"{entry.row.label}, seed {entry.seed}"
            self.say(f"[{number}/{len(missing)}] {title}" + (", going on" * entry.begun))
            measured = self._measure(entry, split[1], title, budget)
            if measured is not None:
                times.add(entry.row, measured)
                last = str(self.plan.measured[-1])
                value = measured.test.to_dict()["metrics"][last]["mean"]
                self.say(
                    f"    {last} {value:.4f} in {measured.fit['fit_seconds']:.1f} s"
                    f"{times.time_left(missing[number:])}"
                )
        return None

    def _measure(
        self, entry: SeedResult, split: Split, title: str, budget: Budget
    ) -> CellResult | None:
        cell = entry.cell
        assert cell is not None
        try:
            with self.reporting(title) as callbacks:
                measured = self._fit(cell, split, (*callbacks, StopAtBudget(budget)))
        except Exception as error:
            if self.raise_errors:
                raise
            reason = str(error) if isinstance(error, NearfarError) else _one_line(error)
            self.store.fail(cell, reason)
            self.say(f"    failed: {reason}")
            return None
        self.store.save(cell, measured)
        shutil.rmtree(self.store.run_folder(cell), ignore_errors=True)
        return measured

    def _fit(self, cell: Cell, split: Split, callbacks: tuple[Callback, ...]) -> CellResult:
        run = self.plan.run_options(cell.seed)
        run.folder, run.resume, run.callbacks = self.store.run_folder(cell), True, callbacks
        train, validation = training_data(split, validates=cell.row.validates)
        started = time.perf_counter()
        model = cell.algorithm.fit(train, validation, run=run)
        seconds = time.perf_counter() - started
        scores: dict[str, float] = {}
        if validation is not None and validation.held_out.n_interactions:
            evaluation = evaluate(model, validation, cell.metrics)
            scores = {str(metric): evaluation.mean(metric) for metric in cell.metrics}
        test = evaluate(model, split.test, cell.metrics, name=cell.row.label)
        history = run.history
        bundle = Bundle.of(
            model, cell.algorithm, train, seed=cell.seed, protocol=split.protocol,
            metrics={"validation": scores, "test": test.to_dict()}, history=history,
        )  # fmt: skip
        if self.plan.with_models:
            save_bundle(bundle, self.store.model_folder(cell))
        needs_latents = self.plan.table == "tradeoff"
        latents = latent_numbers(bundle, split, cell.seed) if needs_latents else None
        fit = {
            # The history of a resumed training includes the time before the stop.
            "fit_seconds": max(seconds, history.seconds),
            "n_train_users": train.n_users,
            "n_epochs": len(history.records),
            "best_epoch": history.best_epoch,
            "stopped_early": history.stopped_early,
        }
        spread = fold_in_spread(model, split.test, test)
        return CellResult(test, scores, fit, provenance(run.torch_device), spread, latents)

    def _entry(self, row: TableRow, seed: int) -> SeedResult:
        try:
            algorithm = row_algorithm(row, self.plan.data.settings_names, self.plan.overrides)
        except NearfarError as error:
            if self.raise_errors:
                raise
            return SeedResult(row, seed, trouble=str(error))
        split = self.splits.fingerprint(seed)
        if split is None:
            return SeedResult(row, seed)
        whole = not row.validates and self._is_given(seed)
        cell = Cell(row, algorithm, seed, split, whole, self.plan.measured, self.plan.precision)
        measured = self.store.load(cell)
        if measured is not None and self.plan.with_models:
            measured = measured if is_bundle(self.store.model_folder(cell)) else None
        if measured is not None and self.plan.table == "ablations" and row.groups_users:
            measured = measured if measured.spread is not None else None
        if measured is not None and self.plan.table == "tradeoff":
            measured = measured if measured.latents is not None else None
        trouble = None if measured is not None else self.store.failure(cell)
        return SeedResult(row, seed, cell, measured, trouble, self.store.begun(cell))

    def _is_given(self, seed: int) -> bool:
        return self.splits.metadata(seed)["protocol"].get("kind") == "given"


class _CellTimes:
    """Estimates the time left from the fit times of measured cells."""

    def __init__(self, entries: list[SeedResult]) -> None:
        self.by_row: dict[str, list[float]] = {}
        for entry in entries:
            if entry.measured is not None:
                self.add(entry.row, entry.measured)

    def add(self, row: TableRow, measured: CellResult) -> None:
        self.by_row.setdefault(row.label, []).append(measured.fit["fit_seconds"])

    def time_left(self, missing: list[SeedResult]) -> str:
        """Return the time to fit the missing cells; "" unless each row was fitted before."""
        if not missing or any(entry.row.label not in self.by_row for entry in missing):
            return ""
        means = {label: sum(s) / len(s) for label, s in self.by_row.items()}
        minutes = sum(means[entry.row.label] for entry in missing) / 60
        return f"; about {minutes:.0f} min left" if minutes >= 1 else "; less than a minute left"


def _one_line(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
