"""How long to train, and by what steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nearfar.core.errors import SettingsError
from nearfar.train.phase import Phase
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.weight import Weight

OptimiserName = Literal["adam", "lazy_adam", "row_adam"]


@dataclass(frozen=True)
class Plan:
    """How long to train, and by what steps.

    Args:
        epochs: how many, at most.
        batch_size: users a step.
        learning_rate: Adam's.
        patience: stop after so many epochs without a new best validation score; 0 for never.
        schedule: what the learning rate is multiplied by over the course of training.
        optimiser: how tables of one row an item are updated; all else by Adam.
        weight_decay: l2 times half the squared length of all weight matrices is added to the
            loss.
        noise: whether z is drawn in training, or is the posterior's mean.
        phases: what an epoch consists of, in order; by default one pass in which all moves.

    Raises:
        SettingsError: a value is out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    schedule: Weight = field(default_factory=Constant)
    optimiser: OptimiserName = "adam"
    weight_decay: float = 0.0
    noise: bool = True
    phases: tuple[Phase, ...] = (Phase(),)

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0 or self.patience < 0:
            raise SettingsError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, learning_rate "
                f"{self.learning_rate}, patience {self.patience}: epochs and batch_size must be at "
                "least 1, learning_rate above 0, patience not negative"
            )
        if self.weight_decay < 0 or (self.weight_decay and self.optimiser != "adam"):
            raise SettingsError(
                f"weight_decay is {self.weight_decay}; it must not be negative, and with "
                f"{self.optimiser} it must be 0: rows that rest do not decay"
            )

        if not all(self.passes(epoch) for epoch in range(self.epochs)):
            raise SettingsError(
                f"{self.phases} leave an epoch of the {self.epochs} without a phase"
            )

    def passes(self, epoch: int) -> list[Phase]:
        """The passes over the users that make up an epoch, each as its phase, in order."""
        return [p for p in self.phases if p.in_epoch(epoch) for _ in range(p.passes)]
