"""The critic of RaCT, which predicts NDCG, and the objective terms that use it."""

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
"""Places of the NDCG that the critic predicts."""

SIZES = (3, 100, 100, 10, 1)
"""Number of features, units of the hidden layers, and the output."""


class Critic(nn.Module):
    """The critic's loss (value - NDCG@100)^2, where value is its prediction from three features.

    The features are -log p(x|z), the number of the user's items that the encoder received, and the
    number of the other ones, which are the targets of the ranking. Three hidden layers and a
    sigmoid follow the normalised features. As a term it has no gradient in the network.

    Source: Lobel et al., RaCT, 2020, section 3.3 and Figure 2, and its published code.
    Differs: the published code adds 2e-7 times the squared length of the critic's parameters.
    The moments that normalise the features are gathered in pre-training, as there, but without the
    correction of batch renormalisation, and over fewer batches.
    """

    def __init__(self, rng: torch.Generator) -> None:
        super().__init__()
        self.moments = FeatureMoments(SIZES[0])
        self.layers = nn.ModuleList(linear(n, m, rng) for n, m in pairwise(SIZES))

    def gather(self, step: Step, nll: Float[Tensor, " users"]) -> None:
        """Add the features of a batch to their moments."""
        self.moments.gather(_features(step, nll.detach()))

    def value(self, step: Step, nll: Float[Tensor, " users"]) -> Float[Tensor, " users"]:
        """Return the predicted NDCG, with a gradient in `nll`, the feature the network controls."""
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
    n_inputs = step.shown.counts
    counts = torch.stack([n_inputs, step.histories.counts - n_inputs], 1)
    return torch.cat([nll[:, None], counts.to(nll.dtype)], 1)


@dataclass(frozen=True)
class CriticValue:
    """The term -value, the critic's NDCG@100, with a gradient in the network through -log p(x|z).

    Source: Lobel et al., RaCT, 2020, section 3.2, the actor's update.
    """

    critic: Critic

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        return -self.critic.value(step, reconstruction(step))


@dataclass(frozen=True)
class WatchedReconstruction:
    """The term -log p(x|z), which also adds to the moments of the critic's features."""

    critic: Critic

    def __call__(self, step: Step, /) -> Float[Tensor, " users"]:
        nll = reconstruction(step)
        self.critic.gather(step, nll)
        return nll


@torch.no_grad()
def step_ndcg(step: Step, k: int) -> Float[Tensor, " users"]:
    """Return NDCG@k of the step's scores, for the items that the encoder did not receive.

    Items that the encoder received are excluded from the ranking. It is the same as the metric
    NDCG, and 0 for a user without targets. The users are processed in parts whose scores fit in
    the output layer's workspace.
    """
    rows, visible, hidden = step.histories, step.shown, step.hidden.detach()
    size = step.output.workspace.users_at_once(rows.n_users, rows.n_items, hidden.dtype)
    parts = []
    for start in range(0, rows.n_users, size):
        end = min(start + size, rows.n_users)
        part = hidden[start:end], rows.part(start, end), visible.part(start, end)
        parts.append(_ndcg(step.output, *part, k))
    return torch.cat(parts)


def _ndcg(
    output: OutputLayer,
    hidden: Float[Tensor, "users hidden"],
    rows: Rows,
    visible: WeightedRows,
    k: int,
) -> Float[Tensor, " users"]:
    n_users, n_items = rows.n_users, rows.n_items
    memory = output.workspace.take(n_users * n_items, hidden.dtype, hidden.device)
    scores = memory.view(n_users, n_items)
    output.scores(hidden, scores)
    entries = (visible.rows.users, visible.rows.indices)
    scores[entries] = torch.where(visible.shown, -torch.inf, scores[entries])
    is_target = torch.zeros_like(scores, dtype=torch.bool)
    is_target[rows.users, rows.indices] = True
    is_target[entries] = ~visible.shown
    places = torch.arange(min(k, n_items), device=hidden.device)
    hits = is_target.gather(1, scores.topk(len(places)).indices)
    discounts = 1 / torch.log2(places.double() + 2)
    ideal = torch.cat([discounts[:1], discounts.cumsum(0)])  # with 0 targets any number will do
    n_targets = (rows.counts - visible.counts).clamp(max=len(places))
    return (hits.double() @ discounts / ideal[n_targets]).to(hidden.dtype)


DECAY = 0.99
"""Factor of the moments of earlier batches when a batch is added."""

SMALLEST_VARIANCE = 1e-3
"""Added to the variance of every feature."""


class FeatureMoments(nn.Module):
    """Batch normalisation as at test time: subtracts the mean and divides by the deviation.

    The moments are averages over the users of the gathered batches, with weights that decay with
    every later batch. Normalising features does not change them. So a gradient through a feature
    can shift all users alike, which the moments of the current batch would cancel.

    Notation: `totals` = sums over users of 1, f, f^2, feature by feature.
    Source: Ioffe and Szegedy, Batch Normalization, 2015, section 3.1, without scale and shift.
    """

    totals: Float64[Tensor, "3 features"]

    def __init__(self, n_features: int) -> None:
        super().__init__()
        self.register_buffer("totals", torch.zeros(3, n_features, dtype=torch.float64))

    @torch.no_grad()
    def gather(self, features: Float[Tensor, "users features"]) -> None:
        """Add a batch."""
        f = features.double()
        sums = torch.stack([torch.ones_like(f).sum(0), f.sum(0), f.square().sum(0)])
        self.totals.mul_(DECAY).add_(sums)

    def forward(self, features: Float[Tensor, "users features"]) -> Float[Tensor, "users features"]:
        """Return (f - mean) / sqrt(variance), with the gathered moments."""
        n, sums, squares = self.totals
        mean = sums / n
        variance = (squares / n - mean.square()).clamp(min=0) + SMALLEST_VARIANCE
        return (features - mean.to(features.dtype)) * variance.rsqrt().to(features.dtype)
