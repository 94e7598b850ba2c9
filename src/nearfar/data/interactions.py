"""Interactions: who interacted with what, as a sparse binary matrix with its ids."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float32
from scipy.sparse import csr_array, vstack

from nearfar.core.errors import DataError
from nearfar.core.frames import summary_html, summary_text
from nearfar.core.vocabulary import Vocabulary

Part = Literal["all", "train", "held-out"]


@dataclass(frozen=True, eq=False)
class Interactions:
    """A binary users x items matrix in CSR with the ids of its rows and columns.

    Column indices of a row are sorted and unique; values are float32 ones.

    Args:
        x: users x items.
        user_ids: of the rows.
        item_ids: of the columns.
        weights: how much each stored entry of `x` counts in training, above 0; None where all
            count alike. Histories that are scored have no weights.

    Raises:
        DataError: the matrix and the vocabularies disagree in size, or weights are not one positive
            number per entry of a matrix whose rows are sorted.

    Examples:
        >>> split.train.x.shape
        (40, 20)
        >>> split.train.item_counts[:3].tolist()
        [10, 11, 13]
    """

    x: csr_array
    user_ids: Vocabulary
    item_ids: Vocabulary
    weights: Float32[np.ndarray, " interactions"] | None = None

    def __post_init__(self) -> None:
        if self.x.shape != (len(self.user_ids), len(self.item_ids)):
            raise DataError(
                f"a matrix of {self.x.shape} for {len(self.user_ids)} users and "
                f"{len(self.item_ids)} items"
            )
        if self.weights is not None:
            weights = np.asarray(self.weights, np.float32)
            fits = len(weights) == self.x.nnz and self.x.has_canonical_format
            if not fits or not (np.isfinite(weights) & (weights > 0)).all():
                raise DataError(
                    f"{len(weights)} weights for {self.x.nnz} interactions; one finite number "
                    "above 0 was expected for each, and rows without doubles in ascending order"
                )
            object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "x", canonical(self.x))

    @cached_property
    def weighted(self) -> csr_array:
        """The matrix with weights of mean 1 for its ones; `x` itself where there are none.

        Only the weights' ratios count: a training does not change if all are doubled.
        """
        if self.weights is None:
            return self.x
        mean = self.weights.mean(dtype=np.float64) if len(self.weights) else 1.0
        values = (self.weights / mean).astype(np.float32)
        return csr_array((values, self.x.indices, self.x.indptr), shape=self.x.shape)

    @property
    def n_users(self) -> int:
        return self.x.shape[0]

    @property
    def n_items(self) -> int:
        return self.x.shape[1]

    @property
    def n_interactions(self) -> int:
        return int(self.x.nnz)

    def __repr__(self) -> str:
        return summary_text("Interactions", self._facts())

    def _repr_html_(self) -> str:
        return summary_html("Interactions", self._facts())

    def _facts(self) -> dict[str, object]:
        return {
            "users": self.n_users, "items": self.n_items, "interactions": self.n_interactions,
        }  # fmt: skip

    @cached_property
    def item_counts(self) -> np.ndarray:
        """How many users interacted with each item (int64, one per item)."""
        return np.bincount(self.x.indices, minlength=self.n_items)

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of the matrix and both vocabularies."""
        state = hashlib.sha256()
        state.update(self.user_ids.fingerprint.encode())
        state.update(self.item_ids.fingerprint.encode())
        state.update(self.x.indptr.astype("<i8").tobytes())
        state.update(self.x.indices.astype("<i8").tobytes())
        if self.weights is not None:
            state.update(self.weights.astype("<f4").tobytes())
        return state.hexdigest()

    def take_users(self, rows: np.ndarray) -> Interactions:
        """The interactions of the users at `rows`, in that order."""
        return self._with(self._values[rows], self.user_ids.take(rows), self.item_ids)

    def only(self, kept: Bool[np.ndarray, " interactions"]) -> Interactions:
        """The interactions where `kept` is true, of the same users and items."""
        entries = self._values.tocoo()
        values = (entries.data[kept], (entries.row[kept], entries.col[kept]))
        return self._with(csr_array(values, shape=self.x.shape), self.user_ids, self.item_ids)

    @property
    def _values(self) -> csr_array:
        """The matrix with the weights, where there are any, for its ones."""
        if self.weights is None:
            return self.x
        return csr_array((self.weights, self.x.indices, self.x.indptr), shape=self.x.shape)

    def _with(self, values: csr_array, user_ids: Vocabulary, item_ids: Vocabulary) -> Interactions:
        values.sort_indices()
        weights = None if self.weights is None else values.data
        return Interactions(values, user_ids, item_ids, weights)

    def on_items(self, item_ids: Vocabulary) -> Interactions:
        """The same users over other items, matched by id; what these lack is left out."""
        if item_ids == self.item_ids:
            return replace(self, item_ids=item_ids)
        columns = item_ids.index(self.item_ids.ids)
        entries = self._values.tocoo()
        new = columns[entries.col]
        known = new >= 0
        shape = (self.n_users, len(item_ids))
        x = csr_array((entries.data[known], (entries.row[known], new[known])), shape=shape)
        return self._with(x, self.user_ids, item_ids)


