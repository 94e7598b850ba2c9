"""Finds similar items with any kind of model."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from functools import cached_property
from pathlib import Path
from typing import Literal

import numpy as np
import polars as pl
from jaxtyping import Float, Int

from nearfar.bundle.bundle import Bundle, check_bundle
from nearfar.bundle.match_items import match_items
from nearfar.bundle.similarity_measures import (
    TINY,
    cosines,
    cosines_of_pools,
    shares_added,
    symmetric_of_pools,
    unit_vectors,
)
from nearfar.bundle.writers import check_output, open_writer
from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import DataError, SettingsError
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.ensemble import Ensemble
from nearfar.models.factors import Factors
from nearfar.models.item_item import ItemItem
from nearfar.models.model import Model
from nearfar.reranking.reranker import ItemFacts

By = Literal["anchors", "decoder", "factors", "weights"]
BY = {
    "anchors": "cosine of the items' anchors in the latent space, less their mean",
    "decoder": "cosine of the items' rows of the decoder's last layer, less their mean",
    "factors": "cosine of the items' factors, less their mean",
    "weights": "what one item adds to the other's score, as a share of the most it adds to any",
}
"""Definition of each similarity."""

SCORES_AT_ONCE = 1 << 22


class Similarity:
    """Computes the similarity of a model's items; in an ensemble, by `Ensemble.comparing`.

    Args:
        model: the fitted model.

    Raises:
        SettingsError: the model has no item vectors or weights to compare items by.
    """

    def __init__(self, model: Model) -> None:
        compared = model.comparing if isinstance(model, Ensemble) else model
        self._weights = compared.weights if isinstance(compared, ItemItem) else None
        self._vectors: Float[np.ndarray, "items d"] | None = None
        if isinstance(compared, ItemItem):
            self.by: By = "weights"
        elif isinstance(compared, Autoencoder):
            self.by = "decoder" if compared.anchors is None else "anchors"
            out = compared.network.decoder.out.weight.detach().cpu().numpy()
            self._vectors = unit_vectors(out if compared.anchors is None else compared.anchors)
        elif isinstance(compared, Factors):
            self.by = "factors"
            self._vectors = unit_vectors(compared.item_factors)
        else:
            raise SettingsError(
                f"a model of kind {type(model).__name__} has no item vectors or weights to compare "
                "items by; give a bundle of an autoencoder, a factor model or an item-item model"
            )

    @property
    def vectors(self) -> Float[np.ndarray, "items d"] | None:
        """The item vectors, less their mean, at length one; None for item-item models."""
        return self._vectors

    def between(
        self, rows: Int[np.ndarray, " rows"], columns: Int[np.ndarray, " columns"] | None = None
    ) -> Float[np.ndarray, "rows columns"]:
        """Return the similarity, from -1 to 1, of items (rows) to others or to all (columns)."""
        if self._vectors is not None:
            return cosines(self._vectors, rows, columns)
        assert self._weights is not None
        return shares_added(self._weights[rows], rows, columns)

    def of_pools(
        self, rows: Int[np.ndarray, "users n"], columns: Int[np.ndarray, "users m"]
    ) -> Float[np.ndarray, "users n m"]:
        """Return the similarity of each user's items to others; weights average both directions.

        Values at position -1 are undefined.
        """
        if self._vectors is not None:
            return cosines_of_pools(self._vectors, rows, columns)
        return symmetric_of_pools(self._shares, rows, columns)

    def _shares(self, rows: np.ndarray, columns: np.ndarray) -> Float[np.ndarray, "rows columns"]:
        """Return `between` for weights, without a copy of whole rows."""
        assert self._weights is not None
        shares = self._weights[np.ix_(rows, columns)]
        shares /= np.maximum(self._largest[rows, None], TINY)
        shares[rows[:, None] == columns] = 1
        return shares

    @cached_property
    def _largest(self) -> Float[np.ndarray, " items"]:
        """The largest weight of each item to any other item, in absolute value."""
        assert self._weights is not None
        n = len(self._weights)
        largest = np.empty(n, np.float32)
        step = max(1, SCORES_AT_ONCE // max(1, n))
        for start in range(0, n, step):
            block = np.abs(self._weights[start : start + step])
            block[np.arange(len(block)), np.arange(start, start + len(block))] = 0
            largest[start : start + step] = block.max(1)
        return largest


def item_facts(bundle: Bundle) -> ItemFacts:
    """Return the facts about a bundle's items that re-rankers use."""
    try:
        similarities = Similarity(bundle.model).of_pools
    except SettingsError:
        similarities = None
    return ItemFacts(bundle.items, similarities)


