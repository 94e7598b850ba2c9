"""Batches made ahead."""

import threading

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.kernels.rows import Rows, SparseMatrix
from nearfar.train.feed import Feed


def matrix() -> csr_array:
    return csr_array((np.random.default_rng(0).random((23, 11)) < 0.3).astype(np.float32))


def test_batches_are_the_rows_of_the_order() -> None:
    x = matrix()
    order = np.random.default_rng(1).permutation(23)
    feed = Feed(x, torch.device("cpu"))
    found = list(feed.batches(order, 5))
    assert [rows.n_users for rows in found] == [5, 5, 5, 5, 3]
    for i, rows in enumerate(found):
        dense = torch.zeros(rows.n_users, 11)
        dense[rows.users, rows.indices] = 1
        expected = x[np.sort(order[5 * i : 5 * i + 5])].toarray()
        np.testing.assert_array_equal(dense.numpy(), expected)
    later = list(feed.batches(order, 5, first=3))
    assert [rows.indices.tolist() for rows in later] == [r.indices.tolist() for r in found[3:]]


def test_the_transpose_made_ahead_is_the_one_made_on_demand() -> None:
    x = matrix()
    (ahead,) = Feed(x, torch.device("cpu")).batches(np.arange(23), 23)
    assert ahead.transpose is not None
    plain = Rows.from_csr(x)
    assert plain.transpose is None
    for name in ("items", "indptr", "users", "indices", "order", "inverse"):
        assert getattr(ahead.by_item, name).tolist() == getattr(plain.by_item, name).tolist(), name


def test_a_matrix_kept_on_a_device_gives_the_same_rows() -> None:
    x = matrix()
    picked = np.array([3, 4, 9, 22])
    taken = SparseMatrix.from_csr(x).take(picked)
    sliced = Rows.from_csr(x, picked)
    assert taken.indices.tolist() == sliced.indices.tolist()
    assert taken.indptr.tolist() == sliced.indptr.tolist()


def test_a_feed_left_early_leaves_no_thread() -> None:
    batches = Feed(matrix(), torch.device("cpu")).batches(np.arange(23), 2)
    next(batches)
    batches.close()
    assert not [t for t in threading.enumerate() if t.name.startswith("nearfar-feed")]


def test_an_error_in_the_thread_reaches_the_loop() -> None:
    feed = Feed(matrix(), torch.device("cpu"))
    with pytest.raises(IndexError):
        list(feed.batches(np.array([99]), 1))
