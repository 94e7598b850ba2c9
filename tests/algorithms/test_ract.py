"""RaCT's three stages."""

from dataclasses import replace

import numpy as np
import pytest

from nearfar.algorithms.algorithm import make_algorithm, preset, presets
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.ract import RaCT
from nearfar.core.errors import SettingsError
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.likelihoods.multinomial import Multinomial
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal

SMALL = RaCT(
    n_latent=6,
    encoder=Base((12,)),
    decoder_hidden=(12,),
    pretraining_epochs=8,
    critic_epochs=12,
    joint_epochs=6,
    batch_size=20,
    learning_rate=0.02,
    critic_learning_rate=0.01,
    joint_learning_rate=0.002,
)


@pytest.fixture(scope="module")
def records(clusters) -> list[EpochRecord]:
    run = Run(seed=1, device="cpu")
    SMALL.fit(*clusters, run=run)
    return run.history.records


def test_every_stage_has_its_terms(records) -> None:
    expected = [{"reconstruction", "kl"}] * 8 + [{"critic"}] * 12 + [{"critic", "ranking"}] * 6
    assert [set(r.terms) for r in records] == expected


def test_the_critic_learns_while_the_network_rests_at_its_best(records) -> None:
    best = max(r.validation["NDCG@100"] for r in records[:8])
    last = records[7].validation["NDCG@100"]
    assert last != best
    assert [r.validation["NDCG@100"] for r in records[8:20]] == [best] * 12
    errors = [r.terms["critic"] for r in records[8:20]]
    assert errors[-1] < 0.6 * errors[0]


def test_the_network_moves_in_the_joint_stage(records) -> None:
    scores = {r.validation["NDCG@100"] for r in records[19:]}
    assert len(scores) > 1


def test_the_network_raises_what_a_critic_at_rest_expects(clusters) -> None:
    run = Run(seed=1, device="cpu")
    replace(SMALL, joint_epochs=8, critic_learning_rate=1e-8).fit(*clusters, run=run)
    values = [-r.terms["ranking"] for r in run.history.records[-8:]]
    assert np.mean(values[-3:]) > np.mean(values[:3])


def test_without_the_later_stages_it_is_mult_vae(clusters) -> None:
    alone = replace(SMALL, critic_epochs=0, joint_epochs=0)
    plain = MultVAE(
        n_latent=6,
        encoder=Base((12,)),
        decoder_hidden=(12,),
        epochs=8,
        batch_size=20,
        learning_rate=0.02,
        patience=0,
        likelihood=Multinomial(),
        initialiser=Xavier(),
        beta=LinearAnneal(),
        schedule=ConstantWeight(),
    )
    a, b = (
        algorithm.fit(*clusters, run=Run(seed=1, device="cpu")).state()
        for algorithm in (alone, plain)
    )
    assert a[0] == b[0]
    assert a[1].keys() == b[1].keys()
    for name, value in a[1].items():
        np.testing.assert_array_equal(value, b[1][name])


def test_the_fitted_model_is_the_network_alone(clusters) -> None:
    train, validation = clusters
    short = replace(SMALL, pretraining_epochs=1, critic_epochs=1, joint_epochs=1)
    model = short.fit(train, validation, run=Run(seed=1, device="cpu"))
    assert not any("critic" in name or "moments" in name for name in model.state()[1])


def test_without_validation_the_last_epoch_is_kept(clusters) -> None:
    run = Run(seed=1, device="cpu")
    replace(SMALL, pretraining_epochs=2, critic_epochs=2, joint_epochs=2).fit(clusters[0], run=run)
    assert run.history.best_epoch == 5


def test_presets_are_settings() -> None:
    published = make_algorithm("ract", preset("ract", "published"))
    assert published == RaCT(beta=type(RaCT().beta)(0.2, 40_000))
    for name in presets("ract"):
        assert isinstance(make_algorithm("ract", preset("ract", name)), RaCT)


@pytest.mark.parametrize(
    ("name", "value", "message"),
    [
        ("n_latent", 0, "n_latent is 0"),
        ("pretraining_epochs", 0, "pretraining_epochs is 0"),
        ("joint_epochs", -1, "joint_epochs is -1"),
        ("critic_learning_rate", 0.0, "learning_rate is 0"),
        ("batch_size", 0, "batch_size is 0"),
    ],
)
def test_bad_settings_are_refused(name: str, value: float, message: str) -> None:
    with pytest.raises(SettingsError, match=message):
        replace(SMALL, **{name: value})
