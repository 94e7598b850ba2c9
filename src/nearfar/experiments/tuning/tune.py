"""Search settings on validation users; the search has no access to test users."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.core import discovery, settings
from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import EmptyDataError, NearfarError, SettingsError, kind_of
from nearfar.core.extras import require
from nearfar.core.files import atomic_file
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.experiments.provenance import provenance
from nearfar.experiments.stopping import Budget, Stop, StopAtBudget, raising_on_sigterm, reason_of
from nearfar.experiments.tuning.sampler import Proposal, Pruned
from nearfar.experiments.tuning.space import Space, plain_settings, value_of, with_values
from nearfar.experiments.tuning.trials import (
    FORMAT,
    METRIC,
    TrialFile,
    Tuned,
    TuningTrial,
    best_of,
    changed_settings,
    format_value,
    settings_toml,
)
from nearfar.train.callback import Callback, Reporting, report_measured, silent
from nearfar.train.history import EpochRecord
from nearfar.train.run import Device, Precision, Run


@dataclass(frozen=True)
class TuningSearch:
    """A search for the settings of an algorithm.

    Args:
        algorithm: name of the algorithm.
        folder: folder of trials.json and best.toml.
        values: settings other than the defaults; the search of a setting starts from its value.
        space: the search space, or its TOML file; by default the space that comes with the
            algorithm. Settings of a part that is switched off are left out.
        only: names of the settings to search; all of the space if empty.
        seed: random seed of the search, and of every training.
        warm_up: number of first epochs in which no trial is pruned.
        device, precision: device and precision of the runs.

    Raises:
        UnknownNameError: the algorithm or a setting is unknown.
        SettingsError: a setting is wrong, or nothing is left to search.

    Examples:
        >>> search = nf.TuningSearch("ease", "tuned", seed=1)
        >>> list(search.searched().parameters)
        ['l2', 'user_exponent']
    """

    algorithm: str
    folder: Path
    values: Mapping[str, Any] = field(default_factory=dict)
    space: Space | Path | str | None = None
    only: tuple[str, ...] = ()
    seed: int = 0
    warm_up: int = 10
    device: Device = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        object.__setattr__(self, "folder", Path(self.folder))  # a str is accepted too
        algorithm: object = self.algorithm  # may be of any type at run time
        if not isinstance(algorithm, str):
            name = discovery.name_of(algorithm if isinstance(algorithm, type) else type(algorithm))
            raise SettingsError(
                f"algorithm is {kind_of(algorithm)}; expected a name, as {name!r}, and settings "
                "that are not searched as values={...}"
            )
        if self.warm_up < 0:
            raise SettingsError(f"warm_up is {self.warm_up}; it must not be negative")
        self.searched()
        self.with_values({})
        self.run_options()

    def base(self) -> Algorithm:
        """Return the algorithm with its first settings, as a single network."""
        return make_algorithm(self.algorithm, dict(self.values)).alternatives()[0]

    def searched(self) -> Space:
        """Return the space without the settings that are not searched."""
        space = self.space
        if space is None:
            space = Space.of(self.algorithm)
        elif not isinstance(space, Space):
            space = Space.read(Path(space))
        return space.only(self.only).within(self.base())

    def with_values(self, values: Mapping[str, Any]) -> Algorithm:
        """Return the algorithm of a trial, with some settings (by dotted name) replaced.

        Raises:
            SettingsError: the settings contradict each other.
        """
        return make_algorithm(self.algorithm, with_values(plain_settings(self.base()), values))

    def resolved(self, train: Interactions) -> TuningSearch:
        """Return this search with the settings that depend on the data filled in."""
        return replace(self, values=plain_settings(self.base().resolved(train)))

    def run_options(self) -> Run:
        """Return a new run with the search's options."""
        return Run(seed=self.seed, device=self.device, precision=self.precision)

    def identity(self, train: Interactions, validation: FoldIn) -> dict[str, Any]:
        """Return what identifies a search; trials with another identity cannot continue it."""
        return {
            "format": FORMAT,
            "algorithm": discovery.name_of(type(self.base())),
            "settings": settings.to_plain(self.base()),
            "space": self.searched().to_plain(),
            "train": train.fingerprint,
            "validation": [validation.fold_in.fingerprint, validation.held_out.fingerprint],
            "metric": str(METRIC),
            "seed": self.seed,
            "warm_up": self.warm_up,
            "precision": self.precision,
        }


