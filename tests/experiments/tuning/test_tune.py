"""The search: stopped and gone on with it is the same, hopeless trials are given up on."""

import json
import sys
import tomllib
from pathlib import Path
from typing import cast

import numpy as np
import pytest

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.multvae import MultVAE
from nearfar.core.errors import MissingExtraError, SettingsError
from nearfar.evaluation.evaluate import evaluate
from nearfar.experiments.stopping import Budget
from nearfar.experiments.tuning import sampler
from nearfar.experiments.tuning import tune as module
from nearfar.experiments.tuning.sampler import Proposal, Pruned
from nearfar.experiments.tuning.space import Parameter, Space
from nearfar.experiments.tuning.trials import TuningTrial, best_of
from nearfar.experiments.tuning.tune import TuningSearch, tune
from nearfar.metrics.ndcg import NDCG
from nearfar.train.run import Run
from tests.experiments.reproduction.cases import Counting

pytest.importorskip("optuna")

TINY = {"n_latent": 4, "decoder_hidden": [8], "epochs": 6, "batch_size": 40, "patience": 0,
        "encoder": {"hidden": [8]}}  # fmt: skip
RATES = Space({"learning_rate": Parameter(1e-5, 0.1, log=True), "batch_size": Parameter(20, 60)})


def vae(folder: Path, **changed) -> TuningSearch:
    options = {"algorithm": "multvae", "folder": folder, "values": TINY, "space": RATES,
               "warm_up": 1}  # fmt: skip
    return TuningSearch(**options | changed)


def ease(folder: Path, **changed) -> TuningSearch:
    return TuningSearch(**{"algorithm": "ease", "folder": folder} | changed)


def outcome(trials) -> list[tuple]:
    """All but the times."""
    return [(t.number, t.state, t.values, t.score, t.epochs) for t in trials]


@pytest.fixture(scope="module")
def searched(clusters, tmp_path_factory):
    """A search of twelve trials of Mult-VAE that ran through."""
    folder = tmp_path_factory.mktemp("searched")
    return tune(vae(folder), *clusters, 12), folder


def test_the_first_trial_is_of_the_settings_as_they_are(searched, clusters) -> None:
    found, _ = searched
    rate = MultVAE(epochs=6, batch_size=40).resolved(clusters[0]).learning_rate
    assert found.trials[0].values == {"learning_rate": rate, "batch_size": 40}
    assert len({str(t.values) for t in found.trials}) == 12


def test_the_best_is_what_it_says_on_validation_users(searched, clusters) -> None:
    found, folder = searched
    train, validation = clusters
    assert found.best.score == max(t.score for t in found.trials if t.score is not None)
    assert found.best.score > found.trials[0].score
    text = (folder / "best.toml").read_text()
    algorithm = make_algorithm("multvae", tomllib.loads(text))
    model = algorithm.fit(train, validation, run=Run(seed=0))
    assert evaluate(model, validation).mean(NDCG(100)) == found.best.score
    assert f"{found.best.score:.4f}" in text
    assert tomllib.loads(text) == found.settings


def test_the_result_is_printed_best_first(searched) -> None:
    found, _ = searched
    lines = str(found).splitlines()
    assert lines[0].split() == ["trial", "validation", "NDCG@100", "epochs", *RATES.parameters]
    assert lines[1].split()[:2] == [str(found.best.number), f"{found.best.score:.4f}"]
    assert len(lines) == 11


def test_hopeless_trials_are_given_up_on(searched) -> None:
    found, _ = searched
    pruned = [t for t in found.trials if t.state == "pruned"]
    assert pruned
    for trial in pruned:
        assert 1 < len(trial.epochs) < 6
        assert trial.score is None
        before = [
            max(t.epochs[: len(trial.epochs)])
            for t in found.trials[: trial.number]
            if t.state == "complete"
        ]
        assert len(before) >= sampler.N_BEFORE_PRUNING
        assert max(trial.epochs) < np.median(before)
    whole = [t for t in found.trials if t.state == "complete"]
    assert all(len(t.epochs) == 6 for t in whole)


@pytest.mark.slow
def test_a_stopped_search_goes_on_to_the_same_trials(
    searched, clusters, tmp_path, monkeypatch
) -> None:
    """It is stopped in a training; the last trials are proposed by learning from the others."""
    budget = Budget(1000)
    monkeypatch.setattr(module, "Budget", lambda minutes: budget)
    counting = Counting(at=70, act=lambda: setattr(budget, "deadline", 0.0))
    found = tune(vae(tmp_path), *clusters, 12, reporting=counting)
    assert found.stop == "budget"
    assert len(found.trials) < 12
    assert (tmp_path / "run" / "checkpoint.safetensors").exists()
    monkeypatch.undo()
    done = len(found.trials)
    again = tune(vae(tmp_path), *clusters, done + 1)
    assert len(again.trials) == done + 1
    found = tune(vae(tmp_path), *clusters, 12)
    assert found.stop is None
    assert outcome(found.trials) == outcome(searched[0].trials)
    assert not (tmp_path / "run").exists()


def test_a_finished_search_fits_nothing_again(searched, clusters) -> None:
    found, folder = searched
    counting = Counting()
    again = tune(vae(folder), *clusters, 12, reporting=counting)
    assert counting.titles == []
    assert outcome(again.trials) == outcome(found.trials)


