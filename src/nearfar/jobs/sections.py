"""The sections [train], [score] and [retention] of a pipeline's file."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from annotated_types import Gt, Lt

from nearfar.abtest.assignment import Experiment, read_experiment
from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.core.settings import Settings
from nearfar.data.filters import Filters
from nearfar.data.weighting import Repeats, Scale, Weighting, parse_kinds
from nearfar.reranking.reranker import Reranker
from nearfar.reranking.reranking import Reranking
from nearfar.train.run import Device, Precision


@dataclass(frozen=True)
class TrainSection(Settings):
    """When and on what to train.

    Args:
        every_days: a training is due when the last one is so many days old.
        window_days: events of so many days up to the day of training.
        filters: what of them is kept; see `Filters`.
        kind_weights: how much each kind of event counts in training, as "view=1,click=2,buy=5".
            Events of other kinds are left out and counted. The column is recognised, or named by
            the source's `columns.kind`. Without it, rows that are no events (an impression, a
            refund, `clicked` 0) are left out as in `nearfar train`; `columns.kind = ""` and
            `columns.outcome = ""` keep them.
        weights: what weights are in training: "linear", "log" for log2(1 + weight), or "none". By
            default "linear" with `kind_weights` or where the source's `columns` name the weight,
            else "none", as in `nearfar train`. `nearfar pipeline init` writes "none" where the
            column was recognised and not named.
        repeats: the weight of several events of one user and item, "max" or "sum". By default "max"
            with `kind_weights`, else "sum".
        held_out: share of users that no version is trained on, half of them to stop by, half
            for the gates. By default the first training chooses it (5 %, 10 % or 20 %, the least
            that holds out 200 users with something to find), and later ones keep it.
        holdout_days: the interactions of held-out users in so many last days are the targets.
        warm_start: go on from the published version's weights where the architecture is the same.
        publish: make a version current as soon as it passed the gates.
        seed: of the training.
        device: where to train and score.
        precision: of the output layer's products.
        checkpoint_seconds: the longest time between checkpoints of a training, from which one
            that was killed goes on; 0 writes one after every step.
        exports: what of a version is written beside its bundle: "onnx", to serve it without
            PyTorch.
        track: experiment trackers that trainings are logged to, as "mlflow:mlruns",
            "tensorboard:runs" or "wandb:PROJECT"; those of `--track` come on top.

    Examples:
        >>> from nearfar.jobs.sections import TrainSection
        >>> TrainSection(every_days=1, window_days=30).holdout_days
        7
    """

    every_days: PositiveInt = 7
    window_days: PositiveInt = 90
    filters: Filters = field(default_factory=Filters)
    kind_weights: str | None = None
    weights: Scale | None = None
    repeats: Repeats | None = None
    held_out: Annotated[float, Gt(0), Lt(0.5)] | None = None
    holdout_days: PositiveInt = 7
    warm_start: bool = False
    publish: bool = True
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "float32"
    checkpoint_seconds: NonNegativeFloat = 60.0
    exports: tuple[Literal["onnx"], ...] = ()
    track: tuple[str, ...] = ()

    @property
    def weighting(self) -> Weighting:
        """How much events count in training.

        Raises:
            SettingsError: the weights of kinds are wrong.
        """
        kinds = None if self.kind_weights is None else parse_kinds(self.kind_weights)
        return Weighting(kinds, self.weights, self.repeats)

    def check_together(self) -> None:
        _ = self.weighting
        if self.holdout_days >= self.window_days:
            raise SettingsError(
                f"train.holdout_days is {self.holdout_days}; it must be below train.window_days, "
                f"which is {self.window_days}"
            )


@dataclass(frozen=True)
class ScoreSection(Settings):
    """Whom to recommend what.

    Args:
        active_days: users with an event in so many days up to the day of scoring.
        k: recommendations per user.
        exclude_seen: leave out the items of the user's history in the window.
        deny: ids of items that are never recommended.
        deny_file: a text file with one such id a line, read at every scoring.
        rerank: how a list is chosen from the best candidates: "mmr", "dpp" or "calibrated", or a
            table of its kind and settings; see docs/guide/reranking.md.
        rules: a file of boosts, pins, exclusions and quotas, read at every scoring.
        candidates: for each place of a list that is re-ranked.
        part_users: users per part; a run that was killed goes on after its last part.
        experiment: the TOML file of an A/B test, read at every scoring; see
            `abtest.assignment.Experiment`. Its dates do not matter here.
        arm: the only arm of that experiment whose users are scored.

    Examples:
        >>> from nearfar.jobs.sections import ScoreSection
        >>> ScoreSection(k=10, deny=("gift-card",)).active_days
        28
    """

    active_days: PositiveInt = 28
    k: PositiveInt = 20
    exclude_seen: bool = True
    deny: tuple[str, ...] = ()
    deny_file: str | None = None
    rerank: Reranker | None = None
    rules: str | None = None
    candidates: PositiveInt = 10
    part_users: PositiveInt = 20_000
    experiment: str | None = None
    arm: str | None = None

    @property
    def reranking(self) -> Reranking | None:
        """How lists are re-ranked, its rules read anew; None where they are not.

        Raises:
            SettingsError: the rule file is missing or wrong.
        """
        return Reranking.if_any(self.rerank, self.rules, self.candidates)

    def read_experiment(self) -> Experiment | None:
        """The experiment whose arm is scored, read anew; None where all users are.

        Raises:
            SettingsError: its file is missing or wrong, or it has no such arm.
        """
        if self.experiment is None:
            return None
        found = read_experiment(Path(self.experiment))
        if self.arm not in found.arms:
            raise SettingsError(
                f"score.arm is {self.arm!r}; experiment {found.name!r} has {', '.join(found.arms)}"
            )
        return found

    def check_together(self) -> None:
        if (self.experiment is None) != (self.arm is None):
            raise SettingsError(
                f"score.experiment is {self.experiment!r} and score.arm {self.arm!r}; "
                "give both or none"
            )


@dataclass(frozen=True)
class Retention(Settings):
    """How much is kept; everything, where nothing is said. Applied after each scoring.

    Args:
        days: published days of recommendations, counted back from the day that is scored; days
            after it stay. What was quarantined for a day goes with it.
        versions: the newest so many versions. The current one, those after it and the one that a
            rollback leads to stay in any case.

    Examples:
        >>> from nearfar.jobs.sections import Retention
        >>> Retention(days=30, versions=5).days
        30
    """

    days: PositiveInt | None = None
    versions: PositiveInt | None = None
