"""What every algorithm owes, whatever it does inside; run over all that are discovered."""

import dataclasses

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import PACKAGE, Algorithm, make_algorithm
from nearfar.algorithms.blend import Blend
from nearfar.algorithms.popularity import Popularity
from nearfar.algorithms.requirements import Requirements
from nearfar.bundle.bundle import Bundle, describe
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.core import discovery, settings
from nearfar.core.errors import DataError, EmptyDataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.constant import Constant
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import LatentModel, Model
from nearfar.train.callback import Callback
from nearfar.train.run import Run
from tests.conftest import interactions

ALGORITHMS = discovery.discover(PACKAGE, Algorithm)

# Sizes that suit 120 users and 24 items; an algorithm without an entry runs on its defaults.
SMALL = {
    "ease": {"l2": 5.0},
    "grals": {"n_factors": 3, "l2": 2.0, "n_neighbours": 4, "iterations": 20},
    "mf": {"n_factors": 3, "l2": 2.0},
    "plrec": {"n_factors": 3, "l2": 2.0, "popularity_exponent": 0.2},
    "wmf": {"n_factors": 3, "l2": 0.1},
    "multvae": {
        "n_latent": 8,
        "decoder_hidden": [16],
        "encoder": {"kind": "base", "hidden": [16]},
        "epochs": 30,
        "batch_size": 20,
        "learning_rate": 0.02,
    },
    "multdae": {
        "n_latent": 8,
        "encoder": {"kind": "base", "hidden": [16]},
        "epochs": 30,
        "batch_size": 20,
        "learning_rate": 0.02,
    },
    "recvae": {
        "n_latent": 8,
        "encoder": {"kind": "dense", "width": 16, "layers": 3},
        "epochs": 6,
        "batch_size": 20,
        "learning_rate": 0.03,
    },
    "ract": {
        "n_latent": 8,
        "decoder_hidden": [16],
        "encoder": {"kind": "base", "hidden": [16]},
        "pretraining_epochs": 15,
        "critic_epochs": 3,
        "joint_epochs": 3,
        "batch_size": 20,
        "learning_rate": 0.02,
    },
    "warp": {"n_latent": 8, "tries": 20, "epochs": 15, "batch_size": 20, "learning_rate": 0.02},
    "lambdanet": {
        "n_latent": 8,
        "decoder_hidden": [16],
        "encoder": {"kind": "base", "hidden": [16]},
        "top": 6,
        "sampled": 4,
        "epochs": 15,
        "batch_size": 20,
        "learning_rate": 0.02,
    },
    "cdae": {"n_latent": 8, "epochs": 15, "batch_size": 20, "learning_rate": 0.02},
    "blend": {
        "parts": [
            {"kind": "ease", "l2": 5.0},
            {"kind": "wmf", "n_factors": 3, "l2": 0.1},
        ],
    },
    "hvamp": {
        "n_latent": 6,
        "hidden": 16,
        "pseudo_inputs": 10,
        "epochs": 25,
        "batch_size": 20,
        "learning_rate": 0.02,
        "beta": {"kind": "linear_anneal", "end": 0.1, "steps": 100},
    },
}
CASES = {name: SMALL.get(name, {}) for name in ALGORITHMS}
CASES["multvae+sampled"] = {
    **SMALL["multvae"],
    "likelihood": {"kind": "sampled", "negatives": 12},
    "optimiser": "lazy_adam",
    "initialiser": "spectral",
}
CASES["cdae+gaussian"] = {
    **SMALL["cdae"],
    "units": "sigmoid",
    "corruption": "mask",
    "likelihood": {"kind": "gaussian", "negative_weight": 0.3},
}
CASES["warp+spectral"] = {**SMALL["warp"], "initialiser": "spectral"}
CASES["grals+weighted"] = {**SMALL["grals"], "unobserved_weight": 0.3, "cg_iterations": 50}
for algorithm in ("recvae", "hvamp"):
    CASES[f"{algorithm}+pia"] = {**SMALL[algorithm], "alignment": {"kind": "pia", "weight": 0.02}}
