"""The autopilot's blend: of what it is made, when it wins, and how it is fitted in the end."""

from dataclasses import replace

import numpy as np
import pytest

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.evaluation.evaluate import evaluate
from nearfar.experiments.autopilot import held_out_users, leaderboard, search
from nearfar.experiments.autopilot.autopilot import AutopilotOptions, autopilot
from nearfar.experiments.autopilot.blending import (
    best_of_kinds,
    blend_of,
    choose_winner,
    last_settings,
    parts_of,
)
from nearfar.experiments.autopilot.fitting import Fitter
from nearfar.experiments.autopilot.held_out_users import hold_out
from nearfar.experiments.autopilot.leaderboard import make_leaderboard
from nearfar.experiments.autopilot.records import Record, Records
from nearfar.experiments.autopilot.saved_models import SavedModels
from nearfar.metrics.ndcg import NDCG
from nearfar.models.ensemble import Ensemble
from tests.experiments.autopilot.cases import Fits, two_tastes

ONLY = ("popularity", "ease", "wmf", "blend")


def trial(number: int, family: str, score: float, seconds: float = 1.0, **rest) -> Record:
    settings = rest.pop("settings", {})
    return Record(number, family, {}, settings, "complete", score, fit_seconds=seconds, **rest)


def records_of(*trials: Record) -> Records:
    found = object.__new__(Records)
    found.trials = list(trials)
    return found


def test_parts_are_the_best_trial_of_each_kind() -> None:
    records = records_of(
        trial(0, "popularity", 0.9), trial(1, "ease", 0.3), trial(2, "edlae", 0.31),
        trial(3, "wmf", 0.4), trial(4, "multvae", 0.2), trial(5, "recvae+pia", 0.35),
        trial(6, "blend", 0.5),
    )  # fmt: skip
    assert [p.number for p in parts_of(records, 100)] == [3, 5, 2]


def test_the_worst_parts_are_left_out_for_lack_of_time() -> None:
    records = records_of(
        trial(0, "edlae", 0.3, 10), trial(1, "wmf", 0.2, 10), trial(2, "multvae", 0.4, 10)
    )
    assert [p.number for p in parts_of(records, 30)] == [2, 0, 1]
    assert [p.number for p in parts_of(records, 29)] == [2, 0]
    assert [p.number for p in parts_of(records, 19)] == [2]


def test_a_blend_is_fitted_in_the_end_by_the_epochs_that_were_best() -> None:
    vae = trial(0, "multvae+pia", 0.4, settings={"epochs": 60, "patience": 5}, n_epochs=12)
    ease = trial(1, "ease", 0.3, settings={"l2": 50.0})
    settings = {**blend_of([vae, ease]), "weights": [0.7, 0.3]}
    blend = Record(2, "blend", {"trials": [0, 1]}, settings, "complete", 0.5)
    found = make_algorithm("blend", last_settings(blend, records_of(vae, ease, blend)))
    assert [(p.epochs, p.patience) for p in found.parts[:1]] == [(12, 0)]
    assert found.parts[1].l2 == 50.0
    assert found.weights == (0.7, 0.3)


def test_a_part_without_weight_is_not_fitted_in_the_end() -> None:
    vae, ease, wmf = trial(0, "multvae", 0.4), trial(1, "ease", 0.3), trial(2, "wmf", 0.2)
    settings = {**blend_of([vae, ease, wmf]), "weights": [0.7, 0.0, 0.3]}
    blend = Record(3, "blend", {"trials": [0, 1, 2]}, settings, "complete", 0.5)
    found = make_algorithm("blend", last_settings(blend, records_of(vae, ease, wmf, blend)))
    assert [type(part).__name__ for part in found.parts] == ["MultVAE", "WMF"]
    assert found.weights == (0.7, 0.3)
    alone = replace(blend, settings={**settings, "weights": [1.0, 0.0, 0.0]})
    found = make_algorithm("blend", last_settings(alone, records_of(vae, ease, wmf, alone)))
    assert found.weights == (1.0, 0.0, 0.0), "a blend has two parts or more"


@pytest.mark.parametrize(
    ("reached", "wins"), [(0.3, False), (0.3014, False), (0.3016, True), (0.29, False)]
)
def test_a_blend_wins_where_it_gains_half_a_percent(reached, wins) -> None:
    single, blend = trial(0, "ease", 0.3), trial(1, "blend", reached)
    assert choose_winner(single, blend) is (blend if wins else single)


def test_no_blend_wins_where_nothing_is_found() -> None:
    single, blend = trial(0, "ease", 0.0), trial(1, "blend", 0.0)
    assert choose_winner(single, blend) is single


@pytest.fixture(scope="module", autouse=True)
def few_trials():
    """Two trials of each family are enough."""
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(search, "TRIALS", 2)
        patched.setattr(search, "TRIALS_PER_PARAMETER", 0)
        yield


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    out = tmp_path_factory.mktemp("blended") / "best"
    return autopilot(two_tastes(), out, AutopilotOptions(minutes=5.0, only=ONLY)), out


def test_the_blend_is_the_last_trial_and_no_worse_than_its_parts(searched) -> None:
    found, _ = searched
    *others, blend = found.records.trials
    assert blend.family == "blend"
    assert blend.state == "complete"
    assert {found.records.trials[n].family for n in blend.values["trials"]} == {"ease", "wmf"}
    assert len(blend.settings["weights"]) == 2
    assert blend.score >= max(t.score for t in others if t.score is not None) - 1e-9
    verdict = found.leaderboard.verdict()
    if min(blend.settings["weights"]) > 0:
        assert "blend of several models" in verdict
    else:
        assert "A blend gains nothing: on validation users the best weights are" in verdict


