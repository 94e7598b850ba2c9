"""The users of a split with all that is known of each."""

from __future__ import annotations

from typing import Literal

import numpy as np
import polars as pl
from scipy.sparse import csr_array, vstack

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split

Part = Literal["all", "train", "held-out"]


def whole_histories(split: Split, part: Part = "all") -> Interactions:
    """One whole history a user: of held-out users what was shown and what was held out.

    A user of several parts counts once, with the history of the latest: test, then validation,
    then training.

    Args:
        split: whose users.
        part: "held-out" leaves out those of training, "train" all others.
    """
    groups = []
    if part != "train":
        groups += [_whole(split.test), _whole(split.validation)]
    if part != "held-out":
        groups.append(split.train)
    taken = groups[0]
    for group in groups[1:]:
        new = np.flatnonzero(taken.user_ids.index(group.user_ids.ids) < 0)
        taken = _joined(taken, group.take_users(new))
    return taken


def _whole(part: FoldIn) -> Interactions:
    x = csr_array(part.fold_in.x + part.held_out.x)
    return Interactions(x, part.fold_in.user_ids, part.fold_in.item_ids)


def _joined(a: Interactions, b: Interactions) -> Interactions:
    ids = Vocabulary(pl.concat([a.user_ids.ids, b.user_ids.ids]))
    return Interactions(csr_array(vstack([a.x, b.x], format="csr")), ids, a.item_ids)
