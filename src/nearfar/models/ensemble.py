"""The ensemble: a weighted sum of the standardised scores of several models."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core import discovery
from nearfar.core.errors import ArtefactError, DataError, NearfarError
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.factors import Factors
from nearfar.models.item_item import ItemItem
from nearfar.models.model import MIN_BATCH, Model

PACKAGE = __name__.rpartition(".")[0]


class Ensemble(Model):
    """A model with scores = sum_i w_i (s_i - mean(s_i)) / std(s_i).

    Mean and standard deviation are over all items of the catalogue, separately for each user and
    part. A part that gives all items the same score adds nothing.

    Args:
        parts: models that were fitted on the same training users.
        weights: one per part, none negative, not all 0.

    Raises:
        DataError: the parts were fitted on different data, a part is an ensemble, or the weights
            are out of range.

    Examples:
        >>> both = nf.Ensemble([ease, vae], [0.7, 0.3])
        >>> both.score(split.test.fold_in.x).shape
        (10, 20)
    """

    def __init__(self, parts: Sequence[Model], weights: Sequence[float]) -> None:
        check_weights(weights, len(parts))
        first = parts[0]
        super().__init__(first.popularity, first.n_train_users)
        for part in parts:
            if isinstance(part, Ensemble):
                raise DataError("a part of an ensemble is an ensemble; give its parts instead")
            if part.n_train_users != self.n_train_users or not np.array_equal(
                part.popularity, self.popularity
            ):
                raise DataError(
                    "the parts of an ensemble were fitted on different training data; fit them on "
                    "the same"
                )
        self.parts = tuple(parts)
        self.weights = tuple(map(float, weights))

    @property
    def active(self) -> list[tuple[Model, float]]:
        """The parts whose weight is above 0, with their weights."""
        return [(p, w) for p, w in zip(self.parts, self.weights, strict=True) if w > 0]

    @property
    def comparing(self) -> Model | None:
        """The first active part with which items can be compared, or None."""
        kinds = (Autoencoder, Factors, ItemItem)
        return next((part for part, _ in self.active if isinstance(part, kinds)), None)

    @property
    def device(self) -> torch.device:
        """The device of the first part that is not on the CPU, or the CPU."""
        return next((p.device for p in self.parts if p.device.type != "cpu"), torch.device("cpu"))

    def to(self, device: torch.device) -> None:
        for part in self.parts:
            part.to(device)

    def batch_size(self) -> int:
        """Return half of what one model takes, as a part's scores need as much; at least 64."""
        return max(MIN_BATCH, super().batch_size() // 2)

    def _facts(self) -> dict[str, object]:
        labels = [
            f"{weight:g} {part.label or type(part).__name__}"
            for part, weight in zip(self.parts, self.weights, strict=True)
        ]
        return {**super()._facts(), "parts": " + ".join(labels)}

    def standardised(
        self, number: int, histories: csr_array, memory: Float[Tensor, "users items"] | None = None
    ) -> Float[Tensor, "users items"]:
        """Return one part's standardised scores, on the part's device.

        The rows of empty histories have no meaning.

        Args:
            number: the part's position in `parts`.
            histories: users x items, canonical.
            memory: where to write the scores if it is on the part's device.
        """
        part = self.parts[number]
        if memory is None or memory.device != part.device:
            n_users = len(histories.indptr) - 1
            memory = torch.empty(n_users, self.n_items, device=part.device)
        part._write_scores(histories, memory)
        standardise(memory)
        return memory

    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        out.zero_()
        memory = torch.empty_like(out)
        for number, weight in enumerate(self.weights):
            if weight > 0:
                scores = self.standardised(number, histories, memory)
                out.add_(scores.to(out.device), alpha=weight)

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        parts, arrays = [], {}
        for number, part in enumerate(self.parts):
            description, part_arrays = part.state()
            parts.append({"kind": discovery.name_of(type(part)), "description": description})
            arrays |= {f"{number}.{name}": array for name, array in part_arrays.items()}
        return {"weights": list(self.weights), "parts": parts}, arrays

    @classmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> Ensemble:
        descriptions, weights = description.get("parts"), description.get("weights")
        if not isinstance(descriptions, list) or not isinstance(weights, list):
            raise ArtefactError("an ensemble needs the lists 'parts' and 'weights'")
        parts = []
        for number, part in enumerate(descriptions):
            prefix = f"{number}."
            part_arrays = {
                k.removeprefix(prefix): v for k, v in arrays.items() if k.startswith(prefix)
            }
            try:
                parts.append(_restore_part(part, part_arrays, popularity, n_train_users))
            except NearfarError as error:
                raise ArtefactError(f"part {number} of the ensemble: {error}") from None
        try:
            check_weights(weights, len(parts))
            return cls(parts, [float(weight) for weight in weights])
        except DataError as error:
            raise ArtefactError(str(error)) from None


def check_weights(weights: Sequence[Any], n_parts: int) -> None:
    """Check that an ensemble of `n_parts` parts can have these weights.

    Raises:
        DataError: there is not one weight per part, there is no part, a weight is negative or not
            a finite number, or all weights are 0.
    """
    if len(weights) != n_parts or not n_parts:
        raise DataError(f"{len(weights)} weights for {n_parts} parts; one per part is expected")
    for weight in weights:
        is_number = isinstance(weight, int | float) and not isinstance(weight, bool)
        if not is_number or not 0 <= weight <= sys.float_info.max:
            raise DataError(f"weights: {weight!r} is not a number of at least 0")
    if not any(weights):
        raise DataError("weights are all 0; at least one must be above 0")


def standardise(scores: Float[Tensor, "users items"]) -> None:
    """Scale every row to mean 0 and standard deviation 1, in place; a constant row becomes 0."""
    low, high = scores.aminmax(dim=1)
    variance, mean = torch.var_mean(scores, dim=1, correction=0)
    # Rounding can make the mean of equal numbers inexact, and so their variance not quite 0.
    varies = (low < high) & (variance > 0)
    scale = torch.where(varies, variance.rsqrt(), torch.zeros_like(variance))
    scores.sub_(mean[:, None]).mul_(scale[:, None])


def _restore_part(
    state: Any,
    arrays: dict[str, np.ndarray],
    popularity: Int[np.ndarray, " items"],
    n_train_users: int,
) -> Model:
    kind = state.get("kind") if isinstance(state, dict) else None
    description = state.get("description") if isinstance(state, dict) else None
    if not isinstance(kind, str) or not isinstance(description, dict):
        raise ArtefactError("it needs a 'kind' and a 'description'")
    part = discovery.find(PACKAGE, Model, kind)
    if issubclass(part, Ensemble):
        raise ArtefactError("it is an ensemble; its parts were expected instead")
    n_items = description.get("n_items", len(popularity))
    if n_items != len(popularity):
        raise ArtefactError(f"it has {n_items} items and the ensemble has {len(popularity)}")
    return part.restore(description, arrays, popularity, n_train_users)
