"""The likelihood without scores in memory against the one with them, by Triton's interpreter."""

import importlib
import sys

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.kernels.background import Background
from nearfar.kernels.memory import Workspace
from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import linear_multinomial_nll

with pytest.MonkeyPatch.context() as patch:
    patch.setenv("TRITON_INTERPRET", "1")  # read when Triton is imported too
    pytest.importorskip("triton")
    # Triton reads the source of its kernels, which checks of types must not wrap
    plain = [finder for finder in sys.meta_path if "jaxtyping" not in type(finder).__module__]
    patch.setattr(sys, "meta_path", plain)
    fused_softmax = importlib.import_module("nearfar.kernels.fused_softmax")

USERS, ITEMS, HIDDEN = 21, 75, 19
"""No multiples of a block's sizes."""


@pytest.fixture(autouse=True)
def small_blocks_interpreted(monkeypatch) -> None:
    monkeypatch.setenv("TRITON_INTERPRET", "1")
    for name, size in (("USERS", 16), ("ITEMS", 16), ("INPUTS", 16), ("TILES", 2)):
        monkeypatch.setattr(fused_softmax, name, size)
    monkeypatch.setattr(fused_softmax, "CHUNK_BYTES", 4 * USERS * 32)


@pytest.mark.parametrize("soft", [False, True])
@pytest.mark.parametrize(("dtype", "most"), [(None, 1e-5), (torch.float16, 5e-3)])
def test_loss_and_gradients_are_those_of_the_blocked_kernel(dtype, most, soft: bool) -> None:
    """In float16 too, since the interpreter does not know bfloat16."""
    rng = np.random.default_rng(0)
    rows = Rows.from_csr(csr_array((rng.random((USERS, ITEMS)) < 0.2).astype(np.float32)))
    alpha = torch.from_numpy(rng.random(USERS).astype(np.float32)) / 10
    background = Background(alpha, rows.counts + alpha * (ITEMS - rows.counts)) if soft else None
    upstream = torch.from_numpy(rng.random(USERS).astype(np.float32))
    found = []
    for fused in (False, True):
        generator = torch.Generator().manual_seed(1)
        hidden, weight, bias = (
            torch.randn(*size, generator=generator).requires_grad_()
            for size in ((USERS, HIDDEN), (ITEMS, HIDDEN), (ITEMS,))
        )
        workspace = Workspace(fused=fused, dtype=dtype if fused else None)
        nll = linear_multinomial_nll(hidden, weight, bias, rows, workspace, background=background)
        (nll * upstream).sum().backward()
        found.append((nll.detach(), hidden.grad, weight.grad, bias.grad))
        assert workspace.uses == (0 if fused else workspace.uses)
    for blocked, fused in zip(*found, strict=True):
        scale = float(blocked.abs().max())
        torch.testing.assert_close(fused / scale, blocked / scale, rtol=0, atol=most)


def test_scores_that_would_overflow_do_not() -> None:
    rows = Rows.from_csr(csr_array(np.eye(3, 40, dtype=np.float32)))
    hidden, weight = torch.full((3, 4), 50.0), torch.ones(40, 4)
    nll = fused_softmax.fused_multinomial_nll(hidden, weight, torch.zeros(40), rows)
    torch.testing.assert_close(nll, torch.full((3,), float(np.log(40))), rtol=0, atol=1e-3)
