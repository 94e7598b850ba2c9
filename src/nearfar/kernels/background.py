"""The targets of items outside a user's history."""

from __future__ import annotations

from dataclasses import dataclass

from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import ByItem


@dataclass(frozen=True, eq=False)
class Background:
    """The targets of the items that a user has not interacted with.

    Notation: the target of item i outside of S is `alpha` w_i, where w = `weights`, or 1 for every
    item; `mass` = M is the sum of all targets of the user.

    Attributes:
        alpha: one value per user; constant in the gradient.
        mass: one value per user.
        weights: one value per item; None for 1.
    """

    alpha: Float[Tensor, " users"]
    mass: Float[Tensor, " users"]
    weights: Float[Tensor, " items"] | None = None

    def part(self, start: int, end: int) -> Background:
        """Return the background of the users from position `start` to before `end`."""
        return Background(self.alpha[start:end], self.mass[start:end], self.weights)

    def own_targets(
        self, by_item: ByItem, targets: Float[Tensor, " nnz"] | float = 1.0
    ) -> Float[Tensor, " nnz"]:
        """Return the targets of the entries, by item, minus the background of their items.

        Args:
            by_item: the entries.
            targets: the target of each entry.
        """
        alpha = self.alpha[by_item.users]
        return targets - (alpha if self.weights is None else alpha * self.weights[by_item.indices])
