"""New items: what features predict of them, at which level, and that known items do not change."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.core.errors import SettingsError
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble
from nearfar.models.exposure import N_PLACES, _probes
from nearfar.models.factors import Factors, LeastSquaresFolding, LinearFolding
from nearfar.models.feature_ridge import FeatureRidge, conjugate_gradients
from nearfar.models.item_item import ItemItem
from nearfar.models.least_squares import Confidence
from nearfar.models.model import Model
from nearfar.models.new_items import _Regression, _self_weight, with_new_items
from nearfar.vae.corruption.corruption import Mask
from nearfar.vae.encoders.base import Base

N, N_NEW, K, D = 60, 6, 4, 8
RNG = np.random.default_rng(7)
FEATURES = (RNG.random((N + N_NEW, D)) < 0.4).astype(np.float64)
FEATURES[:, 0] = 1 - FEATURES[:, 1]
EFFECTS = RNG.normal(size=(D, K))
VECTORS = (FEATURES @ EFFECTS).astype(np.float32)
POPULARITY = RNG.integers(1, 40, N)
KNOWN, NEW = csr_array(FEATURES[:N]), csr_array(FEATURES[N:])
HISTORIES = csr_array((RNG.random((9, N)) < 0.15).astype(np.float32))


def model(kind: str) -> Model:
    """A model of which what it holds of an item is linear in the features."""
    v = VECTORS[:N]
    if kind == "item_item":
        return ItemItem((v @ v.T * (1 - np.eye(N))).astype(np.float32), POPULARITY, 50)
    if kind in ("least_squares", "linear"):
        folding = (
            LeastSquaresFolding(v, Confidence(0.2, 1.0, 0.5)) if kind == "least_squares"
            else LinearFolding(v * 0.5, np.zeros(K, np.float32))
        )  # fmt: skip
        return Factors(v, np.zeros(N, np.float32), folding, POPULARITY, 50)
    if kind == "constant":
        return Constant(POPULARITY, 50)
    if kind == "ensemble":
        return Ensemble([model("linear"), model("item_item")], [1.0, 2.0])
    architecture = Architecture(N, 3, Base(hidden=(5,)), (K,), Mask(keep_prob=0.7))
    network = architecture.build(torch.Generator().manual_seed(1))
    with torch.no_grad():
        network.decoder.out.weight[:] = torch.from_numpy(v)
        network.decoder.out.bias[:] = torch.from_numpy(v[:, 0])
    return Autoencoder(architecture, network, POPULARITY, 50, v[:, :3].copy())


def wider(x: csr_array) -> csr_array:
    return csr_array((x.data, x.indices, x.indptr), shape=(x.shape[0], N + N_NEW))


KINDS = ("autoencoder", "least_squares", "linear", "item_item", "constant", "ensemble")


@pytest.mark.parametrize("kind", KINDS)
def test_known_items_keep_their_scores_and_ranking(kind: str) -> None:
    before = model(kind)
    after, placement = with_new_items(before, KNOWN, NEW)
    assert after.n_items == N + N_NEW
    assert (after.popularity[N:] == 0).all()
    assert placement.n_known == N
    allow = np.arange(N)
    top, same = after.top_k(wider(HISTORIES), 10, allow=allow), before.top_k(HISTORIES, 10)
    if kind != "ensemble":  # whose standardisation is over all items
        np.testing.assert_array_equal(top.items, same.items)
        np.testing.assert_array_equal(top.scores, same.scores)
        np.testing.assert_array_equal(after.score(wider(HISTORIES))[:, :N], before.score(HISTORIES))


@pytest.mark.parametrize("kind", KINDS)
def test_it_is_saved_and_restored(kind: str) -> None:
    after, _ = with_new_items(model(kind), KNOWN, NEW)
    again = type(after).restore(*after.state(), after.popularity, after.n_train_users)
    x = wider(HISTORIES)
    np.testing.assert_array_equal(again.score(x), after.score(x))


def test_new_vectors_are_what_features_tell() -> None:
    after, placement = with_new_items(model("least_squares"), KNOWN, NEW)
    assert isinstance(after, Factors)
    np.testing.assert_allclose(after.item_factors[N:], VECTORS[N:], atol=0.05)
    assert placement.explained["factors"] > 0.99
    after, _ = with_new_items(model("autoencoder"), KNOWN, NEW)
    assert isinstance(after, Autoencoder)
    assert after.anchors is not None
    np.testing.assert_allclose(after.anchors[N:], VECTORS[N:, :3], atol=0.05)
    weight = after.network.decoder.out.weight.detach().numpy()
    np.testing.assert_allclose(weight[N:], VECTORS[N:], atol=0.05)
    bias = after.network.decoder.out.bias.detach().numpy()[N:]
    level = bias - VECTORS[N:, 0]
    np.testing.assert_allclose(level, level[0], atol=0.05)


def test_a_new_item_is_recommended_where_items_of_its_features_are_liked() -> None:
    before = model("item_item")
    after, _ = with_new_items(before, KNOWN, NEW)
    truth = VECTORS @ VECTORS.T
    scores = after.score(wider(HISTORIES))[:, N:]
    expected = HISTORIES.toarray() @ truth[:N, N:]
    assert np.corrcoef(scores.ravel(), expected.ravel())[0, 1] > 0.98


@pytest.mark.parametrize("kind", ["autoencoder", "least_squares", "linear", "item_item"])
def test_new_items_take_their_share_of_the_first_places(kind: str) -> None:
    before = model(kind)
    shares = []
    for exposure in (0.3, 1.0, 3.0):
        after, placement = with_new_items(before, KNOWN, NEW, exposure=exposure)
        probes = wider(_probes(before, 0))
        top = after.top_k(probes, N_PLACES).items
        assert (top >= N).mean() == pytest.approx(placement.share, abs=0.02)
        shares.append(placement.share)
    assert shares[0] < shares[1] < shares[2]


def test_the_share_is_measured_on_the_histories_given() -> None:
    before = model("least_squares")
    after, placement = with_new_items(before, KNOWN, NEW, histories=HISTORIES)
    able = np.flatnonzero(np.diff(HISTORIES.indptr))
    top = after.top_k(wider(HISTORIES[able]), N_PLACES).items
    assert (top >= N).mean() == pytest.approx(placement.share, abs=0.01)


def test_a_history_with_a_new_item_counts_it() -> None:
    history = np.zeros((1, N + N_NEW), np.float32)
    history[0, N] = 1
    for kind in ("autoencoder", "least_squares", "linear", "item_item"):
        after, _ = with_new_items(model(kind), KNOWN, NEW)
        scores = after.score(csr_array(history))[0, :N]
        assert not np.allclose(scores, after.popularity[:N])
        if kind in ("linear", "item_item"):
            truth = VECTORS[:N] @ VECTORS[N]
            assert np.corrcoef(scores, truth)[0, 1] > 0.98


def test_items_nobody_knows_do_not_teach() -> None:
    popularity = POPULARITY.astype(float)
    popularity[:5] = 0
    spoilt = VECTORS[:N].copy()
    spoilt[:5] = 1000
    ridge = FeatureRidge(KNOWN, NEW, popularity)
    clean = ridge.predict(VECTORS[:N], 0.1)
    np.testing.assert_array_equal(ridge.predict(spoilt, 0.1), clean)
    np.testing.assert_allclose(ridge.smoother(0.1) @ VECTORS[:N], clean, atol=1e-4)


def test_the_weight_of_an_item_for_itself_is_that_of_known_items() -> None:
    counts = np.full(N, 40.0)
    counts[0] = 1e9  # all others have less than the mean weight, and count too
    alike = 1.0 - np.eye(N)  # with 1 on the diagonal every row is the mean of all others
    for strength in (0.1, 1e6):
        regression = _Regression(FeatureRidge(KNOWN, NEW, counts), None)
        own = _self_weight(regression, alike, strength)
        assert own == pytest.approx(1.0, rel=1e-4)
    b = model("item_item").weights.astype(np.float64)
    blank = np.arange(1, N, 3)  # items without features teach nothing
    known = FEATURES[:N].copy()
    known[blank] = 0
    regression = _Regression(FeatureRidge(csr_array(known), NEW, counts), None)
    own = _self_weight(regression, b, 0.1)
    b[blank], b[:, blank] = 9.0, -9.0
    assert _self_weight(regression, b, 0.1) == pytest.approx(own, rel=1e-9)


@pytest.mark.parametrize("noise", [0.0, 30.0])
def test_histories_choose_a_multiple_of_the_weight_of_an_item_for_itself(noise) -> None:
    """Users like items of one feature each; features tell more where the matrix is mostly noise."""
    rng = np.random.default_rng(3)
    kinds = np.repeat(np.arange(4), 25)
    features = csr_array(np.eye(4)[kinds])
    same = (kinds[:, None] == kinds) * (1 - np.eye(100))
    b = same + noise * rng.normal(size=(100, 100)) * (1 - np.eye(100))
    likes = rng.integers(4, size=200)
    chance = np.where(kinds == likes[:, None], 0.4, 0.02)
    histories = csr_array((rng.random((200, 100)) < chance).astype(np.float32))
    ridge = FeatureRidge(features, features[:4], np.full(100, 40.0))
    plain = _self_weight(_Regression(ridge, None), b, 0.1)
    chosen = _self_weight(_Regression(ridge, histories), b, 0.1)
    assert plain > 0
    assert chosen / plain == pytest.approx(1) or noise
    assert chosen / plain > 2 or not noise
    few = csr_array(histories[:1] * 0)  # nobody has anything to find
    few.eliminate_zeros()
    assert _self_weight(_Regression(ridge, few), b, 0.1) == plain


def test_the_ridge_is_the_closed_form_and_so_are_conjugate_gradients(monkeypatch) -> None:
    y = VECTORS[:N] + RNG.normal(size=(N, K))
    w = POPULARITY / (POPULARITY + 1)
    w = w / w.mean()
    f, g = FEATURES[:N], FEATURES[N:]
    centre, mean = w @ f / w.sum(), w @ y / w.sum()
    c = f - centre
    solved = np.linalg.solve(
        (c * w[:, None]).T @ c + 3 * np.eye(D), (c * w[:, None]).T @ (y - mean)
    )
    expected = (g - centre) @ solved + mean
    ridge = FeatureRidge(KNOWN, NEW, POPULARITY.astype(float))
    np.testing.assert_allclose(ridge.predict(y, 3.0), expected, rtol=1e-4)
    monkeypatch.setattr("nearfar.models.feature_ridge.MAX_DENSE", 0)
    np.testing.assert_allclose(ridge.predict(y, 3.0), expected, rtol=1e-3)


def test_conjugate_gradients_solve_each_column() -> None:
    a = RNG.normal(size=(6, 6))
    a = a @ a.T + np.eye(6)
    b = RNG.normal(size=(6, 3))
    b[:, 1] = 0
    np.testing.assert_allclose(conjugate_gradients(lambda x: a @ x, b, 1e-10),
                               np.linalg.solve(a, b), atol=1e-8)  # fmt: skip


def test_strength_grows_with_noise() -> None:
    ridge = FeatureRidge(KNOWN, NEW, POPULARITY.astype(float))
    exact, explained = ridge.strength(VECTORS[:N])
    noisy, less = ridge.strength(VECTORS[:N] + 20 * RNG.normal(size=(N, K)))
    assert exact < noisy
    assert less < 0.3 < 0.99 < explained


def test_what_cannot_be_placed_is_refused() -> None:
    with pytest.raises(SettingsError, match=r"exposure is 0\.0; it must be a number above 0"):
        with_new_items(model("linear"), KNOWN, NEW, exposure=0.0)
    with pytest.raises(SettingsError, match="no item that the model was trained on"):
        with_new_items(model("linear"), csr_array((N, D)), NEW)
