"""Blend: weights chosen on validation users, parts by name, runs that resume."""

from __future__ import annotations

import dataclasses
import signal

import numpy as np
import pytest

from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.algorithms.blend import Blend, choose_weights, validation_scores
from nearfar.algorithms.description import describe, to_text
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.edlae import EDLAE
from nearfar.algorithms.filled_in import filled_in
from nearfar.algorithms.mf import MF
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.plrec import PLRec
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.bundle import Bundle
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.core.errors import EmptyDataError, SettingsError, StoppedError, UnknownNameError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.splits.hold_out import hold_out_users
from nearfar.data.synthetic import synthetic_interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.metrics.ndcg import NDCG
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model
from nearfar.train.callback import Callback
from nearfar.train.checkpoint import NAME
from nearfar.train.run import Run

SMALL_VAE = MultVAE(n_latent=4, decoder_hidden=(6,), epochs=3, batch_size=100)
PARTS = (EASE(l2=30.0), MF(n_factors=3, l2=1.0), Popularity())


@pytest.fixture(scope="module")
def data() -> tuple[Interactions, FoldIn]:
    """Made-up users of whom no algorithm is right about all: 150 items, NDCG@100 around .3."""
    return hold_out_users(synthetic_interactions("400x150x6000", seed=3), 0.25, target_share=0.4)


@pytest.fixture(scope="module")
def models(data) -> list[Model]:
    return [part.fit(data[0]) for part in PARTS]


def cpu(**options) -> Run:
    return Run(seed=1, device="cpu", **options)


def ndcg(model: Model, users: FoldIn) -> float:
    return evaluate(model, users, [NDCG(100)]).mean(NDCG(100))


def test_two_parts_get_the_best_of_the_grid(data, models) -> None:
    """By `evaluate` on each of the eleven ensembles; no part alone is better."""
    users = data[1]
    pair = models[:2]
    grid = {
        (i / 10, (10 - i) / 10): ndcg(Ensemble(pair, (i / 10, (10 - i) / 10)), users)
        for i in range(11)
    }
    weights = choose_weights(Ensemble(pair, (1.0, 1.0)), users)
    assert grid[weights] == pytest.approx(max(grid.values()), abs=1e-12)
    assert weights not in ((1.0, 0.0), (0.0, 1.0))
    assert len(set(grid.values())) > 5
    for model in pair:
        assert grid[weights] > ndcg(model, users)


def test_more_parts_are_selected_one_by_one(data, models) -> None:
    """Held to a plain forward selection by `evaluate`."""
    users = data[1]
    counts, path = np.zeros(3, int), {}
    for _ in range(10):
        tried = [
            (ndcg(Ensemble(models, tuple((counts + one) / (counts + one).sum())), users), i)
            for i, one in enumerate(np.eye(3, dtype=int))
        ]
        best = max(tried)[1]
        counts[best] += 1
        path[tuple(counts / counts.sum())] = max(tried)[0]
    weights = choose_weights(Ensemble(models, (1.0, 1.0, 1.0)), users)
    chosen = ndcg(Ensemble(models, weights), users)
    assert chosen == pytest.approx(max(path.values()), abs=1e-12)
    assert sum(weights) == pytest.approx(1)
    assert chosen >= max(ndcg(model, users) for model in models)


def test_a_useless_part_cannot_make_the_selection_worse_than_the_best_part(data, models) -> None:
    """Ten selections may end below the first; the best of them is kept."""
    users = data[1]
    parts = [models[2], models[2], models[0]]
    weights = choose_weights(Ensemble(parts, (1.0, 1.0, 1.0)), users)
    assert ndcg(Ensemble(parts, weights), users) >= ndcg(Ensemble(parts, (0.0, 0.0, 1.0)), users)


def test_of_equals_the_more_even_weights_win(data, models) -> None:
    same = Ensemble([models[0], models[0]], (1.0, 1.0))
    assert choose_weights(same, data[1]) == (0.5, 0.5)
    three = Ensemble([models[0]] * 3, (1.0, 1.0, 1.0))
    assert choose_weights(three, data[1]) == pytest.approx((1 / 3, 1 / 3, 1 / 3))


