"""From training data to a saved bundle."""

from __future__ import annotations

import pytest

import nearfar as nf
from nearfar.algorithms import recipe
from nearfar.bundle.training import train_bundle
from nearfar.data.splits.hold_out import hold_out_users
from nearfar.data.synthetic import synthetic_interactions
from nearfar.experiments.demo import run_trial


@pytest.fixture
def short(monkeypatch) -> nf.Split:
    """Data whose default is two epochs, and twice as many for the richer network."""
    monkeypatch.setattr(recipe, "FEWEST_EPOCHS", 2)
    monkeypatch.setattr(recipe, "MOST_EPOCHS", 2)
    train, held_out = hold_out_users(synthetic_interactions("200x60x2000", seed=3), 0.25)
    return nf.Split(train, held_out, held_out)


def test_each_network_that_is_tried_has_the_length_that_the_data_give_it(short, tmp_path) -> None:
    run = nf.Run(device="cpu")
    found = train_bundle(
        nf.MultVAE(), short.train, short.validation, tmp_path / "bundle", run=run, protocol={}
    )
    assert [attempt.epochs for attempt in run.history.attempts] == [2, 4, 2]
    kept = found.bundle.metadata.settings
    assert kept["epochs"] == len(run.history.records)
    assert kept["learning_rate"] > 0


def test_a_trial_tries_the_same_networks(short) -> None:
    run = nf.Run(device="cpu")
    trial = run_trial("Mult-VAE", nf.MultVAE(), short, run)
    assert [attempt.epochs for attempt in run.history.attempts] == [2, 4, 2]
    assert trial.algorithm.epochs == len(trial.records)
