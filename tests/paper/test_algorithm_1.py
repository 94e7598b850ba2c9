"""Algorithm 1: lambda_A grows when validation has not improved for `patience` epochs."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.plateau_growth import PlateauGrowth
from nearfar.vae.weights.weight import Progress


def at(schedule, scores) -> float:
    return schedule(Progress(epoch=len(scores), scores=tuple(scores)))


def test_known_course() -> None:
    schedule = PlateauGrowth(start=8.0, patience=2, scale=1.5)
    scores = [0.1, 0.2, 0.2, 0.1, 0.15, 0.3, 0.3, 0.3, 0.29, 0.28]
    values = [at(schedule, scores[:n]) for n in range(len(scores) + 1)]
    #         start  .1 .2 .2  .1->grow .15  .3 .3  .3->grow .29 .28->grow
    assert values == [8, 8, 8, 8, 12, 12, 12, 12, 18, 18, 27]


@given(st.lists(st.floats(0, 1), max_size=40), st.integers(1, 6))
def test_is_the_algorithm_step_by_step(scores: list[float], patience: int) -> None:
    weight, best, count = 1.0, None, 0
    for n, score in enumerate(scores):
        if best is None or score > best:
            best, count = score, 0
        else:
            count += 1
            if count >= patience:
                weight *= 1.2
                count = 0
        assert at(PlateauGrowth(1.0, patience, 1.2), scores[: n + 1]) == pytest.approx(weight)


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20, unique=True).map(sorted))
def test_steady_improvement_never_grows(scores: list[float]) -> None:
    assert at(PlateauGrowth(2.0, 1, 3.0), scores) == 2.0


def test_linear_anneal_is_the_published_one() -> None:
    """min(.2, step / 200,000)."""
    published = LinearAnneal(end=0.2, steps=40_000)
    for step in (0, 1, 23_300, 40_000, 46_600, 10**7):
        assert published(Progress(step=step)) == pytest.approx(min(0.2, step / 200_000))
    assert LinearAnneal(0.2, 0)(Progress()) == 0.2
    assert ConstantWeight(0.4)(Progress(step=3)) == 0.4
