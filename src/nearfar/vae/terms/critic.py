"""The critic of RaCT: its features and value, what it learns from, and the terms that use it."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise

import torch
from jaxtyping import Float, Float64
from torch import Tensor, nn

from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.layers import linear
from nearfar.vae.likelihoods.multinomial import reconstruction
from nearfar.vae.step import Step

PLACES = 100

SIZES = (3, 100, 100, 10, 1)


class Critic(nn.Module):
    """(value - NDCG@100)^2, where the value is the critic's guess of it from three features.

    The features are -log p(x|z), how many of the user's items the encoder was shown, and how
    many it was not; what is to be ranked are those not shown. They are normalised, then come
    three hidden layers and a sigmoid. As a term it has no gradient in the network.

    Source: Lobel et al., RaCT, 2020, section 3.3 and Figure 2, and its published code.
    Differs: the published code adds 2e-7 times the squared length of the critic's parameters.
    The moments that features are normalised by are gathered in pre-training, as there, but
    without the correction of batch renormalisation, and over fewer batches.
    """

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.moments = FeatureMoments(SIZES[0])
        self.layers = nn.ModuleList(linear(n, m, rng) for n, m in pairwise(SIZES))

    def gather(self, step: Step, nll: Float[Tensor, " users"]) -> None:
        """Take in the features of a batch for their moments."""
        self.moments.gather(_features(step, nll.detach()))

    def value(self, step: Step, nll: Float[Tensor, " users"]) -> Float[Tensor, " users"]:
        """The guess; it has a gradient in `nll`, the one feature that the network can change."""
        h = self.moments(_features(step, nll))
        *hidden, last = self.layers
        for layer in hidden:
            h = torch.relu(layer(h))
        return torch.sigmoid(last(h))[:, 0]

    def forward(self, step: Step, /) -> Float[Tensor, " users"]:
        with torch.no_grad():
            nll = reconstruction(step)
        return (self.value(step, nll) - step_ndcg(step, PLACES)).square()


def _features(step: Step, nll: Float[Tensor, " users"]) -> Float[Tensor, "users 3"]:
    shown = step.shown.counts
    counts = torch.stack([shown, step.histories.counts - shown], 1)
    return torch.cat([nll[:, None], counts.to(nll.dtype)], 1)


@dataclass(frozen=True)
class CriticValue:
    """Minus the NDCG@100 that the critic expects, with the gradient that -log p(x|z) passes on.

    Source: Lobel et al., RaCT, 2020, section 3.2, the actor's update.
    """

    critic: Critic

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        return -self.critic.value(step, reconstruction(step))


@dataclass(frozen=True)
class WatchedReconstruction:
    """-log p(x|z); the critic gathers the moments of its features by the way."""

    critic: Critic

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        nll = reconstruction(step)
        self.critic.gather(step, nll)
        return nll


@torch.no_grad()
def step_ndcg(step: Step, k: int) -> Float[Tensor, " users"]:
    """NDCG@k of the step's scores: what was shown is left out, the rest of the history is to find.

    The same as the metric NDCG; a user who was shown everything has 0. No more scores are held
    at a time than the output layer's workspace allows.
    """
    rows, shown, hidden = step.histories, step.shown, step.hidden.detach()
    size = step.output.workspace.users_at_once(rows.n_users, rows.n_items, hidden.dtype)
    parts = []
    for start in range(0, rows.n_users, size):
        end = min(start + size, rows.n_users)
        among = hidden[start:end], rows.part(start, end), shown.part(start, end)
        parts.append(_ndcg(step.output, *among, k))
    return torch.cat(parts)


def _ndcg(
    output: OutputLayer,
    hidden: Float[Tensor, "users hidden"],
    rows: Rows,
    shown: WeightedRows,
    k: int,
) -> Float[Tensor, " users"]:
    n_users, n_items = rows.n_users, rows.n_items
    memory = output.workspace.take(n_users * n_items, hidden.dtype, hidden.device)
    scores = memory.view(n_users, n_items)
    output.scores(hidden, scores)
    entries = (shown.rows.users, shown.rows.indices)
    scores[entries] = torch.where(shown.shown, -torch.inf, scores[entries])
    to_find = torch.zeros_like(scores, dtype=torch.bool)
    to_find[rows.users, rows.indices] = True
    to_find[entries] = ~shown.shown
    places = torch.arange(min(k, n_items), device=hidden.device)
    hits = to_find.gather(1, scores.topk(len(places)).indices)
    discounts = 1 / torch.log2(places.double() + 2)
    ideal = torch.cat([discounts[:1], discounts.cumsum(0)])  # of nothing to find: any number
    n_to_find = (rows.counts - shown.counts).clamp(max=len(places))
    return (hits.double() @ discounts / ideal[n_to_find]).to(hidden.dtype)


KEPT = 0.99
"""How much the moments of older batches still count after one more."""

SMALLEST_VARIANCE = 1e-3


class FeatureMoments(nn.Module):
    """Features less their mean over their standard deviation: batch normalisation as at test time.

    The moments are averages over the users of the batches that were gathered; a batch counts
    less with every later one. They stay when features are normalised, so that a gradient
    through a feature may shift all users alike, which the moments of its own batch would hide.

    Notation: `totals` = sums over users of 1, f, f^2, feature by feature.
    Source: Ioffe and Szegedy, Batch Normalization, 2015, section 3.1, without scale and shift.
    """

    totals: Float64[Tensor, "3 features"]

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("totals", torch.zeros(3, n_features, dtype=torch.float64))

    @torch.no_grad()
    def gather(self, features: Float[Tensor, "users features"]) -> None:
        """Take in a batch."""
        f = features.double()
        sums = torch.stack([torch.ones_like(f).sum(0), f.sum(0), f.square().sum(0)])
        self.totals.mul_(KEPT).add_(sums)

    def forward(self, features: Float[Tensor, "users features"]) -> Float[Tensor, "users features"]:
        """(f - mean) / sqrt(variance), by what was gathered."""
        n, sums, squares = self.totals
        mean = sums / n
        variance = (squares / n - mean.square()).clamp(min=0) + SMALLEST_VARIANCE
        return (features - mean.to(features.dtype)) * variance.rsqrt().to(features.dtype)
