"""The interface of a weight."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from nearfar.core.settings import Settings


@dataclass(frozen=True)
class Progress:
    """Where training stands: a weight is a pure function of it, so that resuming is exact.

    `scores` are the validation scores of the epochs ended so far, in order; `n_steps` is how
    many steps an epoch has, `n_epochs` how many epochs the training has at most.

    Examples:
        >>> nf.schedules.Progress(step=50, epoch=2, scores=(0.30, 0.32)).epoch
        2
    """

    step: int = 0
    epoch: int = 0
    scores: tuple[float, ...] = ()
    n_steps: int = 1
    n_epochs: int = 1


class Weight(Settings, ABC):
    """How much a term counts at a given point of training.

    Class attributes:
        by_interactions: whether it counts for a user as often as the user has interactions.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Halved(nf.Weight):
        ...     def __call__(self, progress):
        ...         return 0.5**progress.epoch
        >>> nf.MultVAE(beta=Halved(), epochs=1, **small).beta(nf.schedules.Progress(epoch=2))
        0.25
    """

    by_interactions: ClassVar[bool] = False

    @abstractmethod
    def __call__(self, progress: Progress, /) -> float: ...
