"""ONNX: from histories to recommendations where neither PyTorch nor nearfar need be."""

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
    """A folder of graphs on the same weights, with the items' ids and titles.

    `recommend.onnx` goes from histories to the best k items, `scores.onnx` to the scores of
    given items, `latents.onnx`, of autoencoders, to the latents that the decoder is given. All read
    their weights from `model.safetensors`, so that the 2 GiB that a graph may have are no limit.
    docs/guide/export.md has inputs and outputs.

    Args:
        input: how histories are given: "sparse", as item positions and where each history
            begins, or "dense", a table of booleans.
        k: how many items are recommended; None makes it an input of the graph.

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
        made = Graphs(model, self.input, self.k)
        graphs = {RECOMMEND: made.recommend(), SCORES_AT: made.scores_at()}
        if isinstance(model, Autoencoder):
            graphs[LATENTS] = made.latents()
        check_finite(made.weights.arrays)
        kept = {POPULARITY: model.popularity}
        compared = model.comparing if isinstance(model, Ensemble) else model
        if isinstance(compared, Autoencoder) and compared.anchors is not None:
            kept[ANCHORS] = compared.anchors
        among_latents = isinstance(model, Autoencoder) and model.latent_anchors is not None
        made.weights.arrays.update(kept)
        about = bundle.about.to_dict()
        about.pop("training")
        known = {
            "kind": discovery.name_of(type(model)),
            "n_items": model.n_items,
            "n_train_users": model.n_train_users,
            "anchors_among_latents": among_latents,
        }
        metadata = {
            "nearfar.version": __version__,
            "nearfar.model": json.dumps({"algorithm": about["algorithm"], **known}),
            "nearfar.items": bundle.items.fingerprint,
        }
        with atomic_folder(Path(path), overwrite_if=lambda p: holds(p, KIND)) as folder:
            places = made.weights.save(folder / WEIGHTS)
            for name, graph in graphs.items():
                proto = graph.model(Path(name).stem, metadata, WEIGHTS, places)
                (folder / name).write_bytes(proto.SerializeToString(deterministic=True))
                onnx.checker.check_model(folder / name, full_check=True)
            bundle.items.frame().write_parquet(folder / ITEMS)
            settings = {"input": self.input, "k": self.k}
            content = {"model": known, "settings": settings, "about": about}
            write_manifest(folder, content, KIND)
