"""The ranking that a model returns: the best k items of every user, best first."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from nearfar.core.errors import DataError
from nearfar.core.frames import summary_text, to_pandas
from nearfar.core.vocabulary import Vocabulary


@dataclass(frozen=True, eq=False)
class Ranking:
    """The best k items of every user, best first; ties go to the lower item index.

    If a user has fewer than k candidates, the row ends in -1 with score -inf.

    Examples:
        >>> ranking = ease.top_k(split.test.fold_in.x, 3)
        >>> frame = ranking.to_polars(split.train.item_ids, split.test.fold_in.user_ids)
        >>> frame.columns, frame.height
        (['user', 'rank', 'item', 'score'], 30)
    """

    items: Int[np.ndarray, "users k"]
    scores: Float[np.ndarray, "users k"]

    @property
    def n_users(self) -> int:
        return self.items.shape[0]

    @property
    def k(self) -> int:
        return self.items.shape[1]

    def to_polars(
        self, item_ids: Vocabulary | None = None, user_ids: Vocabulary | None = None
    ) -> pl.DataFrame:
        """Return a frame with a row per recommendation: `user`, `rank` (from 1), `item`, `score`.

        Args:
            item_ids: ids of the model's items, such as `split.train.item_ids`; by default `item` is
                the item's position. If they have titles, the frame has a column `title`.
            user_ids: ids of the users; by default `user` is the row.

        Raises:
            DataError: the numbers of users and rows differ.
        """
        rows, columns = np.nonzero(self.items >= 0)
        items = pl.Series(self.items[rows, columns])
        users = pl.Series(rows)
        series = [
            users if user_ids is None else _checked_ids(user_ids, self.n_users).gather(users),
            pl.Series(columns + 1, dtype=pl.Int64),
            items if item_ids is None else item_ids.ids.gather(items),
            pl.Series(self.scores[rows, columns]),
        ]
        frame = pl.DataFrame(
            [s.alias(n) for s, n in zip(series, ("user", "rank", "item", "score"), strict=True)]
        )
        if item_ids is None or item_ids.titles is None:
            return frame
        return frame.insert_column(3, item_ids.titles.gather(items).alias("title"))

    def to_pandas(
        self, item_ids: Vocabulary | None = None, user_ids: Vocabulary | None = None
    ) -> Any:
        """Return the frame of `to_polars` as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas(self.to_polars(item_ids, user_ids))

    def __repr__(self) -> str:
        return summary_text(type(self).__name__, {"users": self.n_users, "places": self.k})


def _checked_ids(user_ids: Vocabulary, n_users: int) -> pl.Series:
    if len(user_ids) != n_users:
        raise DataError(f"{len(user_ids)} user ids for a ranking of {n_users} users")
    return user_ids.ids
