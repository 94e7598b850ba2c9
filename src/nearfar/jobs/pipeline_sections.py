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
        every_days: number of days after which the next training is due.
        window_days: number of days of events to train on, up to the day of training.
        filters: filters of the window's events; see `Filters`.
        kind_weights: weight of each kind of event in training, as "view=1,click=2,buy=5". Events of
            other kinds are left out and counted. The column is recognised, or named by the
            source's `columns.kind`. Without this setting, rows that are not events (an impression,
            a refund, `clicked` 0) are left out as in `nearfar train`; `columns.kind = ""` and
            `columns.outcome = ""` keep them.
        weights: how training uses weights: "linear", "log" for log2(1 + weight), or "none". The
            default is "linear" with `kind_weights` or if the source's `columns` name the weight,
            else "none", as in `nearfar train`. `nearfar pipeline init` writes "none" if the column
            was recognised and not named.
        repeats: how to combine the weights of repeated events of a user and item, "max" or "sum".
            The default is "max" with `kind_weights`, else "sum".
        held_out: share of users that no version is trained on: half of them for early stopping,
            half for the gates. By default the first training chooses 5 %, 10 % or 20 %, the
            smallest share that holds out 200 users with targets, and later trainings keep it.
        holdout_days: number of last days whose interactions of held-out users are the targets.
        warm_start: start from the published version's weights if the architecture is the same.
        publish: make a version current as soon as it passed the gates.
        seed: random seed of the training.
        device: device to train and score on.
        precision: precision of the output layer's products.
        checkpoint_seconds: longest time between checkpoints of a training; a killed training
            resumes from the last one. 0 writes one after every step.
        exports: formats to write beside a version's bundle: "onnx", to serve it without PyTorch.
        track: experiment trackers that log the trainings, as "mlflow:mlruns", "tensorboard:runs"
            or "wandb:PROJECT", in addition to those of `--track`.

    Examples:
        >>> from nearfar.jobs.pipeline_sections import TrainSection
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
        """The weighting of events in training.

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
    """Which users to score, and how.

    Args:
        active_days: number of days up to the day of scoring; users with an event in them are
            scored.
        k: recommendations per user.
        exclude_seen: leave out the items of the user's history in the window.
        deny: ids of items that are never recommended.
        deny_file: text file with one such id per line, read at every scoring.
        rerank: how lists are re-ranked: "mmr", "dpp" or "calibrated", or a table of kind and
            settings; see docs/guide/reranking.md.
        rules: file of boosts, pins, exclusions and quotas, read at every scoring.
        candidates: candidates per position of a re-ranked list.
        part_users: users per part; a run that was killed resumes after its last part.
        experiment: TOML file of an A/B test, read at every scoring; see
            `abtest.assignment.Experiment`. Its dates do not matter here.
        arm: the arm of that experiment whose users are scored.

    Examples:
        >>> from nearfar.jobs.pipeline_sections import ScoreSection
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
        """The re-ranking of lists, with its rules read anew; None without re-ranking.

        Raises:
            SettingsError: the rule file is missing or wrong.
        """
        return Reranking.if_any(self.rerank, self.rules, self.candidates)

    def read_experiment(self) -> Experiment | None:
        """Read the experiment whose arm is scored; None if all users are scored.

        Raises:
            SettingsError: its file is missing or wrong, or the experiment does not have the arm.
        """
        if self.experiment is None:
            return None
        experiment = read_experiment(Path(self.experiment))
        if self.arm not in experiment.arms:
            raise SettingsError(
                f"score.arm is {self.arm!r}; experiment {experiment.name!r} has "
                f"{', '.join(experiment.arms)}"
            )
        return experiment

    def check_together(self) -> None:
        if (self.experiment is None) != (self.arm is None):
            raise SettingsError(
                f"score.experiment is {self.experiment!r} and score.arm {self.arm!r}; "
                "give both or none"
            )


@dataclass(frozen=True)
class Retention(Settings):
    """How many days and versions to keep; None keeps all. Applied after each scoring.

    Args:
        days: published days to keep, counted back from the scored day; later days always stay. A
            removed day's quarantined events are removed with it.
        versions: number of newest versions to keep. The current version, those after it and the
            one that a rollback restores always stay.

    Examples:
        >>> from nearfar.jobs.pipeline_sections import Retention
        >>> Retention(days=30, versions=5).days
        30
    """

    days: PositiveInt | None = None
    versions: PositiveInt | None = None
