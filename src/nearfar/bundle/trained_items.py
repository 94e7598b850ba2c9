"""Which items of a model were in its training, and which came later; needs no runtime."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any


def n_trained_items(data: Mapping[str, Any], n_items: int) -> int:
    """Return how many items the model was trained on; those that came later stand after them.

    Args:
        data: what a bundle or an export tells of its data, `About.data`.
        n_items: of the model.
    """
    added = data.get("new_items") or {}
    # A bundle that was extended before this number was written tells only what came last.
    return added.get("n_trained", n_items - added.get("n_new", 0))
