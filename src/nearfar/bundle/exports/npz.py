"""The npz format: arrays and a JSON header in one NumPy archive."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.bundle.bundle import Bundle, jsonable
from nearfar.bundle.exports.export import Export, check_finite
from nearfar.core import discovery
from nearfar.core.errors import ArtefactError
from nearfar.core.files import atomic_file

FORMAT = 1
HEADER, ITEMS = "header.json", "items.json"


@dataclass(frozen=True)
class Npz(Export):
    """A NumPy archive: the model's arrays by name; `header.json` and `items.json` in UTF-8.

    `numpy.load(path)` reads it, without pickle. `json.loads(archive["header.json"].tobytes())`
    returns the header: the model's "kind" and "description", and "about", how it was trained.
    Items are columns: {"id": [...], "title": [...]}. docs/guide/export.md has each kind's formula.
    """

    def write(self, bundle: Bundle, path: Path) -> None:
        path = Path(path)
        if path.suffix != ".npz":
            raise ArtefactError(f"{path} must end in .npz; rename it")
        description, arrays = bundle.model.state()
        arrays = {**arrays, "popularity": bundle.model.popularity}
        check_finite(arrays)
        header = {
            "kind": "nearfar npz",
            "format": FORMAT,
            "model": {
                "kind": discovery.name_of(type(bundle.model)),
                "n_items": bundle.n_items,
                "n_train_users": bundle.model.n_train_users,
                "description": description,
            },
            "about": bundle.metadata.to_dict(),
        }
        items = bundle.items.frame().to_dict(as_series=False)
        arrays |= {HEADER: _as_bytes(header), ITEMS: _as_bytes(items)}
        ordered = {name: arrays[name] for name in sorted(arrays)}
        with atomic_file(path) as file:
            np.savez(file, allow_pickle=False, **ordered)


def _as_bytes(value: dict[str, Any]) -> np.ndarray:
    text = json.dumps(jsonable(value), ensure_ascii=False, allow_nan=False)
    return np.frombuffer(text.encode(), np.uint8)
