"""WARP and LambdaNet: what their losses do to a fitted model, and their settings."""

import numpy as np
import pytest
from scipy.sparse import csr_array

from nearfar.algorithms.lambdanet import LambdaNet
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.warp import WARP
from nearfar.core.errors import SettingsError
from nearfar.train.run import Run
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.weights.constant import ConstantWeight

SHORT = {"n_latent": 6, "epochs": 2, "batch_size": 50, "learning_rate": 0.01}


def test_warp_is_linear_in_the_history(clusters) -> None:
    """Scores less those of the bias are sums over the items, over the square root of their number.

    Histories are L2-normalised and there is no hidden unit.
    """
    train, validation = clusters
    model = WARP(**SHORT).fit(train, validation, run=Run(device="cpu"))
    single = np.eye(train.n_items, dtype=np.float32)
    bias = model.network.decoder(model.network.encoder.first.bias[None]).detach().numpy()[0]
    of_item = model.score(csr_array(single)) - bias
    x = validation.fold_in.x
    expected = x @ of_item / np.sqrt(np.diff(x.indptr))[:, None] + bias
    np.testing.assert_allclose(model.score(x), expected, atol=1e-5)


def test_lambdanet_has_the_network_of_mult_vae() -> None:
    assert LambdaNet().objective(TrainingCounts(np.ones(30, np.int64), 3), 0).terms.keys() == {
        "ranking",
        "kl",
    }
    assert LambdaNet().encoder == MultVAE().encoder
    assert LambdaNet().decoder_hidden == MultVAE().decoder_hidden


def test_beta_weighs_the_kl_term(clusters) -> None:
    train, _ = clusters
    nats = []
    for beta in (0.0, 100.0):
        run = Run(device="cpu")
        LambdaNet(**SHORT, beta=ConstantWeight(beta)).fit(train, run=run)
        nats.append(run.history.records[-1].terms["kl"])
    assert nats[1] < 0.5 * nats[0]


@pytest.mark.parametrize(
    ("algorithm", "bad"),
    [
        (WARP, {"tries": 0}),
        (WARP, {"margin": -1.0}),
        (WARP, {"l2": -1e-3}),
        (LambdaNet, {"sigma": 0.0}),
        (LambdaNet, {"sampled": 0}),
        (LambdaNet, {"top": -1}),
        (LambdaNet, {"decoder_hidden": (0,)}),
    ],
)
def test_impossible_settings_are_refused(algorithm, bad) -> None:
    with pytest.raises(SettingsError):
        algorithm(**bad)
