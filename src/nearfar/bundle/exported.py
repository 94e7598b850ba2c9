"""Reads a bundle that was exported to ONNX; needs no PyTorch."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float, Int
from polars.exceptions import PolarsError
from safetensors import SafetensorError, safe_open

from nearfar.core.errors import ArtefactError, DataError
from nearfar.core.manifest import NAME, REMEDY, check_manifest_files, is_bundle, read_manifest
from nearfar.core.vocabulary import Vocabulary

KIND = "nearfar ONNX export"
RECOMMEND, SCORES_AT, LATENTS = "recommend.onnx", "scores.onnx", "latents.onnx"
WEIGHTS = "model.safetensors"
ITEMS = "items.parquet"
POPULARITY, ANCHORS = "popularity", "anchors"
OUTPUT = "output"
"""The items' vectors, bias and popularity, stacked as rows of one table."""

ITEM_WEIGHTS = "weights"
"""The square matrix of an item-item model."""

N_CONSTANT = 2
"""Rows of `OUTPUT` that are no item vectors: bias and popularity."""


@dataclass(frozen=True, eq=False)
class Exported:
    """The contents of an ONNX export besides its graphs.

    Args:
        path: the folder.
        items: ids by position, with their details.
        popularity: number of training users who interacted with each item.
        anchors: the item anchors of PIA, or None.
        model: kind, n_items, n_train_users, and whether anchors are in the space of the latents.
        settings: "input" is sparse or dense, "k" a number or None.
        metadata: the bundle's `BundleMetadata` without the epochs.
        graphs: file names of the graphs.
    """

    path: Path
    items: Vocabulary
    popularity: Int[np.ndarray, " items"]
    anchors: Float[np.ndarray, "items latent"] | None
    model: dict[str, Any]
    settings: dict[str, Any]
    metadata: dict[str, Any]
    graphs: tuple[str, ...]

    @property
    def latent_anchors(self) -> Float[np.ndarray, "items latent"] | None:
        """Return the anchors if they are in the space that `LATENTS` returns, else None."""
        # The graph of an export without the key returns means of posteriors, the anchors' space.
        in_latents = self.model.get("anchors_among_latents", True)
        return self.anchors if LATENTS in self.graphs and in_latents else None

    def item_vectors(self) -> Float[np.ndarray, "items d"] | None:
        """Return the item vectors of the decoder or factor model; None for other models."""
        output = _array(self.path, OUTPUT)
        return None if output is None else output[:-N_CONSTANT].T

    def rows(
        self, name: str, rows: Int[np.ndarray, " rows"]
    ) -> Float[np.ndarray, "rows columns"] | None:
        """Read some rows of a stored table, without the others; None if there is no such table."""
        with safe_open(self.path / WEIGHTS, framework="numpy") as file:
            if name not in set(file.keys()):
                return None
            table = file.get_slice(name)
            return np.concatenate([table[int(i) : int(i) + 1] for i in rows])


def read_exported(path: str | Path) -> Exported:
    """Read a folder that `nearfar export --format onnx` wrote, and check all checksums.

    Raises:
        ArtefactError: the folder is no ONNX export, or damaged, or newer than this nearfar.
    """
    path = Path(path)
    if is_bundle(path):
        raise ArtefactError(
            f"{path} is a bundle, not an ONNX export; run nearfar export {path} --out FOLDER"
        )
    manifest = read_manifest(path, KIND)
    check_manifest_files(path, manifest.get("files"))
    try:
        for name in (RECOMMEND, WEIGHTS, ITEMS):
            if name not in manifest["files"]:
                raise ArtefactError(f"it lists no {name}")
        # Polars would interpret "*" or "key=value" in a folder's name.
        frame = pl.read_parquet(path / ITEMS, glob=False, hive_partitioning=False)
        _check_numbers(path)
        popularity = _array(path, POPULARITY)
        if popularity is None or len(popularity) != frame.height:
            raise ArtefactError(f"the popularity of the {frame.height} items is missing")
        return Exported(
            path,
            Vocabulary.from_frame(frame),
            popularity,
            _array(path, ANCHORS),
            dict(manifest["model"]),
            {"input": manifest["settings"]["input"], "k": manifest["settings"]["k"]},
            dict(manifest["about"]),
            tuple(name for name in manifest["files"] if name.endswith(".onnx")),
        )
    except (ArtefactError, KeyError, TypeError, PolarsError, DataError, SafetensorError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtefactError(f"{path / NAME} is damaged ({reason}); {REMEDY}") from None


def _check_numbers(path: Path) -> None:
    """Refuse tables that are not finite: their rankings would be empty or arbitrary."""
    with safe_open(path / WEIGHTS, framework="numpy") as file:
        for name in file.keys():  # noqa: SIM118
            table = file.get_tensor(name)
            if table.dtype.kind == "f" and not np.isfinite(table).all():
                raise ArtefactError(f"{WEIGHTS}: {name} holds NaN or infinite numbers")


def _array(path: Path, name: str) -> np.ndarray | None:
    with safe_open(path / WEIGHTS, framework="numpy") as file:
        return file.get_tensor(name) if name in set(file.keys()) else None
