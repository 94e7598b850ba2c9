"""The Bernoulli reconstruction term."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.vae.terms.term import Step


def bernoulli(step: Step, /) -> Float[Tensor, " users"]:
    """-log p(x|z) = sum_i softplus(f_i) - sum_{i in S} f_i, in nats a user.

    Every item is an independent yes or no with log odds f(z)_i.
    """
    rows, logits = step.histories, step.logits
    own = logits[rows.users, rows.indices]
    chosen = torch.zeros_like(logits[:, 0]).index_add(0, rows.users, own)
    return torch.nn.functional.softplus(logits).sum(1) - chosen
