"""Presets say all that the defaults may change, and mean what they meant when they were written."""

import dataclasses
import json

import numpy as np
import pytest

from nearfar.algorithms.algorithm import make_algorithm, presets
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.recipe import FEWEST_EPOCHS, MOST_EPOCHS, TRAINING_STEPS
from nearfar.algorithms.recvae import RecVAE
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments
from nearfar.vae.likelihoods.by_size import BySize
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.likelihoods.multinomial import Multinomial
from nearfar.vae.likelihoods.sampled import Sampled

CHOSEN_ANEW = (
    "epochs", "batch_size", "learning_rate", "schedule", "beta", "likelihood", "initialiser",
    "patience",
)  # fmt: skip

PUBLISHED_SETTINGS = {
    "kind": "multvae", "n_latent": 200,
    "encoder": {"kind": "base", "hidden": [600], "units": "tanh"},
    "decoder_hidden": [600], "decoder_units": "tanh",
    "corruption": {"kind": "dropout", "keep_prob": 0.5}, "prior": {"kind": "normal"},
    "likelihood": None, "initialiser": {"kind": "xavier"},
    "beta": {"kind": "linear_anneal", "end": 0.2, "steps": 40000, "epochs": 0},
    "alignment": None, "epochs": 200, "batch_size": 500, "learning_rate": 0.001, "patience": 0,
    "noise": True, "schedule": {"kind": "constant", "value": 1.0}, "optimiser": None,
}  # fmt: skip
PUBLISHED_PLAN = {
    "epochs": 200, "batch_size": 500, "learning_rate": 0.001, "patience": 0,
    "schedule": {"value": 1.0}, "optimiser": "adam", "weight_decay": 0.0, "noise": True,
    "phases": [{
        "moves": [], "terms": [], "passes": 1, "corrupt": True, "learning_rate": None,
        "first_epoch": 0, "end_epoch": None, "renews_prior": True, "from_best": False,
    }],
}  # fmt: skip
"""What checkpoints of `--preset published` hold since before there were soft targets."""


@pytest.mark.parametrize("name", ["multvae", "recvae"])
def test_presets_name_every_setting_whose_default_is_chosen_from_data(name: str) -> None:
    for section, values in presets(name).items():
        if "+" not in section:
            assert set(CHOSEN_ANEW) <= set(values), section


def test_a_checkpoint_of_published_settings_is_still_of_the_same_run() -> None:
    algorithm = make_algorithm("multvae", presets("multvae")["published"])
    assert isinstance(algorithm, AutoencoderAlgorithm)
    assert settings.to_plain(algorithm) == PUBLISHED_SETTINGS
    catalogue = TrainingCounts(np.ones(9, np.int64), 4)
    plan = json.loads(json.dumps(dataclasses.asdict(algorithm.plan(catalogue))))
    assert plan == PUBLISHED_PLAN
    assert (
        settings.build(MultVAE, {k: v for k, v in PUBLISHED_SETTINGS.items() if k != "kind"})
        == algorithm
    )


def test_likelihoods_without_soft_targets_are_written_as_before() -> None:
    assert settings.to_plain(Multinomial()) == {"kind": "multinomial"}
    assert settings.to_plain(Sampled()) == {"kind": "sampled", "negatives": 8192}
    soft = settings.to_plain(MultVAE(likelihood=Sampled(9, 0.5)))
    assert soft["likelihood"] == {"kind": "sampled", "negatives": 9, "background": 0.5}
    plain = {k: v for k, v in soft.items() if k != "kind"}
    assert settings.build(MultVAE, plain).likelihood == Sampled(9, 0.5)


@pytest.mark.parametrize("cls", [MultVAE, RecVAE])
def test_the_background_is_set_without_naming_the_likelihood(cls) -> None:
    made = settings.build(cls, parse_assignments(["likelihood.background=0.25"]))
    assert made.likelihood == BySize(background=0.25)  # negatives as they are


def test_one_setting_of_a_part_leaves_the_rest_of_the_default() -> None:
    words = ["schedule.epochs=20", "beta.end=0.4", "likelihood.negatives=99"]
    made = settings.build(RecVAE, parse_assignments([words[0], words[2]]))
    assert made.schedule == dataclasses.replace(RecVAE().schedule, epochs=20)
    assert made.likelihood == BySize(background=0.3, negatives=99)
    beta = settings.build(MultVAE, parse_assignments(words)).beta
    assert beta == dataclasses.replace(MultVAE().beta, end=0.4)


@pytest.mark.parametrize(
    ("n_users", "epochs"),
    [
        (10, MOST_EPOCHS),
        (250 * 30, TRAINING_STEPS // 30),
        (250 * 30 + 1, -(-TRAINING_STEPS // 31)),
        (1_000_000, FEWEST_EPOCHS),
    ],
)
def test_epochs_follow_from_the_number_of_steps(n_users: int, epochs: int) -> None:
    catalogue = TrainingCounts(np.ones(9, np.int64), n_users)
    assert MultVAE(batch_size=250).plan(catalogue).epochs == epochs
    assert MultVAE(batch_size=250, epochs=3, epochs_scale=2).plan(catalogue).epochs == 3
    assert MultVAE(batch_size=250, epochs_scale=1.5).plan(catalogue).epochs == round(1.5 * epochs)


def test_the_units_of_the_decoder_are_written_where_they_were_before() -> None:
    assert settings.to_plain(MultVAE())["decoder_units"] == "tanh"
    assert "decoder_units" not in settings.to_plain(RecVAE())
    gated = settings.to_plain(RecVAE(decoder_units="gated"))
    assert gated["decoder_units"] == "gated"
    assert settings.build(RecVAE, {"decoder_units": "gated"}) == RecVAE(decoder_units="gated")
