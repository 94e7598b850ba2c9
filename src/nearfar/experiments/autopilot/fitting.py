"""Fits one algorithm, measures it on validation users and records the trial, within a budget."""

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
from nearfar.core import settings
from nearfar.core.errors import NearfarError
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, evaluate
from nearfar.experiments.autopilot.blending import best_of_kinds, blend_of, parts_of
from nearfar.experiments.autopilot.families import BLEND, Family
from nearfar.experiments.autopilot.holding_out import HeldOut
from nearfar.experiments.autopilot.kept_models import KeptModels
from nearfar.experiments.autopilot.pace import Hopeless, Pace, TimeBudget, TooSlow
from nearfar.experiments.autopilot.records import Record, Records, State
from nearfar.experiments.tuning.trials import METRIC
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model
from nearfar.train.callback import Reporting, report_measured, reported
from nearfar.train.run import Device, Precision, Run

RESERVE = 1.3
"""The last fits are given so many times the seconds of the winner's own fit."""

Say = Callable[[str], object]


@dataclass
class Fitter:
    """Fits algorithms on the training users of a search and records what they come to.

    Args:
        held_out: the data.
        records: finished trials; new ones are added.
        clock: the budget.
        seed, device, precision: of the runs.
        say: called with each line of progress.
        reporting: gives the callbacks of each fit.
        blends: whether a blend of the best trials will be tried.
        blend_seconds: what the last fits of a blend's parts may take together; as long as it is 0
            nothing is kept back for a blend.
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
        self.models = KeptModels(self.records.folder / "models")

    def run_options(self, name: str = "run") -> Run:
        """Return a fresh run whose checkpoint is kept under `name`."""
        return Run(
            seed=self.seed, device=self.device, precision=self.precision,
            folder=self.records.folder / name, resume=True,
        )  # fmt: skip

    def reserved(self) -> float:
        """Return the seconds that the last fit, on all users, will take, and where models were
        not kept their fits once more: for the blend, and for the test users."""
        best = self.records.best()
        if best is None:
            return 0.0
        last, measured = RESERVE * self._growth, float(self.held_out.test is not None)
        parts = self.blended()
        return max(
            last * best.fit_seconds + measured * self._to_fit_again([best]),
            last * sum(p.fit_seconds for p in parts) + (1 + measured) * self._to_fit_again(parts),
        )

    def _to_fit_again(self, trials: Sequence[Record]) -> float:
        """Seconds of the fits of those models that were not kept."""
        return sum(t.fit_seconds for t in trials if not self.models.has(t.number))

    def blended(self) -> list[Record]:
        """Return the trials that a blend would have as its parts now; none for no blend."""
        if not self.blends:
            return []
        parts = parts_of(self.records, self.blend_seconds / (RESERVE * self._growth))
        return parts if len(parts) > 1 else []

    @property
    def _growth(self) -> float:
        """Interactions of all users, relative to the training users'."""
        return self.held_out.everyone.n_interactions / self.held_out.train.n_interactions

    @property
    def left(self) -> float:
        """Seconds left for trials."""
        return self.clock.left - self.reserved()

    def finish_begun(self, families: Sequence[Family]) -> None:
        """Go on with the trial that a killed search was running, if it can be taken up."""
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
        """Fit, measure on the validation users, and record.

        Raises:
            TooSlow: the fit would take longer than it may.
        """
        plain = plain_settings(algorithm)
        changed = ", ".join(f"{k}={short(v)}" for k, v in values.items())
        self.say(f"{family.label}: {changed}" if changed else family.label)
        self.records.begin(family.name, values, plain, number)
        run = self.run_options()
        earlier = [r.epochs for r in self.records.of(family.name) if r.score is not None]
        if family == BLEND:
            earlier = []  # the epochs of its parts follow each other
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
                self._forget()
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
        """Try a blend of the best trials, unless there is one of the same already.

        It is made of the models that were kept; only where one is missing are all fitted again.
        """
        parts = self.blended()
        values = {"trials": [part.number for part in parts]}
        if not parts or values in [t.values for t in self.records.of(BLEND.name)]:
            return
        blend = make_algorithm(BLEND.algorithm, blend_of(parts))
        models = self._kept(values["trials"])
        if models is None or not isinstance(blend, Blend):
            self.attempt(BLEND, blend, values, 0, math.inf)
            return
        self.say(f"{BLEND.label}: trials={values['trials']}")
        started = time.perf_counter()
        run = self.run_options()
        train = self.held_out.train
        with self.reporting(f"{BLEND.label} of models that were kept") as run.callbacks:
            with reported(
                run.callbacks, run.history, start_report(blend, train.n_users, train.n_items, run)
            ):
                model = blend.combined(models, self.held_out.validation)
            seconds = time.perf_counter() - started + sum(part.fit_seconds for part in parts)
            self._measure(model, BLEND, blend, values, 0, run, seconds=seconds)

    def fitted(self, trial: Record) -> Model | None:
        """Return a trial's model on the training users; None where it has to be fitted again."""
        blended = trial.family == BLEND.name
        models = self._kept(trial.values["trials"] if blended else [trial.number])
        if models is None:
            return None
        return Ensemble(models, trial.settings["weights"]) if blended else models[0]

    def _kept(self, numbers: Sequence[int]) -> list[Model] | None:
        """Return the models of these trials; None where one of them was not kept."""
        found: list[Model] = []
        for number in numbers:
            model = self.models.load(number)
            if model is None:
                return None
            model.to(Run(device=self.device).torch_device)
            found.append(model)
        return found

    def _measure(
        self,
        model: Model,
        family: Family,
        algorithm: Algorithm,
        values: dict[str, Any],
        number: int,
        run: Run,
        **rest: Any,
    ) -> None:
        """Measure a fitted model on the validation users, record it, and keep it if it is the
        best of its kind."""
        began = time.perf_counter()
        measured = evaluate(model, self.held_out.validation, DEFAULT_METRICS, name=family.label)
        ranking = max(time.perf_counter() - began, 1e-9)
        report_measured(run.callbacks, {m: measured.mean(m) for m in DEFAULT_METRICS})
        self.add(
            family, algorithm.as_fitted(model), values, number, "complete", measured=measured,
            users_per_second=measured.n_users / ranking, mib=size_mib(model), **rest,
        )  # fmt: skip
        best = [trial.number for trial in best_of_kinds(self.records)]
        if self.records.trials[-1].number in best:
            bundle = Bundle.of(model, algorithm, self.held_out.train, seed=self.seed)
            reason = self.models.keep(self.records.trials[-1].number, bundle)
            if reason is not None:
                self.say(f"    the model is not kept, and may be fitted again: {reason}")
        self.models.drop_all_but(best)

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
        **rest: Any,
    ) -> None:
        """Record a trial and say what it came to.

        Args:
            family: which.
            algorithm: what was fitted.
            values: the searched settings.
            number: the round.
            state: how it ended.
            measured: its values per validation user, where it is complete.
            epochs: the validation metric by epoch.
            seconds: of the fit.
            rest: other fields of the record.
        """
        score = None if measured is None else measured.mean(METRIC)
        record = Record(
            len(self.records.trials), family.name, dict(values), plain_settings(algorithm), state,
            score, list(epochs), fit_seconds=seconds, round=number,
            full_epochs=self._full_epochs(family), **rest,
        )  # fmt: skip
        self.records.seconds = self.clock.used
        self.records.add(record, measured)
        self._forget()
        best = self.records.best()
        ending = {
            "complete": f"{METRIC} {score or 0:.4f}",
            "given up": f"given up: {record.reason or f'epoch {len(epochs)} is below the median'}",
            "failed": f"failed: {record.reason}",
        }[state]
        lead = f"; best {best.score:.4f} ({best.family})" if best is not None else ""
        minutes = max(self.left, 0) / 60
        self.say(f"    {ending} in {seconds:.1f} s{lead}; {minutes:.1f} min left")

    def _forget(self) -> None:
        self.records.ended()
        shutil.rmtree(self.records.folder / "run", ignore_errors=True)


def size_mib(model: Model) -> float:
    """Return the size of a model's arrays in MiB."""
    _, arrays = model.state()
    return sum(a.nbytes for a in arrays.values()) / 2**20


def short(value: Any) -> str:
    """Return a setting's value as people write it."""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def plain_settings(algorithm: Algorithm) -> dict[str, Any]:
    """Return settings as a preset has them: without the algorithm's own name."""
    return {k: v for k, v in settings.to_plain(algorithm).items() if k != "kind"}