def test_batches_of_any_size_judge_alike(data, models, monkeypatch) -> None:
    ensemble = Ensemble(models, (1.0, 1.0, 1.0))
    candidates = [(1, 0, 0), (3, 2, 1)]
    whole = validation_scores(ensemble, data[1], candidates)
    most = []
    standardised = Ensemble.standardised

    def recorded(self, number, histories, memory=None):
        most.append(histories.shape[0])
        return standardised(self, number, histories, memory)

    monkeypatch.setattr(Ensemble, "batch_size", lambda self: 7)
    monkeypatch.setattr(Ensemble, "standardised", recorded)
    np.testing.assert_allclose(validation_scores(ensemble, data[1], candidates), whole, rtol=1e-9)
    assert max(most) == 7


def test_the_fit_takes_the_chosen_weights_and_bundles_report_them(data) -> None:
    train, users = data
    algorithm = Blend(parts=PARTS[:2])
    model = algorithm.fit(train, users, run=cpu())
    assert model.weights == choose_weights(model, users)
    metadata = Bundle.of(model, algorithm, train).metadata
    assert metadata.settings["weights"] == list(model.weights)
    again = make_algorithm(metadata.algorithm, metadata.settings).fit(train, None, run=cpu())
    np.testing.assert_array_equal(again.score(train.x), model.score(train.x))
    assert model.label == "Blend(parts=(EASE(l2=30), MF(n_factors=3, l2=1)))"


def test_without_validation_users_weights_are_equal_and_given_ones_are_kept(data) -> None:
    train, users = data
    assert Blend(parts=PARTS).fit(train, run=cpu()).weights == (1 / 3, 1 / 3, 1 / 3)
    given = Blend(parts=PARTS, weights=(0, 1, 3))
    model = given.fit(train, users, run=cpu())
    assert model.weights == (0, 1, 3)
    assert given.as_fitted(model) is given


def test_no_held_out_items_to_choose_by_is_an_error(data) -> None:
    train, users = data
    nothing = FoldIn(users.fold_in, dataclasses.replace(users.held_out, x=users.held_out.x * 0))
    with pytest.raises(EmptyDataError, match="hold out more users"):
        Blend(parts=PARTS[:2]).fit(train, nothing, run=cpu())


def test_parts_are_given_by_name_as_tables_and_as_objects() -> None:
    text = parse_assignments(['parts=["ease", {kind="multvae", epochs=3}]'])
    expected = Blend(parts=(EASE(), MultVAE(epochs=3)))
    assert make_algorithm("blend", text) == expected
    assert Blend(parts=("ease", MultVAE(epochs=3))) == expected  # pyright: ignore[reportArgumentType]
    assert Blend().parts == (EDLAE(), MultVAE())


def test_plain_settings_of_other_algorithms_make_one(data) -> None:
    parts = [settings.to_plain(part.resolved(data[0])) for part in (EDLAE(), SMALL_VAE)]
    made = make_algorithm("blend", {"parts": parts, "weights": [0.4, 0.6]})
    assert isinstance(made, Blend)
    assert made.weights == (0.4, 0.6)
    assert [settings.to_plain(part) for part in made.parts] == parts


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"parts": ["ease"]}, "parts has 1 algorithms; expected at least 2"),
        ({"parts": "ease"}, "a list was expected"),
        ({"parts": ["ease", "blend"]}, "parts contains a blend"),
        ({"parts": ["ease", {"kind": "wmf", "l2": -1}]}, r"parts\[1\].l2 is -1"),
        ({"weights": [1]}, "1 weights for 2 parts"),
        ({"weights": [0, 0]}, "all 0"),
        ({"weights": [1, -1]}, r"weights\[1\] is -1"),
    ],
)
def test_settings_that_make_no_blend_are_refused(values, message) -> None:
    with pytest.raises(SettingsError, match=message):
        make_algorithm("blend", values)


def test_an_unknown_part_is_refused_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'multvae'"):
        make_algorithm("blend", {"parts": ["ease", "multvea"]})


