"""Mult-DAE: Mult-VAE without noise and KL, and with a penalty on matrices."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from nearfar.algorithms.multdae import MultDAE
from nearfar.algorithms.multvae import MultVAE
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.weights.constant import ConstantWeight
from tests.paper.recording import recording
from tests.vae.networks import dense_of

SHARED = {"n_latent": 4, "epochs": 3, "batch_size": 32, "learning_rate": 0.01}


@pytest.mark.parametrize(
    ("encoder", "decoder_hidden"),
    [(Base((8,)), ()), (Base((8, 6), "gated"), (7,)), (Dense(8, 2), ())],
)
def test_multvae_without_noise_and_kl_is_multdae_to_the_bit(
    clusters, encoder, decoder_hidden
) -> None:
    train, validation = clusters
    parts = {"encoder": encoder, "decoder_hidden": decoder_hidden, **SHARED}
    dae = MultDAE(l2=0.0, **parts)
    vae = MultVAE(
        noise=False,
        beta=ConstantWeight(0.0),
        likelihood=None,
        initialiser=Xavier(),
        schedule=ConstantWeight(),
        **parts,
    )
    x = validation.fold_in.x
    expected = dae.fit(train, validation, run=Run(seed=4)).score(x)
    without = vae.fit(train, validation, run=Run(seed=4)).score(x)
    np.testing.assert_array_equal(expected, without)
    for other in (replace(vae, noise=True), replace(vae, beta=ConstantWeight(0.5))):
        scores = other.fit(train, validation, run=Run(seed=4)).score(x)
        assert np.abs(scores - expected).max() > 1e-3


def test_penalty_is_l2_times_the_squared_length_of_matrices(clusters) -> None:
    """Training again with the penalty in the loss, as published, gives the same weights."""
    train, _ = clusters
    l2 = 0.05
    algorithm = MultDAE(encoder=Base((8,)), l2=l2, **SHARED)
    with recording() as steps:
        model = algorithm.fit(train, run=Run(seed=4))
    vae = model.architecture.build(torch.Generator())
    vae.load_state_dict(steps[0].weights)
    adam = torch.optim.Adam(vae.parameters(), lr=algorithm.learning_rate)
    for taken in steps:
        assert taken.corrupt
        assert not taken.noise
        shown = dense_of(vae.corruption.corrupt(taken.rows, taken.rng))
        logits = vae.decoder(vae.encoder.of_dense(shown).mu)
        nll = -(torch.log_softmax(logits, 1) * taken.dense).sum(1).mean()
        matrices = [p for p in vae.parameters() if p.ndim == 2]
        adam.zero_grad()
        (nll + l2 * torch.stack([m.square().sum() for m in matrices]).sum()).backward()
        adam.step()
    fitted = dict(model.network.named_parameters())
    for name, expected in vae.named_parameters():
        torch.testing.assert_close(fitted[name], expected, atol=1e-4, rtol=1e-3, msg=name)


def test_published_penalty_is_the_default() -> None:
    """.01 for a batch of 500, whose loss is a mean over its users."""
    assert MultDAE().l2 == pytest.approx(0.01 / 500)
    assert MultDAE().plan().weight_decay == pytest.approx(2 * 0.01 / 500)