def test_the_seed_decides_the_trials(clusters, tmp_path: Path) -> None:
    runs = [
        outcome(tune(ease(tmp_path / str(i), seed=seed), *clusters, 12).trials)
        for i, seed in enumerate((3, 3, 4))
    ]
    assert runs[0] == runs[1]
    assert runs[0][1:] != runs[2][1:]
    kept = json.loads((tmp_path / "0" / "trials.json").read_text())
    assert len(kept["trials"]) == 12
    assert "versions" in kept["provenance"]


@pytest.mark.parametrize(
    ("changed", "told"),
    [
        ({"seed": 1}, "other seed"),
        ({"values": {"l2": 3}}, "other settings"),
        ({"space": Space({"l2": Parameter(1.0, 2.0)})}, "other space"),
    ],
)
def test_trials_of_another_search_are_refused(clusters, tmp_path, changed, told) -> None:
    tune(ease(tmp_path), *clusters, 1)
    with pytest.raises(SettingsError, match=told):
        tune(ease(tmp_path, **changed), *clusters, 2)


def test_trials_on_other_data_are_refused(clusters, tmp_path) -> None:
    train, validation = clusters
    tune(ease(tmp_path), train, validation, 1)
    with pytest.raises(SettingsError, match="other train"):
        tune(ease(tmp_path), train.take_users(np.arange(50)), validation, 2)


def test_settings_outside_the_space_are_tried_first_all_the_same(clusters, tmp_path) -> None:
    narrow = Space({"l2": Parameter(1.0, 2.0)})
    found = tune(ease(tmp_path, space=narrow, values={"l2": 500.0}), *clusters, 3)
    assert (found.trials[0].values, found.trials[0].told) == ({"l2": 500.0}, False)
    assert all(1 <= t.values["l2"] <= 2 for t in found.trials[1:])


def test_a_trial_that_fails_is_told_and_the_search_goes_on(clusters, tmp_path) -> None:
    wild = Space({"learning_rate": Parameter(choices=(1e30, 1e-2))})
    found = tune(vae(tmp_path, space=wild), *clusters, 6)
    failed = [t for t in found.trials if t.state == "failed"]
    assert failed
    assert all("diverged" in t.reason for t in failed)
    assert found.best.values in ({"learning_rate": 1e-2}, {"learning_rate": 1e-3})


def test_without_a_trial_that_came_through_there_is_no_best(tmp_path) -> None:
    assert best_of([TuningTrial(0, "pruned", {}), TuningTrial(1, "failed", {})]) is None
    assert (
        best_of(
            [TuningTrial(0, "complete", {}, score=1.0), TuningTrial(1, "complete", {}, score=1.0)]
        ).number
        == 0
    )


def test_proposals_learn_from_earlier_trials() -> None:
    """Of a hill at 300, later proposals are nearer to its top than random ones."""
    space = Space({"l2": Parameter(1.0, 1000.0)})
    trials: list[TuningTrial] = []
    for number in range(30):
        value = Proposal(space, trials, 0, 0).values["l2"]
        trials.append(TuningTrial(number, "complete", {"l2": value}, score=-abs(value - 300)))
    missed = [abs(t.values["l2"] - 300) for t in trials]
    assert np.mean(missed[15:]) < 0.7 * np.mean(missed[: sampler.N_RANDOM])


def test_no_trial_is_given_up_on_in_the_warm_up() -> None:
    space = Space({"l2": Parameter(1.0, 2.0)})
    good = [
        TuningTrial(i, "complete", {"l2": 1.0 + i / 10}, score=0.9, epochs=[0.9] * 5)
        for i in range(6)
    ]
    proposal = Proposal(space, good, 0, warm_up=2)
    proposal.judge(0.1)
    proposal.judge(0.1)
    with pytest.raises(Pruned):
        proposal.judge(0.1)


def test_without_optuna_it_says_what_to_install(clusters, tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    monkeypatch.setattr("nearfar.core.extras.find_spec", lambda name: None)
    with pytest.raises(MissingExtraError, match=r"nearfar tune needs optuna.*nearfar\[tune\]"):
        tune(ease(tmp_path), *clusters, 1)
    assert not list(tmp_path.iterdir())


def test_the_first_trial_has_the_values_computed_from_the_data(clusters, tmp_path: Path) -> None:
    train, _ = clusters
    first = tune(ease(tmp_path), *clusters, 1).trials[0]
    assert first.values == {"l2": EASE().resolved(train).l2, "user_exponent": 0.25}
    assert first.told


def test_a_file_of_the_space_is_read_and_a_class_is_answered_by_its_name(tmp_path: Path) -> None:
    (tmp_path / "space.toml").write_text("l2 = { low = 1.0, high = 2.0 }")
    search = TuningSearch("ease", tmp_path, space=str(tmp_path / "space.toml"))
    assert search.searched().parameters["l2"].high == 2.0
    for given in (EASE, EASE(l2=3)):
        with pytest.raises(SettingsError, match=r"expected a name, as 'ease', and settings"):
            TuningSearch(cast("str", given), tmp_path)
