"""Norms and inner products of the decoder's gradients, as used in Theorem 2.3."""

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
    """Compute || sum_s w_s grad_theta l(z_s) || for many losses l, over all decoder parameters.

    A loss is l(z) = total A(f(z)) - x . f(z), in nats. For the multinomial loss of a history x,
    A = logsumexp and total = |x|; l may also be the difference of two such losses. With weights
    1 / draws this is the norm of the mean gradient, with weights 1 and -1 the norm of the change
    between two latents.

    The gradients are never built: that of a layer is a sum of outer products, one per latent, and
    its norm follows from inner products. Memory is losses x draws x (draws + hidden) and
    (losses + draws) x items.

    Source: Theorem 2.3, where g_u and Delta_uv are such norms.

    Args:
        decoder: f.
        z: the latents.
        weights: w_s.
        totals: `loss.scale` of each loss, or the difference of two.
        x: the targets of each loss, or the difference of two.
        loss: the loss that defines A.
    """
    weights, totals = weights.double(), totals.double()
    with torch.enable_grad():
        hidden, inputs, sums = _forward_with_sums(decoder, z)
    with torch.no_grad():
        shares = loss.link(decoder.out(hidden).double())
    x = x.double()
    squared = _last_layer(hidden.detach().double(), shares, weights, totals, x)
    if sums:
        weight = decoder.out.weight.detach().double()
        error_at_hidden = totals[:, None, None] * (shares @ weight) - (x @ weight)[:, None]
        weighted_errors = (weights[:, None] * error_at_hidden).to(hidden.dtype)
        errors = torch.autograd.grad(hidden, sums, weighted_errors, is_grads_batched=True)
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
    """Compute <G_u, G_v> for all pairs, G_u = mean_s grad_theta l_u(z_us) at the user's latents.

    A small SGD step of size eta on v lowers u's loss by eta <G_u, G_v> nats to first order.
    Positive is help, negative is harm; the diagonal is the effect of a user's own step.

    Memory is users x draws x items and (users x draws)^2 numbers, so pass a sample of users.

    Source: Theorem 2.3, which bounds this from below by norms.

    Args:
        decoder: f.
        z: latents drawn from each user's posterior.
        x: histories of ones.
        loss: l.
    """
    n_users, n_draws, _ = z.shape
    flat = z.flatten(0, 1)
    with torch.enable_grad():
        hidden, inputs, sums = _forward_with_sums(decoder, flat)
    targets = loss.targets(x)
    with torch.no_grad():
        errors = loss.link(decoder.out(hidden))
        errors *= loss.scale(targets).repeat_interleave(n_draws)[:, None]
        errors -= targets.repeat_interleave(n_draws, 0)
    errors_at_hidden = errors @ decoder.out.weight.detach()
    products = _outer_products(errors, hidden.detach())
    if sums:
        for error, input in zip(
            torch.autograd.grad(hidden, sums, errors_at_hidden), inputs, strict=True
        ):
            products += _outer_products(error, input.detach())
    return products.view(n_users, n_draws, n_users, n_draws).mean((1, 3))


def _outer_products(
    errors: Float[Tensor, "latents outputs"], inputs: Float[Tensor, "latents inputs"]
) -> Float[Tensor, "latents latents"]:
    """Return the inner products of one layer's gradients error x (input, 1)^T, for all pairs."""
    errors, inputs = errors.double(), inputs.double()
    return (errors @ errors.T) * (inputs @ inputs.T + 1)


def _forward_with_sums(
    decoder: Decoder, z: Float[Tensor, "draws latent"]
) -> tuple[Tensor, list[Tensor], list[Tensor]]:
    """Return `decoder.body(z)`, and the inputs and weighted sums of each hidden layer."""
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
    """Return || sum_s w_s (total A'(f_s) - x) (h_s, 1)^T ||^2; the 1 is for the bias."""
    bias_input = torch.ones_like(hidden[:, :1])
    inputs = weights[:, None] * torch.cat([hidden, bias_input], 1)
    mean = inputs.sum(0)
    curved = ((shares @ shares.T) * (inputs @ inputs.T)).sum()
    mixed = (x @ shares.T) @ (inputs @ mean)
    return totals.square() * curved - 2 * totals * mixed + x.square().sum(1) * mean.square().sum()
