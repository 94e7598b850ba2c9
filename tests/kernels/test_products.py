"""Products are the same whichever library makes them, and so are their gradients."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nearfar.kernels import products
from nearfar.kernels.products import Linear, affine_into, linear, multiply_into, times

WAYS = [False]
if hasattr(torch.ops.mkldnn, "_linear_pointwise") and torch.backends.mkldnn.is_available():
    WAYS.append(True)


@pytest.fixture(params=WAYS, ids=lambda onednn: "oneDNN" if onednn else "plain")
def onednn(request, monkeypatch) -> bool:
    monkeypatch.setattr(products, "_onednn_is_faster", lambda: request.param)
    return request.param


def normal(seed: int, *shape: int) -> torch.Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def check(found: torch.Tensor, exact: torch.Tensor, terms: int) -> None:
    """Equal but for what adding up so many terms in float32 can cost."""
    torch.testing.assert_close(found.double(), exact, rtol=1e-5, atol=1e-5 * terms**0.5)


SIZES = [(1, 1, 1), (3, 5, 2), (64, 33, 130), (500, 600, 1024), (0, 4, 3), (4, 3, 0)]


@pytest.mark.parametrize(("n", "k", "m"), SIZES)
def test_products_are_those_of_float64(onednn: bool, n: int, k: int, m: int) -> None:
    a, b, bias = normal(0, n, k), normal(1, m, k), normal(2, m)
    exact = a.double() @ b.double().T
    check(times(a, b.T), exact, k)
    check(times(a.T.contiguous().T, b.T.contiguous()), exact, k)
    out = torch.full((n, 2 * m), 7.0)[:, :m]  # columns of something wider
    affine_into(out, a, b, bias)
    check(out, exact + bias.double(), k)
    multiply_into(out, a, b.T, add=False)
    check(out, exact, k)
    multiply_into(out, a, b.T, add=True)
    check(out, 2 * exact, k)


@pytest.mark.skipif(True not in WAYS, reason="this PyTorch has no oneDNN")
def test_onednn_gets_no_columns_of_wider_matrices(monkeypatch) -> None:
    """For these it has only its reference, which is hundreds of times as slow."""
    monkeypatch.setattr(products, "_onednn_is_faster", lambda: True)
    operator, dense = torch.ops.mkldnn._linear_pointwise, []

    def recorded(x, weight, *rest):
        dense.append(weight.is_contiguous() or weight.T.is_contiguous())
        return operator(x, weight, *rest)

    monkeypatch.setattr(torch.ops.mkldnn, "_linear_pointwise", recorded)
    wide, other = normal(0, 50, 40), normal(1, 50, 30)
    half, thirds = wide[:, :20], other[:, ::3]
    check(times(other.T, half), other.double().T @ half.double(), 50)
    check(times(half.T, thirds), half.double().T @ thirds.double(), 50)
    found = linear(half, wide[:, 20:], torch.zeros(50), once=True)
    check(found, half.double() @ wide[:, 20:].double().T, 20)
    assert dense == [True] * 3


def test_a_more_precise_sum_of_rough_products(onednn: bool) -> None:
    a, b = normal(0, 20, 30).bfloat16(), normal(1, 30, 40).bfloat16()
    out = torch.ones(20, 40)
    multiply_into(out, a, b, add=True)
    torch.testing.assert_close(out, 1 + (a @ b).float())


@pytest.mark.parametrize("once", [True, False])
def test_gradients_are_those_of_autograd(onednn: bool, once: bool) -> None:
    given = [normal(0, 40, 30), normal(1, 20, 30), normal(2, 20)]
    outer = normal(3, 40, 20)
    own = [t.clone().requires_grad_() for t in given]
    exact = [t.double().requires_grad_() for t in given]
    (linear(*own, once=once) * outer).sum().backward()
    (nn.functional.linear(*exact) * outer.double()).sum().backward()
    for one, other in zip(own, exact, strict=True):
        check(one.grad, other.grad, 40)


def test_a_layer_that_does_not_train_can_be_differentiated_twice(onednn: bool) -> None:
    layer = nn.Sequential(Linear(4, 3), nn.Tanh()).eval()
    x = normal(0, 5, 4).requires_grad_()
    (slope,) = torch.autograd.grad(layer(x).sum(), x, create_graph=True)
    (curve,) = torch.autograd.grad(slope.square().sum(), x)
    assert curve.abs().sum() > 0


def test_parameters_that_rest_get_no_gradient(onednn: bool) -> None:
    layer = Linear(4, 3)
    layer.weight.requires_grad_(False)
    layer(normal(0, 5, 4)).sum().backward()
    assert layer.weight.grad is None
    torch.testing.assert_close(layer.bias.grad, torch.full((3,), 5.0))


@pytest.mark.skipif(len(WAYS) == 1, reason="this PyTorch has no oneDNN")
@given(st.integers(0, 10_000), st.integers(1, 70), st.integers(1, 70), st.integers(1, 70))
def test_both_ways_agree(seed: int, n: int, k: int, m: int) -> None:
    a, b = normal(seed, n, k), normal(seed + 1, k, m)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(products, "_onednn_is_faster", lambda: True)
        one = times(a, b)
        patch.setattr(products, "_onednn_is_faster", lambda: False)
        torch.testing.assert_close(one, times(a, b), rtol=1e-5, atol=1e-5)
