"""Interactions as a sparse binary matrix of users x items with its ids."""

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
        x: the matrix, users x items.
        user_ids: the ids of the rows.
        item_ids: the ids of the columns.
        weights: the weight in training of each stored entry of `x`, above 0; None if all count the
            same. Histories to score have no weights.

    Raises:
        DataError: the matrix and the vocabularies have different sizes, or there is not one
            positive weight per entry, or the rows of a matrix with weights are not sorted.

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
                f"the matrix has the shape {self.x.shape}; expected {len(self.user_ids)} users x "
                f"{len(self.item_ids)} items"
            )
        if self.weights is not None:
            weights = np.asarray(self.weights, np.float32)
            is_aligned = len(weights) == self.x.nnz and self.x.has_canonical_format
            if not is_aligned or not (np.isfinite(weights) & (weights > 0)).all():
                raise DataError(
                    f"{len(weights)} weights for {self.x.nnz} interactions; expected one finite "
                    "number above 0 per interaction, and sorted rows without duplicates"
                )
            object.__setattr__(self, "weights", weights)
        object.__setattr__(self, "x", canonical(self.x))

    @cached_property
    def weighted(self) -> csr_array:
        """The matrix with weights of mean 1 instead of ones; `x` without weights.

        Only the ratios of weights count: doubling all of them does not change the training.
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
        """The number of users per item (int64)."""
        return np.bincount(self.x.indices, minlength=self.n_items)

    @cached_property
    def fingerprint(self) -> str:
        """A checksum of the matrix and both vocabularies."""
        checksum = hashlib.sha256()
        checksum.update(self.user_ids.fingerprint.encode())
        checksum.update(self.item_ids.fingerprint.encode())
        checksum.update(self.x.indptr.astype("<i8").tobytes())
        checksum.update(self.x.indices.astype("<i8").tobytes())
        if self.weights is not None:
            checksum.update(self.weights.astype("<f4").tobytes())
        return checksum.hexdigest()

    def take_users(self, rows: np.ndarray) -> Interactions:
        """Return the interactions of the users at `rows`, in that order."""
        return self._with(self._values[rows], self.user_ids.take(rows), self.item_ids)

    def only(self, kept: Bool[np.ndarray, " interactions"]) -> Interactions:
        """Return the interactions where `kept` is true, for the same users and items."""
        entries = self._values.tocoo()
        values = (entries.data[kept], (entries.row[kept], entries.col[kept]))
        return self._with(csr_array(values, shape=self.x.shape), self.user_ids, self.item_ids)

    @property
    def _values(self) -> csr_array:
        """The matrix with weights instead of ones, if there are any."""
        if self.weights is None:
            return self.x
        return csr_array((self.weights, self.x.indices, self.x.indptr), shape=self.x.shape)

    def _with(self, values: csr_array, user_ids: Vocabulary, item_ids: Vocabulary) -> Interactions:
        values.sort_indices()
        weights = None if self.weights is None else values.data
        return Interactions(values, user_ids, item_ids, weights)

    def on_items(self, item_ids: Vocabulary) -> Interactions:
        """Return the same users on other items, matched by id; others are left out."""
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
    """Return a float32 CSR with sorted unique indices and ones as values; `x` is not changed."""
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
    """Held-out users: the fold-in items that the model sees, and the held-out items to predict.

    Raises:
        DataError: the two parts have different users or items.

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
            raise DataError("fold-in and held-out have different users")
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
        """Return the same users on other items, matched by id; others are left out."""
        return FoldIn(self.fold_in.on_items(item_ids), self.held_out.on_items(item_ids), self.name)


@dataclass(frozen=True, eq=False)
class Split:
    """Training users, and held-out users for validation and for the test.

    `protocol` records how the split was made, with every parameter and count, as JSON values.

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
    """Return one whole history per user: for held-out users, fold-in and held-out items.

    A user in several parts is taken once, from the first of test, validation and training.

    Args:
        split: the split.
        part: "held-out" for held-out users only, "train" for training users only.
    """
    groups = []
    if part != "train":
        groups += [_whole(split.test), _whole(split.validation)]
    if part != "held-out":
        groups.append(split.train)
    histories = groups[0]
    for group in groups[1:]:
        new = np.flatnonzero(histories.user_ids.index(group.user_ids.ids) < 0)
        histories = _joined(histories, group.take_users(new))
    return histories


def _whole(part: FoldIn) -> Interactions:
    x = csr_array(part.fold_in.x + part.held_out.x)
    return Interactions(x, part.fold_in.user_ids, part.fold_in.item_ids)


def _joined(a: Interactions, b: Interactions) -> Interactions:
    ids = Vocabulary(pl.concat([a.user_ids.ids, b.user_ids.ids]))
    return Interactions(csr_array(vstack([a.x, b.x], format="csr")), ids, a.item_ids)
