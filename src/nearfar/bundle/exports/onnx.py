"""The ONNX format: recommendations from histories without PyTorch or nearfar."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from nearfar._version import __version__
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.exported import (
    ANCHORS,
    ITEMS,
    KIND,
    LATENTS,
    POPULARITY,
    RECOMMEND,
    SCORES_AT,
    WEIGHTS,
)  # fmt: skip
from nearfar.bundle.exports.export import Export, check_finite
from nearfar.core import discovery
from nearfar.core.extras import require
from nearfar.core.files import atomic_folder
from nearfar.core.manifest import holds, write_manifest
from nearfar.core.ranges import PositiveInt
from nearfar.core.settings import Settings
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.ensemble import Ensemble


@dataclass(frozen=True)
class Onnx(Settings, Export):
    """A folder of ONNX graphs that share their weights, with the items' ids and titles.

    `recommend.onnx` computes the best k items of histories, `scores.onnx` the scores of given
    items, `latents.onnx` (autoencoders only) the decoder's inputs z. All read their weights from
    `model.safetensors`, so ONNX's limit of 2 GiB per graph does not apply.
    docs/guide/export.md has inputs and outputs.

    Args:
        input: form of the histories: "sparse", item positions and where each history begins; or
            "dense", a table of booleans.
        k: number of recommended items; None makes it an input of the graph.

    Raises:
        SettingsError: a value is out of range.
    """

    input: Literal["sparse", "dense"] = "sparse"
    k: PositiveInt | None = None

    def write(self, bundle: Bundle, path: Path) -> None:
        require("onnx", extra="onnx", purpose="exporting to ONNX")
        import onnx

        from nearfar.bundle.exports._model_graphs import Graphs
        from nearfar.bundle.exports.export import check_own

        model = bundle.model
        check_own(model)
        builder = Graphs(model, self.input, self.k)
        graphs = {RECOMMEND: builder.recommend(), SCORES_AT: builder.scores_at()}
        if isinstance(model, Autoencoder):
            graphs[LATENTS] = builder.latents()
        check_finite(builder.weights.arrays)
        arrays = {POPULARITY: model.popularity}
        compared = model.comparing if isinstance(model, Ensemble) else model
        if isinstance(compared, Autoencoder) and compared.anchors is not None:
            arrays[ANCHORS] = compared.anchors
        among_latents = isinstance(model, Autoencoder) and model.latent_anchors is not None
        builder.weights.arrays.update(arrays)
        metadata = bundle.metadata.to_dict()
        metadata.pop("training")
        description = {
            "kind": discovery.name_of(type(model)),
            "n_items": model.n_items,
            "n_train_users": model.n_train_users,
            "anchors_among_latents": among_latents,
        }
        properties = {
            "nearfar.version": __version__,
            "nearfar.model": json.dumps({"algorithm": metadata["algorithm"], **description}),
            "nearfar.items": bundle.items.fingerprint,
        }
        with atomic_folder(Path(path), overwrite_if=lambda p: holds(p, KIND)) as folder:
            locations = builder.weights.save(folder / WEIGHTS)
            for name, graph in graphs.items():
                proto = graph.model(Path(name).stem, properties, WEIGHTS, locations)
                (folder / name).write_bytes(proto.SerializeToString(deterministic=True))
                onnx.checker.check_model(folder / name, full_check=True)
            bundle.items.frame().write_parquet(folder / ITEMS)
            settings = {"input": self.input, "k": self.k}
            content = {"model": description, "settings": settings, "about": metadata}
            write_manifest(folder, content, KIND)
