"""Optuna as the one who proposes settings and gives up on trials; nothing else of it is used."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.core.seeding import derive
from nearfar.experiments.tuning.space import Parameter, Space
from nearfar.experiments.tuning.trials import TuningTrial

N_RANDOM = 10
"""Trials drawn at random before earlier ones are learned from."""

N_BEFORE_PRUNING = 5
"""Trials that must have come through before one is given up on."""


class Pruned(Exception):  # noqa: N818 - it is no error
    """A trial is given up on: it is worse than the median of those before at the same epoch."""


class Proposal:
    """The settings that one trial tries, and the judge of its epochs.

    A fresh study is made of the trials so far for every trial, its sampler seeded by the trial's
    number: so a search that was stopped and goes on proposes what it would have proposed.

    Args:
        space: what is searched.
        trials: those so far.
        seed: of the search.
        warm_up: epochs that no trial is given up on in.
        first: values to try, in place of a proposal.
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
        """Tell the validation metric after one more epoch.

        Raises:
            Pruned: it is not worth going on.
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
    """A value as Optuna knows it: choices by their place."""
    return parameter.choices.index(value) if parameter.choices else value


def _value(parameter: Parameter, raw: Any) -> Any:
    """A proposal as people write it: four digits are as good as seventeen."""
    if parameter.choices:
        return parameter.choices[raw]
    short = float(f"{raw:.4g}") if isinstance(raw, float) else raw
    return short if parameter.holds(short) else raw


def _frozen(trial: TuningTrial, space: Space, distributions: dict[str, Any]) -> Any:
    import optuna

    state = optuna.trial.TrialState
    return optuna.create_trial(
        # one that failed counts as the worst, so that its surroundings are not tried again
        state=state.COMPLETE if trial.state == "complete" else state.PRUNED,
        value=trial.score,
        params={k: _raw(space.parameters[k], v) for k, v in trial.values.items()},
        distributions=distributions,
        intermediate_values=dict(enumerate(trial.epochs)) if trial.state != "failed" else {},
    )
