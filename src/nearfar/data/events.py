"""A log: one row per event, with users and items as compact codes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.errors import DataError, EmptyDataError, kind_of
from nearfar.core.frames import summary_text
from nearfar.core.identity import looked_up
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.data.weighting import Repeats, Scale, scaled, united
from nearfar.tables.report import ReadReport

OPTIONAL = {"rating": pl.Float32, "timestamp": pl.Int64, "weight": pl.Float32}


@dataclass(frozen=True)
class FilterStep:
    """The events that a filter dropped, and the users and items without events after it."""

    name: str
    events: int
    users: int
    items: int

    def __str__(self) -> str:
        return (
            f"{self.name} dropped {self.events:,} events, {self.users:,} users, "
            f"{self.items:,} items"
        )


@dataclass(frozen=True)
class Unknown:
    """The number of events, users and items that are not in given vocabularies."""

    events: int
    users: int
    items: int


def check_log(value: object) -> None:
    """Raise a DataError if a value is not a log, for example a path or a frame."""
    if not isinstance(value, Log):
        raise DataError(f"a log was expected, not {kind_of(value)}; read one with nf.read_log(...)")


@dataclass(frozen=True, eq=False)
class Log:
    """An interaction log in file order; `read_log` makes one.

    Two vocabularies hold each id once, in order of first appearance. Events hold positions in them:
    20 million events with ratings and times take 400 MB. Every id has an event.

    Attributes:
        events: the columns `user`, `item` (UInt32 positions in the vocabularies) and optionally
            `rating` (Float32), `timestamp` (Int64, seconds since 1970 in UTC), `weight` (Float32, a
            count such as plays).
        user_ids, item_ids: the vocabularies; item_ids has the items' details ("title", "genres").
        name: the log's name in messages.
        steps: what each filter dropped so far.
        read: the report of reading; None for a log that was not read.
        scale: the scale of weights in training; "none" if all interactions count the same.
        repeats: how the weights of repeated events are combined.

    Examples:
        >>> log.n_users, log.n_items, log.n_events
        (60, 20, 600)
        >>> log.interactions().x.shape
        (60, 20)
    """

    events: pl.DataFrame
    user_ids: Vocabulary
    item_ids: Vocabulary
    name: str = "log"
    steps: tuple[FilterStep, ...] = ()
    read: ReadReport | None = None
    scale: Scale = "none"
    repeats: Repeats = "sum"

    @property
    def n_events(self) -> int:
        return self.events.height

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def n_items(self) -> int:
        return len(self.item_ids)

    def has(self, column: str) -> bool:
        """Return whether the events have a "rating", "timestamp" or "weight"."""
        return column in self.events.columns

    @cached_property
    def users(self) -> np.ndarray:
        """The user position of every event (uint32)."""
        return self.events["user"].to_numpy()

    @cached_property
    def item_positions(self) -> np.ndarray:
        """The item position of every event (uint32)."""
        return self.events["item"].to_numpy()

    @property
    def frame(self) -> pl.DataFrame:
        """The events with ids instead of positions."""
        return self.events.with_columns(
            self.user_ids.ids.gather(self.events["user"]).alias("user"),
            self.item_ids.ids.gather(self.events["item"]).alias("item"),
        )

    @property
    def items(self) -> pl.DataFrame | None:
        """Items with their details: column `item`, then "title", "genres"; None without any."""
        if not self.item_ids.details.width:
            return None
        return self.item_ids.frame().rename({"id": "item"})

    def __repr__(self) -> str:
        facts = {"events": self.n_events, "users": self.n_users, "items": self.n_items}
        return summary_text(f"Log {self.name}", facts)

    @classmethod
    def from_frame(
        cls, frame: pl.DataFrame, items: pl.DataFrame | None = None, name: str = "log"
    ) -> Log:
        """Make a log from the columns `user`, `item` and optionally `rating`, ... without checks.

        `items` has the column `item` and details; items without events are left out.
        """
        ids = {role: frame[role].unique(maintain_order=True) for role in ("user", "item")}
        codes = []
        for role, values in ids.items():
            index = pl.DataFrame({"id": values}).with_row_index("code")
            joined = frame.select(id=role).join(
                index, on="id", how="left", nulls_equal=True, maintain_order="left"
            )
            codes.append(joined["code"].cast(pl.UInt32).alias(role))
        present = [pl.col(c).cast(t) for c, t in OPTIONAL.items() if c in frame.columns]
        events = pl.DataFrame(codes).hstack(frame.select(present).get_columns())
        item_ids = with_details(Vocabulary(ids["item"]), items)
        return cls(events, Vocabulary(ids["user"]), item_ids, name)

    def keep(self, mask: np.ndarray | pl.Series) -> Log:
        """Return the log of the events where `mask` is true, without ids that have no events."""
        events = self.events.filter(pl.Series(mask))
        return compacted(replace(self, events=events))

    def unknown(
        self, user_ids: Vocabulary | None = None, item_ids: Vocabulary | None = None
    ) -> Unknown:
        """Count what `interactions` leaves out with the same vocabularies."""
        rows = _positions(self.user_ids, user_ids)
        columns = _positions(self.item_ids, item_ids)
        is_unknown = (rows[self.users] < 0) | (columns[self.item_positions] < 0)
        return Unknown(int(is_unknown.sum()), int((rows < 0).sum()), int((columns < 0).sum()))

    def interactions(
        self, user_ids: Vocabulary | None = None, item_ids: Vocabulary | None = None
    ) -> Interactions:
        """Return the log as a binary matrix; repeated events are one interaction.

        If the log's weights are used (`scale`), interactions have weights, and the rule `repeats`
        combines those of repeated events.

        Rows and columns are the log's ids in order of first appearance, or the given vocabularies.
        Events of ids that these lack are left out (`unknown` counts them), and their ids without
        events become empty rows and columns.

        Raises:
            EmptyDataError: the log has no events.
        """
        if not self.n_events:
            raise EmptyDataError(f"{self.name} has no events to make a matrix of")
        rows = _positions(self.user_ids, user_ids)[self.users]
        columns = _positions(self.item_ids, item_ids)[self.item_positions]
        known = np.ones(len(rows), bool)
        if user_ids is not None or item_ids is not None:
            known = (rows >= 0) & (columns >= 0)
            rows, columns = rows[known], columns[known]
        user_ids, item_ids = user_ids or self.user_ids, item_ids or self.item_ids
        shape = (len(user_ids), len(item_ids))
        if not self.weighted:
            return Interactions(binary_matrix(rows, columns, shape), user_ids, item_ids)
        events = self.events["weight"].to_numpy()
        keys = rows.astype(np.int64) * shape[1] + columns
        keys, weights = united(keys, events[known], self.repeats)
        counts = np.bincount(keys // shape[1], minlength=shape[0])
        indptr = np.concatenate([[0], np.cumsum(counts)])
        weights = scaled(weights, self.scale)
        x = csr_array((weights, (keys % shape[1]).astype(np.int32), indptr), shape=shape)
        return Interactions(x, user_ids, item_ids, weights)

    @property
    def weighted(self) -> bool:
        """Whether interactions have weights."""
        return self.scale != "none" and self.has("weight")


def binary_matrix(rows: np.ndarray, columns: np.ndarray, shape: tuple[int, int]) -> csr_array:
    """Return the matrix with a one at every given (row, column); repetitions do not add up."""
    data = np.ones(len(rows), np.float32)
    x = csr_array((data, (rows.astype(np.int32), columns.astype(np.int32))), shape=shape)
    x.data[:] = 1.0
    return x


def compacted(log: Log) -> Log:
    """Return the log without ids that have no events, and the others in order of appearance."""
    user, user_ids = _compact(log.events["user"], log.user_ids)
    item, item_ids = _compact(log.events["item"], log.item_ids)
    return replace(
        log, events=log.events.with_columns(user, item), user_ids=user_ids, item_ids=item_ids
    )


def _compact(codes: pl.Series, ids: Vocabulary) -> tuple[pl.Series, Vocabulary]:
    n = len(codes)
    first = np.full(len(ids), n, np.int64)
    first[codes.to_numpy()[::-1]] = np.arange(n - 1, -1, -1)  # the last of equal indices counts
    present = np.argsort(first, kind="stable")[: np.count_nonzero(first < n)]
    if len(present) == len(ids) and (present == np.arange(len(ids))).all():
        return codes, ids
    new = np.zeros(len(ids), np.uint32)
    new[present] = np.arange(len(present), dtype=np.uint32)
    return pl.Series(codes.name, new[codes.to_numpy()]), ids.take(present)


def _positions(ids: Vocabulary, target: Vocabulary | None) -> np.ndarray:
    return np.arange(len(ids)) if target is None or target is ids else target.index(ids.ids)


def with_details(ids: Vocabulary, items: pl.DataFrame | None) -> Vocabulary:
    """Return a vocabulary with the details of `items`, matched by the column `item`.

    Genres as text are split at "|".

    Raises:
        DataError: `items` has no column `item`.
    """
    if items is None:
        return ids
    if "item" not in items.columns:
        raise DataError(f"item details have columns {_listed(items.columns)}; 'item' is missing")
    items = items.with_columns(looked_up(items["item"], ids.ids.dtype).alias("item"))
    items = items.filter(pl.col("item").is_not_null()).unique(
        "item", keep="first", maintain_order=True
    )
    if "genres" in items.columns and items["genres"].dtype == pl.String:
        items = items.with_columns(pl.col("genres").str.split("|"))
    details = pl.DataFrame({"item": ids.ids}).join(
        items, on="item", how="left", maintain_order="left"
    )
    return Vocabulary(ids.ids, details.drop("item"))


def titles_message(ids: Vocabulary, details: pl.DataFrame | None = None) -> tuple[int, str]:
    """Return the number of ids with a title, and a message on the match of titles.

    Args:
        ids: the ids with their details.
        details: the table of details with its column `item`, for hints in the message.
    """
    n_titled = 0 if ids.titles is None else len(ids.titles) - ids.titles.null_count()
    text = f"titles for {n_titled:,} of {len(ids):,} items"
    if details is None or not details.height or not len(ids):
        return n_titled, text
    if not n_titled:
        id_of_event, id_of_table = ids.ids[0], details["item"][0]
        n_alike = int((ids.index(details["item"].unique()) >= 0).sum())
        if n_alike:
            text += f"; it has {n_alike:,} of the items, but not their titles"
        else:
            text += f"; its ids look like {id_of_table!r}, those of the events like {id_of_event!r}"
    elif "title" in details.columns:
        titles = details.drop_nulls("title").group_by("item").agg(pl.col("title").n_unique())
        if n_several := int((titles["title"] > 1).sum()):
            text += f"; {n_several:,} ids have several titles there; the first is used"
    return n_titled, text


def _listed(names: Sequence[str]) -> str:
    return ", ".join(repr(n) for n in names)
