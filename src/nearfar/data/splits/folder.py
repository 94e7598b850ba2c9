"""A split on disk: a folder with split.json, two Parquet files of ids and one of matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from nearfar.core.errors import ArtefactError, DataError
from nearfar.core.files import atomic_folder, check_files, digest, read_json, write_json
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split

FORMAT = "nearfar-split"
VERSION, UNWEIGHTED = 2, 1
"""Version 2 has weights, which a reader of version 1 would miss."""

MANIFEST = "split.json"
REMEDY = "make the split again"
MATRICES = "matrices.safetensors"
ITEMS = "items.parquet"
GROUPS = ("train", "validation", "test")
PARTS = ("train", "validation_fold_in", "validation_held_out", "test_fold_in", "test_held_out")


def is_split(path: str | Path) -> bool:
    """Whether a folder was written by `save_split` (whole or not)."""
    try:
        return read_json(Path(path) / MANIFEST).get("format") == FORMAT
    except (ArtefactError, OSError):
        return False


def is_split_folder(path: str | Path) -> bool:
    """Whether a folder is a split or what is left of one, which `load_split` can name."""
    return any((Path(path) / name).is_file() for name in (MANIFEST, MATRICES))


def save_split(split: Split, path: str | Path) -> Path:
    """Write a split as a folder, atomically; one that stands there is replaced.

    `split.json` holds the format and its version, the protocol, counts, the fingerprint, and
    the checksum of every other file. Ids and item details are Parquet, matrices safetensors
    (`PART.indptr`, `PART.indices`, and `PART.weights` where there are any): nothing needs
    nearfar to be read.

    Raises:
        ArtefactError: something else stands at `path`.
    """
    path = Path(path)
    matrices = _matrices(split)
    weighted = any(part.weights is not None for part in matrices.values())
    with atomic_folder(path, overwrite_if=is_split) as folder:
        arrays = {}
        for name, part in matrices.items():
            arrays[f"{name}.indptr"] = part.x.indptr.astype(np.int64)
            arrays[f"{name}.indices"] = part.x.indices.astype(np.int32)
            if part.weights is not None:
                arrays[f"{name}.weights"] = part.weights
        save_file(arrays, folder / MATRICES)
        split.train.item_ids.frame().write_parquet(folder / ITEMS)
        for group in GROUPS:
            _user_ids(split, group).frame().write_parquet(folder / _users_file(group))
        files = {p.name: digest(p) for p in sorted(folder.iterdir())}
        manifest = {
            "format": FORMAT,
            "version": VERSION if weighted else UNWEIGHTED,
            "protocol": split.protocol,
            "counts": {
                name: {"users": p.n_users, "items": p.n_items, "interactions": p.n_interactions}
                for name, p in matrices.items()
            },
            "fingerprint": split.fingerprint,
            "sha256": files,
        }
        write_json(folder / MANIFEST, manifest)
    return path


def load_split(path: str | Path) -> Split:
    """Read a split that `save_split` wrote, every file checked against its checksum.

    Raises:
        ArtefactError: it is no split, of a newer format, or a file is missing or damaged.
    """
    path = Path(path)
    manifest = _manifest(path)
    checksums = {name: {"sha256": value} for name, value in manifest["sha256"].items()}
    check_files(path, checksums, listed_in=MANIFEST, remedy=REMEDY)
    try:
        arrays = load_file(path / MATRICES)
        items = _read_ids(path / ITEMS)
        users = {g: _read_ids(path / _users_file(g)) for g in GROUPS}
        parts = {}
        for name in PARTS:
            ids = users[name.partition("_")[0]]
            indices, indptr = arrays[f"{name}.indices"], arrays[f"{name}.indptr"]
            data = np.ones(len(indices), np.float32)
            x = csr_array((data, indices, indptr), shape=(len(ids), len(items)))
            parts[name] = Interactions(x, ids, items, arrays.get(f"{name}.weights"))
        split = Split(
            parts["train"],
            FoldIn(parts["validation_fold_in"], parts["validation_held_out"], "validation"),
            FoldIn(parts["test_fold_in"], parts["test_held_out"], "test"),
            manifest["protocol"],
        )
    except (DataError, PolarsError, SafetensorError, KeyError, ValueError, OSError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtefactError(f"{path} is damaged ({reason}); make the split again") from None
    if split.fingerprint != manifest.get("fingerprint"):
        raise ArtefactError(
            f"{path / MANIFEST} has another fingerprint than the data; make the split again"
        )
    return split


def _manifest(path: Path) -> dict[str, Any]:
    if not path.is_dir():
        raise ArtefactError(f"{path} is no folder; a split written by nearfar was expected")
    manifest = read_json(path / MANIFEST)
    if manifest.get("format") != FORMAT:
        raise ArtefactError(f"{path / MANIFEST} is not of a split; its format should be {FORMAT}")
    version = manifest.get("version")
    if not isinstance(version, int) or version > VERSION:
        raise ArtefactError(
            f"{path} has format version {version}, this nearfar reads up to {VERSION}; upgrade it"
        )
    files = manifest.get("sha256")
    expected = {MATRICES, ITEMS, *map(_users_file, GROUPS)}
    if not isinstance(files, dict) or set(files) != expected:
        raise ArtefactError(f"{path / MANIFEST} is damaged (its list of files); split again")
    if not isinstance(manifest.get("protocol"), dict):
        raise ArtefactError(f"{path / MANIFEST} is damaged (no protocol); split again")
    return manifest


def _users_file(group: str) -> str:
    return f"users_{group}.parquet"


def _user_ids(split: Split, group: str) -> Vocabulary:
    if group == "train":
        return split.train.user_ids
    held: FoldIn = getattr(split, group)
    return held.fold_in.user_ids


def _matrices(split: Split) -> dict[str, Interactions]:
    return {
        "train": split.train,
        "validation_fold_in": split.validation.fold_in,
        "validation_held_out": split.validation.held_out,
        "test_fold_in": split.test.fold_in,
        "test_held_out": split.test.held_out,
    }


def _read_ids(file: Path) -> Vocabulary:
    # Without these two a folder called "x[1]" or "key=value" would be an instruction.
    return Vocabulary.from_frame(pl.read_parquet(file, glob=False, hive_partitioning=False))