CASES["multvae+iaf"] = {
    **SMALL["multvae"],
    "encoder": {"kind": "iaf", "before": {"kind": "base", "hidden": [16]}, "hidden": 16},
    "prior": {"kind": "vamp", "pseudo_inputs": 10},
    "beta": {"kind": "cyclic", "end": 0.1},
}
CASES["multvae+gated"] = {
    **SMALL["multvae"],
    "encoder": {"kind": "base", "hidden": [16, 16], "units": "gated"},
    "decoder_units": "gated",
    "prior": {"kind": "mixture", "components": 4},
}
CASES["blend+multvae"] = {
    "parts": ["edlae", {"kind": "multvae", **SMALL["multvae"]}, "popularity"],
}
CASES["multvae+pia"] = {**SMALL["multvae"], "alignment": {"kind": "pia", "weight": 0.1}}


def make(case: str) -> Algorithm:
    return make_algorithm(case.partition("+")[0], CASES[case])


def in_turn() -> list:
    """All cases; variants of an algorithm are left to the whole suite."""
    return [
        pytest.param(case, marks=pytest.mark.slow) if "+" in case else case
        for case in sorted(CASES)
    ]


@pytest.fixture(scope="module", params=in_turn())
def case(request) -> str:
    return request.param


@pytest.fixture(scope="module")
def fitted(case, clusters):
    train, validation = clusters
    return make(case).fit(train, validation, run=Run(seed=1, device="cpu"))


@dataclasses.dataclass
class Again:
    """An algorithm that was fitted to other data, and then to the same as `fitted`.

    Args:
        algorithm: after both fits.
        settings: before them.
        fingerprint: of the training data before them.
        model: of the second fit.
    """

    algorithm: Algorithm
    settings: dict
    fingerprint: str
    model: Model


@pytest.fixture(scope="module")
def again(case, clusters) -> Again:
    train, validation = clusters
    algorithm = make(case)
    before, fingerprint = settings.to_plain(algorithm), train.fingerprint
    algorithm.fit(train.take_users(np.arange(40)), None, run=Run(seed=9, device="cpu"))
    model = algorithm.fit(train, validation, run=Run(seed=1, device="cpu"))
    return Again(algorithm, before, fingerprint, model)


def test_there_are_algorithms() -> None:
    assert {"popularity", "ease", "multvae"} <= set(ALGORITHMS)


def test_scores_have_a_row_a_user_and_are_finite(fitted, clusters) -> None:
    histories = clusters[1].fold_in.x
    scores = fitted.score(histories)
    assert scores.shape == histories.shape
    assert scores.dtype == np.float32
    assert np.isfinite(scores).all()


def test_a_batch_scores_as_its_single_rows(fitted, clusters) -> None:
    histories = clusters[1].fold_in.x
    together = fitted.score(histories)
    for row in range(0, histories.shape[0], 7):
        alone = fitted.score(histories[row : row + 1])[0]
        np.testing.assert_allclose(alone, together[row], rtol=1e-5, atol=1e-5)


def test_batches_of_any_size_rank_alike(fitted, clusters) -> None:
    histories = clusters[1].fold_in.x
    expected = fitted.top_k(histories, 8)
    np.testing.assert_array_equal(fitted.top_k(histories, 8, batch_size=7).items, expected.items)


def test_a_second_fit_starts_anew_and_the_same_seed_gives_the_same_bits(
    fitted, again, clusters
) -> None:
    histories = clusters[1].fold_in.x
    np.testing.assert_array_equal(fitted.score(histories), again.model.score(histories))


def test_fitting_changes_neither_data_nor_settings(again, clusters) -> None:
    train, _ = clusters
    fresh = Interactions(train.x, train.user_ids, train.item_ids)
    assert fresh.fingerprint == again.fingerprint
    assert settings.to_plain(again.algorithm) == again.settings


def test_settings_survive_the_round_trip(case) -> None:
    algorithm = make(case)
    plain = settings.to_plain(algorithm)
    assert make_algorithm(plain.pop("kind"), plain) == algorithm


def test_parameters_come_as_in_scikit_learn(case) -> None:
    algorithm = make(case)
    assert type(algorithm)(**algorithm.get_params(deep=False)) == algorithm
    deep = algorithm.get_params()
    assert deep.keys() >= algorithm.get_params(deep=False).keys()
    for name, part in algorithm.get_params(deep=False).items():
        for field in dataclasses.fields(part) if dataclasses.is_dataclass(part) else ():
            assert deep[f"{name}__{field.name}"] == getattr(part, field.name)


