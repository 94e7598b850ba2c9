"""Users whom several models are examined on."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import EmptyDataError
from nearfar.core.seeding import generator
from nearfar.data.interactions import Interactions


def common_sample(
    everyone: Interactions, bundles: Iterable[Bundle], n_users: int, seed: int
) -> Interactions:
    """Random users who have an item that every bundle knows, in their order.

    Raises:
        EmptyDataError: there is no such user.
    """
    able = np.ones(everyone.n_users, dtype=bool)
    for bundle in bundles:
        same = everyone.item_ids == bundle.items
        seen = everyone if same else everyone.on_items(bundle.items)
        able &= np.diff(seen.x.indptr) > 0
    rows = np.flatnonzero(able)
    if not len(rows):
        raise EmptyDataError("no user of the split has an item that all the bundles know")
    if len(rows) > n_users:
        rows = np.sort(generator(seed, "diagnose").choice(rows, n_users, replace=False))
    return everyone.take_users(rows)
