"""Where training begins."""

import math

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import make_algorithm, preset
from nearfar.algorithms.multvae import MultVAE
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Architecture
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Clean, Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.hierarchical import Hierarchical
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.initialisers.spectral import Spectral, leading_directions, orthonormal
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal


@pytest.mark.parametrize("condition", [1.0, 1e3, 1e5, 1e6, 1e7, 1e9, math.inf])
def test_a_basis_is_orthonormal_however_dependent_the_columns_are(condition: float) -> None:
    rng = torch.Generator().manual_seed(3)
    turn = torch.linalg.qr(torch.randn(20, 20, generator=rng)).Q
    lengths = torch.logspace(0, -math.log10(condition) if math.isfinite(condition) else -1, 20)
    if math.isinf(condition):
        lengths[12:] = 0
    a = (torch.randn(300, 20, generator=rng) * lengths) @ turn
    found = orthonormal(a)
    torch.testing.assert_close(found.T @ found, torch.eye(20), atol=1e-5, rtol=0)
    torch.testing.assert_close(found @ (found.T @ a), a, atol=5e-5, rtol=0)


def test_leading_directions_are_the_singular_vectors() -> None:
    rng = np.random.default_rng(0)
    tastes = rng.random((3, 40)) < 0.4
    x = (rng.random((200, 40)) < 0.1 + 0.6 * tastes[rng.integers(3, size=200)]).astype(np.float32)
    rows = Rows.from_csr(csr_array(x))
    values = torch.ones(len(rows.indices))
    found = leading_directions(rows, values, 3, 4, torch.Generator().manual_seed(0)).numpy()
    _, _, vt = np.linalg.svd(x, full_matrices=False)
    np.testing.assert_allclose(found.T @ found, np.eye(3), atol=1e-5)
    np.testing.assert_allclose(np.abs(np.sum(found * vt[:3].T, 0)), 1, atol=1e-3)


def test_biases_are_zero_where_scores_are_no_logarithms(clusters) -> None:
    """The weights are the same as with biases of popularity, and the decoder may be linear."""
    built = []
    for biases in ("zero", "popularity"):
        network = Architecture(24, 4, Base((6,)), (), Dropout()).build(
            torch.Generator().manual_seed(0)
        )
        Spectral(damping=0.4, biases=biases).apply(network, clusters[0].x, 0)
        built.append(network.decoder.out)
    assert (built[0].bias == 0).all()
    assert built[1].bias.abs().max() > 0.1
    assert torch.equal(built[0].weight, built[1].weight)
    assert built[0].weight.abs().sum() > 1


@pytest.mark.parametrize("hidden", [(12,), (12, 10)])
def test_histories_pass_through_as_a_linear_autoencoder(clusters, hidden) -> None:
    """With all other weights zero and small signals, logits are x~ V V' plus log popularity."""
    train, validation = clusters
    algorithm = MultVAE(n_latent=4, encoder=Base(hidden), decoder_hidden=(9, 8))
    network = Architecture(24, 4, Base(hidden), (9, 8), algorithm.corruption).build(
        torch.Generator().manual_seed(0)
    )
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    scale = 0.05  # tanh is nearly the identity there
    Spectral(scale=scale).apply(network, train.x, 0)
    x = validation.fold_in.x
    popularity = np.log(train.item_counts + 1.0)
    shown = x.toarray() / np.sqrt(np.maximum(x.toarray().sum(1, keepdims=True), 1))
    directions = network.decoder.out.weight.detach().numpy()[:, :4] / scale
    with torch.no_grad():
        logits = network(Rows.from_csr(x)).numpy()
        posterior = network.encode(Rows.from_csr(x))
    expected = shown @ directions @ directions.T * scale**2 + popularity - popularity.mean()
    np.testing.assert_allclose(logits, expected, atol=1e-5)
    assert (posterior.logvar == -3).all()


