"""Anchors among the users that point their way."""

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from nearfar.core.vocabulary import Vocabulary
from nearfar.maps.anchors import item_names, place_anchors
from nearfar.maps.projections.pca import PCA


def test_short_anchors_go_to_the_users_of_their_direction() -> None:
    rng = np.random.default_rng(0)
    taste = np.repeat([0, 1, 2], 20)
    latents = 5 * np.eye(3)[taste] + 0.3 * rng.standard_normal((60, 3))
    histories = csr_array(np.eye(4, dtype=np.float32)[taste])
    anchors = np.vstack([0.1 * np.eye(3), np.zeros(3)]).astype(np.float32)
    projected = PCA().fit(latents, seed=0)
    items = Vocabulary(["a", "b", "c", "d"])
    found = place_anchors(anchors, np.array([2, 0]), latents, projected, histories, items)
    assert found.titles == ("c", "a")
    for xy, of in zip(found.xy, (2, 0), strict=True):
        middle = projected.xy[taste == of].mean(axis=0)
        assert np.linalg.norm(xy - middle) < 0.5
    assert found.numbers["nearest_with_item"] == 1
    assert found.numbers["users_with_item"] == pytest.approx(1 / 3)
    assert found.numbers["length"] == pytest.approx(0.1)
    assert found.numbers["users_length"] == pytest.approx(5, abs=0.1)
    # an anchor that training never touched has no direction, and goes to the origin
    (nowhere,) = place_anchors(anchors, np.array([3]), latents, projected, histories, items).xy
    assert nowhere == pytest.approx(projected.transform(np.zeros((1, 3)))[0])


def test_names_are_titles_and_ids_where_there_are_none() -> None:
    titles = pl.DataFrame({"title": ["A", None, "C"]})
    assert item_names(Vocabulary([7, 8, 9], titles), np.array([2, 1])) == ["C", "8"]
    assert item_names(Vocabulary([7, 8, 9]), np.array([0])) == ["7"]