def test_settings_of_the_parts_are_computed_from_the_data(data) -> None:
    before = Blend(parts=(EDLAE(), PLRec(n_factors=5), EASE(l2=3.0)))
    after = before.resolved(data[0])
    assert after.parts[0] == EDLAE().resolved(data[0])
    assert filled_in(before, after) == {"parts[0].l2": after.parts[0].l2}  # pyright: ignore[reportAttributeAccessIssue]


def test_a_description_names_the_parts() -> None:
    text = to_text(describe("blend"))
    assert "parts: list of Algorithm; default [edlae, multvae]" in text
    assert "weights: list of float or none, each at least 0; default none" in text


def test_parts_are_fitted_as_alone_and_equal_ones_from_other_seeds(data) -> None:
    train, users = data
    model = Blend(parts=(SMALL_VAE, SMALL_VAE, EASE(l2=3.0))).fit(train, users, run=cpu())
    alone = SMALL_VAE.fit(train, users, run=cpu())
    np.testing.assert_array_equal(model.parts[0].score(train.x), alone.score(train.x))
    assert np.abs(model.parts[1].score(train.x) - alone.score(train.x)).max() > 0.01


class Reporting(Callback):
    """Notes the parts; acts once, in the middle of an epoch of one of them."""

    def __init__(self, in_part: str = "", act=lambda: None) -> None:
        self.parts: list[str] = []
        self.in_part, self.act = in_part, act

    def part(self, name: str) -> None:
        self.parts.append(name)

    def step(self, report) -> None:
        if self.parts[-1].startswith(self.in_part or "no part") and report.epoch == 1:
            act, self.act = self.act, lambda: None
            act()


class Killed(BaseException):
    """As a kill, it leaves what is on the disk as it is."""


def kill() -> None:
    raise Killed


BLEND = Blend(parts=(EASE(l2=3.0), SMALL_VAE, dataclasses.replace(SMALL_VAE, n_latent=3)))


@pytest.fixture(scope="module")
def left_alone(data) -> Ensemble:
    return BLEND.fit(*data, run=cpu())


@pytest.mark.parametrize("part", ["MultVAE(n_latent=4", "MultVAE(n_latent=3"])
def test_killed_and_resumed_it_ends_in_the_same_bits(part, data, left_alone, tmp_path) -> None:
    reporter = Reporting(part, kill)
    folder = tmp_path / "run"
    with pytest.raises(Killed):
        BLEND.fit(*data, run=cpu(folder=folder, checkpoint_seconds=0.0, callbacks=(reporter,)))
    assert (folder / f"part-{len(reporter.parts) - 1}" / NAME).exists()
    resumed = Reporting()
    model = BLEND.fit(*data, run=cpu(folder=folder, resume=True, callbacks=(resumed,)))
    assert [name.partition("(")[0] for name in resumed.parts] == ["EASE", "MultVAE", "MultVAE"]
    ours, theirs = model.state(), left_alone.state()
    assert ours[0] == theirs[0]
    for name, array in theirs[1].items():
        assert ours[1][name].tobytes() == array.tobytes(), name


def interrupt() -> None:
    signal.raise_signal(signal.SIGINT)


def test_ctrl_c_in_the_last_part_keeps_the_best_so_far_and_before_it_stops(data, tmp_path) -> None:
    run = cpu(keep_on_interrupt=True, folder=tmp_path, callbacks=(Reporting("MultVAE", interrupt),))
    model = Blend(parts=(EASE(l2=3.0), SMALL_VAE)).fit(*data, run=run)
    assert len(model.parts) == 2
    assert run.history.interrupted
    run.callbacks = (Reporting("MultVAE", interrupt),)
    with pytest.raises(StoppedError, match="stopped in part 1 of 2"):
        Blend(parts=(SMALL_VAE, EASE(l2=3.0))).fit(*data, run=run)


def test_an_algorithm_that_chooses_nothing_stays_as_it_is(data, models) -> None:
    algorithm: Algorithm = PARTS[0]
    assert algorithm.as_fitted(models[0]) is algorithm
