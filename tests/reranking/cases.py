"""Small catalogues whose re-ranked lists can be worked out by hand."""

from __future__ import annotations

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar.core.ranking import Ranking
from nearfar.core.vocabulary import Vocabulary
from nearfar.reranking.reranker import ItemFacts
from nearfar.reranking.reranking import Rerank, Reranking

GENRES = [["A"], ["A"], ["A", "B"], ["B"], ["B"], [], ["C"], ["A"]]


def facts(vectors: np.ndarray | None = None, genres: list[list[str]] | None = None) -> ItemFacts:
    """Items 10, 11, ..., compared by vectors of length 1."""
    n = len(genres or vectors if vectors is not None else GENRES)
    details = None
    if genres is not None:
        details = pl.DataFrame({"genres": genres}, schema={"genres": pl.List(pl.String)})
    items = Vocabulary(range(10, 10 + n), details)
    if vectors is None:
        return ItemFacts(items)
    units = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
    return ItemFacts(items, lambda rows, columns: units[rows] @ units[columns].transpose(0, 2, 1))


def with_genres() -> ItemFacts:
    """Eight items with the genres of `GENRES`."""
    return facts(genres=GENRES)


def ranking(*rows: list[float]) -> Ranking:
    """Users' candidates by the scores of all items, -inf for none."""
    scores = np.array(rows, np.float32)
    order = np.argsort(-scores, axis=1, kind="stable")
    best = np.take_along_axis(scores, order, 1)
    return Ranking(np.where(np.isfinite(best), order, -1), best)


def histories(n_items: int, *rows: list[int]) -> csr_array:
    """Users x items."""
    dense = np.zeros((len(rows), n_items), np.float32)
    for user, items in enumerate(rows):
        dense[user, items] = 1
    return csr_array(dense)


def built(rerank: Rerank, known: ItemFacts, candidates: Ranking, k: int, x=None, **rest) -> list:
    """The positions of the lists."""
    reranking = Reranking.of(rerank)
    assert reranking is not None
    n_items = len(known.items)
    x = histories(n_items, *[[]] * candidates.n_users) if x is None else x
    return reranking.over(known).build(candidates, x, k, **rest).items.tolist()
