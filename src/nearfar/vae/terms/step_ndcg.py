"""How well a training step ranks what it was not shown."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.vae.output import OutputLayer
from nearfar.vae.terms.term import Step


@torch.no_grad()
def step_ndcg(step: Step, k: int) -> Float[Tensor, " users"]:
    """NDCG@k of the step's scores: what was shown is left out, the rest of the history is to find.

    The same as the metric NDCG; a user who was shown everything has 0. No more scores are held
    at a time than the output layer's workspace allows.
    """
    rows, shown, hidden = step.histories, step.shown.rows, step.hidden.detach()
    size = step.output.workspace.users_at_once(rows.n_users, rows.n_items, hidden.dtype)
    parts = []
    for start in range(0, rows.n_users, size):
        end = min(start + size, rows.n_users)
        among = hidden[start:end], rows.part(start, end), shown.part(start, end)
        parts.append(_ndcg(step.output, *among, k))
    return torch.cat(parts)


def _ndcg(
    output: OutputLayer, hidden: Float[Tensor, "users hidden"], rows: Rows, shown: Rows, k: int
) -> Float[Tensor, " users"]:
    n_users, n_items = rows.n_users, rows.n_items
    memory = output.workspace.take(n_users * n_items, hidden.dtype, hidden.device)
    scores = memory.view(n_users, n_items)
    output.scores(hidden, scores)
    scores[shown.users, shown.indices] = -torch.inf
    to_find = torch.zeros_like(scores, dtype=torch.bool)
    to_find[rows.users, rows.indices] = True
    to_find[shown.users, shown.indices] = False
    places = torch.arange(min(k, n_items), device=hidden.device)
    hits = to_find.gather(1, scores.topk(len(places)).indices)
    discounts = 1 / torch.log2(places.double() + 2)
    ideal = torch.cat([discounts[:1], discounts.cumsum(0)])  # of nothing to find: any number
    n_to_find = (rows.counts - shown.counts).clamp(max=len(places))
    return (hits.double() @ discounts / ideal[n_to_find]).to(hidden.dtype)
