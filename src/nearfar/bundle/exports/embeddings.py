"""Export item and user vectors for a nearest-neighbour index."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import polars as pl

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.exports.export import Export, check_finite
from nearfar.bundle.history_file import read_histories
from nearfar.core import discovery
from nearfar.core.errors import SettingsError
from nearfar.core.files import atomic_folder
from nearfar.core.manifest import holds, write_manifest
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.inner_products import InnerProducts, user_vectors

KIND = "nearfar embeddings"


@dataclass(frozen=True)
class Embeddings(Export):
    """A folder of item and user vectors whose inner products are the model's scores.

    `items.npy` holds the items' rows of the decoder's last layer, or their factors, with the bias
    in a last column. `users.npy` holds the users' inputs to that layer, or their factors, with a
    last column of ones. So user . item is the score, and any index of the largest inner products
    recommends without nearfar. `anchors.npy` holds the item anchors, if the model has any.
    `items.parquet` and `users.parquet` hold the same rows as lists, with ids and titles.

    Args:
        users: a file of histories, as for `nearfar recommend --histories`; None for items alone.
    """

    users: str | None = None

    def write(self, bundle: Bundle, path: Path) -> None:
        model = bundle.model
        products = InnerProducts.of(model)
        if products is None:
            raise SettingsError(
                f"scores of this model ({type(model).__name__}) are not inner products of users "
                "and items; give a bundle of an autoencoder or a factor model"
            )
        arrays = {"items": products.item_vectors()}
        if isinstance(model, Autoencoder) and model.anchors is not None:
            arrays["anchors"] = model.anchors
        tables = {"items": bundle.items.frame()}
        if self.users is not None:
            chunks = list(read_histories(bundle, self.users))
            size = model.batch_size()
            vectors = [user_vectors(products, chunk.histories, size) for chunk in chunks]
            arrays["users"] = np.concatenate([*vectors, arrays["items"][:0]])
            tables["users"] = pl.DataFrame({"user": pl.concat([c.user_ids for c in chunks])})
        check_finite(arrays)
        manifest = {
            "model": {"kind": discovery.name_of(type(model)), "n_items": model.n_items},
            "shapes": {name: list(array.shape) for name, array in arrays.items()},
        }
        with atomic_folder(Path(path), overwrite_if=lambda p: holds(p, KIND)) as folder:
            for name, array in arrays.items():
                np.save(folder / f"{name}.npy", array, allow_pickle=False)
            for name, table in tables.items():
                vector = pl.Series("vector", arrays[name], dtype=pl.List(pl.Float32))
                table.with_columns(vector).write_parquet(folder / f"{name}.parquet")
            write_manifest(folder, manifest, KIND)
