"""Means of terms over an epoch whose phases have different terms."""

import json
import math

import pytest
import torch

from nearfar.train.means import Means


def values(**terms: float) -> dict[str, torch.Tensor]:
    return {name: torch.tensor(value) for name, value in terms.items()}


STEPS = [
    (values(loss=5.0, reconstruction=4.0, kl=1.0), 10),
    (values(loss=3.0, reconstruction=2.5, kl=0.5), 30),
    (values(loss=2.0, reconstruction=2.0), 10),
    (values(loss=7.0, reconstruction=5.0, kl=2.0), 5),
]

EXPECTED = {
    "loss": (5.0 * 10 + 3.0 * 30 + 2.0 * 10 + 7.0 * 5) / 55,
    "reconstruction": (4.0 * 10 + 2.5 * 30 + 2.0 * 10 + 5.0 * 5) / 55,
    "kl": (1.0 * 10 + 0.5 * 30 + 2.0 * 5) / 45,  # over the users of the steps that had it
}


@pytest.mark.parametrize("every", [1, 2, 3, 4])
def test_a_term_is_averaged_over_the_users_of_its_own_steps(every: int) -> None:
    means = Means(torch.device("cpu"))
    for number, (terms, n_users) in enumerate(STEPS, start=1):
        means.add(terms, n_users)
        if number % every == 0:
            assert means.read_waiting() == []
            assert means.unread == 0
    means.read_waiting()
    assert means.values == pytest.approx(EXPECTED)
    assert means.users_done == 55


def test_what_waits_is_not_read_yet() -> None:
    means = Means(torch.device("cpu"))
    means.add(*STEPS[0])
    assert (means.unread, means.values, means.users_done) == (1, {}, 10)


def test_terms_that_are_not_finite_are_named() -> None:
    means = Means(torch.device("cpu"))
    means.add(values(loss=1.0, reconstruction=1.0), 2)
    means.add(values(loss=math.nan, reconstruction=1.0, kl=math.inf), 2)
    assert sorted(means.read_waiting()) == ["kl", "loss"]


def test_an_epoch_is_forgotten() -> None:
    means = Means(torch.device("cpu"))
    means.add(*STEPS[0])
    means.read_waiting()
    means.add(*STEPS[1])
    means.clear()
    assert (means.unread, means.values, means.users_done) == (0, {}, 0)
    means.add(*STEPS[2])
    means.read_waiting()
    assert means.values == {"loss": 2.0, "reconstruction": 2.0}


def test_the_state_goes_through_json_to_the_same_bits() -> None:
    left_alone, means = Means(torch.device("cpu")), Means(torch.device("cpu"))
    third = torch.tensor(1 / 3)
    for each in (left_alone, means):
        each.add({"loss": third, "kl": third}, 7)
        each.read_waiting()
    restored = Means(torch.device("cpu"))
    restored.restore(json.loads(json.dumps(means.state())))
    for each in (left_alone, restored):
        each.add({"loss": third}, 3)
        each.read_waiting()
    assert restored.values == left_alone.values
    assert restored.users_done == left_alone.users_done == 10
