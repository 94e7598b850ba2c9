"""The likelihood at the output layer, block by block, against the plain dense way."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels import products, softmax
from nearfar.kernels.background import Background
from nearfar.kernels.gradients import DenseGradient, ParameterTable
from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import Workspace, linear_multinomial_nll

N_HIDDEN = 6


def batch(seed: int, n_users: int = 9, n_items: int = 300) -> np.ndarray:
    """Random histories; the first user has nothing, the second one item, the third all."""
    rng = np.random.default_rng(seed)
    x = (rng.random((n_users, n_items)) < rng.choice([0.01, 0.1, 0.5])).astype(np.float32)
    x[0] = 0
    x[1] = 0
    x[1, rng.integers(n_items)] = 1
    x[2] = 1
    return x


def layer(seed: int, n_users: int, n_items: int) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """Hidden units, weights, biases, and the users' weights in the loss."""
    rng = torch.Generator().manual_seed(seed)
    sizes = (n_users, N_HIDDEN), (n_items, N_HIDDEN), (n_items,)
    hidden, weight, bias = (torch.randn(*s, generator=rng).requires_grad_() for s in sizes)
    return hidden, weight, bias, torch.rand(n_users, generator=rng)


def plain(x: np.ndarray, hidden: Tensor, weight: Tensor, bias: Tensor) -> Tensor:
    log_p = torch.log_softmax(hidden @ weight.T + bias, 1)
    return -(torch.from_numpy(x).to(log_p.dtype) * log_p).sum(1)


def gradients(nll: Tensor, by_user: Tensor, *parameters: Tensor) -> list[Tensor]:
    return list(torch.autograd.grad((nll * by_user).sum(), parameters))


@pytest.fixture(params=["one block", "many blocks"])
def blocks(request, monkeypatch) -> None:
    if request.param == "many blocks":
        monkeypatch.setattr(softmax, "MIN_WIDTH", 32)
        monkeypatch.setattr(softmax, "BLOCK_BYTES", 1)


@pytest.mark.usefixtures("blocks")
@pytest.mark.parametrize("limit", [1 << 30, 4 * 300 * 4], ids=["all users", "four users"])
@pytest.mark.parametrize("seed", range(5))
def test_losses_and_gradients_are_the_plain_ones(limit: int, seed: int) -> None:
    x = batch(seed)
    hidden, weight, bias, by_user = layer(seed, *x.shape)
    expected = plain(x, hidden, weight, bias)
    nll = linear_multinomial_nll(
        hidden, weight, bias, Rows.from_csr(csr_array(x)), Workspace(limit_bytes=limit)
    )
    torch.testing.assert_close(nll, expected, rtol=1e-5, atol=1e-4)
    got = gradients(nll, by_user, hidden, weight, bias)
    for a, b in zip(got, gradients(expected, by_user, hidden, weight, bias), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-5 * float(b.abs().max()))


@given(st.integers(0, 10_000))
def test_gradients_in_float64_agree_with_autograd(seed: int) -> None:
    x = batch(seed, 5, 40)
    hidden, weight, bias, by_user = (t.detach().double() for t in layer(seed, *x.shape))
    parameters = [t.requires_grad_() for t in (hidden, weight, bias)]
    nll = linear_multinomial_nll(*parameters, Rows.from_csr(csr_array(x)), Workspace())
    expected = plain(x, *parameters)
    torch.testing.assert_close(nll, expected)
    got = gradients(nll, by_user, *parameters)
    for a, b in zip(got, gradients(expected, by_user, *parameters), strict=True):
        torch.testing.assert_close(a, b)


@pytest.mark.parametrize("scale", [1e3, 1e30])
def test_scores_that_overflow_are_shifted(scale: float) -> None:
    x = batch(0)
    hidden, weight, bias, _ = layer(0, *x.shape)
    hidden = (hidden * scale).detach()
    nll = linear_multinomial_nll(hidden, weight, bias, Rows.from_csr(csr_array(x)), Workspace())
    expected = plain(x, hidden, weight, bias)
    torch.testing.assert_close(nll, expected, rtol=1e-4, atol=1.0)
    vanishing = linear_multinomial_nll(
        torch.zeros_like(hidden), weight, bias - 200, Rows.from_csr(csr_array(x)), Workspace()
    )
    torch.testing.assert_close(
        vanishing, plain(x, torch.zeros_like(hidden), weight, bias), rtol=1e-4, atol=1e-2
    )


def test_a_second_pass_before_the_first_one_s_gradient_does_no_harm() -> None:
    x = batch(1)
    hidden, weight, bias, by_user = layer(1, *x.shape)
    rows, workspace = Rows.from_csr(csr_array(x)), Workspace()
    first = linear_multinomial_nll(hidden, weight, bias, rows, workspace)
    other = linear_multinomial_nll(2 * hidden, weight, bias, rows, workspace)
    expected = gradients(plain(x, hidden, weight, bias), by_user, hidden, weight, bias)
    for a, b in zip(gradients(first, by_user, hidden, weight, bias), expected, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-4)
    doubled = gradients(plain(x, 2 * hidden, weight, bias), by_user, weight)
    torch.testing.assert_close(
        gradients(other, by_user, weight)[0], doubled[0], rtol=1e-5, atol=1e-4
    )


