"""A bundle measured on the test users of a split."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Int

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import DataError
from nearfar.data.interactions import FoldIn, Split
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, evaluate
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.gini import Gini
from nearfar.metrics.metric import Metric
from nearfar.metrics.novelty import Novelty

K = 20
"""So many recommendations per user are looked at for what is in them."""

QUALITY = DEFAULT_METRICS
LISTS: tuple[Metric, ...] = (Coverage(K), Gini(K), Novelty(K))


@dataclass(frozen=True, eq=False)
class MeasuredBundle:
    """What a bundle does for the test users of a split.

    Args:
        bundle: the model, and where it comes from.
        test: the values of `QUALITY` and `LISTS`.
        shown: in how many test users' first `K` recommendations each item of the split stands.
        notes: what a reader must know of the measurement, one sentence each.
    """

    bundle: Bundle
    test: Evaluation
    shown: Int[np.ndarray, " items"]
    notes: tuple[str, ...] = ()


def measure(title: str, bundle: Bundle, split: Split) -> MeasuredBundle:
    """Rank for the test users who have something to find, and judge.

    Args:
        title: what the bundle is called.
        bundle: of any algorithm; items that the split lacks are recommended in vain.
        split: whose test users.

    Raises:
        DataError: the bundle knows fewer than half of what is to be found.
        EmptyDataError: no test user has anything to find that the bundle knows.
    """
    test, notes = split.test, []
    if bundle.items != test.fold_in.item_ids:
        test = test.on_items(bundle.items)
        lost = split.test.held_out.n_interactions - test.held_out.n_interactions
        if lost > 0.5 * split.test.held_out.n_interactions:
            raise DataError(
                f"{title} knows hardly any item of the split: {lost:,} of "
                f"{split.test.held_out.n_interactions:,} held-out interactions are of items that "
                "it cannot recommend; its numbers would compare with nothing; leave it out"
            )
        notes.append(
            f"{title} knows other items than the split: {lost:,} of "
            f"{split.test.held_out.n_interactions:,} held-out interactions are of items that it "
            "cannot recommend and are left out."
        )
    if not bundle.trained_on(split.train):
        notes.append(
            f"{title} was not trained on the training users of this split; it may have seen the "
            "users that it is measured on."
        )
    found = evaluate(bundle.model, test, [*QUALITY, *LISTS], name=title)
    return MeasuredBundle(bundle, found, _shown(bundle, test, split), tuple(notes))


def _shown(bundle: Bundle, test: FoldIn, split: Split) -> Int[np.ndarray, " items"]:
    users = np.flatnonzero(np.diff(test.held_out.x.indptr))
    ranked = bundle.model.top_k(test.fold_in.x[users], K).items
    counts = np.bincount(ranked[ranked >= 0], minlength=bundle.n_items)
    places = split.train.item_ids.index(bundle.items.ids)
    shown = np.zeros(split.train.n_items, np.int64)
    shown[places[places >= 0]] = counts[places >= 0]
    return shown
