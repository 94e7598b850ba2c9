"""How long to train, and by what steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.core.settings import Settings
from nearfar.train.phase import Phase
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.weight import Weight

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