def test_a_graph_can_be_differentiated_twice() -> None:
    x = batch(2)
    hidden, weight, bias, _ = layer(2, *x.shape)
    rows = Rows.from_csr(csr_array(x))
    total = linear_multinomial_nll(hidden, weight, bias, rows, Workspace()).sum()
    first = torch.autograd.grad(total, hidden, retain_graph=True)
    second = torch.autograd.grad(total, hidden)
    torch.testing.assert_close(first, second, rtol=1e-5, atol=1e-4)


def test_bfloat16_is_close_and_its_sums_are_float32() -> None:
    x = batch(3)
    hidden, weight, bias, by_user = layer(3, *x.shape)
    workspace = Workspace(dtype=torch.bfloat16)
    nll = linear_multinomial_nll(hidden, weight, bias, Rows.from_csr(csr_array(x)), workspace)
    expected = plain(x, hidden, weight, bias)
    assert nll.dtype == torch.float32
    torch.testing.assert_close(nll, expected, rtol=0.02, atol=0.05)
    got = gradients(nll, by_user, hidden, weight, bias)
    for a, b in zip(got, gradients(expected, by_user, hidden, weight, bias), strict=True):
        assert a.dtype == torch.float32
        assert float((a - b).norm() / b.norm()) < 0.02


def test_the_scores_memory_is_bounded_and_kept() -> None:
    x = batch(4, n_users=40)
    hidden, weight, bias, _ = layer(4, *x.shape)
    workspace = Workspace(limit_bytes=7 * 300 * 4)
    rows = Rows.from_csr(csr_array(x))
    kept = set()
    for _ in range(3):
        linear_multinomial_nll(hidden, weight, bias, rows, workspace).sum().backward()
        assert workspace._memory is not None
        assert workspace._memory.numel() * 4 <= 7 * 300 * 4
        kept.add(workspace._memory.data_ptr())
    assert len(kept) == 1


def test_an_attached_gradient_takes_the_weights_share() -> None:
    x = batch(5)
    hidden, weight, bias, _ = layer(5, *x.shape)
    rows = Rows.from_csr(csr_array(x))
    expected = gradients(plain(x, hidden, weight, bias), torch.ones(len(x)), weight)[0]
    weight = ParameterTable(weight.detach())
    weight.gradient = gradient = DenseGradient(weight)
    for _ in range(2):  # the second time over what the first one left
        gradient.clear()
        linear_multinomial_nll(hidden, weight, bias, rows, Workspace()).sum().backward()
        assert weight.grad is None
        gathered = gradient.gathered()
        assert gathered is not None
        torch.testing.assert_close(gathered, expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("weighted", [False, True])
def test_bfloat16_is_close_with_targets_outside_of_the_history_too(weighted: bool) -> None:
    x = batch(5)
    hidden, weight, bias, by_user = layer(5, *x.shape)
    popularity = torch.rand(x.shape[1]) if weighted else None
    alpha = torch.rand(len(x)) / 10
    alpha[0] = 0  # together with an empty history: nothing is expected of this user
    dense = alpha[:, None] * (torch.ones(x.shape[1]) if popularity is None else popularity)
    targets = torch.where(torch.from_numpy(x) > 0, 1.0, dense)
    background = Background(alpha, targets.sum(1), popularity)
    expected = -(targets * torch.log_softmax(hidden @ weight.T + bias, 1)).sum(1)
    rows = Rows.from_csr(csr_array(x))
    nll = linear_multinomial_nll(
        hidden, weight, bias, rows, Workspace(dtype=torch.bfloat16), background=background
    )
    torch.testing.assert_close(nll, expected, rtol=0.02, atol=0.05)
    got = gradients(nll, by_user, hidden, weight, bias)
    for a, b in zip(got, gradients(expected, by_user, hidden, weight, bias), strict=True):
        assert float((a - b).norm() / b.norm()) < 0.02


def test_rounded_weights_are_as_new_as_the_weights_and_their_memory_is_kept() -> None:
    x = batch(6)
    hidden, weight, bias, _ = layer(6, *x.shape)
    workspace, rows = Workspace(dtype=torch.bfloat16), Rows.from_csr(csr_array(x))
    kept = set()
    for _ in range(3):
        linear_multinomial_nll(hidden, weight, bias, rows, workspace).sum().backward()
        with torch.no_grad():
            weight += 1
        assert workspace._rounded is not None
        assert torch.equal(workspace._rounded, (weight - 1).bfloat16())
        kept.add(workspace._rounded.data_ptr())
    assert len(kept) == 1
    workspace.release()
    assert workspace._rounded is None


def test_blocks_are_narrow_where_threads_of_mkl_would_wait_for_each_other(monkeypatch) -> None:
    cpu = torch.device("cpu")
    monkeypatch.setattr(products, "_onednn_is_faster", lambda: False)
    assert softmax.block_width(500, 20_000, torch.float32, cpu) == products.MKL_COLUMNS
    assert softmax.block_width(500, 700, torch.float32, cpu) == 700
    assert softmax.block_width(2_000, 20_000, torch.float32, cpu) < products.MKL_COLUMNS
    assert softmax.block_width(32, 20_000, torch.float32, cpu) > products.MKL_COLUMNS
    assert softmax.block_width(500, 20_000, torch.bfloat16, cpu) > products.MKL_COLUMNS
    monkeypatch.setattr(products, "_onednn_is_faster", lambda: True)
    assert softmax.block_width(500, 20_000, torch.float32, cpu) > products.MKL_COLUMNS
