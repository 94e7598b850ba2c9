"""The ensemble's scores by their formula, its round trip, and what it refuses."""

from __future__ import annotations

import copy

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.errors import ArtefactError, DataError
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble, standardise
from nearfar.models.factors import Factors
from nearfar.models.item_item import ItemItem
from tests.bundle.exports.cases import N_ITEMS, make_model, some_histories

PARTS = ("item_item", "projection", "base", "constant")


def by_formula(parts, weights, histories) -> np.ndarray:
    total = np.zeros(histories.shape)
    for part, weight in zip(parts, weights, strict=True):
        s = part.score(histories).astype(np.float64)
        deviation = s.std(1, keepdims=True)
        total += np.where(deviation > 0, weight * (s - s.mean(1, keepdims=True)), 0) / np.where(
            deviation > 0, deviation, 1
        )
    return total


@given(
    st.lists(st.sampled_from(PARTS), min_size=1, max_size=4).flatmap(
        lambda kinds: st.tuples(
            st.just(kinds),
            st.lists(st.floats(0, 10), min_size=len(kinds), max_size=len(kinds)).filter(any),
        )
    )
)
def test_scores_are_the_weighted_sum_of_standardised_scores(case) -> None:
    kinds, weights = case
    parts = [make_model(kind) for kind in kinds]
    histories = some_histories()[1:-1]
    histories = histories[np.diff(histories.indptr) > 0]
    scores = Ensemble(parts, weights).score(histories)
    np.testing.assert_allclose(
        scores, by_formula(parts, weights, histories), rtol=1e-4, atol=1e-4 * max(weights)
    )


def test_a_batch_has_half_the_users_of_a_single_models() -> None:
    part = Constant(np.ones(20_000, np.int64), 5)
    assert part.batch_size() == (32 << 20) // (4 * 20_000)
    assert Ensemble([part, part], [1.0, 1.0]).batch_size() == part.batch_size() // 2


def test_a_part_that_scores_all_items_alike_adds_nothing() -> None:
    rng = np.random.default_rng(0)
    popularity = make_model("constant").popularity
    # 60 equal numbers whose mean is not exactly theirs
    flat = ItemItem(np.full((N_ITEMS, N_ITEMS), 0.1, np.float32), popularity, 500)
    other = make_model("projection")
    histories = csr_array((rng.random((50, N_ITEMS)) < 0.3).astype(np.float32))
    np.testing.assert_array_equal(
        Ensemble([flat, other], [5.0, 1.0]).score(histories),
        Ensemble([other], [1.0]).score(histories),
    )


def test_rows_are_standardised_whatever_their_size() -> None:
    rng = np.random.default_rng(1)
    rows = rng.normal(size=(4, 5_000)) * np.array([[1e-2], [1], [1e6], [0]]) + 3
    scores = torch.from_numpy(rows.astype(np.float32))
    standardise(scores)
    np.testing.assert_allclose(scores.mean(1).numpy(), 0, atol=1e-4)
    np.testing.assert_allclose(scores.std(1, correction=0).numpy()[:3], 1, atol=1e-4)
    np.testing.assert_array_equal(scores.numpy()[3], 0)
    tiny = torch.tensor([[1e-30, 2e-30, 3e-30]])  # their variance is 0 in float32
    standardise(tiny)
    np.testing.assert_array_equal(tiny.numpy(), [[0, 0, 0]])


def test_a_batch_of_scores_and_one_part_s_fit_the_batch_rule() -> None:
    parts = [Constant(np.arange(100_000), 5), Constant(np.arange(100_000), 5)]
    assert Ensemble(parts, [1.0, 1.0]).batch_size() == 64
    few = [Constant(np.arange(2_000), 5)]
    assert 2 * 4 * 2_000 * Ensemble(few, [1.0]).batch_size() <= 32 << 20


