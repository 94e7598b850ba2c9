"""Weights of interactions in the likelihoods, against the plain dense way."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.kernels.rows import Rows, SparseMatrix
from nearfar.kernels.softmax import Workspace, linear_multinomial_nll
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.likelihoods.bernoulli import bernoulli
from nearfar.vae.likelihoods.gaussian import GaussianLoss
from nearfar.vae.likelihoods.multinomial import SoftReconstruction, soft_targets
from nearfar.vae.likelihoods.sampled import SampledReconstruction
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step
from tests.vae.steps import make_step

RNG = np.random.default_rng(4)
WEIGHTS = np.where(RNG.random((7, 30)) < 0.3, RNG.uniform(0.2, 4, (7, 30)), 0).astype(np.float32)
WEIGHTS[0] = 0
OWN = torch.from_numpy(WEIGHTS > 0)


def targets(share: float) -> torch.Tensor:
    """Weights of own items, alpha for the others, alpha (I - N) = `share` times the weights."""
    w = torch.from_numpy(WEIGHTS).double()
    others = (~OWN).sum(1, keepdim=True)
    alpha = (share * w.sum(1, keepdim=True) / others).clamp(max=1)
    return torch.where(OWN, w, alpha)


def step(seed: int = 0) -> tuple[Step, torch.Tensor, torch.Tensor]:
    """A step of the weighted rows, its latents, and its dense log-odds."""
    rng = torch.Generator().manual_seed(seed)
    z = torch.randn(7, 4, generator=rng).requires_grad_()
    output = OutputLayer(4, 30, rng)
    rows = Rows.from_csr(csr_array(WEIGHTS))
    made = make_step(rows, DiagonalGaussian(z, torch.zeros(7, 4)), output, hidden=z, rng=rng)
    return made, z, z @ output.weight.T + output.bias


@pytest.mark.parametrize("share", [0.0, 0.7])
@pytest.mark.parametrize("limit", [1 << 30, 4 * 30 * 3], ids=["at once", "in parts"])
def test_the_multinomial_likelihood_counts_targets_by_weight(share: float, limit: int) -> None:
    made, z, logits = step()
    rows = made.histories
    background = soft_targets(rows, share, z) if share else None
    workspace = Workspace(limit_bytes=limit)
    workspace.fused = True  # the kernel without scores knows no weights, and is not taken
    nll = linear_multinomial_nll(
        z, made.output.weight, made.output.bias, rows, workspace, background=background
    )  # fmt: skip
    expected = -(targets(share) * torch.log_softmax(logits.double(), 1)).sum(1)
    torch.testing.assert_close(nll.double(), expected, rtol=1e-5, atol=1e-4)
    by_user = torch.rand(7)
    for parameter in (z, made.output.weight, made.output.bias):
        got, wanted = (
            torch.autograd.grad((n * by_user).sum(), parameter, retain_graph=True)[0]
            for n in (nll, expected)
        )
        torch.testing.assert_close(got, wanted.to(got), rtol=1e-4, atol=1e-5)


def test_the_sampled_likelihood_with_all_items_is_the_exact_one() -> None:
    made, _, _ = step()
    exact = SoftReconstruction(0.7)(made)
    sampled = SampledReconstruction(torch.ones(30), 2000, 0.7)(made)
    torch.testing.assert_close(sampled, exact, rtol=1e-4, atol=1e-4)


def test_the_other_likelihoods_multiply_the_terms_of_own_items() -> None:
    made, _, logits = step()
    w = torch.where(OWN, torch.from_numpy(WEIGHTS), 1.0)
    softplus = torch.nn.functional.softplus
    expected = (w * torch.where(OWN, softplus(-logits), softplus(logits))).sum(1)
    torch.testing.assert_close(bernoulli(made), expected)
    c = torch.where(OWN, torch.from_numpy(WEIGHTS), 0.3)
    expected = 0.5 * (c * (OWN.float() - logits) ** 2).sum(1)
    torch.testing.assert_close(GaussianLoss(0.3)(made), expected)


def test_rows_keep_their_weights_however_they_are_taken() -> None:
    x = csr_array(WEIGHTS)
    chosen = np.array([5, 1, 3])
    expected = torch.from_numpy(x[chosen].data)
    rows = Rows.from_csr(x, chosen)
    for found in (rows, rows.transposed(), SparseMatrix.from_csr(x).take(chosen),
                  Rows.from_csr(csr_array(x[[5, 1, 3, 2]])).part(0, 3)):  # fmt: skip
        assert found.weights is not None
        torch.testing.assert_close(found.weights, expected)
    assert Rows.from_csr(csr_array((WEIGHTS > 0).astype(np.float32))).weights is None
