"""The interface of a loss weight schedule."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from nearfar.core.settings import Settings


@dataclass(frozen=True)
class Progress:
    """The progress of training. A weight is a pure function of it, so that resuming is exact.

    Args:
        step: steps done, over all epochs.
        epoch: the current epoch, from 0.
        scores: the validation scores of the epochs done, in order.
        n_steps: steps per epoch.
        n_epochs: epochs of the training, at most.

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
    """A schedule for the weight of an objective term, or a factor of the learning rate.

    Class attributes:
        by_interactions: whether the weight is multiplied by each user's number of interactions.

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
