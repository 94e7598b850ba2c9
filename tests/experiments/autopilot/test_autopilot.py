"""The autopilot: what it searches, what it leaves out, and that a killed search goes on."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from scipy.sparse import csr_array, random_array

from nearfar.algorithms.ease import EASE
from nearfar.algorithms.popularity import Popularity
from nearfar.bundle.folder import load_bundle
from nearfar.core import memory
from nearfar.core.errors import ArtefactError, SchemaError, SettingsError, UnknownNameError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.data.log import read_log
from nearfar.evaluation.evaluate import evaluate
from nearfar.evaluation.paired import compare
from nearfar.experiments.autopilot import fitting, held_out_users, time_budget
from nearfar.experiments.autopilot.autopilot import AutopilotOptions, autopilot
from nearfar.experiments.autopilot.held_out_users import hold_out
from nearfar.experiments.autopilot.leaderboard import Leaderboard, make_leaderboard
from nearfar.experiments.autopilot.page import write_page
from nearfar.experiments.autopilot.records import Record, Records
from nearfar.metrics.ndcg import NDCG
from tests.conftest import interactions
from tests.experiments.autopilot.cases import LINEAR, Fits, ProcessorTime, Time, two_tastes

QUICK = AutopilotOptions(minutes=5.0, only=LINEAR)


def outcome(found) -> list[tuple]:
    """All but the times."""
    return [(t.number, t.family, t.state, t.values, t.score) for t in found.records.trials]


@pytest.fixture(autouse=True)
def processor_time(monkeypatch) -> None:
    for module in (fitting, time_budget):
        monkeypatch.setattr(module, "time", ProcessorTime)


@pytest.fixture
def clock(monkeypatch) -> Time:
    """The search's clock, moved by the test."""
    time = Time()
    monkeypatch.setattr(fitting, "time", time)
    monkeypatch.setattr(time_budget, "time", time)
    return time


@pytest.fixture(scope="module")
def searched(tmp_path_factory):
    """A search of three families that ran to its end."""
    out = tmp_path_factory.mktemp("searched") / "best"
    return autopilot(two_tastes(), out, QUICK), out


def test_the_winner_is_fitted_on_all_users_and_saved(searched) -> None:
    found, out = searched
    data = two_tastes()
    bundle = load_bundle(out)
    winner = found.leaderboard.winner
    assert found.bundle == out
    assert bundle.trained_on(data)
    assert bundle.model.n_train_users == data.n_users
    assert bundle.metadata.data["n_users"] == data.n_users
    assert bundle.metadata.algorithm == winner.family.algorithm
    assert bundle.metadata.settings["l2"] == winner.trial.settings["l2"]
    assert found.held_out.train.n_users < data.n_users


def test_the_winner_has_the_highest_validation_mean(searched) -> None:
    found, _ = searched
    trials = found.records.trials
    assert {t.family for t in trials} == set(LINEAR)
    assert len(trials) > 6
    best = max(t.score for t in trials if t.score is not None)
    assert found.leaderboard.winner.trial.score == best
    assert [r.trial.score for r in found.leaderboard.rows] == sorted(
        (r.trial.score for r in found.leaderboard.rows), reverse=True
    )


def test_the_leaderboard_is_what_evaluating_again_gives(searched) -> None:
    """The values per user on disk, the interval and the paired test are of the real model."""
    found, _ = searched
    board, held = found.leaderboard, found.held_out
    rows = {row.family.name: row for row in board.rows}
    row = rows["popularity"]
    from nearfar.algorithms.algorithm import make_algorithm

    models = {
        name: make_algorithm(r.family.algorithm, r.trial.settings).fit(held.train)
        for name, r in rows.items()
    }
    again = {name: evaluate(model, held.validation) for name, model in models.items()}
    metric = NDCG(100)
    np.testing.assert_allclose(row.measured.values(metric), again["popularity"].values(metric))
    pair = compare(again[board.winner.family.name], again["popularity"], metric)
    assert row.versus_winner.difference == pytest.approx(pair.difference)
    assert row.versus_winner.p == pytest.approx(pair.p)
    assert row.versus_winner.difference < 0
    assert row.trial.mib == 0.0
    assert rows["ease"].trial.mib == pytest.approx(4 * held.train.n_items**2 / 2**20)


