"""A study: the cells of a table on a data set, those missing fitted, one after the other."""

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
from nearfar.experiments.reproduction.study_splits import Splits, training_of
from nearfar.experiments.stopping import Budget, Stop, StopAtBudget, raising_on_sigterm, reason_of
from nearfar.metrics.metric import Metric, UserMetric
from nearfar.train.callback import Callback, Reporting, silent
from nearfar.train.run import Device, Precision, Run


@dataclass(frozen=True)
class StudyPlan:
    """What is to be reproduced, and how to run.

    Args:
        table: which table or figure.
        data: the data set.
        folder: where everything is kept; tables of one data set share their cells.
        only: labels or algorithms of the rows wanted; empty for all.
        seeds: how many splits, each with a training of its own.
        seed: the first of them.
        metrics: in place of the data set's own; each with one value per user.
        overrides: settings laid over those of the rows, see `row_algorithm`.
        keep_models: save every model as a bundle; figure2 always does.
        device, precision: of the runs.

    Raises:
        SettingsError: there is no seed, a metric is of no single user, or a setting of a row is
            wrong.
        UnknownNameError: a row or an algorithm of `overrides` is not in the table.

    Examples:
        >>> from nearfar.experiments.reproduction.datasets import data_set
        >>> from nearfar.experiments.reproduction.study import StudyPlan
        >>> chosen = ("ease", "wmf")
        >>> plan = StudyPlan("table1", data_set("ml-1m"), Path("tables"), only=chosen, seeds=5)
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
            raise SettingsError(f"seeds is {self.seeds} from seed {self.seed}; 1 from 0 is least")
        for metric in self.measured:
            if not isinstance(metric, UserMetric):
                raise SettingsError(f"{metric} has no values of single users to give intervals by")
        rows_of(self.table, self.only)
        check_overrides(self.overrides, TABLES[self.table])
        for row in self.rows:
            try:
                row_algorithm(row, self.data.settings_names, self.overrides)
            except UnknownNameError:
                continue  # an algorithm that is not installed is told of in its place in the table
            except SettingsError as error:
                raise SettingsError(f"{row.label}: {error}") from None
        self.run_options()

    @property
    def rows(self) -> tuple[TableRow, ...]:
        return rows_of(self.table, self.only)

    @property
    def measured(self) -> tuple[Metric, ...]:
        """The metrics of the table; the last one is what a best row is chosen by."""
        return self.metrics or self.data.metrics

    @property
    def all_seeds(self) -> range:
        return range(self.seed, self.seed + self.seeds)

    @property
    def with_models(self) -> bool:
        return self.keep_models or self.table == "figure2"

    def run_options(self, seed: int = 0) -> Run:
        """A run with the plan's options; a fresh one each time."""
        return Run(seed=seed, device=self.device, precision=self.precision)


@dataclass(frozen=True)
class SeedResult:
    """A row on one seed: its cell, or why there can be none, or neither before the split is made.

    Args:
        measured: what it came to, or None while it is missing.
        trouble: why it could not be had.
        begun: whether a stopped training can be taken up.
    """

    row: TableRow
    seed: int
    cell: Cell | None = None
    measured: CellResult | None = None
    trouble: str | None = None
    begun: bool = False


