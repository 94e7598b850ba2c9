"""The critic of RaCT, and the term by which it learns."""

from __future__ import annotations

from itertools import pairwise

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.vae.initialise import linear
from nearfar.vae.moments import Moments
from nearfar.vae.terms.reconstruction import reconstruction
from nearfar.vae.terms.step_ndcg import step_ndcg
from nearfar.vae.terms.term import Step

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
        self.moments = Moments(SIZES[0])
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
    shown = step.shown.rows.counts
    counts = torch.stack([shown, step.histories.counts - shown], 1)
    return torch.cat([nll[:, None], counts.to(nll.dtype)], 1)
