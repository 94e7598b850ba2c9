"""Lemma 2.4: W1(q_u, q_v) <= L_phi ||x_u - x_v||_1."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, SettingsError
from nearfar.kernels.rows import Rows
from nearfar.theory.encoder_lipschitz import lipschitz_upper_bound
from nearfar.theory.masking import pairwise_overlap
from nearfar.theory.transport import sampled_w1
from nearfar.vae.corruption.corruption import Clean, Corruption, Dropout, Mask
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.deeper import Deeper
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.encoder import Encoder, EncoderNetwork
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.posterior import DiagonalGaussian
from tests.theory.distances import lipschitz_from_pairs, pairwise_w2

N_USERS, N_ITEMS, N_LATENT = 14, 12, 3
SEEDS = st.integers(0, 10_000)
ENCODERS = [Base((7,)), Base((6, 5)), Deeper((5, 4, 6))]
CORRUPTIONS = [Mask(0.5), Clean(), Dropout(0.5)]


def make(
    settings: Encoder, corruption: Corruption, seed: int, scale: float
) -> tuple[EncoderNetwork, csr_array, DiagonalGaussian]:
    """Weights of any size, histories of any length with twins, neighbours and an empty one."""
    rng = np.random.default_rng(seed)
    dense = rng.random((N_USERS, N_ITEMS)) < rng.random((N_USERS, 1))
    dense[0] = False
    dense[2] = dense[1]
    dense[4] = dense[3]
    dense[4, 0] ^= True
    dense[5:8] = False
    dense[[5, 6, 7], [0, 1, 2]] = True  # one item each
    histories = csr_array(dense.astype(np.float32))
    torch_rng = torch.Generator().manual_seed(seed)
    encoder = settings.build(N_ITEMS, N_LATENT, torch_rng).double()
    with torch.no_grad():
        for parameter in encoder.parameters():
            parameter.mul_(scale)
        shown = corruption.clean(Rows.from_csr(histories))
        shown = type(shown)(shown.rows, shown.values.double())
        return encoder, histories, encoder(shown)


@pytest.mark.parametrize("corruption", CORRUPTIONS, ids=lambda c: type(c).__name__)
@pytest.mark.parametrize("settings", ENCODERS, ids=lambda s: f"{type(s).__name__}{s.hidden}")
@given(seed=SEEDS, scale=st.sampled_from([0.1, 1.0, 4.0]))
def test_upper_bound_is_never_violated(
    settings: Encoder, corruption: Corruption, seed: int, scale: float
) -> None:
    encoder, histories, q = make(settings, corruption, seed, scale)
    bound = lipschitz_upper_bound(encoder) * pairwise_overlap(histories)[0]
    assert (pairwise_w2(q) <= bound * (1 + 1e-6) + 1e-6).all()
    among = lipschitz_upper_bound(encoder, q)
    assert lipschitz_from_pairs(q, histories) <= among * (1 + 1e-6) + 1e-6
    assert among <= lipschitz_upper_bound(encoder) * (1 + 1e-9)


@given(SEEDS)
def test_masked_histories_are_histories(seed: int) -> None:
    """Eq. 5: the lemma for inputs under independent masks."""
    encoder, histories, _ = make(Base((7,)), Mask(0.5), seed, 2.0)
    shown = Mask(0.5).corrupt(Rows.from_csr(histories), torch.Generator().manual_seed(seed))
    with torch.no_grad():
        q = encoder(type(shown)(shown.rows, shown.values.double()))
    kept = shown.rows
    masked = csr_array(
        (shown.values.numpy(), kept.indices.numpy(), kept.indptr.numpy()), shape=histories.shape
    )
    bound = lipschitz_upper_bound(encoder) * pairwise_overlap(masked)[0]
    assert (pairwise_w2(q) <= bound * (1 + 1e-6) + 1e-6).all()


def test_bound_is_reached_by_a_linear_encoder_of_small_weights() -> None:
    """One unit, weights so small that tanh is linear, constant sigma: the norms are the slope."""
    encoder = Base((1,)).build(3, 1, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        encoder.first.weight.copy_(torch.tensor([[1e-4], [3e-4], [-2e-4]]))
        encoder.first.bias.zero_()
        encoder.head.weight.copy_(torch.tensor([[5.0], [0.0]]))
        histories = csr_array(np.array([[0, 0, 0], [0, 1, 0], [1, 0, 1]], np.float32))
        shown = Mask().clean(Rows.from_csr(histories))
        q = encoder(type(shown)(shown.rows, shown.values.double()))
    assert lipschitz_upper_bound(encoder) == pytest.approx(15e-4)
    assert lipschitz_from_pairs(q, histories) == pytest.approx(15e-4, rel=1e-5)


def test_layers_multiply() -> None:
    encoder = Base((1, 1)).build(2, 1, torch.Generator().manual_seed(0)).double()
    with torch.no_grad():
        encoder.first.weight.copy_(torch.tensor([[0.1], [0.3]]))
        encoder.middle[0].weight.fill_(2)
        encoder.head.weight.copy_(torch.tensor([[5.0], [0.0]]))
    assert lipschitz_upper_bound(encoder) == pytest.approx(0.3 * 2 * 5)


@given(SEEDS)
def test_lemma_2_4_holds_for_the_pairs_that_the_slope_is_of(seed: int) -> None:
    """With the slope of the sample, W1 by optimal transport is within the lemma's bound."""
    _, histories, q = make(Base((7,)), Mask(0.5), seed, 2.0)
    slope = lipschitz_from_pairs(q, histories)
    order = np.roll(np.arange(N_USERS), 1)
    other = DiagonalGaussian(q.mu[order], q.logvar[order])
    apart = pairwise_overlap(histories)[0][np.arange(N_USERS), order]
    n = 40
    error = 5 * (q.variance.sqrt() - other.variance.sqrt()).norm(dim=1).numpy() / np.sqrt(n)
    assert (sampled_w1(q, other, n) <= slope * apart + error + 1e-9).all()


def test_slope_is_the_steepest_pair_and_grows_with_the_sample() -> None:
    _, histories, q = make(Base((7,)), Mask(0.5), 3, 1.0)
    few = DiagonalGaussian(q.mu[:6], q.logvar[:6])
    assert lipschitz_from_pairs(few, histories[:6]) <= lipschitz_from_pairs(q, histories)
    dense = histories.toarray()
    points = torch.cat([q.mu, q.variance.sqrt()], 1).numpy()
    steepest = max(
        np.linalg.norm(points[u] - points[v]) / np.abs(dense[u] - dense[v]).sum()
        for u in range(N_USERS)
        for v in range(u)
        if (dense[u] != dense[v]).any()
    )
    assert lipschitz_from_pairs(q, histories) == pytest.approx(steepest)


@pytest.mark.parametrize("settings", [Base((7,), "gated"), Dense(7, 2), IAF(Base((7,)), 2, 10)])
def test_encoders_without_a_known_bound_are_refused(settings: Encoder) -> None:
    with pytest.raises(SettingsError, match="no upper bound"):
        lipschitz_upper_bound(settings.build(5, 2, torch.Generator().manual_seed(0)))


def test_samples_without_a_slope_are_refused() -> None:
    _, histories, q = make(Base((7,)), Mask(0.5), 3, 1.0)
    with pytest.raises(DataError, match="give one each"):
        lipschitz_from_pairs(q, histories[:3])
    twins = DiagonalGaussian(q.mu[1:3], q.logvar[1:3])
    with pytest.raises(DataError, match="equal"):
        lipschitz_from_pairs(twins, histories[1:3])
