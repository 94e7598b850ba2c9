"""Agreement with ir-measures, which scores the same rankings by other code.

Its R@k and AP@k divide by all relevant items; its nDCG@k has binary gains over log2(r + 1) and
the ideal over min(k, |H|) places, as here.
"""

from __future__ import annotations

from collections import defaultdict

import ir_measures
import numpy as np
import pytest
from numpy.testing import assert_allclose

from nearfar.metrics.hit_rate import HitRate
from nearfar.metrics.map import MAP
from nearfar.metrics.metric import JudgedRanking, UserMetric
from nearfar.metrics.mrr import MRR
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.precision import Precision
from nearfar.metrics.recall import Recall
from tests.metrics.cases import judged

N_USERS, N_ITEMS, WIDTH = 60, 90, 50
PAIRS = [
    (Recall(over="held_out"), ir_measures.R),
    (NDCG(), ir_measures.nDCG),
    (Precision(), ir_measures.P),
    (MRR(), ir_measures.RR),
    (MAP(over="held_out"), ir_measures.AP),
    (HitRate(), ir_measures.Success),
]


@pytest.fixture(scope="module")
def rankings() -> tuple[JudgedRanking, dict[str, dict[str, int]], dict[str, dict[str, float]]]:
    rng = np.random.default_rng(11)
    items = np.array([rng.permutation(N_ITEMS)[:WIDTH] for _ in range(N_USERS)])
    held_out = [
        sorted(rng.permutation(N_ITEMS)[: rng.integers(1, 70)].tolist()) for _ in range(N_USERS)
    ]
    relevant = {f"u{u}": {f"i{i}": 1 for i in held_out[u]} for u in range(N_USERS)}
    run = {
        f"u{u}": {f"i{i}": float(WIDTH - place) for place, i in enumerate(items[u])}
        for u in range(N_USERS)
    }
    seen = judged(items, held_out, N_ITEMS)
    assert (seen.n_held_out > 20).sum() > 10
    assert (seen.n_held_out < 20).sum() > 10
    return seen, relevant, run


@pytest.mark.parametrize("k", [1, 5, 20, 50])
@pytest.mark.parametrize(("metric", "measure"), PAIRS, ids=[str(m) for m, _ in PAIRS])
def test_agrees(metric: UserMetric, measure: type, k: int, rankings: tuple) -> None:
    seen, relevant, run = rankings
    theirs: dict[str, float] = defaultdict(float)
    for row in ir_measures.iter_calc([measure() @ k], relevant, run):
        theirs[row.query_id] = row.value
    expected = [theirs[f"u{u}"] for u in range(N_USERS)]
    assert np.max(expected) > 0
    assert_allclose((metric @ k).per_user(seen), expected, rtol=0, atol=1e-12)
