"""Phases: passes over the users in which only some of the parameters are trained."""

from __future__ import annotations

from dataclasses import dataclass

from nearfar.core.ranges import PositiveFloat, PositiveInt
from nearfar.core.settings import Settings


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
