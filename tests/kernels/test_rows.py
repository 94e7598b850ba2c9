"""Sparse rows against dense arithmetic."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.sparse import csr_array

from nearfar.kernels.rows import Rows
from nearfar.kernels.sparse import WeightedRows, mean_of_rows


@given(st.integers(0, 10_000))
def test_rows_products_and_means_agree_with_dense(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.random((7, 11)) < 0.3).astype(np.float32)
    picked = rng.permutation(7)[:4]
    rows = Rows.from_csr(csr_array(x), picked)
    values = torch.from_numpy(rng.random(len(rows.indices)).astype(np.float32))
    weight = torch.from_numpy(rng.normal(size=(11, 3)).astype(np.float32))
    dense = torch.zeros(4, 11)
    dense[rows.users, rows.indices] = values
    assert rows.n_users == 4
    np.testing.assert_array_equal((dense != 0).numpy() | False, x[picked] > 0)
    torch.testing.assert_close(WeightedRows(rows, values).product(weight), dense @ weight)
    sums = torch.from_numpy(x[picked]) @ weight
    torch.testing.assert_close(
        mean_of_rows(rows, weight), sums / rows.counts.clamp(min=1)[:, None], atol=1e-6, rtol=1e-5
    )


def test_gradient_reaches_only_the_rows_present() -> None:
    rows = Rows.from_csr(csr_array(np.array([[1, 0, 1, 0]], np.float32)))
    weight = torch.ones(4, 2, requires_grad=True)
    WeightedRows(rows, torch.tensor([2.0, 3.0])).product(weight).sum().backward()
    assert weight.grad is not None
    np.testing.assert_array_equal(weight.grad.numpy(), [[2, 2], [0, 0], [3, 3], [0, 0]])


@given(st.integers(0, 10_000))
def test_entries_that_are_kept_and_their_transpose(seed: int) -> None:
    rng = np.random.default_rng(seed)
    x = (rng.random((6, 9)) < 0.4).astype(np.float32)
    rows = Rows.from_csr(csr_array(x))
    kept = torch.from_numpy(rng.random(len(rows.indices)) < 0.5)
    dense = torch.zeros(6, 9)
    dense[rows.users[kept], rows.indices[kept]] = 1
    fresh = rows.where(kept)
    thinned = rows.transposed().where(kept)
    for result in (fresh, thinned):
        again = torch.zeros(6, 9)
        again[result.users, result.indices] = 1
        torch.testing.assert_close(again, dense)
        by_item = result.by_item
        assert by_item.indices.tolist() == result.indices[by_item.order].tolist()
        assert by_item.users.tolist() == result.users[by_item.order].tolist()
        assert by_item.items[by_item.inverse].tolist() == by_item.indices.tolist()
        counts = dense.sum(0)
        assert by_item.items.tolist() == counts.nonzero()[:, 0].tolist()
        assert by_item.indptr.diff().tolist() == counts[by_item.items].tolist()


def test_parts_of_rows() -> None:
    rows = Rows.from_csr(csr_array(np.tril(np.ones((5, 5), np.float32))))
    part = rows.part(1, 3)
    assert part.indices.tolist() == [0, 1, 0, 1, 2]
    assert part.indptr.tolist() == [0, 2, 5]
