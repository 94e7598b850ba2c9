"""The multinomial likelihood with a normaliser that is estimated from a sample of the items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.core.ranges import NonNegativeFloat, PositiveInt
from nearfar.kernels.background import Background
from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import linear_multinomial_nll
from nearfar.kernels.sparse import selected_rows
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.likelihoods.multinomial import soft_targets
from nearfar.vae.step import Step, Term


@dataclass(frozen=True)
class Sampled(Likelihood):
    """The multinomial likelihood with a sampled normaliser, for catalogues of 10^5 to 10^7 items.

    Every step scores the items of all users in the batch (in-batch negatives) and `negatives`
    more, sampled uniformly. Each is weighted by the inverse of its probability to be in the sample
    (the logQ correction).

    Args:
        negatives: uniform samples per step, with replacement.
        background: as in `Multinomial`.

    Examples:
        >>> nf.MultVAE(likelihood=nf.likelihoods.Sampled(negatives=1000)).likelihood.negatives
        1000
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"background": 0.0}

    negatives: PositiveInt = 8192
    background: NonNegativeFloat = 0.0

    def term(self, catalogue: TrainingCounts) -> Term:
        shares = torch.from_numpy(catalogue.item_counts / max(1, catalogue.n_users))
        return SampledReconstruction(shares.float(), self.negatives, self.background)


class SampledReconstruction(nn.Module):
    """The term -sum_{i in S} (f_i - log Z), with Z estimated over a sample C of the items.

    Z = sum_{i in S} exp f_i + sum_{i in C \\ S} exp(f_i) / pi_i, where pi_i is the probability
    that i is in C. This is the Horvitz-Thompson estimator, unbiased in Z; log Z is biased by about
    half the relative variance of Z. C consists of all items of the batch, so that a user's items
    are exact, and of uniform samples. With pi_i = 1 for all i it is the exact likelihood.

    Notation: pi_i = 1 - (1 - p_i)^(B - 1) (1 - 1/I)^M for batches of B users, M samples, and the
    share p_i of users who have item i; it ignores that a batch is drawn without replacement.
    Source: Horvitz and Thompson 1952; the correction of sampled softmax by log pi as in Bengio
    and Senecal 2008.

    With soft targets, the sum of the scores of the items outside of S is also estimated over
    C \\ S, with weights in proportion to 1 / pi_i that have the sum I - N. The sum of the targets
    is then the factor of log Z, so that adding a number to all scores changes nothing, as in the
    exact term.

    Args:
        shares: p_i of every item.
        negatives: M.
        background: alpha (I - N) / N, see `SoftReconstruction`.
    """

    shares: Float[Tensor, " items"]

    def __init__(
        self, shares: Float[Tensor, " items"], negatives: int, background: float = 0.0
    ) -> None:
        super().__init__()
        self.negatives = negatives
        self.background = background
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, output = step.histories.of_items_present(), step.output
        items, compact = self._sample(rows, step.rng)
        log_chance = self.log_chance(items, rows.users_of_batch)
        weight = selected_rows(output.weight, items)
        bias = output.bias[items] - log_chance
        # A user's items are in the sample with certainty, so their scores need no correction.
        corrections = log_chance[compact.indices]
        background, offset = self._background(rows, compact, log_chance, step.hidden)
        nll = linear_multinomial_nll(
            step.hidden, weight, bias, compact, output.workspace, corrections, background
        )
        return nll if offset is None else nll - offset

    def _background(
        self, rows: Rows, compact: Rows, log_chance: Float[Tensor, " sample"], hidden: Tensor
    ) -> tuple[Background | None, Float[Tensor, " users"] | None]:
        """Return the soft targets over the sample, and the effect of the shift by log pi on them.

        The scores are shifted by -log pi for the normaliser, which changes the sum of targets
        times scores by this effect, per user.
        """
        if not self.background:
            return None, None

        def sum_of_negatives(values: Float[Tensor, " sample"]) -> Float[Tensor, " users"]:
            zeros = torch.zeros_like(hidden[:, 0])
            return values.sum() - zeros.index_add_(0, compact.users, values[compact.indices])

        exact = soft_targets(rows, self.background, hidden)
        weights = torch.exp(-log_chance)
        totals, sampled = rows.totals.to(hidden), sum_of_negatives(weights)
        has_negatives = len(log_chance) > rows.counts
        negative_mass = torch.where(has_negatives, exact.mass - totals, 0)  # alpha (I - N)
        alpha = negative_mass / torch.where(has_negatives, sampled, 1)
        offset = alpha * sum_of_negatives(weights * log_chance)
        return Background(alpha, totals + negative_mass, weights), offset

    def log_chance(self, items: Int64[Tensor, " sample"], n_users: int) -> Float[Tensor, " sample"]:
        """Return log pi_i for a user without item i, in a batch of `n_users`."""
        absent = (n_users - 1) * torch.log1p(-self.shares[items].clamp(max=1 - 1e-7).double())
        absent += self.negatives * torch.log1p(torch.tensor(-1 / len(self.shares)).double())
        return torch.log(-torch.expm1(absent)).to(self.shares.dtype)

    def _sample(self, rows: Rows, rng: torch.Generator) -> tuple[Int64[Tensor, " sample"], Rows]:
        """Return C in ascending order, and the rows with positions in C as indices."""
        by_item = rows.by_item
        sample = torch.randint(
            len(self.shares), (self.negatives,), generator=rng, device=rng.device
        )
        items = torch.unique(torch.cat([rows.items_of_batch, sample]))
        positions = torch.searchsorted(items, by_item.items)
        indices = torch.empty_like(rows.indices)
        entries = positions[by_item.inverse]
        indices[by_item.order] = entries
        transpose = replace(by_item, items=positions, indices=entries)
        compact = Rows(indices, rows.indptr, len(items), transpose=transpose, weights=rows.weights)
        return items, compact
