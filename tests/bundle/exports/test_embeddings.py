"""Embeddings: inner products are the model's scores."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.bundle.exports.embeddings import Embeddings
from nearfar.core.errors import ArtefactError, SettingsError
from tests.bundle.exports.cases import CONFIDENCES, make_bundle, some_histories


@pytest.mark.parametrize("kind", ["autoencoder-anchors", "projection", next(iter(CONFIDENCES))])
def test_inner_products_are_scores(kind: str, tmp_path: Path) -> None:
    bundle = make_bundle(kind)
    histories = some_histories()[1:-1]
    entries = histories.tocoo()
    file = tmp_path / "histories.csv"
    ids = bundle.items.ids.gather(pl.Series(entries.col))
    pl.DataFrame({"user": entries.row, "item": ids}).write_csv(file)
    out = tmp_path / "vectors"
    Embeddings(users=str(file)).write(bundle, out)
    users, items = np.load(out / "users.npy"), np.load(out / "items.npy")
    order = pl.read_parquet(out / "users.parquet")["user"].to_numpy()
    np.testing.assert_allclose(
        users @ items.T, bundle.model.score(histories)[order], rtol=1e-4, atol=1e-4
    )
    frame = pl.read_parquet(out / "items.parquet")
    assert frame["id"].to_list() == bundle.items.ids.to_list()
    np.testing.assert_array_equal(np.stack(frame["vector"].to_list()), items)
    assert (out / "anchors.npy").exists() == (kind == "autoencoder-anchors")
    Embeddings().write(bundle, out)
    assert not (out / "users.npy").exists()
    (tmp_path / "other").mkdir()
    (tmp_path / "other" / "file").write_text("mine")
    with pytest.raises(ArtefactError):
        Embeddings().write(bundle, tmp_path / "other")


def test_a_model_without_vectors_is_refused(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"\(ItemItem\) are not inner products"):
        Embeddings().write(make_bundle("item_item"), tmp_path / "v")
    assert not (tmp_path / "v").exists()
