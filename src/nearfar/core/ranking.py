"""What a model hands out: for every user the best k items, best first."""

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

    Where a user has fewer than k candidates the row ends in -1, with score -inf.

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
        """One row per user and place: `user`, `rank` (from 1), `item`, `title`, `score`.

        Args:
            item_ids: the model's items, as `split.train.item_ids`; without them `item` is the
                item's position. A column `title` is there where they have titles.
            user_ids: the users; without them `user` is the row.

        Raises:
            DataError: there are not as many users as rows.
        """
        rows, places = np.nonzero(self.items >= 0)
        items = pl.Series(self.items[rows, places])
        users = pl.Series(rows)
        columns = [
            users if user_ids is None else _of_rows(user_ids, self.n_users).gather(users),
            pl.Series(places + 1, dtype=pl.Int64),
            items if item_ids is None else item_ids.ids.gather(items),
            pl.Series(self.scores[rows, places]),
        ]
        frame = pl.DataFrame(
            [c.alias(n) for c, n in zip(columns, ("user", "rank", "item", "score"), strict=True)]
        )
        if item_ids is None or item_ids.titles is None:
            return frame
        return frame.insert_column(3, item_ids.titles.gather(items).alias("title"))

    def to_pandas(
        self, item_ids: Vocabulary | None = None, user_ids: Vocabulary | None = None
    ) -> Any:
        """As `to_polars`, for pandas.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas(self.to_polars(item_ids, user_ids))

    def __repr__(self) -> str:
        return summary_text(type(self).__name__, {"users": self.n_users, "places": self.k})


def _of_rows(user_ids: Vocabulary, n_users: int) -> pl.Series:
    if len(user_ids) != n_users:
        raise DataError(f"{len(user_ids)} user ids for a ranking of {n_users} users")
    return user_ids.ids
