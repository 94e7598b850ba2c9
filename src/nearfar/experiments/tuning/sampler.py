"""Propose settings and prune trials with Optuna; nothing else of Optuna is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.core.seeding import derive
from nearfar.experiments.tuning.space import Parameter, Space
from nearfar.experiments.tuning.trials import TuningTrial

N_RANDOM = 10
"""Number of random trials before the sampler uses earlier ones."""

N_BEFORE_PRUNING = 5
"""Number of complete trials before one may be pruned."""


class Pruned(Exception):  # noqa: N818 - not an error
    """Raised when a trial is worse than the median of earlier ones at the same epoch."""


class Proposal:
    """The settings of one trial, and the decision at each epoch whether to prune it.

    Each trial uses a new study of all earlier trials, with a sampler seeded by the trial's number.
    So a search that stops and resumes makes the same proposals.

    Args:
        space: the search space.
        trials: the earlier trials.
        seed: random seed of the search.
        warm_up: number of first epochs in which no trial is pruned.
        first: values to try instead of a proposal.
    """

    def __init__(
        self,
        space: Space,
        trials: Sequence[TuningTrial],
        seed: int,
        warm_up: int,
        first: dict[str, Any] | None = None,
    ) -> None:
        import optuna

        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(
            seed=derive(seed, "trial", len(trials)) % 2**32, n_startup_trials=N_RANDOM
        )
        pruner = optuna.pruners.MedianPruner(N_BEFORE_PRUNING, n_warmup_steps=warm_up)
        study = optuna.create_study(direction="maximize", sampler=sampler, pruner=pruner)
        distributions = {k: _distribution(p) for k, p in space.parameters.items()}
        for trial in trials:
            if trial.told:
                study.add_trial(_frozen(trial, space, distributions))
        self.told = first is None or all(space.parameters[k].holds(v) for k, v in first.items())
        if first is not None and self.told:
            study.enqueue_trial({k: _raw(space.parameters[k], v) for k, v in first.items()})
        self._trial = study.ask(distributions)
        self.values = (
            first
            if first is not None
            else {k: _value(space.parameters[k], raw) for k, raw in self._trial.params.items()}
        )
        self.epochs: list[float] = []

    def judge(self, score: float) -> None:
        """Report the validation metric after one more epoch.

        Raises:
            Pruned: the trial is pruned.
        """
        self._trial.report(score, len(self.epochs))
        self.epochs.append(score)
        if self._trial.should_prune():
            raise Pruned


def _distribution(parameter: Parameter) -> Any:
    from optuna import distributions

    if parameter.choices:
        return distributions.CategoricalDistribution(range(len(parameter.choices)))
    kind: Any = (
        distributions.IntDistribution if parameter.whole else distributions.FloatDistribution
    )
    step = {"step": parameter.step} if parameter.step else {}
    return kind(parameter.low, parameter.high, log=parameter.log, **step)


def _raw(parameter: Parameter, value: Any) -> Any:
    """Return a value as Optuna represents it: a choice by its index."""
    return parameter.choices.index(value) if parameter.choices else value


def _value(parameter: Parameter, raw: Any) -> Any:
    """Return a value of Optuna as a setting, rounded to four digits if the space allows it."""
    if parameter.choices:
        return parameter.choices[raw]
    rounded = float(f"{raw:.4g}") if isinstance(raw, float) else raw
    return rounded if parameter.holds(rounded) else raw


def _frozen(trial: TuningTrial, space: Space, distributions: dict[str, Any]) -> Any:
    import optuna

    state = optuna.trial.TrialState
    return optuna.create_trial(
        # A failed trial counts as the worst, so that the sampler avoids settings near it.
        state=state.COMPLETE if trial.state == "complete" else state.PRUNED,
        value=trial.score,
        params={k: _raw(space.parameters[k], v) for k, v in trial.values.items()},
        distributions=distributions,
        intermediate_values=dict(enumerate(trial.epochs)) if trial.state != "failed" else {},
    )
