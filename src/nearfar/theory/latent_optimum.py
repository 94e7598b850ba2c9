"""A user's best latent for a fixed decoder: the mu* and mu_lambda of Proposition 3.2."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.vae.decoder import Decoder

MOST_STEPS = 500
MEMORY = 20


@dataclass(frozen=True, eq=False)
class LatentOptimum:
    """Where the search ended.

    Args:
        mu: the latents found.
        slope: the norm of the objective's gradient left at each, in nats a latent unit.
    """

    mu: Float[Tensor, "rows latent"]
    slope: Float[Tensor, " rows"]


def latent_optimum(
    decoder: Decoder,
    x: Float[Tensor, "rows items"],
    start: Float[Tensor, "rows latent"],
    beta: float,
    align_weight: float = 0.0,
    centroid: Float[Tensor, "rows latent"] | None = None,
) -> LatentOptimum:
    """The minimum over mu of -log p(x|mu) + (beta/2) ||mu||^2 + lambda ||mu - c||^2, row by row.

    By L-BFGS on all rows together, in float64. The decoder's layers may make several minima: it
    is the one that the way down from `start` leads to.

    Args:
        decoder: f; a copy in float64 is worked with.
        x: targets, any values of at least 0.
        start: where the search begins.
        beta: the weight of the KL term, of a standard normal prior.
        align_weight: lambda_A.
        centroid: c; needed where lambda_A is above 0.

    Source: Proposition 3.2; the objective as a function of the mean.

    Raises:
        SettingsError: a weight is negative, or lambda_A comes without a centroid.
        DataError: rows, items or dimensions do not match.
    """
    if beta < 0 or align_weight < 0 or (align_weight > 0 and centroid is None):
        raise SettingsError(
            f"beta is {beta} and align_weight {align_weight}; neither may be negative, and "
            "alignment needs centroids"
        )
    n_items, n_hidden = decoder.out.weight.shape
    n_latent = decoder.hidden[0].in_features if len(decoder.hidden) else n_hidden
    if x.shape != (len(start), n_items) or start.shape[1] != n_latent:
        raise DataError(
            f"there are targets of shape {tuple(x.shape)} and starts of {tuple(start.shape)} for "
            f"a decoder from {n_latent} dimensions to {n_items} items"
        )
    exact = copy.deepcopy(decoder).double().requires_grad_(False)
    x = x.double()
    totals = x.sum(1)
    aim = torch.zeros_like(start) if centroid is None else centroid
    aim = aim.double().to(start.device)

    def objective(mu: Tensor) -> Tensor:
        logits = exact(mu)
        loss = totals * torch.logsumexp(logits, 1) - (x * logits).sum(1)
        return (
            loss + 0.5 * beta * mu.square().sum(1) + align_weight * (mu - aim).square().sum(1)
        ).sum()

    mu = start.detach().double().clone().requires_grad_()
    optimiser = torch.optim.LBFGS(
        [mu], max_iter=MOST_STEPS, history_size=MEMORY, line_search_fn="strong_wolfe",
        tolerance_grad=1e-6, tolerance_change=1e-12,
    )  # fmt: skip

    def closure() -> Tensor:
        optimiser.zero_grad()
        value = objective(mu)
        value.backward()
        return value

    with torch.enable_grad():
        optimiser.step(closure)
        (slope,) = torch.autograd.grad(objective(mu), mu)
    return LatentOptimum(mu.detach(), slope.norm(dim=1))
