"""The curvature of the objective in a user's latent: the H of Proposition 3.2."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from nearfar.core.errors import DataError
from nearfar.kernels.rows import Rows
from nearfar.vae.decoder import Decoder


def latent_hessian(
    decoder: Decoder, histories: Rows, z: Float[Tensor, "users latent"], beta: float
) -> Float64[np.ndarray, "users latent latent"]:
    """The Hessian in z of -log p(x|z) + (beta/2) ||z||^2, user by user, in nats per unit squared.

    With one linear layer as decoder it is N W'(diag p - p p')W + beta I, which has no negative
    eigenvalue. Deeper decoders are curved themselves and may have some, away from a minimum;
    `Contraction` refuses these.

    Memory is that of a few batches of users x items, time that of K backward passes: give a
    batch of users.

    Source: Proposition 3.2, for the multinomial likelihood and a standard normal prior, the KL of
    which is ||mu||^2 / 2 as far as the mean goes.
    Differs: the paper's objective is a mean over z ~ q; this is taken at one z, such as mu.

    Args:
        decoder: f.
        histories: the full histories, the targets.
        z: where; a latent a user.
        beta: the weight of the KL term.

    Raises: DataError where users or items do not match.
    """
    if z.shape[0] != histories.n_users or len(decoder.out.weight) != histories.n_items:
        raise DataError(
            f"there are {len(z)} latents and a decoder of {len(decoder.out.weight)} items for "
            f"{histories.n_users} users and {histories.n_items} items; give as many of each"
        )
    z = z.detach().requires_grad_()
    with torch.enable_grad():
        logits = decoder(z)
        own = logits[histories.users, histories.indices].sum()
        totals = histories.counts.to(logits.dtype)
        loss = (totals * torch.logsumexp(logits, 1)).sum() - own
        (slope,) = torch.autograd.grad(loss, z, create_graph=True)
        columns = [
            torch.autograd.grad(part.sum(), z, retain_graph=True)[0] for part in slope.unbind(1)
        ]
    hessian = torch.stack(columns, 1).to("cpu", torch.float64)
    hessian = 0.5 * (hessian + hessian.transpose(1, 2))  # what rounding makes of it is not equal
    return (hessian + beta * torch.eye(z.shape[1], dtype=torch.float64)).numpy()