def test_it_says_plainly_that_a_linear_model_wins(searched) -> None:
    found, _ = searched
    verdict = found.leaderboard.verdict()
    assert verdict.startswith("A linear model wins: ")
    assert "No autoencoder was measured" in verdict


def board_of(
    tmp_path: Path, epochs: int, left_out: dict[str, str], n_users: int = 240
) -> Leaderboard:
    """EASE above a Mult-VAE of so many epochs."""
    held = hold_out(two_tastes(n_users), 0)
    records = Records(tmp_path, {})
    for number, (family, algorithm) in enumerate(
        {"ease": EASE(l2=5.0), "multvae": Popularity()}.items()
    ):
        measured = evaluate(algorithm.fit(held.train), held.validation)
        score = measured.mean(NDCG(100))
        settings = {"epochs": epochs} if family == "multvae" else {"l2": 5.0}
        full = 20 if family == "multvae" else None
        record = Record(number, family, {}, settings, "complete", score, full_epochs=full)
        records.add(record, measured)
    records.left_out = left_out
    board = make_leaderboard(records, held.validation, "accuracy")
    assert board is not None
    return board


def test_it_says_how_far_behind_autoencoders_are(tmp_path: Path) -> None:
    verdict = board_of(tmp_path, 20, {}).verdict()
    assert verdict.startswith("A linear model wins: EASE, NDCG@100 .")
    assert "The best autoencoder, Mult-VAE, is ." in verdict
    assert "lower (p <.001)." in verdict
    assert "--minutes" not in verdict


def test_autoencoders_that_had_no_time_are_not_written_off(tmp_path: Path) -> None:
    few = board_of(tmp_path / "a", 3, {}).verdict()
    assert "or were left out: Mult-VAE. More --minutes" in few
    none = board_of(tmp_path / "b", 20, {"recvae": "would take about 9 min"}).verdict()
    assert "or were left out: RecVAE. More --minutes" in none


def test_it_says_that_few_users_tell_nothing(tmp_path: Path) -> None:
    verdict = board_of(tmp_path, 20, {}, n_users=12).verdict()
    assert verdict.endswith(
        "3 validation users cannot tell these families apart: no difference is significant."
    )
    assert "cannot tell" not in board_of(tmp_path / "more", 20, {}).verdict()


def test_short_histories_leave_enough_to_choose_by() -> None:
    """Of 6,000 users 5,400 have three items and 600 twenty: all kinds of users are held out."""
    rng = np.random.default_rng(0)
    chosen = [rng.choice(50, 3 if user % 10 else 20, replace=False) for user in range(6000)]
    held = hold_out(interactions(np.array([np.isin(np.arange(50), c) for c in chosen])), 0)
    assert held.test is not None
    assert held.validation.n_users == pytest.approx(600, abs=1)
    assert held.test.n_users == pytest.approx(600, abs=1)
    long = np.diff(held.train.x.indptr) == 20
    assert long.sum() > 400


@pytest.mark.slow
def test_it_says_how_much_worse_the_best_autoencoder_is(tmp_path: Path) -> None:
    options = AutopilotOptions(minutes=0.2, only=("edlae", "multvae"))
    board = autopilot(two_tastes(), tmp_path / "out", options).leaderboard
    verdict = board.verdict()
    if board.winner.family.kind == "linear":
        assert verdict.startswith("A linear model wins: EDLAE")
        assert "The best autoencoder, Mult-VAE" in verdict
    else:
        assert verdict.startswith("A variational autoencoder wins: Mult-VAE")
        assert "The best linear model, EDLAE, is" in verdict


def test_files_hold_the_result(searched) -> None:
    found, out = searched
    folder = out.with_name("best.autopilot")
    written = json.loads((folder / "leaderboard.json").read_text())
    assert written == json.loads(json.dumps(found.to_dict()))
    assert written["leaderboard"]["winner"] == found.leaderboard.winner.family.name
    assert len(json.loads((folder / "trials.json").read_text())["trials"]) == found.n_trials
    assert not (folder / "run").exists()
    assert not (folder / "current.json").exists()


def test_a_finished_search_fits_nothing_again(searched) -> None:
    found, out = searched
    fits = Fits()
    again = autopilot(two_tastes(), out, QUICK, reporting=fits)
    assert fits.titles == []
    assert outcome(again) == outcome(found)
    assert again.bundle == out


