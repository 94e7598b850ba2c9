"""How long to train, and by what steps."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal

from nearfar.core.errors import SettingsError
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.weight import Weight

OptimiserName = Literal["adam", "lazy_adam", "row_adam"]


@dataclass(frozen=True)
class Plan:
    """How long to train, and by what steps.

    Args:
        epochs: passes over the users, at most.
        batch_size: users a step.
        learning_rate: Adam's.
        patience: stop after so many epochs without a new best validation score; 0 for never.
        schedule: what the learning rate is multiplied by over the course of training.
        optimiser: how tables of one row an item are updated; all else by Adam.

    Raises:
        SettingsError: a value is out of range.
    """

    epochs: int
    batch_size: int
    learning_rate: float
    patience: int
    schedule: Weight = field(default_factory=Constant)
    optimiser: OptimiserName = "adam"

    def __post_init__(self) -> None:
        if self.epochs < 1 or self.batch_size < 1 or self.learning_rate <= 0 or self.patience < 0:
            raise SettingsError(
                f"epochs {self.epochs}, batch_size {self.batch_size}, learning_rate "
                f"{self.learning_rate}, patience {self.patience}: epochs and batch_size must be at "
                "least 1, learning_rate above 0, patience not negative"
            )
