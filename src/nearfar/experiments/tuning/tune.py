"""A search for settings by validation users; test users are not given to it."""

from __future__ import annotations

import shutil
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.core import discovery, settings
from nearfar.core.arguments import told_in_words
from nearfar.core.errors import EmptyDataError, NearfarError, SettingsError, kind_of
from nearfar.core.extras import require
from nearfar.core.files import atomic_file
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.experiments.provenance import provenance
from nearfar.experiments.stopping import Budget, Stop, StopAtBudget, raising_on_sigterm, reason_of
from nearfar.experiments.tuning.sampler import Proposal, Pruned
from nearfar.experiments.tuning.space import Space, value_of, with_values
from nearfar.experiments.tuning.trials import (
    FORMAT,
    METRIC,
    TrialFile,
    Tuned,
    TuningTrial,
    best_of,
    beyond_defaults,
    settings_toml,
    short,
)
from nearfar.train.callback import Callback, Reporting, report_measured, silent
from nearfar.train.history import EpochRecord
from nearfar.train.run import Device, Precision, Run


@dataclass(frozen=True)
class TuningSearch:
    """What is searched, and how to run.

    Args:
        algorithm: its name.
        values: settings that are not searched, where not the defaults; searched ones start here.
        space: which settings are searched, or a TOML file that says so; by default what is kept for
            the algorithm. Settings of a part that is switched off are left out.
        only: of these, the ones wanted.
        folder: where trials.json and best.toml go.
        seed: of the search, and of every training.
        warm_up: epochs that no trial is given up on in.
        device, precision: of the runs.

    Raises:
        UnknownNameError: no algorithm or setting is called so.
        SettingsError: a setting is wrong, or nothing is left to search.

    Examples:
        >>> search = nf.TuningSearch("ease", "tuned", seed=1)
        >>> list(search.searched().parameters)
        ['l2']
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
        object.__setattr__(self, "folder", Path(self.folder))  # text is accepted too
        given: object = self.algorithm
        if not isinstance(given, str):
            name = discovery.name_of(given if isinstance(given, type) else type(given))
            raise SettingsError(
                f"algorithm is {kind_of(given)}; a name was expected, as {name!r}, and settings "
                "that are not searched as values={...}"
            )
        if self.warm_up < 0:
            raise SettingsError(f"warm_up is {self.warm_up}; it must not be negative")
        self.searched()
        self.with_values({})
        self.run_options()

    def base(self) -> Algorithm:
        """The algorithm that the search starts from: a single network."""
        return make_algorithm(self.algorithm, dict(self.values)).alternatives()[0]

    def searched(self) -> Space:
        """What is searched in the end."""
        space = self.space
        if space is None:
            space = Space.of(self.algorithm)
        elif not isinstance(space, Space):
            space = Space.read(Path(space))
        return space.only(self.only).within(self.base())

    def with_values(self, values: Mapping[str, Any]) -> Algorithm:
        """The algorithm of a trial.

        Raises:
            SettingsError: these settings do not go together.
        """
        return make_algorithm(self.algorithm, with_values(_plain(self.base()), values))

    def resolved(self, train: Interactions) -> TuningSearch:
        """Return this search with the settings that are left to the data filled in."""
        return replace(self, values=_plain(self.base().resolved(train)))

    def run_options(self) -> Run:
        """A run with the search's options; a fresh one each time."""
        return Run(seed=self.seed, device=self.device, precision=self.precision)

    def identity(self, train: Interactions, validation: FoldIn) -> dict[str, Any]:
        """What trials must agree on to be of one search."""
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


