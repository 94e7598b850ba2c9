"""The ablations of Personalized Item Alignment that `nearfar reproduce ablations` fits."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal

import torch
from jaxtyping import Float
from numpy import ndarray
from torch import Tensor

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.pia import PIA
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluation import Evaluation
from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import row_product, rows_present
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.model import Model
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.step import Step, Term
from nearfar.vae.terms.alignment import Alignment, centroid_and_spread
from nearfar.vae.weights.plateau_growth import PlateauGrowth
from nearfar.vae.weights.weight import Progress, Weight

Parts = Literal["all", "drift", "variance"]


@dataclass(frozen=True)
class Ablation:
    """The changes that a row makes to an algorithm with an alignment.

    Args:
        aligned: whether there is an alignment.
        parts: terms of Proposition 3.1 to use: "all" three, "drift" ||mu - c||^2 alone, or
            "variance" tr Sigma alone, which has no anchors.
        factor: factor on the algorithm's lambda_A.
        patience, scale: parameters of Algorithm 1; patience 0 keeps lambda_A fixed. None keeps the
            algorithm's.
        inverse_popularity: whether an item's weight in centroid and spread is one over the number
            of training users who interacted with it, instead of equal.
        kl_grows: whether Algorithm 1 multiplies the weight of the KL term instead.
    """

    aligned: bool = True
    parts: Parts = "all"
    factor: float = 1.0
    patience: int | None = None
    scale: float | None = None
    inverse_popularity: bool = False
    kl_grows: bool = False

    def of(self, algorithm: AutoencoderAlgorithm) -> AutoencoderAlgorithm:
        """Return the algorithm with these changes.

        Args:
            algorithm: algorithm with the settings `beta` and `alignment`, which is not None.
        """
        base: Any = algorithm
        pia: PIA = base.alignment
        weight = algorithm.ALIGN_WEIGHT if pia.weight is None else pia.weight
        patience = pia.patience if self.patience is None else self.patience
        scale = pia.scale if self.scale is None else self.scale
        changes: dict[str, Any] = {"alignment": None}
        if self.kl_grows:
            changes["beta"] = Growing(base.beta, patience, scale)
        if self.aligned:
            changes["alignment"] = AblatedPIA(
                weight * self.factor, patience, scale, pia.anchor_std, self.parts,
                self.inverse_popularity,
            )  # fmt: skip
        return replace(base, **changes)


@dataclass(frozen=True)
class AblatedPIA(PIA):
    """Personalized Item Alignment with only some of its parts; the other arguments are PIA's.

    Args:
        parts, inverse_popularity: as in `Ablation`.
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"parts": "all", "inverse_popularity": False}

    parts: Parts = "all"
    inverse_popularity: bool = False

    def term(self, catalogue: TrainingCounts, n_latent: int, rng: torch.Generator) -> Term:
        if self.parts == "variance":
            return total_variance
        if self.parts == "all" and not self.inverse_popularity:
            return super().term(catalogue, n_latent, rng)
        counts = torch.from_numpy(catalogue.item_counts).float()
        weights = counts.clamp(min=1).reciprocal() if self.inverse_popularity else None
        return PartialAlignment(
            catalogue.n_items, n_latent, self.anchor_std, rng,
            item_weights=weights, drift_alone=self.parts == "drift",
        )  # fmt: skip


class PartialAlignment(Alignment):
    """A(x) with weighted items, or its first term ||mu - c||^2 alone.

    With weights w_i the centroid is c = sum_{i in S} w_i e_i / sum_{i in S} w_i, and V(S) is the
    spread about it with the same weights. The term of a user without items is 0.

    Args:
        item_weights: w_i, above 0; None for equal weights.
        drift_alone: whether to omit tr Sigma and V(S).
    """

    item_weights: Tensor | None

    def __init__(
        self,
        n_items: int,
        n_latent: int,
        anchor_std: float,
        rng: torch.Generator,
        *,
        item_weights: Float[Tensor, " items"] | None = None,
        drift_alone: bool = False,
    ) -> None:
        super().__init__(n_items, n_latent, anchor_std, rng)
        self.register_buffer("item_weights", item_weights, persistent=False)
        self.drift_alone = drift_alone

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, posterior = step.histories, step.posterior
        shares = self._shares(rows)
        centroid = row_product(self.anchors, rows, shares)
        total = (posterior.mu - centroid).square().sum(1)
        if not self.drift_alone:
            by_item = rows.by_item
            squared = rows_present(rows, self.anchors).square().sum(1)[by_item.inverse]
            squared = squared * shares[by_item.order]
            mean = torch.zeros_like(total).index_add(0, by_item.users, squared)
            total = total + posterior.variance.sum(1) + mean - centroid.square().sum(1)
        return torch.where(rows.counts > 0, total, 0.0)

    def _shares(self, rows: Rows) -> Float[Tensor, " nnz"]:
        if self.item_weights is None:
            return rows.counts.clamp(min=1).to(self.anchors.dtype).reciprocal()[rows.users]
        weights = self.item_weights[rows.indices]
        sums = torch.zeros(rows.n_users).to(weights).index_add(0, rows.users, weights)
        return weights / sums[rows.users]


def total_variance(step: Step, /) -> Float[Tensor, " users"]:
    """Return tr Sigma(x~) alone; 0 for users without items."""
    return torch.where(step.histories.counts > 0, step.posterior.variance.sum(1), 0.0)


@dataclass(frozen=True)
class Growing(Weight):
    """Another weight, multiplied by the growth of Algorithm 1 from 1.

    Args:
        inner: the other weight.
        patience, scale: parameters of Algorithm 1; with patience 0 the other weight is unchanged.
    """

    inner: Weight
    patience: int = 5
    scale: float = 1.2

    @property
    def by_interactions(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Whether the weight is per interaction, as for the other weight."""
        return self.inner.by_interactions

    def __call__(self, progress: Progress, /) -> float:
        if self.patience == 0:
            return self.inner(progress)
        return self.inner(progress) * PlateauGrowth(1.0, self.patience, self.scale)(progress)


def fold_in_spread(
    model: Model, test: FoldIn, measured: Evaluation
) -> Float[ndarray, " users"] | None:
    """Return V(S) of each measured user's fold-in items, under the model's anchors.

    Args:
        model: the fitted model.
        test: the test users.
        measured: evaluation of the test users, which gives the users and their order.

    Returns:
        The spreads (Proposition 3.1) in squared latent units; None for a model without anchors.
    """
    if not isinstance(model, Autoencoder) or model.anchors is None:
        return None
    histories = test.fold_in.x[test.fold_in.user_ids.index(measured.user_ids.ids)]
    anchors = torch.from_numpy(model.anchors)
    return centroid_and_spread(anchors, Rows.from_csr(histories))[1].numpy()
