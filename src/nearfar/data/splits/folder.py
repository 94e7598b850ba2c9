"""Save and load a split: a folder with manifest.json, Parquet files of ids, and matrices."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file
from scipy.sparse import csr_array

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import ArtefactError, DataError
from nearfar.core.files import atomic_folder, read_json
from nearfar.core.manifest import NAME, check_manifest_files, holds, read_manifest, write_manifest
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions, Split

KIND = "nearfar split"
FIRST_MANIFEST = "split.json"
"""The manifest of the first format, which is still read."""

REMEDY = "make the split again"
MATRICES = "matrices.safetensors"
ITEMS = "items.parquet"
GROUPS = ("train", "validation", "test")
PARTS = ("train", "validation_fold_in", "validation_held_out", "test_fold_in", "test_held_out")


def is_split(path: str | Path) -> bool:
    """Return whether `save_split` wrote a folder, even if files are missing."""
    return holds(path, KIND) or (Path(path) / FIRST_MANIFEST).is_file()


def is_split_folder(path: str | Path) -> bool:
    """Return whether a folder is a split, or the remains of a damaged one."""
    return is_split(path) or (Path(path) / MATRICES).is_file()


@validate_arguments()
def save_split(split: Split, path: str | Path) -> Path:
    """Write a split to a folder, atomically; an existing split is replaced.

    `manifest.json` holds the format, the protocol, counts, the fingerprint, and the size and
    checksum of every other file. Ids and item details are Parquet, matrices are safetensors
    (`PART.indptr`, `PART.indices` and optionally `PART.weights`). Other tools can read all files.

    Raises:
        ArtefactError: `path` exists and is not a split.

    Examples:
        >>> path = nf.save_split(split, "my-split")
        >>> nf.load_split("my-split").test.n_users
        10
    """
    path = Path(path)
    matrices = _matrices(split)
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
        content = {
            "protocol": split.protocol,
            "counts": {
                name: {"users": p.n_users, "items": p.n_items, "interactions": p.n_interactions}
                for name, p in matrices.items()
            },
            "fingerprint": split.fingerprint,
        }
        write_manifest(folder, content, KIND)
    return path


@validate_arguments()
def load_split(path: str | Path) -> Split:
    """Read a split that `save_split` wrote, and check the checksum of every file.

    Raises:
        ArtefactError: the folder is not a split, has a newer format, or a file is missing or
            damaged.

    Examples:
        >>> path = nf.save_split(split, "my-split")
        >>> nf.load_split("my-split").fingerprint == split.fingerprint
        True
    """
    path = Path(path)
    manifest = read_split_manifest(path)
    check_manifest_files(path, manifest["files"], REMEDY)
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
        raise ArtefactError(f"{path} is damaged ({reason}); {REMEDY}") from None
    if split.fingerprint != manifest.get("fingerprint"):
        raise ArtefactError(f"{path}: the fingerprint does not match the data; {REMEDY}")
    return split


def read_split_manifest(path: Path) -> dict[str, Any]:
    """Read the manifest of a split: `protocol`, `counts`, `fingerprint`, `files`.

    Raises:
        ArtefactError: the folder is not a split, has a newer format, or its manifest is damaged.
    """
    first = path / FIRST_MANIFEST
    if first.is_file() and not (path / NAME).exists():
        manifest = read_json(first)
        digests = manifest.get("sha256")
        if manifest.get("version") != 1 or not isinstance(digests, dict):
            raise ArtefactError(f"{first} is damaged; {REMEDY}")
        manifest["files"] = {name: {"sha256": digest} for name, digest in digests.items()}
    else:
        manifest = read_manifest(path, KIND, REMEDY)
    files, expected = manifest.get("files"), {MATRICES, ITEMS, *map(_users_file, GROUPS)}
    if not isinstance(files, dict) or set(files) != expected:
        raise ArtefactError(f"{path} is damaged (its list of files); {REMEDY}")
    if not isinstance(manifest.get("protocol"), dict):
        raise ArtefactError(f"{path} is damaged (no protocol); {REMEDY}")
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
