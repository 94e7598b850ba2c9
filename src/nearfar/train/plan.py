"""Settings of training: epochs, batches, optimiser and the phases of an epoch."""

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
    """A part of an epoch: some passes over the users, with an optimiser of its own.

    Args:
        moves: prefixes of the names of the parameters to train, such as "network.encoder" or
            "objective.term_modules.critic"; empty for all.
        terms: the objective terms to minimise; empty for all.
        passes: passes over the users per epoch.
        corrupt: whether the encoder receives the corrupted x~ or the uncorrupted x.
        learning_rate: of its optimiser; None for the plan's.
        first_epoch: the first epoch with this phase.
        end_epoch: the first later epoch without it; None for never.
        renews_prior: whether the prior copies the encoder at the end of the phase.
        from_best: whether its first epoch starts from the weights of the best epoch, not the last.

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
        """Return whether the epoch has this phase."""
        return self.first_epoch <= epoch and (self.end_epoch is None or epoch < self.end_epoch)

    def moves_parameter(self, name: str) -> bool:
        """Return whether the phase trains the parameter with this name."""
        return not self.moves or any(
            name == prefix or name.startswith(f"{prefix}.") for prefix in self.moves
        )


OptimiserName = Literal["adam", "lazy_adam", "row_adam"]


@dataclass(frozen=True)
class TrainingPlan(Settings):
    """Settings of training: epochs, batches, optimiser and the phases of an epoch.

    Args:
        epochs: epochs to train, at most.
        batch_size: users per step.
        learning_rate: Adam's.
        patience: epochs without a new best validation score after which to stop; 0 for never.
        schedule: factor of the learning rate over the course of training.
        optimiser: how tables with one row per item are updated; Adam updates all else.
        weight_decay: this times half the squared length of all weight matrices is added to the
            loss.
        noise: whether z is sampled in training, or is the mean of the posterior.
        phases: the phases of an epoch, in order; by default one pass that trains all parameters.

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
                f"weight_decay is {self.weight_decay}; with {self.optimiser} it must be 0, because "
                "rows that a batch does not touch would not decay"
            )
        if not all(self.passes(epoch) for epoch in range(self.epochs)):
            raise SettingsError(
                f"phases {self.phases} leave an epoch of the {self.epochs} without a phase; give "
                "every epoch at least one"
            )

    def passes(self, epoch: int) -> list[Phase]:
        """Return the phase of each pass of an epoch, in order."""
        return [p for p in self.phases if p.in_epoch(epoch) for _ in range(p.passes)]