def canonical(x: csr_array) -> csr_array:
    """`x` as float32 CSR with sorted unique indices, every stored value one; never changes `x`."""
    x = csr_array(x)
    if not x.has_canonical_format or (x.data == 0).any():
        x = x.copy()
        x.sum_duplicates()
        x.eliminate_zeros()
    if x.dtype != np.float32 or (x.data != 1).any():
        x = csr_array((np.ones(x.nnz, np.float32), x.indices, x.indptr), shape=x.shape)
    return x


@dataclass(frozen=True, eq=False)
class FoldIn:
    """Held-out users: what the model may see of each, and what it must find.

    Raises:
        DataError: the two sides disagree on users or items.

    Examples:
        >>> split.test
        FoldIn test(10 users, 20 items, 101 shown interactions, 23 held-out interactions)
        >>> split.test.held_out.x.shape
        (10, 20)
    """

    fold_in: Interactions
    held_out: Interactions
    name: str = field(default="held-out")

    def __post_init__(self) -> None:
        if self.fold_in.user_ids != self.held_out.user_ids:
            raise DataError("fold-in and held-out are of different users")
        if self.fold_in.item_ids != self.held_out.item_ids:
            raise DataError("fold-in and held-out have different items")

    @property
    def n_users(self) -> int:
        return self.fold_in.n_users

    def __repr__(self) -> str:
        return summary_text(f"FoldIn {self.name}", self._facts())

    def _repr_html_(self) -> str:
        return summary_html(f"FoldIn {self.name}", self._facts())

    def _facts(self) -> dict[str, object]:
        return {
            "users": self.n_users,
            "items": self.fold_in.n_items,
            "shown interactions": self.fold_in.n_interactions,
            "held-out interactions": self.held_out.n_interactions,
        }

    def on_items(self, item_ids: Vocabulary) -> FoldIn:
        """The same users over other items, matched by id; what these lack is left out."""
        return FoldIn(self.fold_in.on_items(item_ids), self.held_out.on_items(item_ids), self.name)


@dataclass(frozen=True, eq=False)
class Split:
    """Training users, and two groups of users held out for choosing and for reporting.

    `protocol` is JSON-able: what was done to get here, with every parameter and count.

    Examples:
        >>> split.train.n_users, split.validation.n_users, split.test.n_users
        (40, 10, 10)
    """

    train: Interactions
    validation: FoldIn
    test: FoldIn
    protocol: dict[str, object] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for part in (self.validation, self.test):
            if part.fold_in.item_ids != self.train.item_ids:
                raise DataError("train and held-out users have different items")

    def __repr__(self) -> str:
        return summary_text("Split", self._facts())

    def _repr_html_(self) -> str:
        return summary_html("Split", self._facts())

    def _facts(self) -> dict[str, object]:
        return {
            "training users": self.train.n_users,
            "validation users": self.validation.n_users,
            "test users": self.test.n_users,
            "items": self.train.n_items,
            "training interactions": self.train.n_interactions,
        }

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of all five matrices and their vocabularies."""
        state = hashlib.sha256(self.train.fingerprint.encode())
        for part in (self.validation, self.test):
            state.update(part.fold_in.fingerprint.encode())
            state.update(part.held_out.fingerprint.encode())
        return state.hexdigest()


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
