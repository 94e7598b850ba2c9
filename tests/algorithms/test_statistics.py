"""The statistics that defaults are computed from, and the defaults."""

from dataclasses import replace

import numpy as np
import pytest

from nearfar.algorithms import statistics, wmf
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.ease import EASE, default_l2
from nearfar.algorithms.edlae import EDLAE
from nearfar.algorithms.filled_in import filled_in
from nearfar.algorithms.mf import MF
from nearfar.algorithms.plrec import PLRec
from nearfar.algorithms.statistics import LEAST_EXCESS, Statistics, excess_of
from nearfar.algorithms.wmf import WMF
from nearfar.bundle.bundle import Bundle
from tests.conftest import interactions


def tastes(n_users: int = 300, share: float = 0.5, seed: int = 0):
    """Users of two tastes who also meet some of the other's items."""
    rng = np.random.default_rng(seed)
    own = np.arange(40)[None, :] // 20 == np.arange(n_users)[:, None] % 2
    return interactions(rng.random((n_users, 40)) < np.where(own, share, 0.05))


def independent(n_users: int = 4000, seed: int = 0):
    rng = np.random.default_rng(seed)
    return interactions(rng.random((n_users, 60)) < 0.05)


def direct_excess(x: np.ndarray) -> float:
    """By its definition, from the whole matrix of co-occurrences."""
    gram, counts, lengths = x.T @ x, x.sum(0), x.sum(1)
    factor = (lengths * (lengths - 1)).sum() / lengths.sum() ** 2
    expected = factor * np.outer(counts, counts)
    off = ~np.eye(len(counts), dtype=bool)
    return ((gram - expected) ** 2)[off].sum() / expected[off].sum() - 1


def test_excess_is_what_its_definition_says() -> None:
    data = tastes()
    assert excess_of(data) == pytest.approx(direct_excess(data.x.toarray().astype(np.float64)))


def test_a_sample_of_users_comes_close(monkeypatch) -> None:
    data = tastes(1500)
    whole = excess_of(data)
    monkeypatch.setattr(statistics, "SAMPLED_USERS", 300)
    assert excess_of(data) == pytest.approx(whole, rel=0.15)
    assert excess_of(data) != whole


def test_blocks_do_not_matter(monkeypatch) -> None:
    data = tastes()
    whole = excess_of(data)
    monkeypatch.setattr(statistics, "BLOCK_OVERLAPS", 7 * data.n_users)
    assert excess_of(data) == pytest.approx(whole)


def test_the_sample_does_not_depend_on_the_order_of_users(monkeypatch) -> None:
    monkeypatch.setattr(statistics, "SAMPLED_USERS", 50)
    data = tastes()
    order = np.random.default_rng(1).permutation(data.n_users)
    assert excess_of(data.take_users(order)) == pytest.approx(excess_of(data))


def test_independent_items_have_next_to_no_excess() -> None:
    assert excess_of(independent()) < 0.2
    assert excess_of(tastes()) > 5


def test_single_interactions_say_nothing() -> None:
    assert excess_of(interactions(np.eye(5))) == LEAST_EXCESS


def test_sizes_count_users_and_items_that_have_interactions() -> None:
    dense = np.zeros((5, 6))
    dense[0, :4] = dense[1, 1:3] = 1
    found = Statistics.of(interactions(dense))
    assert (found.n_users, found.n_items, found.n_interactions) == (2, 4, 6)
    assert (found.history, found.longer_side) == (3.0, 1.5)
    assert found.noise == pytest.approx((2**0.5 + 2) * (6 / 8) ** 0.5)


def test_the_penalty_grows_with_the_rows_and_falls_with_structure() -> None:
    """9 m / excess^(1/4), by hand."""
    assert default_l2(Statistics(100, 50, 1000, 1.0)) == 90.0
    assert default_l2(Statistics(100, 50, 1000, 16.0)) == 45.0
    assert default_l2(Statistics(50, 200, 1000, 1.0)) == 45.0


def test_the_weights_of_wmf_by_hand() -> None:
    """a = 10 n / I; l2 falls with structure; other exponents keep the mean user's penalty."""
    data = Statistics(n_users=100, n_items=400, n_interactions=1000, excess=1.0)
    assert WMF().data_defaults(data) == {
        "n_factors": 100, "unobserved_weight": 0.25, "l2": float(f"{wmf.DEFAULT_L2 * 3**0.5:.3g}")
    }  # fmt: skip
    dense = Statistics(n_users=100, n_items=50, n_interactions=1000, excess=1.0)
    assert WMF().data_defaults(dense)["unobserved_weight"] == 1.0
    alike = WMF(l2_exponent=0.0).data_defaults(data)["l2"]
    mass = 10 + 0.25 * 390
    assert alike == pytest.approx(wmf.DEFAULT_L2 * 3**0.5 * mass, rel=0.01)
    given = WMF(unobserved_weight=0.5, l2_exponent=0.0).data_defaults(data)["l2"]
    assert given == pytest.approx(wmf.DEFAULT_L2 * 3**0.5 * (10 + 0.5 * 390), rel=0.01)
    structured = Statistics(n_users=100, n_items=400, n_interactions=1000, excess=16.0)
    l2 = WMF().data_defaults(structured)["l2"]
    assert l2 == pytest.approx(wmf.DEFAULT_L2 * 3**0.5 / 2, rel=0.01)