def test_items_are_compared_by_the_first_part_in_use_that_can() -> None:
    constant, items, factors = map(make_model, ("constant", "item_item", "projection"))
    assert Ensemble([constant, items, factors], [1.0, 1.0, 1.0]).comparing is items
    assert isinstance(Ensemble([constant, items, factors], [1.0, 0.0, 1.0]).comparing, Factors)
    assert Ensemble([constant], [1.0]).comparing is None


def test_moving_it_moves_its_parts(monkeypatch) -> None:
    moved = []
    monkeypatch.setattr(Autoencoder, "to", lambda self, device: moved.append(device))
    Ensemble([make_model("item_item"), make_model("base")], [1.0, 1.0]).to(torch.device("meta"))
    assert moved == [torch.device("meta")]


def test_it_says_what_it_is_made_of() -> None:
    parts = [make_model("item_item"), make_model("constant")]
    parts[0].label = "EASE(l2=50)"
    assert "0.25 EASE(l2=50) + 0.75 Constant" in repr(Ensemble(parts, [0.25, 0.75]))


@pytest.mark.parametrize(
    ("weights", "message"),
    [
        ([1.0], "1 weights for 2 parts"),
        ([1.0, -0.1], "-0.1 is not a number of at least 0"),
        ([1.0, float("nan")], "nan is not"),
        ([10**400, 1], "is not a number"),
        ([True, 1.0], "True is not"),
        (["1", 1.0], "'1' is not"),
        ([0, 0.0], "all 0"),
    ],
)
def test_weights_out_of_range_are_refused(weights, message) -> None:
    parts = [make_model("item_item"), make_model("constant")]
    if all(isinstance(weight, float) for weight in weights):
        with pytest.raises(DataError, match=message):
            Ensemble(parts, weights)
    description, arrays = Ensemble(parts, [1.0, 1.0]).state()
    with pytest.raises(ArtefactError, match=message):
        Ensemble.restore({**description, "weights": weights}, arrays, parts[0].popularity, 500)


def test_parts_of_other_data_and_ensembles_are_refused() -> None:
    model = make_model("constant")
    for other in (Constant(model.popularity + 1, 500), Constant(model.popularity, 499)):
        with pytest.raises(DataError, match="different training data"):
            Ensemble([model, other], [1.0, 1.0])
    with pytest.raises(DataError, match="is an ensemble"):
        Ensemble([model, Ensemble([model], [1.0])], [1.0, 1.0])


def _drop_parts(d) -> None:
    del d["parts"]


def _no_kind(d) -> None:
    d["parts"][0] = {"description": {}}


def _unknown(d) -> None:
    d["parts"][0]["kind"] = "linaer"


def _nested(d) -> None:
    d["parts"][0]["kind"] = "ensemble"


def _other_size(d) -> None:
    d["parts"][1]["description"]["n_items"] = 7


def _too_many(d) -> None:
    d["parts"].append({"kind": "item_item", "description": {}})


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (_drop_parts, "needs the lists"),
        (_no_kind, "part 0 of the ensemble: it needs a 'kind'"),
        (_unknown, "part 0 of the ensemble: .*linaer"),
        (_nested, "part 0 of the ensemble: it is an ensemble; its parts"),
        (_other_size, "part 1 of the ensemble: it has 7 items and the ensemble has 60"),
        (_too_many, "part 2 of the ensemble: an item-item model needs"),
    ],
)
def test_damaged_descriptions_are_refused(damage, message) -> None:
    model = Ensemble([make_model("item_item"), make_model("base")], [1.0, 2.0])
    description, arrays = model.state()
    description = copy.deepcopy(description)
    damage(description)
    with pytest.raises(ArtefactError, match=message):
        Ensemble.restore(description, arrays, model.popularity, model.n_train_users)


def test_arrays_of_a_part_that_are_missing_are_named() -> None:
    model = Ensemble([make_model("item_item"), make_model("base")], [1.0, 2.0])
    description, arrays = model.state()
    del arrays["0.weights"]
    with pytest.raises(ArtefactError, match=r"part 0 of the ensemble: .*square array"):
        Ensemble.restore(description, arrays, model.popularity, model.n_train_users)
