"""Norms and products of the decoder's gradients, of which Theorem 2.3 is made."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.theory.losses import MULTINOMIAL, Loss
from nearfar.vae.decoder import Decoder
from nearfar.vae.layers import Gated, Tanh, activate


def gradient_norms(
    decoder: Decoder,
    z: Float[Tensor, "draws latent"],
    weights: Float[Tensor, " draws"],
    totals: Float[Tensor, " losses"],
    x: Float[Tensor, "losses items"],
    loss: Loss = MULTINOMIAL,
) -> Float[Tensor, " losses"]:
    """|| sum_s w_s grad_theta l(z_s) ||, theta all parameters of the decoder, for many losses.

    A loss is l(z) = total A(f(z)) - x . f(z), in nats: the multinomial one of a history x with
    A = logsumexp and total = |x|; or the difference of two such losses. With weights 1 / draws
    this is the norm of the mean gradient, with weights 1 and -1 the norm of its change between two
    latents.

    The gradients themselves are never made: a layer's is a sum of outer products, one a latent,
    whose norm follows from inner products. Memory is losses x draws x (draws + hidden) and
    (losses + draws) x items.

    Args:
        decoder: f.
        z: the latents.
        weights: w_s.
        totals: `loss.scale` of each loss, or the difference.
        x: the targets of each loss, or the difference.
        loss: which A.

    Source: Theorem 2.3, the g_u and Delta_uv of which are such norms.
    """
    weights, totals = weights.double(), totals.double()
    with torch.enable_grad():
        hidden, inputs, sums = _traced(decoder, z)
    with torch.no_grad():
        shares = loss.link(decoder.out(hidden).double())
    x = x.double()
    squared = _last_layer(hidden.detach().double(), shares, weights, totals, x)
    if sums:
        weight = decoder.out.weight.detach().double()
        pull = totals[:, None, None] * (shares @ weight) - (x @ weight)[:, None]
        given = (weights[:, None] * pull).to(hidden.dtype)
        errors = torch.autograd.grad(hidden, sums, given, is_grads_batched=True)
        for error, input in zip(errors, inputs, strict=True):
            error, input = error.double(), input.detach().double()
            squared = squared + ((error @ error.mT) * (input @ input.T + 1)).sum((1, 2))
    return squared.clamp(min=0).sqrt()


def gradient_products(
    decoder: Decoder,
    z: Float[Tensor, "users draws latent"],
    x: Float[Tensor, "users items"],
    loss: Loss = MULTINOMIAL,
) -> Float[Tensor, "users users"]:
    """<G_u, G_v> of all pairs, G_u = mean_s grad_theta l_u(z_us) at the user's own latents.

    A small SGD step of size eta on v lowers u's loss by eta <G_u, G_v> nats to first order:
    positive is help, negative is harm; the diagonal is what a user's own step does.

    Memory is users x draws x items and (users x draws)^2 numbers: give a part of the users.

    Args:
        decoder: f.
        z: latents drawn of each user's posterior.
        x: histories of ones.
        loss: l.

    Source: Theorem 2.3, which bounds this from below by norms.
    """
    n_users, n_draws, _ = z.shape
    flat = z.flatten(0, 1)
    with torch.enable_grad():
        hidden, inputs, sums = _traced(decoder, flat)
    targets = loss.targets(x)
    with torch.no_grad():
        errors = loss.link(decoder.out(hidden))
        errors *= loss.scale(targets).repeat_interleave(n_draws)[:, None]
        errors -= targets.repeat_interleave(n_draws, 0)
    given = errors @ decoder.out.weight.detach()
    products = _outer_products(errors, hidden.detach())
    if sums:
        for error, input in zip(torch.autograd.grad(hidden, sums, given), inputs, strict=True):
            products += _outer_products(error, input.detach())
    return products.view(n_users, n_draws, n_users, n_draws).mean((1, 3))


def _outer_products(
    errors: Float[Tensor, "latents outputs"], inputs: Float[Tensor, "latents inputs"]
) -> Float[Tensor, "latents latents"]:
    """Inner products of the gradients error x (input, 1)^T of one layer, of all pairs."""
    errors, inputs = errors.double(), inputs.double()
    return (errors @ errors.T) * (inputs @ inputs.T + 1)


def _traced(
    decoder: Decoder, z: Float[Tensor, "draws latent"]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """`decoder.body(z)`, with the inputs and the weighted sums of each hidden layer."""
    hidden, inputs, sums = z.detach().clone().requires_grad_(), [], []
    for layer in decoder.hidden:
        assert isinstance(layer, Tanh | Gated)
        inputs.append(hidden)
        sums.append(nn.functional.linear(hidden, layer.weight, layer.bias))
        hidden = activate("tanh" if isinstance(layer, Tanh) else "gated", sums[-1])
    return hidden, inputs, sums


def _last_layer(
    hidden: Float[Tensor, "draws hidden"],
    shares: Float[Tensor, "draws items"],
    weights: Float[Tensor, " draws"],
    totals: Float[Tensor, " losses"],
    x: Float[Tensor, "losses items"],
) -> Float[Tensor, " losses"]:
    """|| sum_s w_s (total A'(f_s) - x) (h_s, 1)^T ||^2, (h, 1) for the weight and the bias."""
    one = torch.ones_like(hidden[:, :1])
    inputs = weights[:, None] * torch.cat([hidden, one], 1)
    mean = inputs.sum(0)
    curved = ((shares @ shares.T) * (inputs @ inputs.T)).sum()
    mixed = (x @ shares.T) @ (inputs @ mean)
    return totals.square() * curved - 2 * totals * mixed + x.square().sum(1) * mean.square().sum()