def test_a_stopped_search_goes_on_to_the_same_trials(clock: Time, tmp_path: Path) -> None:
    whole = autopilot(two_tastes(), tmp_path / "whole", QUICK, reporting=Fits(clock, 10.0))
    fits = Fits(clock, 10.0)
    fits.stop_at = 6
    out = tmp_path / "stopped"
    stopped = autopilot(two_tastes(), out, QUICK, reporting=fits)
    assert stopped.stop == "interrupted"
    assert stopped.bundle is None
    assert not out.exists()
    assert len(stopped.records.trials) == 5
    assert stopped.leaderboard.winner.trial.score is not None
    found = autopilot(two_tastes(), out, QUICK, reporting=Fits(clock, 10.0))
    assert found.stop is None
    n = min(found.n_trials, whole.n_trials)
    assert n > 15
    assert outcome(found)[:n] == outcome(whole)[:n]
    assert found.leaderboard.to_dict() == whole.leaderboard.to_dict()


def test_a_killed_fit_is_taken_up_where_it_was(tmp_path: Path) -> None:
    """A kill leaves current.json: the trial that was running is the next one."""
    fits = Fits()
    fits.stop_at, fits.error = 5, SystemExit()
    with pytest.raises(SystemExit):
        autopilot(two_tastes(), tmp_path / "o", QUICK, reporting=fits)
    begun = json.loads((tmp_path / "o.autopilot" / "current.json").read_text())
    found = autopilot(two_tastes(), tmp_path / "o", QUICK)
    trial = found.records.trials[4]
    assert (trial.family, trial.values) == (begun["family"], begun["values"])


def test_the_seed_decides_the_trials(searched, tmp_path: Path) -> None:
    whole, _ = searched
    other = autopilot(two_tastes(), tmp_path / "b", replace(QUICK, seed=1))
    assert outcome(other)[0] != outcome(whole)[0]


def test_the_budget_is_kept(clock: Time, tmp_path: Path) -> None:
    """Every fit takes 11 s of a budget of 2 minutes; time for the last fit is set aside."""
    fits = Fits(clock, seconds=11.0)
    options = AutopilotOptions(minutes=2.0, only=LINEAR)
    found = autopilot(two_tastes(), tmp_path / "o", options, reporting=fits)
    assert found.bundle is not None
    assert clock.now - 1000.0 <= 120.0
    assert 8 <= len(fits.titles) <= 10
    assert found.seconds <= 120.0


def test_the_budget_is_over_all_calls(clock: Time, tmp_path: Path) -> None:
    fits = Fits(clock, seconds=10.0)
    fits.stop_at = 5
    options = AutopilotOptions(minutes=2.0, only=LINEAR)
    autopilot(two_tastes(), tmp_path / "o", options, reporting=fits)
    fits.stop_at = None
    clock.now += 100_000.0  # the time between two calls is nobody's
    found = autopilot(two_tastes(), tmp_path / "o", options, reporting=fits)
    assert found.n_trials > 5
    assert 90.0 < found.seconds <= 120.0
    assert clock.now - 101_000.0 <= 120.0


def test_without_time_popularity_is_the_answer(clock: Time, tmp_path: Path) -> None:
    fits = Fits(clock, seconds=100.0)
    options = AutopilotOptions(minutes=1.0, only=LINEAR)
    found = autopilot(two_tastes(), tmp_path / "o", options, reporting=fits)
    assert found.leaderboard.winner.family.name == "popularity"
    assert set(found.leaderboard.left_out) == {"EASE", "EDLAE"}
    assert load_bundle(tmp_path / "o").metadata.algorithm == "popularity"


def test_what_does_not_fit_in_memory_is_left_out_with_the_reason(monkeypatch, tmp_path) -> None:
    rng = np.random.default_rng(0)
    x = random_array((300, 3000), density=0.01, rng=rng, format="csr")
    ids = Vocabulary([f"u{i}" for i in range(300)]), Vocabulary(list(range(3000)))
    data = Interactions(csr_array(x > 0).astype(np.float32), *ids)
    monkeypatch.setattr(memory, "available_bytes", lambda: 100 << 20)
    options = AutopilotOptions(minutes=0.03, only=("popularity", "ease", "plrec"))
    found = autopilot(data, tmp_path / "o", options)
    assert set(found.leaderboard.left_out) == {"EASE"}
    reason = found.leaderboard.left_out["EASE"]
    assert reason.startswith("needs about ")
    assert "100.0 MiB are available (225 users, 3,000 items)" in reason
    assert f"EASE is left out: {reason}." in str(found.leaderboard.table())
    assert found.leaderboard.to_dict()["left_out"] == {"EASE": reason}
    assert {t.family for t in found.records.trials} == {"popularity", "plrec"}


