"""Saves and loads bundles: a folder with manifest.json, model.safetensors, items.parquet.

Loading runs no code from the bundle: nothing is pickled, and no class from outside nearfar is
imported unless the caller trusts the bundle.
"""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from polars.exceptions import PolarsError
from safetensors import SafetensorError
from safetensors.numpy import load_file, save_file

from nearfar.bundle.bundle import Bundle, BundleMetadata, check_bundle, label_of_metadata
from nearfar.bundle.registry_layout import bundle_folder, with_registered_items
from nearfar.core import discovery
from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import ArtefactError, DataError, NearfarError, UnknownNameError
from nearfar.core.files import atomic_folder
from nearfar.core.manifest import (
    NAME,
    REMEDY,
    check_manifest_files,
    read_manifest,
    write_manifest,
)
from nearfar.core.manifest import is_bundle as is_bundle
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.model import Model
from nearfar.train.run import Device, Run

MODELS = "nearfar.models"
ARRAYS = "model.safetensors"
ITEMS = "items.parquet"
TRAINING = "training.jsonl"
POPULARITY = "popularity"
TRUST = "NEARFAR_TRUST"
"""Environment variable with the modules whose classes bundles may import."""


def check_destination(path: str | Path) -> None:
    """Refuse a path that `save_bundle` would refuse, before hours are spent on training.

    Raises:
        ArtefactError: `path` exists and is not a bundle, or cannot be written.
    """
    path = Path(path)
    if path.exists() or path.is_symlink():
        replaceable = path.is_dir() and (not any(path.iterdir()) or is_bundle(path))
        if not replaceable:
            raise ArtefactError(f"{path} exists and is not a nearfar bundle; name another folder")
    parent = next((p for p in path.absolute().parents if p.exists()), Path("/"))
    if not parent.is_dir() or not os.access(parent, os.W_OK):
        raise ArtefactError(
            f"{path} cannot be created: {parent} is not a writable folder; name another"
        )


@validate_arguments()
def save_bundle(bundle: Bundle, path: str | Path) -> Path:
    """Write a bundle as a folder, atomically; an existing bundle is replaced.

    `manifest.json` holds the format, the model's kind and description, how it was trained, and
    the size and checksum of every other file. Arrays are in `model.safetensors` (with
    `popularity`), ids and details of items in `items.parquet`, epochs in `training.jsonl`.

    Raises:
        ArtefactError: `path` exists and is not a bundle, or the model could not be loaded again.
        DataError: `bundle` is not a bundle, but a model for example.

    Examples:
        >>> path = nf.save_bundle(bundle, "my-bundle")
        >>> nf.load_bundle("my-bundle").n_items
        20
    """
    check_bundle(bundle)
    path = Path(path)
    check_destination(path)
    model = bundle.model
    description, arrays = model.state()
    if POPULARITY in arrays:
        raise ArtefactError(f"a model's array must not be called {POPULARITY!r}; rename it")
    arrays = {**arrays, POPULARITY: model.popularity}
    metadata = bundle.metadata.to_dict()
    training = metadata.pop("training")
    content = {
        "model": {
            "kind": _kind(type(model)),
            "n_items": model.n_items,
            "n_train_users": model.n_train_users,
            "description": description,
        },
        "about": metadata,
    }
    with atomic_folder(path, overwrite_if=is_bundle) as folder:
        save_file({k: np.asarray(v, order="C") for k, v in arrays.items()}, folder / ARRAYS)
        bundle.items.frame().write_parquet(folder / ITEMS)
        if training:
            lines = (json.dumps(record) + "\n" for record in training)
            (folder / TRAINING).write_text("".join(lines), encoding="utf-8")
        write_manifest(folder, content)
    return path


@validate_arguments()
def load_bundle(path: str | Path, *, device: Device = "cpu", trust: bool = False) -> Bundle:
    """Read a bundle, and check the size and checksum of every file.

    Args:
        path: the bundle's folder; or a pipeline's registry, of which the current version is read
            with the titles of the pipeline's last run.
        device: where the model scores; "auto" takes CUDA if available.
        trust: import the classes that the bundle names by dotted path. Importing runs code, so
            set it only if you know who wrote the bundle. The environment variable
            NEARFAR_TRUST=mine,theirs trusts only these modules and packages, in every command.

    Raises:
        ArtefactError: the folder is not a bundle, or damaged, or newer than this nearfar, or the
            model's kind is unknown or not trusted.
        SettingsError: the device is not available.

    Examples:
        >>> path = nf.save_bundle(bundle, "my-bundle")
        >>> nf.load_bundle("my-bundle", device="cpu").model.n_items
        20
    """
    path = bundle_folder(Path(path))
    torch_device = Run(device=device).torch_device
    manifest = read_manifest(path)
    files = manifest.get("files")
    check_manifest_files(path, files)
    for name in (ARRAYS, ITEMS):
        if name not in manifest["files"]:
            raise ArtefactError(f"{path / NAME} is damaged: it lists no {name}; {REMEDY}")
    try:
        items = _read_items(path / ITEMS)
        metadata = BundleMetadata.from_dict(
            {**manifest["about"], "training": _read_training(path, manifest["files"])}
        )
        model = _restore(manifest["model"], _read_arrays(path / ARRAYS), len(items), trust)
        items = with_registered_items(items, path)
    except ArtefactError as error:
        raise ArtefactError(f"{path}: {error}") from None
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        reason = f"{type(error).__name__}: {error}".partition("\n")[0]
        raise ArtefactError(f"{path} cannot be read ({reason}); {REMEDY}") from None
    model.label = label_of_metadata(metadata)
    model.to(torch_device)
    return Bundle(model, items, metadata)


