"""CDAE: the users' nodes in training, and that the fitted model has none."""

from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file

from nearfar.algorithms.cdae import CDAE
from nearfar.algorithms.multdae import MultDAE
from nearfar.core.errors import SettingsError
from nearfar.train.callback import Callback
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Clean
from nearfar.vae.encoders.shallow import Shallow
from nearfar.vae.likelihoods.bernoulli import Bernoulli

SMALL = CDAE(n_latent=6, epochs=4, batch_size=50, learning_rate=0.01, l2=0.01)
NODES = "now.network.encoder.users.weight"


def checkpoint(folder: Path) -> dict[str, np.ndarray]:
    return load_file(folder / "checkpoint.safetensors")


@pytest.mark.slow
def test_every_training_user_with_items_gets_a_node(clusters, tmp_path) -> None:
    train, _ = clusters
    run = Run(device="cpu", folder=tmp_path, checkpoint_epochs=1)
    SMALL.fit(train, run=run)
    nodes = checkpoint(tmp_path)[NODES]
    assert nodes.shape == (train.n_users, 6)
    has_items = np.diff(train.x.indptr) > 0
    assert (np.abs(nodes[has_items]).max(1) > 0).all()
    assert np.abs(nodes[~has_items]).sum() == 0


def test_the_fitted_model_knows_no_users(clusters) -> None:
    train, validation = clusters
    model = SMALL.fit(train, validation, run=Run(device="cpu"))
    _, arrays = model.state()
    assert all(train.n_users not in array.shape for array in arrays.values())
    assert set(arrays) == {
        f"network.{name}"
        for name in ("encoder.first.weight", "encoder.first.bias",
                     "decoder.out.weight", "decoder.out.bias")
    }  # fmt: skip


def test_nodes_start_where_a_denoising_autoencoder_is(clusters) -> None:
    """In the first step, which all users make together, both have the same loss; later not."""
    train, _ = clusters
    shared = {"n_latent": 6, "epochs": 3, "batch_size": 500, "learning_rate": 0.01,
              "corruption": Clean(), "likelihood": Bernoulli(), "l2": 0.0}  # fmt: skip
    runs = []
    for algorithm in (CDAE(**shared), MultDAE(**shared, encoder=Shallow("tanh"))):
        run = Run(seed=3, device="cpu")
        algorithm.fit(train, run=run)
        runs.append([record.loss for record in run.history.records])
    assert runs[0][0] == pytest.approx(runs[1][0], rel=1e-6)
    assert runs[0][2] < runs[1][2] - 1e-3  # users with a node of their own are fitted better


def test_the_penalty_is_on_the_nodes_too(clusters, tmp_path) -> None:
    """Nodes of a stronger penalty are shorter."""
    train, _ = clusters
    lengths = []
    for l2 in (0.0, 10.0):
        folder = tmp_path / str(l2)
        algorithm = CDAE(n_latent=6, epochs=30, batch_size=500, learning_rate=0.01, l2=l2)
        algorithm.fit(train, run=Run(device="cpu", folder=folder, checkpoint_epochs=30))
        lengths.append(np.linalg.norm(checkpoint(folder)[NODES]))
    assert lengths[1] < 0.5 * lengths[0]


def test_a_resumed_run_ends_in_the_same_bits(clusters, tmp_path) -> None:
    class StopsAfterTwo(Callback):
        def epoch(self, record: EpochRecord, /) -> None:
            if record.epoch == 2:
                raise ConnectionError

    train, validation = clusters
    whole = SMALL.fit(train, validation, run=Run(seed=2, device="cpu"))
    stopping = Run(seed=2, device="cpu", folder=tmp_path, checkpoint_epochs=1,
                   callbacks=(StopsAfterTwo(),))  # fmt: skip
    with pytest.raises(ConnectionError):
        SMALL.fit(train, validation, run=stopping)
    resumed = SMALL.fit(
        train, validation, run=Run(seed=2, device="cpu", folder=tmp_path, resume=True)
    )
    x = validation.fold_in.x
    np.testing.assert_array_equal(resumed.score(x), whole.score(x))


@pytest.mark.parametrize("bad", [{"n_latent": 0}, {"l2": -1.0}, {"epochs": 0}])
def test_impossible_settings_are_refused(bad) -> None:
    with pytest.raises(SettingsError):
        CDAE(**bad)
