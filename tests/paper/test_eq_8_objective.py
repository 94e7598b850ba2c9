"""Eq. 8: the objective is the weighted sum; at lambda_A = 0 it is Eq. 1."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.algorithms.hvamp import HVamp
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.recvae import RecVAE
from nearfar.kernels.rows import Rows
from nearfar.train.run import Run
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.weight import Progress


def small(alignment: PIA | None) -> MultVAE:
    return MultVAE(
        n_latent=4,
        decoder_hidden=(8,),
        beta=ConstantWeight(0.3),
        epochs=3,
        batch_size=16,
        alignment=alignment,
    )


def test_loss_is_the_weighted_sum_of_terms() -> None:
    algorithm = small(PIA(weight=0.7))
    x = csr_array((np.random.default_rng(0).random((6, 9)) < 0.4).astype(np.float32))
    objective = algorithm.objective(TrainingCounts(np.ones(9, np.int64), 6), seed=0)
    from nearfar.models.autoencoder import Architecture

    network = Architecture(
        9, 4, algorithm.encoder, algorithm.decoder_hidden, algorithm.corruption
    ).build(torch.Generator().manual_seed(0))
    step = network.training_step(Rows.from_csr(x), torch.Generator().manual_seed(1))
    loss, terms = objective(step, objective.weights(Progress()))
    assert set(terms) == {"reconstruction", "kl", "alignment"}
    expected = terms["reconstruction"] + 0.3 * terms["kl"] + 0.7 * terms["alignment"]
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)


PLAIN = {
    "multvae": small(None),
    "recvae": RecVAE(n_latent=4, encoder=Dense(8, 2), epochs=2, batch_size=16),
    "hvamp": HVamp(n_latent=4, hidden=8, pseudo_inputs=5, epochs=2, batch_size=16),
}


@pytest.mark.parametrize("algorithm", PLAIN.values(), ids=PLAIN)
def test_alignment_of_weight_zero_is_plain_to_the_bit(algorithm, clusters) -> None:
    train, validation = clusters
    plain = algorithm.fit(train, validation, run=Run(seed=5))
    aligned = replace(algorithm, alignment=PIA(weight=0.0))
    zero = aligned.fit(train, validation, run=Run(seed=5))
    histories = validation.fold_in.x
    np.testing.assert_array_equal(plain.score(histories), zero.score(histories))


def test_alignment_of_positive_weight_is_not_plain(clusters) -> None:
    train, validation = clusters
    plain = small(None).fit(train, validation, run=Run(seed=5))
    aligned = small(PIA(weight=2.0)).fit(train, validation, run=Run(seed=5))
    histories = validation.fold_in.x
    assert np.abs(plain.score(histories) - aligned.score(histories)).max() > 1e-3


def test_scoring_does_not_read_the_anchors(clusters) -> None:
    train, validation = clusters
    model = small(PIA(weight=2.0)).fit(train, validation, run=Run(seed=5))
    before = model.score(validation.fold_in.x)
    assert model.anchors is not None
    model.anchors[:] = 1e6
    np.testing.assert_array_equal(before, model.score(validation.fold_in.x))
