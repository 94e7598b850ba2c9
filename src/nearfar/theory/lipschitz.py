"""How fast the decoder's gradient changes with the latent: the constant L of Theorem 2.3."""

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

STEEPEST_BEND = 4 / (3 * math.sqrt(3))
"""The largest |tanh''|."""


def lipschitz_estimate(
    decoder: Decoder,
    z: Float[Tensor, "draws latent"],
    x: Float[Tensor, "users items"],
    n_pairs: int,
    rng: torch.Generator,
    loss: Loss = MULTINOMIAL,
) -> Float[Tensor, " users"]:
    """A lower bound of L, user by user: the largest ratio found over pairs of latents.

    ||grad l_u(z) - grad l_u(z')|| / ||z - z'|| over `n_pairs` random pairs among `z`. The true L
    is at least this, so a sharing radius from it is at least the true one: an optimistic one.

    Args:
        decoder: f.
        z: latents where users are, as drawn from their posteriors; at least two.
        x: histories of ones.
        n_pairs: how many pairs are looked at.
        rng: which pairs, on the CPU.
        loss: l.

    Source: Theorem 2.3; L in nats per item's parameter and unit of z.

    Raises:
        SettingsError: n_pairs is below 1, or fewer than two latents are given.
    """
    if n_pairs < 1 or len(z) < 2:
        raise SettingsError(
            f"n_pairs is {n_pairs} and there are {len(z)} latents; at least 1 and 2 are needed"
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
    """An upper bound of L, user by user, for latents with ||z|| <= `latent_radius`.

    From the spectral norms of the layers, by the product rule along back-propagation. It holds
    always and is loose: a sharing radius from it is at most the true one, and often negative.
    Outside any ball no finite bound exists, the first layer's gradient growing with z.

    Args:
        decoder: f, of tanh layers or none.
        n_interactions: |x| of each user, or the sum of soft targets, each at most 1.
        latent_radius: of the ball that the latents stay in, in units of z.
        loss: l, a multinomial one.

    Source: Theorem 2.3. What is used of the loss: ||N p - x||^2 <= N^2 + N, and softmax is
    1/2-Lipschitz.

    Raises:
        SettingsError: the decoder has units other than tanh, which have no bounded slope, or the
            loss is not multinomial.
    """
    if not isinstance(loss, MultinomialLoss):
        raise SettingsError(
            f"an upper bound is known for the multinomial loss, not for {type(loss).__name__}; use "
            "lipschitz_estimate"
        )
    layers = [layer for layer in decoder.hidden if isinstance(layer, Tanh)]
    if len(layers) < len(decoder.hidden):
        raise SettingsError(
            "the decoder has gated units; an upper bound is known for tanh layers only, "
            "use lipschitz_estimate"
        )
    norms = [_spectral_norm(layer.weight) for layer in layers]
    out = _spectral_norm(decoder.out.weight)
    slopes = [math.prod(norms[: k + 1]) for k in range(len(norms))]
    sizes = [latent_radius, *(math.sqrt(layer.out_features) for layer in layers)]
    n = n_interactions.double()
    size, slope = (n.square() + n).sqrt(), n / 2 * out * math.prod(norms)
    bound = _of_a_layer(size, slope, sizes[-1], math.prod(norms)).square()
    above = out
    for k in reversed(range(len(layers))):
        slope = above * slope + STEEPEST_BEND * slopes[k] * above * size
        size = above * size
        incoming = math.prod(norms[:k])
        bound = bound + _of_a_layer(size, slope, sizes[k], incoming).square()
        above = norms[k]
    return bound.sqrt()


def _of_a_layer(error: Tensor, slope: Tensor, inputs: float, inputs_slope: float) -> Tensor:
    """A bound of L for one layer's weight and bias, whose gradient is error x (inputs, 1)^T."""
    return slope * math.sqrt(inputs**2 + 1) + error * inputs_slope


def _spectral_norm(weight: Float[Tensor, "outputs inputs"]) -> float:
    weight = weight.double()
    return float(torch.linalg.eigvalsh(weight.T @ weight)[-1].clamp(min=0).sqrt())