@validate_arguments()
def similar_items(
    bundle: Bundle, items: int | str | Sequence[int | str], *, k: int = 10
) -> pl.DataFrame:
    """Return the k most similar items of each given item.

    Args:
        bundle: the model and its items.
        items: ids or titles; in one text separated by semicolons or commas.
        k: number of similar items per item.

    Returns:
        Columns item, rank (from 1), similar, title (of the similar item, if there are titles)
        and similarity (from -1 to 1, see `BY[Similarity(bundle.model).by]`).

    Raises:
        DataError: k is below 1, or an item is unknown or ambiguous.
        SettingsError: the model has no item vectors or weights to compare items by.

    Examples:
        >>> nf.similar_items(bundle, [0], k=3).height
        3
    """
    check_bundle(bundle)
    return _frame(bundle, Similarity(bundle.model), _positions(bundle, items), k)


def similar_to_file(
    bundle: Bundle,
    out: str | Path,
    *,
    items: Sequence[int | str] | None = None,
    k: int = 10,
    progress: Callable[[int], None] | None = None,
) -> int:
    """Write the k most similar items of each given item to a file; return the number of rows.

    Args:
        bundle: the model and its items.
        out: .csv, .tsv or .parquet, written atomically, with the columns of `similar_items`.
        items: ids or titles; by default all items of the catalogue.
        k: number of similar items per item.
        progress: called with the number of items done so far.

    Raises:
        DataError: k is below 1, an item is unknown or ambiguous, or the suffix is not supported.
        SettingsError: the model has no item vectors or weights to compare items by.

    Examples:
        >>> nf.similar_to_file(bundle, "similar.parquet", k=3)
        60
    """
    check_output(Path(out))
    if Path(out).suffix.lower() == ".jsonl":
        raise DataError(f"{out} ends in '.jsonl'; similar items are written as .csv or .parquet")
    similarity = Similarity(bundle.model)
    step = max(1, SCORES_AT_ONCE // bundle.n_items)
    positions = np.arange(bundle.n_items) if items is None else _positions(bundle, items)
    n_rows = 0
    with open_writer(Path(out)) as writer:
        for start in range(0, len(positions), step):
            rows = positions[start : start + step]
            frame = _frame(bundle, similarity, rows, k)
            counts = np.full(len(rows), frame.height // len(rows))
            writer.write(bundle.items.ids.gather(pl.Series(rows)), counts, frame)
            n_rows += frame.height
            if progress is not None:
                progress(start + len(rows))
    return n_rows


def _positions(bundle: Bundle, items: int | str | Sequence[int | str]) -> Int[np.ndarray, " rows"]:
    names = [items] if isinstance(items, int) else items
    matches = match_items(bundle, names if isinstance(names, str) else list(map(str, names)))
    if not matches.matches:
        raise DataError("items is empty; give ids or titles")
    if matches.problems:
        raise DataError(" | ".join(matches.problems))
    return matches.positions


def _frame(bundle: Bundle, similarity: Similarity, rows: np.ndarray, k: int) -> pl.DataFrame:
    if k < 1:
        raise DataError(f"k is {k}; it must be at least 1")
    k = min(k, bundle.n_items - 1)
    similarities = similarity.between(rows)
    similarities[np.arange(len(rows)), rows] = -np.inf
    order = np.argsort(-similarities, axis=1, kind="stable")[:, :k]
    ids, positions = bundle.items.ids, pl.Series(order.ravel())
    columns = [
        ids.gather(pl.Series(np.repeat(rows, k))).rename("item"),
        pl.Series("rank", np.tile(np.arange(1, k + 1), len(rows))),
        ids.gather(positions).rename("similar"),
    ]
    if bundle.items.titles is not None:
        columns.append(bundle.items.titles.gather(positions).rename("title"))
    columns.append(pl.Series("similarity", np.take_along_axis(similarities, order, 1).ravel()))
    return pl.DataFrame(columns)