@dataclass
class Study:
    """The cells of a plan.

    Args:
        plan: what to measure.
        say: told, in lines, how it goes.
        reporting: gives the callbacks of each training.
        raise_errors: let the first error through in place of noting it and going on.
    """

    plan: StudyPlan
    say: Callable[[str], None] = lambda text: None
    reporting: Reporting = silent
    raise_errors: bool = False

    def __post_init__(self) -> None:
        self.store = CellStore(self.plan.folder)
        self.splits = Splits(self.plan.data, self.plan.folder / "splits", self.say)

    def entries(self) -> list[SeedResult]:
        """Every row on every seed, seeds outermost, as things stand; nothing is run."""
        return [self._entry(row, seed) for seed in self.plan.all_seeds for row in self.plan.rows]

    def run(self, budget: Budget | None = None) -> Stop | None:
        """Fit and measure what is missing; returns what stopped it, or None at the end.

        A stopped training leaves its checkpoint and goes on from there, to the same numbers,
        when the study is next run.

        Raises:
            DataError, FetchError: the data cannot be had.
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
        seconds = _CellTimes(entries)
        if missing:
            self.say(f"{len(missing)} of {len(entries)} cells to fit{seconds.told(missing)}")
        split: tuple[int, Split] | None = None
        for place, entry in enumerate(missing):
            if budget.used_up:
                return "budget"
            if split is None or split[0] != entry.seed:
                split = None  # the old one goes before the new comes
                split = entry.seed, self.splits.load(entry.seed)
            title = f"{entry.row.label}, seed {entry.seed}"
            self.say(f"[{place + 1}/{len(missing)}] {title}" + (", going on" * entry.begun))
            measured = self._measure(entry, split[1], title, budget)
            if measured is not None:
                seconds.learn(entry.row, measured)
                last = str(self.plan.measured[-1])
                value = measured.test.to_dict()["metrics"][last]["mean"]
                self.say(
                    f"    {last} {value:.4f} in {measured.fit['fit_seconds']:.1f} s"
                    f"{seconds.told(missing[place + 1 :])}"
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
            reason = str(error) if isinstance(error, NearfarError) else _unforeseen(error)
            self.store.fail(cell, reason)
            self.say(f"    failed: {reason}")
            return None
        self.store.save(cell, measured)
        shutil.rmtree(self.store.run_folder(cell), ignore_errors=True)
        return measured

    def _fit(self, cell: Cell, split: Split, callbacks: tuple[Callback, ...]) -> CellResult:
        run = self.plan.run_options(cell.seed)
        run.folder, run.resume, run.callbacks = self.store.run_folder(cell), True, callbacks
        train, validation = training_of(split, validates=cell.row.validates)
        started = time.perf_counter()
        model = cell.algorithm.fit(train, validation, run=run)
        wall = time.perf_counter() - started
        scores: dict[str, float] = {}
        if validation is not None and validation.held_out.n_interactions:
            found = evaluate(model, validation, cell.metrics)
            scores = {str(metric): found.mean(metric) for metric in cell.metrics}
        test = evaluate(model, split.test, cell.metrics, name=cell.row.label)
        history = run.history
        bundle = Bundle.of(
            model, cell.algorithm, train, seed=cell.seed, protocol=split.protocol,
            metrics={"validation": scores, "test": test.to_dict()}, history=history,
        )  # fmt: skip
        if self.plan.with_models:
            save_bundle(bundle, self.store.model_folder(cell))
        of_latents = self.plan.table == "tradeoff"
        latents = latent_numbers(bundle, split, cell.seed) if of_latents else None
        fit = {
            # a training that was stopped and went on has taken longer than this last part
            "fit_seconds": max(wall, history.seconds),
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
        whole = not row.validates and self._given(seed)
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

    def _given(self, seed: int) -> bool:
        return self.splits.about(seed)["protocol"].get("kind") == "given"


class _CellTimes:
    """How long cells take, to tell how long the rest will."""

    def __init__(self, entries: list[SeedResult]) -> None:
        self.by_row: dict[str, list[float]] = {}
        for entry in entries:
            if entry.measured is not None:
                self.learn(entry.row, entry.measured)

    def learn(self, row: TableRow, measured: CellResult) -> None:
        self.by_row.setdefault(row.label, []).append(measured.fit["fit_seconds"])

    def told(self, rest: list[SeedResult]) -> str:
        """The time that the rest will take, where every row of it was fitted before."""
        if not rest or any(entry.row.label not in self.by_row for entry in rest):
            return ""
        known = {label: sum(s) / len(s) for label, s in self.by_row.items()}
        minutes = sum(known[entry.row.label] for entry in rest) / 60
        return f"; about {minutes:.0f} min left" if minutes >= 1 else "; less than a minute left"


def _unforeseen(error: Exception) -> str:
    return f"{type(error).__name__}: {' '.join(str(error).split())}"