@told_in_words()
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
    """Go on with a search until it has so many trials.

    The first trial is of the settings as they are. A trial that is worse than the median of the
    earlier ones at the same epoch is given up on. Ctrl-C, SIGTERM or the end of the budget keep
    everything: the running trial goes on from its checkpoint when the search does, and what it
    comes to, and what is proposed after it, is the same as without the stop.

    Args:
        search: what is searched.
        train, validation: what is trained on, and what chooses.
        n_trials: in all, those of earlier calls included.
        minutes: how long to go on.
        say: told, in lines, how it goes.
        reporting: gives the callbacks of each training.

    Raises:
        MissingExtraError: Optuna is not installed.
        EmptyDataError: no validation user has anything to find.
        SettingsError: the folder holds another search, or it is no search.

    Examples:
        >>> search = nf.TuningSearch("ease", "tuned")
        >>> found = nf.tune(search, split.train, split.validation, 2)
        >>> len(found.trials), list(found.best.values)
        (2, ['l2'])
    """
    if not isinstance(search, TuningSearch):
        raise SettingsError(
            f"a search was expected, not {kind_of(search)}; give "
            'nf.TuningSearch("ease", "FOLDER"): the algorithm, and where trials are kept'
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
                trial = _try(search, file, train, validation, budget, say, reporting)
                file.add(trial, {"provenance": provenance(search.run_options().torch_device)})
                shutil.rmtree(search.folder / "run", ignore_errors=True)
                _write_best(search, file)
                say(_told(file.trials, n_trials))
    except KeyboardInterrupt as stopped:
        stop = reason_of(stopped, budget)
    best = best_of(file.trials)
    return Tuned(tuple(file.trials), best, _settings(search, best), stop)


def _try(
    search: TuningSearch,
    file: TrialFile,
    train: Interactions,
    validation: FoldIn,
    budget: Budget,
    say: Callable[[str], None],
    reporting: Reporting,
) -> TuningTrial:
    number, space = len(file.trials), search.searched()
    plain = _plain(search.base())
    first = {key: value_of(plain, key) for key in space.parameters} if number == 0 else None
    proposal = Proposal(space, file.trials, search.seed, search.warm_up, first)
    say(f"trial {number}: " + ", ".join(f"{k}={short(v)}" for k, v in proposal.values.items()))
    run = search.run_options()
    run.folder, run.resume = search.folder / "run", True
    started = time.perf_counter()
    score: float | None = None
    state, reason = "complete", None
    try:
        algorithm = search.with_values(proposal.values)
        with reporting(f"trial {number}") as callbacks:
            run.callbacks = (*callbacks, StopAtBudget(budget), _Judge(proposal, run))
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


class _Judge(Callback):
    """Has every epoch's validation judged, those before a checkpoint too."""

    def __init__(self, proposal: Proposal, run: Run) -> None:
        self.proposal = proposal
        self.run = run

    def epoch(self, record: EpochRecord, /) -> None:
        taken_up = not self.proposal.epochs and self.run.history.records
        for each in self.run.history.records if taken_up else [record]:
            if each.validation:
                self.proposal.judge(next(iter(each.validation.values())))


def _settings(search: TuningSearch, best: TuningTrial | None) -> dict[str, Any]:
    if best is None:
        return {}
    chosen = search.with_values(best.values)
    return beyond_defaults(_plain(chosen), _plain(type(chosen)()))


def _plain(algorithm: Algorithm) -> dict[str, Any]:
    """Settings as a preset has them: without the algorithm's own name."""
    return {k: v for k, v in settings.to_plain(algorithm).items() if k != "kind"}


def _write_best(search: TuningSearch, file: TrialFile) -> None:
    best = best_of(file.trials)
    if best is None:
        return
    head = (
        f"# {search.algorithm}: {METRIC} {best.score:.4f} on validation users, trial {best.number} "
        f"of {len(file.trials)}\n"
    )
    with atomic_file(search.folder / "best.toml", text=True) as out:
        out.write(head + settings_toml(_settings(search, best)))


def _told(trials: list[TuningTrial], n_trials: int) -> str:
    last, best = trials[-1], best_of(trials)
    told = {
        "complete": f"{METRIC} {last.score or 0:.4f}",
        "pruned": f"given up after {len(last.epochs)} epochs",
        "failed": f"failed: {last.reason}",
    }[last.state]
    left = (n_trials - len(trials)) * sum(t.seconds for t in trials) / len(trials) / 60
    lead = f"; best {best.score:.4f}, trial {best.number}" if best else ""
    return f"    {told} in {last.seconds:.1f} s{lead}; about {left:.0f} min left"
