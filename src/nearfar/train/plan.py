"""How long to train, and by what steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.core.settings import Settings
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class Phase(Settings):
    """A part of an epoch: passes over the users, by an optimiser of its own.

    Args:
        moves: which parameters are trained, by the beginnings of their names, such as
            "network.encoder" or "objective.term_modules.critic"; all where it is empty.
        terms: the terms that are added up; all where it is empty.
        passes: over the users in each epoch.
        corrupt: whether the encoder is shown x~, or the clean x.
        learning_rate: of its optimiser; the plan's where it is None.
        first_epoch: the first epoch with this phase.
        end_epoch: the first epoch without it again; None for never.
        renews_prior: whether the prior takes over the encoder at the end of it.
        from_best: whether its first epoch starts from the best epoch's weights, not the last's.

    Raises:
        SettingsError: a value is out of range.
    """

    moves: tuple[str, ...] = ()
    terms: tuple[str, ...] = ()
    passes: PositiveInt = 1
    corrupt: bool = True
    learning_rate: PositiveFloat | None = None
    first_epoch: int = 0
    end_epoch: int | None = None
    renews_prior: bool = False
    from_best: bool = False

    def in_epoch(self, epoch: int) -> bool:
        """Whether the epoch has this phase."""
        return self.first_epoch <= epoch and (self.end_epoch is None or epoch < self.end_epoch)

    def moves_parameter(self, name: str) -> bool:
        """Whether the parameter of this name is trained."""
        return not self.moves or any(
            name == start or name.startswith(f"{start}.") for start in self.moves
        )


OptimiserName = Literal["adam", "lazy_adam", "row_adam"]


@dataclass(frozen=True)
class TrainingPlan(Settings):
    """How long to train, and by what steps.

    Args:
        epochs: how many, at most.
        batch_size: users per step.
        learning_rate: Adam's.
        patience: stop after so many epochs without a new best validation score; 0 for never.
        schedule: what the learning rate is multiplied by over the course of training.
        optimiser: how tables of one row per item are updated; all else by Adam.
        weight_decay: l2 times half the squared length of all weight matrices is added to the
            loss.
        noise: whether z is drawn in training, or is the posterior's mean.
        phases: what an epoch consists of, in order; by default one pass that trains all parameters.

    Raises:
        SettingsError: a value is out of range.
    """

    epochs: PositiveInt
    batch_size: PositiveInt
    learning_rate: PositiveFloat
    patience: NonNegativeInt
    schedule: Weight = field(default_factory=ConstantWeight)
    optimiser: OptimiserName = "adam"
    weight_decay: NonNegativeFloat = 0.0
    noise: bool = True
    phases: tuple[Phase, ...] = (Phase(),)

    def check_together(self) -> None:
        if self.weight_decay and self.optimiser != "adam":
            raise SettingsError(
                f"weight_decay is {self.weight_decay}; with {self.optimiser} it must be 0, since "
                "frozen rows do not decay"
            )
        if not all(self.passes(epoch) for epoch in range(self.epochs)):
            raise SettingsError(
                f"{self.phases} leave an epoch of the {self.epochs} without a phase"
            )

    def passes(self, epoch: int) -> list[Phase]:
        """The passes over the users that make up an epoch, each as its phase, in order."""
        return [p for p in self.phases if p.in_epoch(epoch) for _ in range(p.passes)]