@validate_arguments()
def tune(
    search: TuningSearch,
    train: Interactions,
    validation: FoldIn,
    n_trials: int,
    *,
    minutes: float | None = None,
    say: Callable[[str], None] = lambda text: None,
    reporting: Reporting = silent,
) -> Tuned:
    """Run a search until it has `n_trials` trials, including those of earlier calls.

    The first trial has the search's own settings. A trial that is worse than the median of the
    earlier ones at the same epoch is pruned. Ctrl-C, SIGTERM or the end of the budget lose nothing:
    the next call resumes the running trial from its checkpoint, and its result and all later
    proposals are the same as without the stop.

    Args:
        search: the search.
        train, validation: training interactions, and validation users to select by.
        n_trials: number of trials in total.
        minutes: time budget of this call; None for no limit.
        say: called with each line of progress.
        reporting: returns the callbacks of each training.

    Raises:
        MissingExtraError: Optuna is not installed.
        EmptyDataError: no validation user has a target.
        SettingsError: the folder holds another search, or `search` is not a search.

    Examples:
        >>> search = nf.TuningSearch("ease", "tuned")
        >>> tuned = nf.tune(search, split.train, split.validation, 2)
        >>> len(tuned.trials), list(tuned.best.values)
        (2, ['l2', 'user_exponent'])
    """
    if not isinstance(search, TuningSearch):
        raise SettingsError(
            f"a search was expected, not {kind_of(search)}; give "
            'nf.TuningSearch("ease", "FOLDER"): the algorithm, and the folder of its trials'
        )
    require("optuna", extra="tune", purpose="nearfar tune")
    if not validation.held_out.n_interactions:
        raise EmptyDataError("no validation user has a held-out item to choose settings by")
    if n_trials < 1:
        raise SettingsError(f"trials is {n_trials}; at least 1 is needed")
    budget = Budget(minutes)
    file = TrialFile(search.folder / "trials.json", search.identity(train, validation))
    search = search.resolved(train)
    stop: Stop | None = None
    try:
        with raising_on_sigterm():
            while len(file.trials) < n_trials:
                if budget.used_up:
                    stop = "budget"
                    break
                trial = _run_trial(search, file, train, validation, budget, say, reporting)
                file.add(trial, {"provenance": provenance(search.run_options().torch_device)})
                shutil.rmtree(search.folder / "run", ignore_errors=True)
                _write_best(search, file)
                say(_progress_line(file.trials, n_trials))
    except KeyboardInterrupt as stopped:
        stop = reason_of(stopped, budget)
    best = best_of(file.trials)
    return Tuned(tuple(file.trials), best, _best_settings(search, best), stop)


def _run_trial(
    search: TuningSearch,
    file: TrialFile,
    train: Interactions,
    validation: FoldIn,
    budget: Budget,
    say: Callable[[str], None],
    reporting: Reporting,
) -> TuningTrial:
    number, space = len(file.trials), search.searched()
    plain = plain_settings(search.base())
    first = {key: value_of(plain, key) for key in space.parameters} if number == 0 else None
    proposal = Proposal(space, file.trials, search.seed, search.warm_up, first)
    say(
        f"trial {number}: "
        + ", ".join(f"{k}={format_value(v)}" for k, v in proposal.values.items())
    )
    run = search.run_options()
    run.folder, run.resume = search.folder / "run", True
    started = time.perf_counter()
    score: float | None = None
    state, reason = "complete", None
    try:
        algorithm = search.with_values(proposal.values)
        with reporting(f"trial {number}") as callbacks:
            run.callbacks = (*callbacks, StopAtBudget(budget), _PruningCallback(proposal, run))
            model = algorithm.fit(train, validation, run=run)
            score = evaluate(model, validation, [METRIC]).mean(METRIC)
            report_measured(run.callbacks, {METRIC: score})
    except Pruned:
        state = "pruned"
    except (NearfarError, MemoryError, ArithmeticError) as error:
        state, reason = "failed", str(error) or type(error).__name__
    seconds = max(time.perf_counter() - started, run.history.seconds)
    return TuningTrial(
        number, state, dict(proposal.values), proposal.told, score, proposal.epochs, seconds, reason
    )


class _PruningCallback(Callback):
    """Reports the validation metric of every epoch to the proposal, which may prune the trial."""

    def __init__(self, proposal: Proposal, run: Run) -> None:
        self.proposal = proposal
        self.run = run

    def epoch(self, record: EpochRecord, /) -> None:
        # A resumed training first reports the epochs before its checkpoint.
        resumed = not self.proposal.epochs and self.run.history.records
        for epoch in self.run.history.records if resumed else [record]:
            if epoch.validation:
                self.proposal.judge(next(iter(epoch.validation.values())))


def _best_settings(search: TuningSearch, best: TuningTrial | None) -> dict[str, Any]:
    if best is None:
        return {}
    algorithm = search.with_values(best.values)
    return changed_settings(plain_settings(algorithm), plain_settings(type(algorithm)()))


def _write_best(search: TuningSearch, file: TrialFile) -> None:
    best = best_of(file.trials)
    if best is None:
        return
    head = (
        f"# {search.algorithm}: {METRIC} {best.score:.4f} on validation users, trial {best.number} "
        f"of {len(file.trials)}\n"
    )
    with atomic_file(search.folder / "best.toml", text=True) as out:
        out.write(head + settings_toml(_best_settings(search, best)))


def _progress_line(trials: list[TuningTrial], n_trials: int) -> str:
    last, best = trials[-1], best_of(trials)
    result = {
        "complete": f"{METRIC} {last.score or 0:.4f}",
        "pruned": f"given up after {len(last.epochs)} epochs",
        "failed": f"failed: {last.reason}",
    }[last.state]
    left = (n_trials - len(trials)) * sum(t.seconds for t in trials) / len(trials) / 60
    lead = f"; best {best.score:.4f}, trial {best.number}" if best else ""
    return f"    {result} in {last.seconds:.1f} s{lead}; about {left:.0f} min left"