def _kind(cls: type[Model]) -> str:
    """Return the name by which discovery finds a model's class.

    Raises:
        ArtefactError: there is no such name.
    """
    name = discovery.name_of(cls)
    try:
        same = discovery.find(MODELS, Model, name) is cls
    except NearfarError:
        same = False
    if not same:
        raise ArtefactError(
            f"a model of class {cls.__qualname__} cannot be loaded again: {name!r} does not lead "
            "to it; define it at the top of an importable module"
        )
    return name


def _restore(
    entry: dict[str, Any], arrays: dict[str, np.ndarray], n_ids: int, trust: bool
) -> Model:
    """Return the model of a manifest's entry and its arrays."""
    kind, description = entry["kind"], entry["description"]
    if not isinstance(kind, str) or not isinstance(description, dict):
        raise ArtefactError(f"the model's kind is {kind!r}; a name was expected; {REMEDY}")
    if not trust:
        modules = tuple(f"{m.strip()}." for m in os.environ.get(TRUST, "").split(",") if m.strip())
        refuse_dotted(kind, "model.kind", trusted=modules)
        refuse_dotted(description, "model.description", trusted=modules)
    popularity = arrays.pop(POPULARITY, None)
    if popularity is None or popularity.ndim != 1 or popularity.dtype.kind not in "iu":
        raise ArtefactError(f"{ARRAYS} holds no whole-number array {POPULARITY!r}; {REMEDY}")
    sizes = {len(popularity), entry["n_items"], description.get("n_items", n_ids)}
    if sizes != {n_ids}:
        raise ArtefactError(
            f"the model has {max(sizes - {n_ids})} items and {ITEMS} holds {n_ids} ids; {REMEDY}"
        )
    try:
        cls = discovery.find(MODELS, Model, kind)
    except UnknownNameError as error:
        raise ArtefactError(f"{error}; it may be from a newer nearfar: upgrade") from None
    except NearfarError as error:
        raise ArtefactError(f"{error}; install the package that defines the model") from None
    _check_weights(arrays, whole_numbers="." in kind)
    return cls.restore(description, arrays, popularity, int(entry["n_train_users"]))


def _check_weights(arrays: dict[str, np.ndarray], *, whole_numbers: bool) -> None:
    """Refuse weights that are not finite: their rankings would be empty.

    Args:
        arrays: the model's arrays by name.
        whole_numbers: whether integer arrays are allowed, as in other packages' models.

    Raises:
        ArtefactError: an array is not finite, or holds integers that are not allowed.
    """
    for name, array in arrays.items():
        if array.dtype.kind != "f":
            if whole_numbers:
                continue
            raise ArtefactError(
                f"{ARRAYS}: {name} is {array.dtype}; floats were expected; {REMEDY}"
            )
        # A float64 sum is finite only if all values are; unlike isfinite it copies nothing.
        with np.errstate(invalid="ignore"):
            finite = np.isfinite(array.sum(dtype=np.float64))
        if not finite and not np.isfinite(array).all():
            raise ArtefactError(f"{ARRAYS}: {name} holds NaN or infinite values; {REMEDY}")


def refuse_dotted(value: Any, where: str, *, trusted: tuple[str, ...] = ()) -> None:
    """Refuse any string inside `value` that could name a class by dotted path.

    Settings accept a class's name as `{"kind": name}` or as a bare string, and convert other
    values to text. So every string is checked, and a kind must be a string.

    Args:
        value: a value of a manifest.
        where: its key in the manifest, for the message.
        trusted: prefixes of allowed names, such as "mine.".

    Raises:
        ArtefactError: there is such a string.
    """
    if isinstance(value, dict):
        for key, inner in value.items():
            if key == "kind" and not isinstance(inner, str):
                raise ArtefactError(f"{where}.kind is {inner!r}; a name was expected")
            refuse_dotted(inner, f"{where}.{key}", trusted=trusted)
    elif isinstance(value, list):
        for i, inner in enumerate(value):
            refuse_dotted(inner, f"{where}[{i}]", trusted=trusted)
    elif isinstance(value, str) and "." in value and not value.startswith(trusted):
        raise ArtefactError(
            f"{where} names {value!r}, from outside nearfar; importing it would run its code: if "
            "you trust who wrote the bundle, load it with trust=True, or set the environment "
            f"variable {TRUST}={value.partition('.')[0]}"
        )


def _read_items(file: Path) -> Vocabulary:
    try:
        # Polars would interpret "*" or "key=value" in a folder's name.
        return Vocabulary.from_frame(pl.read_parquet(file, glob=False, hive_partitioning=False))
    except (PolarsError, DataError) as error:
        reason = str(error).partition("\n")[0]
        raise ArtefactError(f"{ITEMS} cannot be read ({reason}); {REMEDY}") from None


def _read_arrays(file: Path) -> dict[str, np.ndarray]:
    try:
        try:
            # Memory-mapped pages would double the memory of the arrays copied from them.
            return load_file(file, backend="pread")
        except TypeError:  # safetensors before 0.8 has no backends
            return load_file(file)
    except SafetensorError as error:
        raise ArtefactError(f"{ARRAYS} cannot be read ({error}); {REMEDY}") from None


def _read_training(path: Path, files: dict[str, Any]) -> list[dict[str, Any]]:
    if TRAINING not in files:
        return []
    lines = (path / TRAINING).read_text(encoding="utf-8").split("\n")
    return [json.loads(line) for line in lines if line]
