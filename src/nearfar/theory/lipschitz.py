"""The Lipschitz constant L of the decoder's gradient in the latent, for Theorem 2.3."""

from __future__ import annotations

import math

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.theory.gradients import gradient_norms
from nearfar.theory.losses import MULTINOMIAL, Loss, MultinomialLoss
from nearfar.vae.decoder import Decoder
from nearfar.vae.layers import Tanh

MAX_TANH_CURVATURE = 4 / (3 * math.sqrt(3))
"""The largest |tanh''|."""


def lipschitz_estimate(
    decoder: Decoder,
    z: Float[Tensor, "draws latent"],
    x: Float[Tensor, "users items"],
    n_pairs: int,
    rng: torch.Generator,
    loss: Loss = MULTINOMIAL,
) -> Float[Tensor, " users"]:
    """Estimate L of each user from below: the largest slope over random pairs of latents.

    The slope is ||grad l_u(z) - grad l_u(z')|| / ||z - z'||. The true L is at least the estimate,
    so a sharing radius computed from it is at least the true one.

    Source: Theorem 2.3; L in nats per item's parameter and unit of z.

    Args:
        decoder: f.
        z: latents drawn from the users' posteriors; at least two.
        x: histories of ones.
        n_pairs: number of random pairs among `z`.
        rng: random generator of the pairs, on the CPU.
        loss: l.

    Raises:
        SettingsError: `n_pairs` is below 1, or there are fewer than two latents.
    """
    if n_pairs < 1 or len(z) < 2:
        raise SettingsError(
            f"n_pairs is {n_pairs} and there are {len(z)} latents; expected at least 1 and 2"
        )
    change = torch.tensor([1.0, -1.0], dtype=torch.float64, device=z.device)
    targets = loss.targets(x)
    scale = loss.scale(targets)
    steepest = torch.zeros(len(x), dtype=torch.float64, device=z.device)
    for _ in range(n_pairs):
        first = int(torch.randint(len(z), (), generator=rng))
        second = (first + int(torch.randint(1, len(z), (), generator=rng))) % len(z)
        pair = z[[first, second]]
        distance = (pair[0] - pair[1]).double().norm()
        if distance > 0:
            norms = gradient_norms(decoder, pair, change, scale, targets, loss)
            steepest = torch.maximum(steepest, norms / distance)
    return steepest


@torch.no_grad()
def lipschitz_bound(
    decoder: Decoder,
    n_interactions: Float[Tensor, " users"],
    latent_radius: float,
    loss: Loss = MULTINOMIAL,
) -> Float[Tensor, " users"]:
    """Compute an upper bound of L for each user, for latents with ||z|| <= `latent_radius`.

    It follows from the spectral norms of the layers, by the product rule along back-propagation.
    It always holds but is loose: a sharing radius computed from it is at most the true one, and
    often negative. Without a radius there is no finite bound, since the first layer's gradient
    grows with z.

    Source: Theorem 2.3, with two facts about the loss: ||N p - x||^2 <= N^2 + N, and softmax is
    1/2-Lipschitz.

    Args:
        decoder: f, with tanh layers or no hidden layer.
        n_interactions: |x| of each user, or the sum of soft targets, each at most 1.
        latent_radius: radius of the ball that holds the latents, in units of z.
        loss: l, a multinomial loss.

    Raises:
        SettingsError: the decoder has units other than tanh, whose slope is unbounded, or the loss
            is not multinomial.
    """
    if not isinstance(loss, MultinomialLoss):
        raise SettingsError(
            f"an upper bound is known for the multinomial loss, not for {type(loss).__name__}; use "
            "lipschitz_estimate"
        )
    layers = [layer for layer in decoder.hidden if isinstance(layer, Tanh)]
    if len(layers) < len(decoder.hidden):
        raise SettingsError(
            "the decoder has gated units; an upper bound is known for tanh layers only; "
            "use lipschitz_estimate"
        )
    norms = [_spectral_norm(layer.weight) for layer in layers]
    out_norm = _spectral_norm(decoder.out.weight)
    norm_products = [math.prod(norms[: k + 1]) for k in range(len(norms))]
    input_norms = [latent_radius, *(math.sqrt(layer.out_features) for layer in layers)]
    n = n_interactions.double()
    error_norm, error_slope = (n.square() + n).sqrt(), n / 2 * out_norm * math.prod(norms)
    bound = _layer_bound(error_norm, error_slope, input_norms[-1], math.prod(norms)).square()
    norm_above = out_norm
    for k in reversed(range(len(layers))):
        error_slope = (
            norm_above * error_slope
            + MAX_TANH_CURVATURE * norm_products[k] * norm_above * error_norm
        )
        error_norm = norm_above * error_norm
        input_slope = math.prod(norms[:k])
        bound = bound + _layer_bound(error_norm, error_slope, input_norms[k], input_slope).square()
        norm_above = norms[k]
    return bound.sqrt()


def _layer_bound(
    error_norm: Tensor, error_slope: Tensor, input_norm: float, input_slope: float
) -> Tensor:
    """Bound L for one layer's weight and bias, whose gradient is error x (inputs, 1)^T."""
    return error_slope * math.sqrt(input_norm**2 + 1) + error_norm * input_slope


def _spectral_norm(weight: Float[Tensor, "outputs inputs"]) -> float:
    weight = weight.double()
    return float(torch.linalg.eigvalsh(weight.T @ weight)[-1].clamp(min=0).sqrt())
