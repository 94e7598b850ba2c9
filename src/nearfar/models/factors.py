"""The factor model: scores are the history's factors times the items' factors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import ArtefactError
from nearfar.kernels.products import affine_into
from nearfar.kernels.rows import Rows
from nearfar.models.least_squares import Confidence, WeightedRidge, row_sums
from nearfar.models.model import Model


class Folding(ABC):
    """Computes the factors of users from their histories."""

    @abstractmethod
    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        """Return the factors of every history, float32."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return a description and arrays by name that rebuild it, given the items' factors."""


@dataclass(frozen=True, eq=False)
class LinearFolding(Folding):
    """Fold-in by u = x P + o, the solution of a ridge system that all users share.

    Args:
        projection: P; row i is what an interaction with item i adds to the user's factors.
        offset: o; the factors of an empty history.
    """

    projection: Float[np.ndarray, "items k"]
    offset: Float[np.ndarray, " k"]

    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        return row_sums(torch.from_numpy(self.projection), rows) + torch.from_numpy(self.offset)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        return {"folding": "linear"}, {"projection": self.projection, "offset": self.offset}


@dataclass(frozen=True, eq=False)
class LeastSquaresFolding(Folding):
    """Fold-in by one weighted ridge regression per history, in float64.

    Args:
        item_factors: the factors that histories are regressed on.
        confidence: weights and penalty.
        n_background: number of items, the first ones, that count as unobserved if a history lacks
            them; None for all. Items added after training do not count, because no user could
            have interacted with them.
    """

    item_factors: Float[np.ndarray, "items k"]
    confidence: Confidence
    n_background: int | None = None

    @cached_property
    def ridge(self) -> WeightedRidge:
        """The factored system of the regression."""
        factors = torch.from_numpy(self.item_factors).double()
        weight = self.confidence.unobserved_weight
        return WeightedRidge.against(factors, weight, self.n_background)

    def fold_in(self, rows: Rows) -> Float[Tensor, "users k"]:
        penalties = self.confidence.penalties(rows, self.n_background)
        return self.ridge.solve(rows, penalties).float()

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        confidence = self.confidence
        description = {
            "folding": "least_squares",
            "unobserved_weight": confidence.unobserved_weight,
            "l2": confidence.l2,
            "l2_exponent": confidence.l2_exponent,
        }
        if self.n_background is not None:
            description["n_background"] = self.n_background
        return description, {}


class Factors(Model):
    """A model with scores = u V' + b, whose user factors u are folded in from the history.

    Args:
        item_factors: V.
        item_bias: b.
        folding: computes u from a history.

    Examples:
        >>> model = nf.WMF(n_factors=4).fit(split.train)
        >>> model.fold_in(split.test.fold_in.x).shape
        (10, 4)
    """

    def __init__(
        self,
        item_factors: Float[np.ndarray, "items k"],
        item_bias: Float[np.ndarray, " items"],
        folding: Folding,
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> None:
        super().__init__(popularity, n_train_users)
        self.item_factors = item_factors
        self.item_bias = item_bias
        self.folding = folding

    @property
    def n_factors(self) -> int:
        return self.item_factors.shape[1]

    def fold_in(self, histories: csr_array) -> Float[np.ndarray, "users k"]:
        """Return the factors of the histories of any users, not only of training users.

        Raises:
            DataError: the histories do not have as many items as the model.
        """
        return self._fold_in(self._checked(histories)).numpy()

    @torch.inference_mode()
    def _fold_in(self, histories: csr_array) -> Float[Tensor, "users k"]:
        return self.folding.fold_in(Rows.from_csr(histories))

    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        users = self._fold_in(histories)
        bias, items = torch.from_numpy(self.item_bias), torch.from_numpy(self.item_factors)
        affine_into(out, users, items, bias)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        description, arrays = self.folding.state()
        return description, {
            "item_factors": self.item_factors,
            "item_bias": self.item_bias,
            **arrays,
        }

    @classmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> Factors:
        n_items = len(popularity)
        factors = _array(arrays, "item_factors", (n_items, -1))
        k = factors.shape[1]
        bias = _array(arrays, "item_bias", (n_items,))
        kind = description.get("folding")
        if kind == "linear":
            folding: Folding = LinearFolding(
                _array(arrays, "projection", (n_items, k)), _array(arrays, "offset", (k,))
            )
        elif kind == "least_squares":
            values = (description[n] for n in ("unobserved_weight", "l2", "l2_exponent"))
            background = description.get("n_background")
            if background is not None and not 0 < int(background) <= n_items:
                raise ArtefactError(
                    f"n_background is {background}; it must be from 1 to the {n_items} items"
                )
            folding = LeastSquaresFolding(
                factors, Confidence(*map(float, values)),
                None if background is None else int(background),
            )  # fmt: skip
        else:
            raise ArtefactError(
                f"the folding of a factor model is {kind!r}; 'linear' or 'least_squares' was "
                "expected; upgrade nearfar if a later version saved it"
            )
        return cls(factors, bias, folding, popularity, n_train_users)


def _array(
    arrays: dict[str, np.ndarray], name: str, shape: tuple[int, ...]
) -> Float[np.ndarray, ...]:
    """Return the float32 array `name` of this shape, in which -1 stands for any length."""
    array = arrays.get(name)
    if (
        array is None
        or array.dtype != np.float32
        or array.ndim != len(shape)
        or any(n not in (-1, m) for n, m in zip(shape, array.shape, strict=True))
    ):
        raise ArtefactError(f"a factor model needs a float32 array {name!r} of shape {shape}")
    return array
