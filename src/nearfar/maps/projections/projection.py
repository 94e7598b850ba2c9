"""The base class of projections."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
from jaxtyping import Float

from nearfar.core import discovery
from nearfar.core.errors import DivergedError
from nearfar.core.settings import Settings

PACKAGE = __name__.rpartition(".")[0]

Transform = Callable[[Float[np.ndarray, "points latent"]], Float[np.ndarray, "points 2"]]


@dataclass(frozen=True, eq=False)
class Projected:
    """Points of the latent space, projected to the plane.

    Args:
        xy: position of each point.
        transform: projects other points of the same space, without moving these.
    """

    xy: Float[np.ndarray, "points 2"]
    transform: Transform


class Projection(Settings, ABC):
    """A projection of the latent space to the plane; subclasses are frozen dataclasses.

    Raises:
        SettingsError: a setting has the wrong type.
    """

    label: ClassVar[str]
    """Its name under a picture."""

    @abstractmethod
    def check_installed(self) -> None:
        """Raise MissingExtraError if a needed library is missing."""

    def fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        """Project points to the plane; a pure function of points and seed.

        Points that are all equal, as with a collapsed posterior, go to the origin.

        Raises:
            DivergedError: a coordinate is not finite.
        """
        points = np.ascontiguousarray(points, np.float64)
        if not np.isfinite(points).all():
            raise DivergedError(
                "latents are not finite, so the model cannot be mapped; train again"
            )
        if not np.ptp(points, axis=0).any():
            return Projected(np.zeros((len(points), 2)), lambda more: np.zeros((len(more), 2)))
        return self._fit(points, seed)

    @abstractmethod
    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        """Project finite float64 points that are not all equal."""


def find_projection(name: str) -> Projection:
    """Return the projection with a name such as "tsne", or a dotted path, with its defaults.

    Raises:
        UnknownNameError: there is no such projection.
    """
    cls: type[Any] = discovery.find(PACKAGE, Projection, name)
    return cls()
