"""The interface of a projection."""

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
    """Points of the latent space in the plane.

    Args:
        xy: where each is.
        transform: where other points of the same space go, without moving these.
    """

    xy: Float[np.ndarray, "points 2"]
    transform: Transform


class Projection(Settings, ABC):
    """A way to draw the latent space in the plane; subclasses are frozen dataclasses.

    Raises:
        SettingsError: a setting has the wrong type.
    """

    label: ClassVar[str]
    """What it is called under a picture."""

    @abstractmethod
    def check_installed(self) -> None:
        """Raises: MissingExtraError where a library that it needs is missing."""

    def fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        """The points in the plane; a pure function of points and seed.

        Points that are all the same, as of a collapsed posterior, all go to the origin.

        Raises:
            DivergedError: a coordinate is not finite.
        """
        points = np.ascontiguousarray(points, np.float64)
        if not np.isfinite(points).all():
            raise DivergedError("latents are not finite; the model cannot be mapped")
        if not np.ptp(points, axis=0).any():
            return Projected(np.zeros((len(points), 2)), lambda more: np.zeros((len(more), 2)))
        return self._fit(points, seed)

    @abstractmethod
    def _fit(self, points: Float[np.ndarray, "points latent"], seed: int) -> Projected:
        """`fit` of finite float64 points that are not all the same."""


def find_projection(name: str) -> Projection:
    """The projection of that name, as "tsne", as it is by default; or by its dotted path.

    Raises:
        UnknownNameError: there is none.
    """
    found: type[Any] = discovery.find(PACKAGE, Projection, name)
    return found()
