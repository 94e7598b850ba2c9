"""The shared batches of a worker, here the only one."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.cluster.feed import SharedFeed
from nearfar.cluster.team import Team


@pytest.mark.parametrize("first", range(5))
def test_what_is_left_of_a_pass_may_be_nothing(first: int) -> None:
    """Of seven users in batches of two a checkpoint may stand after any batch, the last too."""
    x = csr_array(np.eye(7, dtype=np.float32))
    feed = SharedFeed(x, torch.device("cpu"), Team(torch.device("cpu")), with_items=False)
    order = np.array([6, 0, 3, 2, 5, 1, 4])
    sizes = [rows.n_users for rows in feed.batches(order, 2, first)]
    assert sizes == [2, 2, 2, 1][first:]
