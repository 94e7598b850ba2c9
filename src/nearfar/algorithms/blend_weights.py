"""Weights of an ensemble's parts, chosen on validation users."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import EmptyDataError
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import FoldIn
from nearfar.metrics.judged import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.models.candidates import Candidates
from nearfar.models.ensemble import Ensemble
from nearfar.models.top_k import ranking

METRIC = NDCG(100)
STEPS = 10

Shares = tuple[int, ...]
"""How many times each part is counted; weights are these divided by their sum."""


def chosen_weights(ensemble: Ensemble, validation: FoldIn) -> tuple[float, ...]:
    """Return the weights with the best mean NDCG@100 on the validation users.

    For two parts all weights in steps of .1 are tried. For more, parts are selected one at a
    time, ten times, each time the one that helps most; a part may be selected again, and the
    best of the ten ensembles is kept. Of equals the more even weights win. So on these users no
    part alone is better than the result.

    Args:
        ensemble: the parts; its weights are not read.
        validation: users with fold-in and held-out items.

    Raises:
        EmptyDataError: no user has a held-out item.
    """
    n_parts = len(ensemble.parts)
    if n_parts == 2:
        grid = [(i, STEPS - i) for i in range(STEPS + 1)]
        return _weights(_best(dict(zip(grid, judged(ensemble, validation, grid), strict=True))))
    scored: dict[Shares, float] = {}
    shares: Shares = (0,) * n_parts
    for _ in range(STEPS):
        larger = [_with_one_more(shares, part) for part in range(n_parts)]
        step = dict(zip(larger, judged(ensemble, validation, larger), strict=True))
        scored |= step
        shares = _best(step)
    return _weights(_best(scored))


def judged(ensemble: Ensemble, validation: FoldIn, candidates: Sequence[Shares]) -> list[float]:
    """Return the mean NDCG@100 of an ensemble with each of these weights.

    Each part scores a batch once; all candidates are ranked from these scores. No more than one
    block of users x items per part, and one for their sum, is in memory.

    Args:
        ensemble: the parts.
        validation: users; those without held-out items are left out.
        candidates: weights that need not add up to 1.

    Raises:
        EmptyDataError: no user has a held-out item.
    """
    users = np.flatnonzero(np.diff(validation.held_out.x.indptr))
    if not len(users):
        raise EmptyDataError("no validation user has a held-out item; hold out more users")
    sums = np.zeros(len(candidates))
    size = ensemble.batch_size()
    for start in range(0, len(users), size):
        rows = users[start : start + size]
        histories, held_out = validation.fold_in.x[rows], validation.held_out.x[rows]
        rankings = _rankings(ensemble, histories, [_weights(c) for c in candidates])
        for number, each in enumerate(rankings):
            found = judge(each, held_out, ensemble.popularity, ensemble.n_train_users)
            sums[number] += METRIC.per_user(found).sum(dtype=np.float64)
    return (sums / len(users)).tolist()


@torch.inference_mode()
def _rankings(
    ensemble: Ensemble, histories: csr_array, candidates: Sequence[Sequence[float]]
) -> Iterator[Ranking]:
    """Yield the ranking of a batch by each of the weights."""
    parts: list[Tensor] = [
        ensemble.standardised(number, histories).to(ensemble.device)
        for number in range(len(ensemble.parts))
    ]
    everything = Candidates.of(ensemble.n_items)
    total = torch.empty_like(parts[0])
    for weights in candidates:
        total.zero_()
        for scores, weight in zip(parts, weights, strict=True):
            total.add_(scores, alpha=weight)
        everything.apply(total, histories)
        yield ranking(total, METRIC.depth)


def _best(scored: dict[Shares, float]) -> Shares:
    """The shares with the highest score; of equals the most even, then the first."""
    return max(scored, key=lambda shares: (scored[shares], -_unevenness(shares)))


def _unevenness(shares: Shares) -> float:
    return sum(weight**2 for weight in _weights(shares))


def _weights(shares: Shares) -> tuple[float, ...]:
    return tuple(share / sum(shares) for share in shares)


def _with_one_more(shares: Shares, part: int) -> Shares:
    return tuple(share + (number == part) for number, share in enumerate(shares))
