"""Soft targets: the multinomial likelihood with a share of the weight on the unobserved items."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.kernels import softmax
from nearfar.kernels.background import Background
from nearfar.kernels.memory import Workspace
from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import linear_multinomial_nll
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.likelihoods.by_size import EXACT_ITEMS, BySize
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.likelihoods.multinomial import (
    Multinomial,
    SoftReconstruction,
    reconstruction,
    soft_targets,
)
from nearfar.vae.likelihoods.sampled import Sampled, SampledReconstruction
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step
from tests.vae import steps

N_HIDDEN = 4


def histories(seed: int, n_users: int = 7, n_items: int = 40) -> np.ndarray:
    """Random histories; the first user has nothing, the second all items, the third all but one."""
    x = (np.random.default_rng(seed).random((n_users, n_items)) < 0.15).astype(np.float64)
    x[0], x[1], x[2] = 0, 1, 1
    x[2, seed % n_items] = 0
    return x


def targets(x: np.ndarray, share: float) -> Tensor:
    """1 for own items; elsewhere alpha with alpha (I - N) = share N, but not above 1."""
    n, n_items = x.sum(1), x.shape[1]
    with np.errstate(divide="ignore", invalid="ignore"):
        alpha = np.where(n < n_items, np.minimum(1.0, share * n / (n_items - n)), 0.0)
    return torch.from_numpy(np.where(x > 0, 1.0, alpha[:, None]))


def dense(t: Tensor, logits: Tensor) -> Tensor:
    """-sum_i t_i log softmax(f)_i."""
    return -(t * torch.log_softmax(logits, 1)).sum(1)


def make_step(x: np.ndarray, seed: int, dtype: torch.dtype = torch.float64) -> Step:
    rng = torch.Generator().manual_seed(seed)
    hidden = torch.randn(len(x), N_HIDDEN, generator=rng).to(dtype).requires_grad_()
    output = OutputLayer(N_HIDDEN, x.shape[1], rng).to(dtype)
    torch.nn.init.normal_(output.weight, generator=rng)
    torch.nn.init.normal_(output.bias, generator=rng)
    return steps.make_step(
        Rows.from_csr(csr_array(x.astype(np.float32))), DiagonalGaussian(hidden, hidden), output,
        rng=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def gradients(loss: Tensor, step: Step) -> list[Tensor]:
    """Of losses that count differently, as alignment or batches of several workers make them."""
    by_user = torch.linspace(0.5, 2, len(loss), dtype=loss.dtype)
    parameters = (step.hidden, step.output.weight, step.output.bias)
    return list(torch.autograd.grad((loss * by_user).sum(), parameters))


@pytest.fixture(params=["one block", "many blocks", "shifted", "part of the users"])
def way(request, monkeypatch) -> str:
    """How the scores are computed: "shifted" is how a GPU does it."""
    if request.param == "many blocks":
        monkeypatch.setattr(softmax, "MIN_WIDTH", 16)
        monkeypatch.setattr(softmax, "BLOCK_BYTES", 1)
    if request.param == "shifted":
        monkeypatch.setattr(softmax, "SAFE_TOTALS", (1.0, 0.0))
    return request.param


@pytest.mark.parametrize("share", [0.01, 0.5, 1.0, 3.0])
@pytest.mark.parametrize("seed", range(3))
def test_loss_and_gradients_are_those_of_the_dense_definition(
    way: str, share: float, seed: int
) -> None:
    x = histories(seed)
    step = make_step(x, seed)
    if way == "part of the users":
        step.output.workspace.limit_bytes = 2 * x.shape[1] * 8
    expected = dense(targets(x, share), step.logits)
    got = SoftReconstruction(share)(step)
    torch.testing.assert_close(got, expected)
    for a, b in zip(gradients(got, step), gradients(expected, step), strict=True):
        torch.testing.assert_close(a, b)


@given(st.integers(0, 10_000), st.floats(0, 20))
def test_for_any_histories_and_share(seed: int, share: float) -> None:
    x = histories(seed, 5, 3 + seed % 23)
    step = make_step(x, seed)
    expected = dense(targets(x, share), step.logits)
    got = SoftReconstruction(share)(step)
    torch.testing.assert_close(got, expected)
    for a, b in zip(gradients(got, step), gradients(expected, step), strict=True):
        torch.testing.assert_close(a, b)


def test_it_is_the_formula() -> None:
    """-(1 - alpha) sum_{i in S} f_i - alpha sum_i f_i + (N + alpha (I - N)) logsumexp f."""
    x = histories(4)[3:]
    step = make_step(x, 4)
    f, n, n_items = step.logits, torch.from_numpy(x.sum(1)), x.shape[1]
    alpha = 0.7 * n / (n_items - n)
    own = (torch.from_numpy(x) * f).sum(1)
    mass = n + alpha * (n_items - n)
    expected = -(1 - alpha) * own - alpha * f.sum(1) + mass * f.logsumexp(1)
    torch.testing.assert_close(SoftReconstruction(0.7)(step), expected)


def test_the_gradient_agrees_with_finite_differences() -> None:
    rows = Rows.from_csr(csr_array(histories(1, 4, 6).astype(np.float32)))
    rng = torch.Generator().manual_seed(1)
    sizes = (4, N_HIDDEN), (6, N_HIDDEN), (6,)
    given_ = [torch.randn(*s, generator=rng).double().requires_grad_() for s in sizes]
    alpha = torch.tensor([0.0, 0.1, 0.4, 0.9], dtype=torch.float64)
    weights = torch.rand(6, generator=rng).double()
    background = Background(alpha, rows.counts + alpha, weights)
    own = torch.randn(len(rows.indices), generator=rng).double()

    def nll(hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
        return linear_multinomial_nll(hidden, weight, bias, rows, Workspace(), own, background)

    assert torch.autograd.gradcheck(nll, given_)


@given(st.integers(0, 10_000), st.floats(0.01, 5))
def test_the_background_has_its_share_of_a_user_s_weight(seed: int, share: float) -> None:
    x = histories(seed, 6, 500)
    rows = Rows.from_csr(csr_array(x.astype(np.float32)))
    found = soft_targets(rows, share, torch.zeros(0, dtype=torch.float64))
    n = torch.from_numpy(x.sum(1))
    usual = found.alpha < 1
    outside = found.alpha * (500 - n)
    torch.testing.assert_close(found.mass, n + outside)
    torch.testing.assert_close(outside[3:][usual[3:]], (share * n)[3:][usual[3:]])
    assert found.alpha[0] == found.alpha[1] == 0  # nothing, and everything
    assert float(found.alpha.max()) <= 1


def test_uniform_targets_at_the_bound_ask_for_uniform_scores() -> None:
    """A user with half of the catalogue and a large share has the same target for all items."""
    x = histories(0, 4, 20)
    x[3] = np.arange(20) % 2
    step = make_step(x, 0)
    (gradient,) = torch.autograd.grad(
        SoftReconstruction(50.0)(step)[3], step.output.bias, retain_graph=True
    )
    torch.testing.assert_close(gradient, 20 * torch.softmax(step.logits[3], 0) - 1)


def test_in_bfloat16_it_is_close_and_its_sums_are_float32() -> None:
    x = histories(2, 8, 300)
    step = make_step(x, 2, torch.float32)
    expected = SoftReconstruction(1.0)(step)
    wanted = gradients(expected, step)
    step.output.workspace.dtype = torch.bfloat16
    got = SoftReconstruction(1.0)(step)
    assert got.dtype == torch.float32
    torch.testing.assert_close(got, expected, rtol=0.02, atol=0.05)
    for a, b in zip(gradients(got, step), wanted, strict=True):
        assert float((a - b).norm() / b.norm()) < 0.02


def test_sampled_with_every_item_for_certain_is_exact(way: str) -> None:
    x = histories(3)
    step = make_step(x, 3)
    if way == "part of the users":
        step.output.workspace.limit_bytes = 2 * x.shape[1] * 8
    shares = torch.zeros(x.shape[1], dtype=torch.float64)
    got = SampledReconstruction(shares, 5000, background=0.8)(step)
    expected = SoftReconstruction(0.8)(step)
    torch.testing.assert_close(got, expected, rtol=1e-6, atol=1e-6)
    for a, b in zip(gradients(got, step), gradients(expected, step), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5)


def sparse_histories(seed: int, n_users: int = 6, n_items: int = 60) -> np.ndarray:
    shares = np.linspace(0.3, 0.01, n_items)
    return (np.random.default_rng(seed).random((n_users, n_items)) < shares).astype(np.float64)


def test_sampled_loss_does_not_change_with_a_number_added_to_all_scores() -> None:
    x = sparse_histories(5)
    step = make_step(x, 5)
    term = SampledReconstruction(torch.from_numpy(x.mean(0)), 8, background=1.0)
    before = term(step)
    gradient = torch.autograd.grad(before.sum(), step.output.bias)[0]
    assert abs(float(gradient.sum())) < 1e-9
    with torch.no_grad():
        step.output.bias.add_(3)
    step.rng.manual_seed(5)
    torch.testing.assert_close(term(step), before)


@pytest.mark.slow
def test_sampled_sum_of_the_scores_outside_is_near_the_exact_one() -> None:
    """Over draws and other users' histories, the mean is the exact sum but for a ratio's bias."""
    share, n = 2.0, 400
    shares = torch.from_numpy(np.linspace(0.3, 0.01, 60))
    own = torch.from_numpy(sparse_histories(0)[0])
    soft, hard = (SampledReconstruction(shares, 60, background=b) for b in (share, 0.0))
    found, scores = [], torch.zeros(60)
    for seed in range(n):
        x = sparse_histories(seed + 1)
        x[0] = own.numpy()
        step, same = make_step(x, 11), make_step(x, 11)
        step.rng.manual_seed(seed)
        same.rng.manual_seed(seed)
        scores = step.logits[0].detach()
        published = hard(same)[0]
        log_z = (published + (own * scores).sum()) / own.sum()
        # both terms have the same log Z: what is left is -alpha times the sum of the scores
        found.append(float((soft(step)[0] - published - share * own.sum() * log_z).detach()))
    alpha = share * own.sum() / (60 - own.sum())
    exact = float(-alpha * ((1 - own) * scores).sum())
    error = np.std(found) / np.sqrt(n)
    assert np.mean(found) == pytest.approx(exact, abs=4 * error + 0.02 * abs(exact))
    assert error < 0.02 * abs(exact)


def test_without_a_background_the_term_is_the_published_one() -> None:
    catalogue = TrainingCounts(np.ones(9, np.int64), 4)
    assert Multinomial().term(catalogue) is reconstruction
    assert BySize(background=0.0).term(catalogue) is reconstruction
    assert Multinomial(1.0).term(catalogue) == SoftReconstruction(1.0)


def test_by_size_passes_its_settings_on() -> None:
    likelihood = BySize(background=0.7, negatives=99)
    assert likelihood.of(TrainingCounts(np.ones(EXACT_ITEMS, np.int64), 1)) == Multinomial(0.7)
    assert likelihood.of(TrainingCounts(np.ones(EXACT_ITEMS + 1, np.int64), 1)) == Sampled(99, 0.7)


@pytest.mark.parametrize("kind", [Multinomial, Sampled, BySize])
def test_a_negative_background_is_refused(kind) -> None:
    with pytest.raises(SettingsError, match="background is -1"):
        kind(background=-1.0)
