"""The reconstruction term with a sampled normaliser."""

from __future__ import annotations

from dataclasses import replace

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.vae.rows import Rows
from nearfar.vae.softmax import linear_multinomial_nll
from nearfar.vae.sparse import selected_rows
from nearfar.vae.terms.term import Step


class SampledReconstruction(nn.Module):
    """-sum_{i in S} (f_i - log Z), with Z estimated over a sample C of the items.

    Z = sum_{i in S} exp f_i + sum_{i in C \\ S} exp(f_i) / pi_i, where pi_i is the chance that i
    is in C: the Horvitz-Thompson estimator, unbiased in Z (its logarithm is not, by about half
    its relative variance). C holds every item of the batch, so a user's own are exact, and
    uniform draws. With pi_i = 1 for all it is the exact likelihood.

    Notation: pi_i = 1 - (1 - p_i)^(B - 1) (1 - 1/I)^M for batches of B users, M draws, and the
    share p_i of users who have item i; that a batch is drawn without replacement is neglected.
    Source: Horvitz and Thompson 1952; the correction of sampled softmax by log pi as in Bengio
    and Senecal 2008.

    Args:
        shares: p_i of every item.
        negatives: M.
    """

    shares: Float[Tensor, " items"]

    def __init__(self, shares: Float[Tensor, " items"], negatives: int) -> None:
        super().__init__()
        self.negatives = negatives
        self.register_buffer("shares", shares, persistent=False)

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        rows, output = step.histories, step.output
        items, compact = self._sample(rows, step.rng)
        shift = -self.log_chance(items, rows.users_of_batch)
        weight = selected_rows(output.weight, items)
        bias = output.bias[items] + shift
        # a user's own items are in the sum for certain: their scores stand as they are
        own = -shift[compact.indices]
        return linear_multinomial_nll(step.hidden, weight, bias, compact, output.workspace, own)

    def log_chance(self, items: Int64[Tensor, " sample"], n_users: int) -> Float[Tensor, " sample"]:
        """log pi_i for a user without item i, in a batch of `n_users`."""
        absent = (n_users - 1) * torch.log1p(-self.shares[items].clamp(max=1 - 1e-7).double())
        absent += self.negatives * torch.log1p(torch.tensor(-1 / len(self.shares)).double())
        return torch.log(-torch.expm1(absent)).to(self.shares.dtype)

    def _sample(self, rows: Rows, rng: torch.Generator) -> tuple[Int64[Tensor, " sample"], Rows]:
        """C in ascending order, and the rows with positions in C for indices."""
        by_item = rows.by_item
        drawn = torch.randint(len(self.shares), (self.negatives,), generator=rng, device=rng.device)
        items = torch.unique(torch.cat([rows.items_of_batch, drawn]))
        places = torch.searchsorted(items, by_item.items)
        indices = torch.empty_like(rows.indices)
        entries = places[by_item.inverse]
        indices[by_item.order] = entries
        compact = Rows(indices, rows.indptr, len(items))
        compact.__dict__["by_item"] = replace(by_item, items=places, indices=entries)
        return items, compact
