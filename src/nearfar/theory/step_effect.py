"""The effect of a gradient step on one user on the loss of another, to check Theorem 2.3."""

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
    """Compute the change of u's loss (row) by one SGD step of the decoder on v (column), in nats.

    The step is theta' = theta - eta_v g_v. The loss is the mean over the users' latents, computed
    before and after the step, without a first-order approximation. eta_v lowers v's own loss by
    the fraction `share`, to first order, so that all steps have the same effect on their own user.

    All is computed in float64. Time is 2 users^2 x draws decoder passes, memory users x items.

    Args:
        decoder: f; a copy is used.
        z: latents drawn from each user's posterior.
        x: histories of ones.
        share: fraction of v's own loss.
        loss: l.

    Raises:
        SettingsError: `share` is not between 0 and 1.
    """
    if not 0 < share < 1:
        raise SettingsError(f"share is {share}; it must be between 0 and 1")
    exact = copy.deepcopy(decoder).double()
    parameters = [p.requires_grad_() for p in exact.parameters()]
    z, targets = z.double(), loss.targets(x.double())

    def losses(users: slice) -> Tensor:
        draws = [loss.value(exact(z[users, s]), targets[users]) for s in range(z.shape[1])]
        return torch.stack(draws).mean(0)

    all_users = slice(None)
    with torch.no_grad():
        before = losses(all_users)
    effects = torch.empty(len(z), len(z), dtype=torch.float64)
    for v in range(len(z)):
        with torch.enable_grad():
            own_loss = losses(slice(v, v + 1)).sum()
            gradients = torch.autograd.grad(own_loss, parameters)
        squared = sum(float(g.square().sum()) for g in gradients)
        eta = share * float(own_loss.detach()) / squared if squared else 0.0
        with torch.no_grad():
            for parameter, gradient in zip(parameters, gradients, strict=True):
                parameter.sub_(gradient, alpha=eta)
            effects[:, v] = (losses(all_users) - before).cpu()
            for parameter, old in zip(parameters, decoder.parameters(), strict=True):
                parameter.copy_(old)
    return effects.numpy()


def discrimination(score: Float[np.ndarray, " pairs"], helped: Bool[np.ndarray, " pairs"]) -> float:
    """Compute how often a score is higher for a helped pair than for one that was not helped.

    It is the area under the ROC curve: .5 for a random score, 1 for a perfect one. Ties count
    half. It is NaN if all pairs or none were helped.
    """
    n_helped = int(helped.sum())
    if n_helped in (0, len(helped)):
        return float("nan")
    ranks = rankdata(score)
    total = ranks[helped].sum() - n_helped * (n_helped + 1) / 2
    return float(total / (n_helped * (len(helped) - n_helped)))
