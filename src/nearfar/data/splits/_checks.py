"""What every split asks of its data."""

from __future__ import annotations

from nearfar.core.errors import DataError
from nearfar.data.interactions import Interactions

MIN_ITEMS = 2


def enough_items(train: Interactions, name: str) -> Interactions:
    """`train`, if it leaves anything to choose between.

    Raises:
        DataError: train knows one item only.
    """
    if train.n_items < MIN_ITEMS:
        only = ", ".join(map(str, train.item_ids.ids.to_list())) or "none"
        raise DataError(
            f"{name} has too few items to train on: {only}; at least {MIN_ITEMS} are "
            "needed: loosen the filters, or check which column is the item"
        )
    return train