def search_of(folder, fits: Fits):
    options = AutopilotOptions(minutes=5.0, only=ONLY)
    return autopilot(two_tastes(), folder / "best", options, reporting=fits)


def test_a_blend_and_its_test_users_need_no_second_fit(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(held_out_users, "TEST_FROM_USERS", 200)
    monkeypatch.setattr(leaderboard, "choose_winner", lambda single, blend, *rest: blend)
    fits = Fits()
    found = search_of(tmp_path / "kept", fits)
    assert fits.titles.count("Blend") == 1  # on all users
    assert not list((found.folder / "models").glob("*"))
    monkeypatch.setattr(SavedModels, "save", lambda *_: "the disk is full")
    fits = Fits()
    fitted_again = search_of(tmp_path / "lost", fits)
    assert fits.titles.count("Blend") == 3
    blends = [f.records.of("blend")[0] for f in (found, fitted_again)]
    assert blends[0].score == blends[1].score
    assert blends[0].settings == blends[1].settings
    assert found.test == fitted_again.test


@pytest.mark.parametrize("wins", [True, False])
def test_time_kept_back_for_a_blend_that_does_not_win_goes_to_trials(
    monkeypatch, tmp_path, wins
) -> None:
    def reserved(fitter: Fitter) -> float:
        return fitter.clock.left if fitter.blend_seconds else 0.0

    monkeypatch.setattr(Fitter, "reserved", reserved)
    monkeypatch.setattr(
        leaderboard, "choose_winner", lambda single, blend, *_: blend if wins else single
    )
    families = [t.family for t in search_of(tmp_path, Fits()).records.trials]
    n_survey = len(ONLY) - 1
    assert "blend" not in families[:n_survey]
    assert families[n_survey] == "blend"
    later = families[n_survey + 1 :]
    assert bool(later) is not wins
    assert later.count("blend") <= 1


def test_only_the_best_model_of_each_kind_is_kept(tmp_path) -> None:
    fits = Fits()
    fits.stop_at = 5
    found = search_of(tmp_path, fits)
    assert found.stop == "interrupted"
    kept = sorted(int(f.name) for f in (found.folder / "models").glob("*"))
    assert kept == sorted(t.number for t in best_of_kinds(found.records))
    assert {found.records.trials[n].family for n in kept} == {"ease", "wmf"}


def test_a_damaged_model_is_fitted_again(tmp_path) -> None:
    item_ids = two_tastes().item_ids
    algorithm = make_algorithm("ease", {})
    model = algorithm.fit(two_tastes())
    models = SavedModels(tmp_path)
    assert models.save(3, Bundle.of(model, algorithm, two_tastes())) is None
    assert np.array_equal(models.load(3).weights, model.weights)
    assert len(item_ids) == models.load(3).n_items
    arrays = tmp_path / "0003" / "model.safetensors"
    arrays.write_bytes(arrays.read_bytes()[:-1] + b"x")
    assert models.has(3)
    assert models.load(3) is None
    assert models.load(4) is None


def test_a_search_that_is_over_blends_nothing_again(searched) -> None:
    found, out = searched
    again = autopilot(two_tastes(), out, AutopilotOptions(minutes=5.0, only=ONLY))
    assert len(again.records.trials) == len(found.records.trials)


def test_a_blend_that_wins_is_saved_as_one_model(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(leaderboard, "choose_winner", lambda single, blend, *rest: blend)
    out = tmp_path / "best"
    found = autopilot(two_tastes(), out, AutopilotOptions(minutes=5.0, only=ONLY))
    bundle = load_bundle(out)
    assert isinstance(bundle.model, Ensemble)
    assert bundle.model.n_train_users == two_tastes().n_users
    verdict = found.leaderboard.verdict()
    assert verdict.startswith("A blend of several models wins: ")
    assert "The best single model, " in verdict


def test_for_speed_and_without_its_name_there_is_no_blend(tmp_path) -> None:
    for options in (
        AutopilotOptions(minutes=5.0, only=ONLY, goal="speed"),
        AutopilotOptions(minutes=5.0, only=ONLY[:3]),
    ):
        found = autopilot(two_tastes(), tmp_path / str(len(options.only)), options)
        assert not found.records.of("blend")
        assert make_leaderboard(found.records, found.held_out.validation, options.goal)


@pytest.mark.parametrize(
    ("weights", "algorithm", "expected"),
    [
        (
            (1.0, 0.0),
            EASE(l2=5.0),
            "A blend gains nothing: on validation users the best weights are ease 1.00.",
        ),
        ((0.5, 0.5), Popularity(), "ease 0.50, wmf 0.50, is ."),
    ],
)
def test_the_verdict_on_a_blend_that_does_not_gain(tmp_path, weights, algorithm, expected) -> None:
    held = hold_out(two_tastes(), 0)
    records = Records(tmp_path, {})
    parts = {"parts": [{"kind": "ease"}, {"kind": "wmf"}], "weights": list(weights)}
    for number, (family, fitted, settings) in enumerate(
        [("ease", EASE(l2=5.0), {}), ("blend", algorithm, parts)]
    ):
        measured = evaluate(fitted.fit(held.train), held.validation)
        score = measured.mean(NDCG(100))
        records.add(Record(number, family, {}, settings, "complete", score), measured)
    board = make_leaderboard(records, held.validation, "accuracy")
    assert board is not None
    assert board.winner.family.name == "ease"
    assert expected in board.verdict()
    assert "it would have won" not in board.verdict()