def test_damped_directions_are_those_of_histories_whose_popular_items_weigh_less(clusters) -> None:
    """Logits are x~ D^-a V V' D^a plus log popularity, with V of the damped x~ D^-a."""
    train, validation = clusters
    algorithm = MultVAE(n_latent=4, encoder=Base((9,)), decoder_hidden=())
    network = Architecture(24, 4, Base((9,)), (), algorithm.corruption).build(
        torch.Generator().manual_seed(0)
    )
    for parameter in network.parameters():
        torch.nn.init.zeros_(parameter)
    Spectral(scale=0.05, damping=0.5, iterations=30).apply(network, train.x, 0)

    def shown(x: csr_array) -> np.ndarray:
        return x.toarray() / np.sqrt(np.maximum(x.toarray().sum(1, keepdims=True), 1))

    counts = train.item_counts + 1.0
    damped = (counts / counts.mean()) ** -0.5
    leading = np.linalg.svd(shown(train.x) * damped)[2][:4].T
    x = validation.fold_in.x
    expected = (shown(x) * damped) @ leading @ leading.T / damped * 0.05**2
    with torch.no_grad():
        logits = network(Rows.from_csr(x)).numpy() - network.decoder.out.bias.detach().numpy()
    np.testing.assert_allclose(logits, expected, atol=1e-6)
    plain = np.linalg.svd(shown(train.x))[2][:4].T
    assert np.abs(expected - shown(x) @ plain @ plain.T * 0.05**2).max() > 1e-5
    for wrong in (-0.1, 1.1):
        with pytest.raises(SettingsError, match="damping"):
            Spectral(damping=wrong)


@pytest.mark.parametrize(
    ("encoder", "decoder_units"),
    [
        (Dense(7, 2), "tanh"),
        (Hierarchical(7), "gated"),
        (Base((7,), "gated"), "tanh"),
        (IAF(Dense(7, 2), 1, 8), "tanh"),
        (Base((7,)), "gated"),
    ],
)
def test_where_nothing_passes_popularity_is_all(clusters, encoder, decoder_units) -> None:
    train, _ = clusters
    architecture = Architecture(24, 4, encoder, (9,), Clean(), decoder_units)
    plain, started = (architecture.build(torch.Generator().manual_seed(0)) for _ in range(2))
    assert min(started.encoder.n_passed, started.decoder.n_passed) == 0
    Spectral(logvar=-2.0).apply(started, train.x, 0)
    popularity = np.log(train.item_counts + 1.0)
    np.testing.assert_allclose(
        started.decoder.out.bias.detach(), popularity - popularity.mean(), rtol=1e-5, atol=1e-6
    )
    for (name, before), after in zip(plain.named_parameters(), started.parameters(), strict=True):
        if name != "decoder.out.bias" and not name.endswith("head.bias"):
            assert torch.equal(before, after), name
    half = started.encoder.head.out_features // 2
    assert (started.encoder.head.bias[half:] == -2.0).all()
    assert torch.equal(started.encoder.head.bias[:half], plain.encoder.head.bias[:half])


def test_histories_pass_through_a_flow_in_order(clusters) -> None:
    """Open gates move nothing, so that the start is the one without a flow; also with one step."""
    train, validation = clusters
    logits = []
    for encoder in (Base((9,)), IAF(Base((9,)), 1, 8)):
        network = Architecture(24, 4, encoder, (), Clean()).build(torch.Generator().manual_seed(0))
        for parameter in network.parameters():
            torch.nn.init.zeros_(parameter)
        if isinstance(encoder, IAF):
            torch.nn.init.constant_(network.encoder.steps[0].out.bias[4:], 100)
        Spectral().apply(network, train.x, 0)
        logits.append(network(Rows.from_csr(validation.fold_in.x)).detach())
    torch.testing.assert_close(logits[0], logits[1])


def test_a_start_from_the_data_is_ahead_after_one_epoch(clusters) -> None:
    train, validation = clusters
    scores = {}
    for start in ("xavier", "spectral"):
        run = Run(seed=0)
        settings = {"n_latent": 4, "decoder_hidden": [8], "epochs": 1, "initialiser": start}
        make_algorithm("multvae", settings).fit(train, validation, run=run)
        scores[start] = run.history.records[0].validation["NDCG@100"]
    assert scores["spectral"] > scores["xavier"] + 0.05


def test_presets_are_settings(clusters) -> None:
    published = make_algorithm("multvae", preset("multvae", "published"))
    assert published == MultVAE(
        n_latent=200, encoder=Base((600,)), decoder_hidden=(600,), corruption=Dropout(0.5),
        likelihood=None, initialiser=Xavier(), beta=LinearAnneal(0.2, 40_000), epochs=200,
        batch_size=500, learning_rate=1e-3, patience=0, schedule=ConstantWeight(),
    )  # fmt: skip
    fast = make_algorithm("multvae", preset("multvae", "fast"))
    assert isinstance(fast.initialiser, Spectral)
    assert fast.epochs == fast.schedule.epochs
    with pytest.raises(UnknownNameError, match="preset of multvae 'fsat'; did you mean 'fast'"):
        preset("multvae", "fsat")
    with pytest.raises(UnknownNameError, match="known: none"):
        preset("popularity", "fast")


def test_bad_settings_are_refused() -> None:
    with pytest.raises(SettingsError, match="scale is -1"):
        Spectral(scale=-1.0)