@pytest.mark.parametrize(
    ("per_user", "times"), [(1.5, 3.0), (5.0, 3.0), (8.0, 1.5625), (10.0, 1.0), (60.0, 1.0)]
)
def test_the_penalty_of_wmf_grows_where_histories_are_short(per_user: float, times: float) -> None:
    """(10 / n)^2, from 1 to 3."""
    data = Statistics(n_users=200, n_items=1200, n_interactions=int(200 * per_user), excess=1.0)
    assert WMF().data_defaults(data)["l2"] == pytest.approx(wmf.DEFAULT_L2 * times, rel=0.01)


@pytest.mark.parametrize(
    ("n_items", "per_user", "times"),
    [(50, 20, 2.0), (300, 20, 2.0), (768, 20, 1.25), (5000, 20, 1.0), (300, 5, 3.0), (300, 8, 2.0)],
)
def test_the_penalty_of_wmf_grows_where_items_are_few(n_items, per_user, times) -> None:
    """(1200 / I)^(1/2), from 1 to 2, or that for short histories if it is larger."""
    data = Statistics(200, n_items, 200 * per_user, 1.0)
    assert WMF().data_defaults(data)["l2"] == pytest.approx(wmf.DEFAULT_L2 * times, rel=0.01)


@pytest.mark.parametrize(
    ("n_items", "of_wmf", "of_plrec"),
    [(100, 100, 100), (700, 256, 512), (8_960, 280, 560), (16_000, 500, 1000), (40_000, 512, 1024)],
)
def test_large_catalogues_have_more_factors(n_items: int, of_wmf: int, of_plrec: int) -> None:
    data = Statistics(10_000, n_items, 100_000, 1.0)
    assert WMF().data_defaults(data)["n_factors"] == of_wmf
    assert PLRec().data_defaults(data)["n_factors"] == of_plrec


def test_the_penalty_of_mf_is_relative_to_noise() -> None:
    """Independent entries: the largest singular value beside the mean's is `noise`, nearly."""
    data = independent()
    dense = data.x.toarray().astype(np.float64)
    values = np.linalg.svd(dense - dense.mean(0), compute_uv=False)
    statistics_ = Statistics.of(data)
    assert values[0] == pytest.approx(statistics_.noise, rel=0.05)
    found = MF().data_defaults(statistics_)["l2"]
    assert found == pytest.approx(0.8 * statistics_.noise * (4000 / 60) ** 0.15, rel=0.01)


@pytest.mark.parametrize("algorithm", [WMF(n_factors=4), MF(n_factors=4)])
def test_factor_models_use_what_they_report(algorithm) -> None:
    data = tastes()
    resolved = algorithm.resolved(data)
    one, other = algorithm.fit(data), resolved.fit(data)
    np.testing.assert_array_equal(one.item_factors, other.item_factors)
    changed = replace(resolved, l2=4 * resolved.l2).fit(data)
    assert not np.allclose(one.item_factors, changed.item_factors)


@pytest.mark.parametrize("algorithm", [EASE(), EDLAE()])
def test_a_fit_uses_the_resolved_penalty_and_a_bundle_reports_it(algorithm) -> None:
    data = tastes()
    resolved = algorithm.resolved(data)
    assert resolved.l2 == default_l2(Statistics.of(data))
    assert filled_in(algorithm, resolved) == {"l2": resolved.l2}
    model = algorithm.fit(data)
    np.testing.assert_array_equal(model.weights, resolved.fit(data).weights)
    other = type(algorithm)(l2=2 * resolved.l2).fit(data)
    assert not np.allclose(model.weights, other.weights)
    bundle = Bundle.of(model, algorithm, data)
    assert bundle.metadata.settings["l2"] == resolved.l2


def test_settings_that_are_given_stay() -> None:
    data = tastes()
    algorithm = EASE(l2=7.0)
    assert algorithm.resolved(data) is algorithm
    assert filled_in(algorithm, algorithm.resolved(data)) == {}
    assert make_algorithm("ease", {"l2": "none"}) == EASE()
