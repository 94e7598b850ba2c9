"""Fit an algorithm within a time budget, measure it on validation users and record the trial."""

from __future__ import annotations

import math
import shutil
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm, start_report
from nearfar.algorithms.blend import Blend
from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import NearfarError
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, evaluate
from nearfar.experiments.autopilot.blending import best_of_kinds, blend_of, parts_of
from nearfar.experiments.autopilot.families import BLEND, Family
from nearfar.experiments.autopilot.held_out_users import HeldOut
from nearfar.experiments.autopilot.records import Record, Records, State
from nearfar.experiments.autopilot.saved_models import SavedModels
from nearfar.experiments.autopilot.time_budget import Hopeless, Pace, TimeBudget, TooSlow
from nearfar.experiments.tuning.space import plain_settings
from nearfar.experiments.tuning.trials import METRIC, format_value
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model
from nearfar.train.callback import Reporting, report_measured, reported
from nearfar.train.run import Device, Precision, Run

RESERVE = 1.3
"""The time kept for the last fits, as a multiple of the trials' own fit times."""

Say = Callable[[str], object]


@dataclass
class Fitter:
    """Fits algorithms on the training users of a search and records the trials.

    Args:
        held_out: the split of the data.
        records: finished trials; new ones are added.
        clock: the time budget.
        seed, device, precision: options of the runs.
        say: called with each line of progress.
        reporting: returns the callbacks of each fit.
        blends: whether to try a blend of the best trials.
        blend_seconds: time limit of the last fits of a blend's parts together; 0 keeps no time for
            a blend.
    """

    held_out: HeldOut
    records: Records
    clock: TimeBudget
    seed: int
    device: Device
    precision: Precision
    say: Say
    reporting: Reporting
    blends: bool = False
    blend_seconds: float = 0.0

    def __post_init__(self) -> None:
        self.models = SavedModels(self.records.folder / "models")

    def run_options(self, name: str = "run") -> Run:
        """Return a new run whose checkpoint is in the subfolder `name`."""
        return Run(
            seed=self.seed, device=self.device, precision=self.precision,
            folder=self.records.folder / name, resume=True,
        )  # fmt: skip

    def reserved(self) -> float:
        """Return the seconds to reserve for the last fit, on all users.

        Models that were not saved have to be fitted again for the blend and for the test users;
        that time is included.
        """
        best = self.records.best()
        if best is None:
            return 0.0
        scale, n_tests = RESERVE * self._growth, float(self.held_out.test is not None)
        parts = self.blend_parts()
        return max(
            scale * best.fit_seconds + n_tests * self._refit_seconds([best]),
            scale * sum(p.fit_seconds for p in parts) + (1 + n_tests) * self._refit_seconds(parts),
        )

    def _refit_seconds(self, trials: Sequence[Record]) -> float:
        """Return the seconds to fit again the models that were not saved."""
        return sum(t.fit_seconds for t in trials if not self.models.has(t.number))

    def blend_parts(self) -> list[Record]:
        """Return the trials that a blend would now consist of; empty if there is no blend."""
        if not self.blends:
            return []
        parts = parts_of(self.records, self.blend_seconds / (RESERVE * self._growth))
        return parts if len(parts) > 1 else []

    @property
    def _growth(self) -> float:
        """Interactions of all users, as a multiple of the training users'."""
        return self.held_out.everyone.n_interactions / self.held_out.train.n_interactions

    @property
    def left(self) -> float:
        """Seconds left for trials."""
        return self.clock.left - self.reserved()

    def resume_trial(self, families: Sequence[Family]) -> None:
        """Finish the trial that a killed search was running, if there is one."""
        begun = self.records.begun()
        family = next((f for f in families if begun and f.name == begun["family"]), None)
        if begun is None or family is None:
            return
        algorithm = make_algorithm(family.algorithm, begun["settings"])
        self.say(f"going on with {family.label}")
        try:
            self.attempt(family, algorithm, begun["values"], begun["round"], max(self.left, 1.0))
        except TooSlow:
            self.say(f"    {family.label} does not end in the time that is left")

    def attempt(
        self,
        family: Family,
        algorithm: Algorithm,
        values: dict[str, Any],
        number: int,
        allowance: float,
    ) -> None:
        """Fit an algorithm, measure it on the validation users and record the trial.

        Args:
            family: family of the algorithm.
            algorithm: algorithm to fit.
            values: the searched settings.
            number: number of the round.
            allowance: time limit of the fit in seconds.

        Raises:
            TooSlow: the fit would exceed the allowance.
        """
        plain = plain_settings(algorithm)
        changed = ", ".join(f"{k}={format_value(v)}" for k, v in values.items())
        self.say(f"{family.label}: {changed}" if changed else family.label)
        self.records.begin(family.name, values, plain, number)
        run = self.run_options()
        earlier = [r.epochs for r in self.records.of(family.name) if r.score is not None]
        if family == BLEND:
            earlier = []  # its epochs are those of its parts in turn, and cannot be compared
        started = time.perf_counter()
        with self.reporting(family.label) as callbacks:
            pace = Pace(run, allowance, earlier)
            run.callbacks = (*callbacks, pace)
            try:
                model = algorithm.fit(self.held_out.train, self.held_out.validation, run=run)
            except Hopeless:
                self.add(family, algorithm, values, number, "given up", epochs=pace.epochs,
                          seconds=time.perf_counter() - started)  # fmt: skip
                return
            except TooSlow:
                self._discard_run()
                raise
            except (NearfarError, MemoryError, ArithmeticError) as error:
                reason = str(error) or type(error).__name__
                self.add(family, algorithm, values, number, "failed", reason=reason,
                          seconds=time.perf_counter() - started)  # fmt: skip
                return
            seconds = max(time.perf_counter() - started, run.history.seconds)
            best_epoch = run.history.best_epoch
            self._measure(
                model, family, algorithm, values, number, run, seconds=seconds,
                epochs=pace.epochs, n_epochs=None if best_epoch is None else best_epoch + 1,
            )  # fmt: skip

    def blend(self) -> None:
        """Try a blend of the best trials, unless the same blend was tried.

        It uses the saved models; if one is missing, all are fitted again.
        """
        parts = self.blend_parts()
        values = {"trials": [part.number for part in parts]}
        if not parts or values in [t.values for t in self.records.of(BLEND.name)]:
            return
        blend = make_algorithm(BLEND.algorithm, blend_of(parts))
        models = self._load(values["trials"])
        if models is None or not isinstance(blend, Blend):
            self.attempt(BLEND, blend, values, 0, math.inf)
            return
        self.say(f"{BLEND.label}: trials={values['trials']}")
        started = time.perf_counter()
        run = self.run_options()
        train = self.held_out.train
        with self.reporting(f"{BLEND.label} of saved models") as run.callbacks:
            with reported(
                run.callbacks, run.history, start_report(blend, train.n_users, train.n_items, run)
            ):
                model = blend.combined(models, self.held_out.validation)
            seconds = time.perf_counter() - started + sum(part.fit_seconds for part in parts)
            self._measure(model, BLEND, blend, values, 0, run, seconds=seconds)

    def load_model(self, trial: Record) -> Model | None:
        """Return a trial's model, fitted on the training users; None if it was not saved."""
        is_blend = trial.family == BLEND.name
        models = self._load(trial.values["trials"] if is_blend else [trial.number])
        if models is None:
            return None
        return Ensemble(models, trial.settings["weights"]) if is_blend else models[0]

    def _load(self, numbers: Sequence[int]) -> list[Model] | None:
        """Return the saved models of these trials; None if one is missing."""
        models: list[Model] = []
        for number in numbers:
            model = self.models.load(number)
            if model is None:
                return None
            model.to(Run(device=self.device).torch_device)
            models.append(model)
        return models

    def _measure(
        self,
        model: Model,
        family: Family,
        algorithm: Algorithm,
        values: dict[str, Any],
        number: int,
        run: Run,
        **fields: Any,
    ) -> None:
        """Measure a model on the validation users, record it, and save it if best of its kind."""
        started = time.perf_counter()
        measured = evaluate(model, self.held_out.validation, DEFAULT_METRICS, name=family.label)
        seconds = max(time.perf_counter() - started, 1e-9)
        report_measured(run.callbacks, {m: measured.mean(m) for m in DEFAULT_METRICS})
        self.add(
            family, algorithm.as_fitted(model), values, number, "complete", measured=measured,
            users_per_second=measured.n_users / seconds, mib=size_mib(model), **fields,
        )  # fmt: skip
        best = [trial.number for trial in best_of_kinds(self.records)]
        if self.records.trials[-1].number in best:
            bundle = Bundle.of(model, algorithm, self.held_out.train, seed=self.seed)
            reason = self.models.save(self.records.trials[-1].number, bundle)
            if reason is not None:
                self.say(f"    the model is not saved and may be fitted again: {reason}")
        self.models.delete_others(best)

    def _full_epochs(self, family: Family) -> int | None:
        if family.kind != "autoencoder":
            return None
        return getattr(family.start_on(self.held_out.train), "epochs", None)

    def add(
        self,
        family: Family,
        algorithm: Algorithm,
        values: dict[str, Any],
        number: int,
        state: State,
        *,
        measured: Evaluation | None = None,
        epochs: Sequence[float] = (),
        seconds: float = 0.0,
        **fields: Any,
    ) -> None:
        """Record a trial and report its result.

        Args:
            family: family of the algorithm.
            algorithm: the fitted algorithm.
            values: the searched settings.
            number: number of the round.
            state: how the trial ended.
            measured: metrics per validation user; None unless complete.
            epochs: the validation metric by epoch.
            seconds: duration of the fit.
            fields: other fields of the record.
        """
        score = None if measured is None else measured.mean(METRIC)
        record = Record(
            len(self.records.trials), family.name, dict(values), plain_settings(algorithm), state,
            score, list(epochs), fit_seconds=seconds, round=number,
            full_epochs=self._full_epochs(family), **fields,
        )  # fmt: skip
        self.records.seconds = self.clock.used
        self.records.add(record, measured)
        self._discard_run()
        best = self.records.best()
        result = {
            "complete": f"{METRIC} {score or 0:.4f}",
            "given up": f"given up: {record.reason or f'epoch {len(epochs)} is below the median'}",
            "failed": f"failed: {record.reason}",
        }[state]
        lead = f"; best {best.score:.4f} ({best.family})" if best is not None else ""
        minutes = max(self.left, 0) / 60
        duration = f" in {seconds:.1f} s" if state == "complete" else f"; after {seconds:.1f} s"
        self.say(f"    {result}{duration}{lead}; {minutes:.1f} min left")

    def _discard_run(self) -> None:
        self.records.ended()
        shutil.rmtree(self.records.folder / "run", ignore_errors=True)


def size_mib(model: Model) -> float:
    """Return the size of a model's arrays in MiB."""
    _, arrays = model.state()
    return sum(a.nbytes for a in arrays.values()) / 2**20