def test_default_settings_are_the_default_arguments(case) -> None:
    cls = ALGORITHMS[case.partition("+")[0]]
    assert make_algorithm(case.partition("+")[0], {}) == cls()
    assert dataclasses.is_dataclass(cls)
    assert cls.__hash__ is not None


def test_the_requirements_of_a_fit_grow_with_the_catalogue(case) -> None:
    algorithm = make(case)
    small, large = (interactions(np.eye(n, dtype=np.float32)) for n in (50, 200))
    needs = [algorithm.requirements(train) for train in (small, large)]
    if isinstance(algorithm, Popularity):
        assert needs == [Requirements(), Requirements()]
        return
    assert needs[1].n_bytes > needs[0].n_bytes >= 4 * 50
    grows = needs[1].n_multiplications > needs[0].n_multiplications > 0
    assert grows or needs[1].n_multiplications == 0


def test_saving_and_loading_keeps_every_bit(case, fitted, clusters, tmp_path) -> None:
    train, validation = clusters
    metadata = describe(make(case), train, seed=1, protocol={}, metrics={}, history=None)
    save_bundle(Bundle(fitted, train.item_ids, metadata), tmp_path / "bundle")
    loaded = load_bundle(tmp_path / "bundle")
    histories = validation.fold_in.x
    assert type(loaded.model) is type(fitted)
    np.testing.assert_array_equal(fitted.score(histories), loaded.model.score(histories))
    assert loaded.items == train.item_ids


def test_an_empty_history_gets_the_popular_items(fitted, clusters) -> None:
    train, _ = clusters
    empty = csr_array((2, train.n_items), dtype=np.float32)
    ranking = fitted.top_k(empty, 5)
    expected = np.argsort(-train.item_counts, kind="stable")[:5]
    np.testing.assert_array_equal(ranking.items, [expected, expected])


def test_seen_items_are_left_out_unless_asked_for(fitted, clusters) -> None:
    histories = clusters[1].fold_in.x
    n_items = histories.shape[1]
    without = fitted.top_k(histories, n_items)
    for row, items in enumerate(without.items):
        seen = set(histories[[row]].indices.tolist())
        listed = [i for i in items.tolist() if i >= 0]
        assert sorted([*listed, *seen]) == list(range(n_items))
    everything = fitted.top_k(histories, n_items, exclude_seen=False)
    np.testing.assert_array_equal(np.sort(everything.items, 1)[0], np.arange(n_items))


def test_allow_and_deny_are_kept(fitted, clusters) -> None:
    histories = clusters[1].fold_in.x
    ranking = fitted.top_k(
        histories, 6, exclude_seen=False, allow=np.array([1, 5, 20]), deny=np.array([5])
    )
    assert set(np.unique(ranking.items).tolist()) == {-1, 1, 20}


def test_scores_fall_along_a_ranking(fitted, clusters) -> None:
    ranking = fitted.top_k(clusters[1].fold_in.x, 10)
    assert (np.diff(ranking.scores, axis=1) <= 0).all()


def test_a_history_of_other_items_is_refused(fitted) -> None:
    with pytest.raises(DataError, match="items"):
        fitted.score(csr_array((1, 7), dtype=np.float32))


def test_nothing_to_learn_from_is_an_error(case, clusters) -> None:
    train, _ = clusters
    empty = Interactions(csr_array(train.x.shape, dtype=np.float32), train.user_ids, train.item_ids)
    with pytest.raises(EmptyDataError):
        make(case).fit(empty)