def test_many_users_leave_a_test_group_that_is_measured_once(monkeypatch, tmp_path) -> None:
    monkeypatch.setattr(held_out_users, "TEST_FROM_USERS", 200)
    said: list[str] = []
    options = AutopilotOptions(minutes=0.03, only=LINEAR)
    found = autopilot(two_tastes(), tmp_path / "o", options, say=said.append)
    held = found.held_out
    assert found.test["n_users"] == held.test.n_users
    groups = [held.train, held.validation.fold_in, held.test.fold_in]
    users = [set(g.user_ids.ids.to_list()) for g in groups]
    assert not users[0] & users[1]
    assert not users[0] & users[2]
    assert not users[1] & users[2]
    assert sum("test users, once" in line for line in said) == 1
    assert load_bundle(tmp_path / "o").metadata.metrics["test"]["n_users"] == held.test.n_users
    said.clear()
    again = autopilot(two_tastes(), tmp_path / "o", options, say=said.append)
    assert again.test == found.test
    assert not any("once" in line for line in said)


def test_the_goal_of_speed_takes_the_fastest_of_the_good(searched) -> None:
    from nearfar.experiments.autopilot.leaderboard import choose
    from nearfar.experiments.autopilot.records import Record

    def trial(number: int, score: float, speed: float) -> Record:
        return Record(number, "ease", {}, {}, "complete", score, users_per_second=speed)

    trials = [trial(0, 0.5, 10.0), trial(1, 0.495, 90.0), trial(2, 0.48, 500.0)]
    assert choose(trials, "accuracy").number == 0
    assert choose(trials, "speed").number == 1


def test_a_split_in_time_holds_out_the_last_events(tmp_path: Path) -> None:
    import polars as pl

    rng = np.random.default_rng(0)
    users, items = np.nonzero(two_tastes().x.toarray())
    frame = pl.DataFrame({"user": users, "item": items, "timestamp": rng.permutation(len(users))})
    log = read_log(frame)
    options = AutopilotOptions(minutes=0.03, only=LINEAR, time_split=True)
    found = autopilot(log, tmp_path / "o", options)
    assert found.held_out.protocol["kind"] == "by time"
    n = len(users)
    assert found.held_out.train.n_interactions == pytest.approx(0.8 * n, abs=2)
    assert found.test is not None
    assert load_bundle(tmp_path / "o").metadata.data["n_interactions"] == n
    with pytest.raises(SchemaError, match="needs timestamps"):
        autopilot(read_log(frame.drop("timestamp")), tmp_path / "p", options)


@pytest.mark.parametrize(
    ("changed", "told"),
    [({"seed": 2}, "other seed"), ({"only": ("ease",)}, "other families")],
)
def test_trials_of_another_search_are_refused(searched, changed, told) -> None:
    _, out = searched
    with pytest.raises(SettingsError, match=told):
        autopilot(two_tastes(), out, replace(QUICK, **changed))


def test_wrong_options_are_refused(tmp_path: Path) -> None:
    with pytest.raises(UnknownNameError, match="did you mean 'ease'"):
        AutopilotOptions(only=("easy",))
    with pytest.raises(SettingsError, match="minutes is 0"):
        AutopilotOptions(minutes=0)
    (tmp_path / "o").mkdir()
    (tmp_path / "o" / "mine.txt").write_text("mine")
    with pytest.raises(ArtefactError, match="is not a nearfar bundle"):
        autopilot(two_tastes(), tmp_path / "o", QUICK)


def test_the_page_shows_the_leaderboard_and_the_verdict(searched, tmp_path: Path) -> None:
    pytest.importorskip("plotly")
    found, _ = searched
    write_page(found, tmp_path / "report.html")
    text = (tmp_path / "report.html").read_text()
    assert found.leaderboard.verdict() in text
    for row in found.leaderboard.rows:
        assert row.family.label in text
    for heading in ("Leaderboard", "Search", "Data", "Settings"):
        assert f">{heading}</h2>" in text
    assert f"nearfar train {found.leaderboard.winner.family.algorithm}" in text
