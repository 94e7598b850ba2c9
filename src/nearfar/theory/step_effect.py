"""What a gradient step on one user does to the loss of another: Theorem 2.3 taken at its word."""

from __future__ import annotations

import copy

import numpy as np
import torch
from jaxtyping import Bool, Float, Float64
from scipy.stats import rankdata
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.theory.losses import MULTINOMIAL, Loss
from nearfar.vae.decoder import Decoder


def step_effects(
    decoder: Decoder,
    z: Float[Tensor, "users draws latent"],
    x: Float[Tensor, "users items"],
    share: float = 0.01,
    loss: Loss = MULTINOMIAL,
) -> Float64[np.ndarray, "users users"]:
    """The change of u's loss (row) by one SGD step of the decoder on v (column), in nats.

    theta' = theta - eta_v g_v, and the loss is the mean over the users' latents, before and after
    the step, so that nothing is left to first order. eta_v is such that to first order v's own
    loss falls by `share` of it: steps of equal effect on those whom they are taken on.

    In float64. Time is that of 2 users^2 x draws decoder passes, memory that of users x items.

    Args:
        decoder: f; a copy is worked with.
        z: latents drawn of each user's posterior.
        x: histories of ones.
        share: of v's own loss.
        loss: l.

    Raises: SettingsError where the share is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise SettingsError(f"share is {share}; it must be between 0 and 1")
    exact = copy.deepcopy(decoder).double()
    parameters = [p.requires_grad_() for p in exact.parameters()]
    z, targets = z.double(), loss.targets(x.double())

    def losses(users: slice) -> Tensor:
        draws = [loss.value(exact(z[users, s]), targets[users]) for s in range(z.shape[1])]
        return torch.stack(draws).mean(0)

    everyone = slice(None)
    with torch.no_grad():
        before = losses(everyone)
    found = torch.empty(len(z), len(z), dtype=torch.float64)
    for v in range(len(z)):
        with torch.enable_grad():
            own = losses(slice(v, v + 1)).sum()
            gradients = torch.autograd.grad(own, parameters)
        squared = sum(float(g.square().sum()) for g in gradients)
        eta = share * float(own.detach()) / squared if squared else 0.0
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=eta)
            found[:, v] = (losses(everyone) - before).cpu()
            for parameter, old in zip(parameters, decoder.parameters(), strict=True):
                parameter.copy_(old)
    return found.numpy()


def discrimination(score: Float[np.ndarray, " pairs"], helped: Bool[np.ndarray, " pairs"]) -> float:
    """How often a score is higher for a pair that was helped than for one that was not.

    The area under the ROC curve: .5 for a score that tells nothing, 1 for one that tells all;
    ties count half. NaN where all pairs or none were helped.
    """
    n_helped = int(helped.sum())
    if n_helped in (0, len(helped)):
        return float("nan")
    ranks = rankdata(score)
    total = ranks[helped].sum() - n_helped * (n_helped + 1) / 2
    return float(total / (n_helped * (len(helped) - n_helped)))