def test_two_separate_tastes_are_kept_apart(fitted, clusters) -> None:
    """Known answer: the best unseen items are of the user's own taste, and Popularity's are not."""
    histories = clusters[1].fold_in.x
    ranking = fitted.top_k(histories, 4)
    own = np.array([histories[[row]].indices[0] // 12 for row in range(histories.shape[0])])
    right = (ranking.items // 12 == own[:, None]).mean()
    if isinstance(fitted, Constant):
        assert right < 0.8
    else:
        assert right > 0.97


def test_permuting_users_permutes_nothing_learned_in_closed_form(case, fitted, clusters) -> None:
    if any(isinstance(model, LatentModel) for model in parts_of(fitted)):
        pytest.skip("stochastic: the order of users is part of the draw")
    train, validation = clusters
    order = np.random.default_rng(0).permutation(train.n_users)
    shuffled = make(case).fit(train.take_users(order), validation, run=Run(seed=1))
    x = validation.fold_in.x
    np.testing.assert_allclose(fitted.score(x), shuffled.score(x), rtol=1e-4, atol=1e-5)


def test_permuting_items_permutes_scores(case, fitted, clusters) -> None:
    train, validation = clusters
    order = np.random.default_rng(0).permutation(train.n_items)
    x = validation.fold_in.x
    if isinstance(fitted, LatentModel):
        moved = _with_items_moved(fitted, order)
    elif any(isinstance(model, LatentModel) for model in parts_of(fitted)):
        pytest.skip("the part is tried by itself; fitting anew would draw anew")
    else:
        moved = make(case).fit(
            _moved(train, order), _moved_fold_in(validation, order), run=Run(seed=1)
        )
    np.testing.assert_allclose(
        moved.score(csr_array(x[:, order])), fitted.score(x)[:, order], rtol=1e-4, atol=1e-4
    )


QUICK = {"epochs": 1, "pretraining_epochs": 1, "critic_epochs": 1, "joint_epochs": 1}
"""Weights change a model at the first step."""


def weighted(train: Interactions, weights: np.ndarray) -> Interactions:
    return Interactions(train.x, train.user_ids, train.item_ids, weights)


def test_weights_are_used_or_it_is_said_that_they_are_not(case, clusters) -> None:
    train, validation = clusters[0].take_users(np.arange(40)), clusters[1]
    plain = settings.to_plain(make(case))
    kind = plain.pop("kind")
    if "parts" in plain:
        plain["weights"] = [1.0 / len(plain["parts"])] * len(plain["parts"])
        plain["parts"] = [
            {**p, **{k: v for k, v in QUICK.items() if k in p}} for p in plain["parts"]
        ]
    algorithm = make_algorithm(kind, {**plain, **{k: v for k, v in QUICK.items() if k in plain}})

    def scores(data: Interactions) -> np.ndarray:
        told: list[str] = []
        run = Run(seed=1, device="cpu", callbacks=(Listening(told),))
        found = algorithm.fit(data, run=run).score(validation.fold_in.x)
        ignoring = [type(each).__name__ for each in algorithm.ignoring_weights()]
        names = [text.partition(" does not use the weights")[0] for text in told]
        assert names == (ignoring if data.weights is not None else [])
        return found

    without = scores(train)
    alike = np.full(train.n_interactions, 3.0)
    np.testing.assert_array_equal(scores(weighted(train, alike)), without)
    some = np.where(np.arange(train.n_interactions) % 3, 3.0, 6.0)
    changed = np.abs(scores(weighted(train, some)) - without).max() > 1e-4
    leaves = algorithm.parts if isinstance(algorithm, Blend) else (algorithm,)
    assert changed == any(leaf.WEIGHTED for leaf in leaves)


class Listening(Callback):
    """Keeps warnings."""

    def __init__(self, told: list[str]) -> None:
        self.told = told

    def warn(self, text: str, /) -> None:
        self.told.append(text)


def test_without_a_callback_for_warnings_it_is_one_of_python(clusters) -> None:
    train = weighted(clusters[0], np.ones(clusters[0].n_interactions))
    with pytest.warns(UserWarning, match="Popularity does not use the weights of interactions"):
        ALGORITHMS["popularity"]().fit(train)


def parts_of(model: Model) -> tuple[Model, ...]:
    return model.parts if isinstance(model, Ensemble) else (model,)


def _moved(data: Interactions, order: np.ndarray) -> Interactions:
    items = Vocabulary(data.item_ids.ids.gather(order.tolist()))
    return Interactions(csr_array(data.x[:, order]), data.user_ids, items)


def _moved_fold_in(data: FoldIn, order: np.ndarray) -> FoldIn:
    return FoldIn(_moved(data.fold_in, order), _moved(data.held_out, order))


def _with_items_moved(model: LatentModel, order: np.ndarray) -> LatentModel:
    """The same network with its item axes in another order (fitting anew would draw anew)."""
    description, arrays = model.state()
    n_items = model.n_items
    moved = {
        name: value[order] if value.shape and value.shape[0] == n_items else value
        for name, value in arrays.items()
    }
    assert sum(v.shape[:1] == (n_items,) for v in moved.values()) >= 3
    return type(model).restore(description, moved, model.popularity[order], model.n_train_users)
