"""Makes the map of a model's items: their vectors in two dimensions."""

from __future__ import annotations

from collections import Counter
from importlib.util import find_spec
from threading import Lock
from typing import Any

import numpy as np
import orjson
import polars as pl

from nearfar.core.vocabulary import Vocabulary
from nearfar.maps.projections.pca import PCA
from nearfar.web.catalogue import Catalogue
from nearfar.web.scorers.scorer import Scorer

MAX_ITEMS = 2000
MAX_NEW = 200
MAX_GROUPS = 10
MIN_ITEMS = 3
DECIMALS = 4
GROUPED_BY = "genres"


class ItemMap:
    """A map of a model's items: the first two principal components of their vectors.

    The vectors are those of item similarity: less their mean, at length one. The map is made at
    the first request, so that it does not delay the start of the service.

    Args:
        scorer: a scorer with item vectors.
        items: the scorer's items, with genres if known.
        catalogue: the same items as responses show them.
    """

    def __init__(self, scorer: Scorer, items: Vocabulary, catalogue: Catalogue) -> None:
        self._scorer = scorer
        self._items = items
        self._catalogue = catalogue
        self._lock = Lock()
        self._content: dict[str, Any] | None = None

    def content(self) -> dict[str, Any]:
        """Return the content of `/v1/map/items`; the first call takes seconds.

        Raises:
            DivergedError: a vector is not finite.
        """
        with self._lock:
            if self._content is None:
                self._content = self._make()
            return self._content

    def _make(self) -> dict[str, Any]:
        vectors = self._scorer.item_vectors
        assert vectors is not None
        n_trained = self._catalogue.n_trained
        popular = np.argsort(-self._scorer.popularity[:n_trained], kind="stable")[:MAX_ITEMS]
        new = np.arange(n_trained, len(self._items))[:MAX_NEW]
        positions = np.concatenate([popular, new])
        xy = PCA().fit(vectors[positions], 0).xy.round(DECIMALS)
        groups = _first_values(self._items, positions)
        counts = Counter(name for name in groups if name is not None)
        items = [
            {**self._catalogue.item(p), "x": x, "y": y, "group": group}
            for p, (x, y), group in zip(positions.tolist(), xy.tolist(), groups, strict=True)
        ]
        return {
            "projection": PCA.label,
            "n_items": len(self._items),
            # Sorted, so that models of one catalogue give a genre the same place and colour.
            "groups": sorted(name for name, _ in counts.most_common(MAX_GROUPS)),
            "items": orjson.Fragment(orjson.dumps(items)),
        }


def item_map(scorer: Scorer, items: Vocabulary, catalogue: Catalogue) -> ItemMap | None:
    """Return the map of a model's items; None without item vectors or with too few items."""
    if scorer.item_vectors is None or len(items) < MIN_ITEMS or find_spec("sklearn") is None:
        return None
    return ItemMap(scorer, items, catalogue)


def _first_values(items: Vocabulary, positions: np.ndarray) -> list[str | None]:
    """Return the first genre of each item; None if it has none."""
    if GROUPED_BY not in items.details.columns:
        return [None] * len(positions)
    column = items.details[GROUPED_BY].gather(pl.Series(positions))
    if isinstance(column.dtype, pl.List):
        column = column.list.drop_nulls().list.first()
    return [None if value is None else str(value) for value in column]
