"""Reads a pipeline's registry: the current version, and the titles of its items.

    current.json                 names the current version
    versions/VERSION/bundle/     the version's bundle, and exports beside it
    versions/VERSION/extended/   the bundle with items that were added after training
    items.parquet                titles and genres, updated by every run of the pipeline

This module needs no PyTorch, so that a service of exports needs none.
"""

from __future__ import annotations

from pathlib import Path

import polars as pl
from polars.exceptions import PolarsError

from nearfar.core.errors import ArtefactError
from nearfar.core.files import read_json
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import with_details

POINTER = "current.json"
VERSIONS = "versions"
BUNDLE = "bundle"
ITEMS = "items.parquet"
EXTENDED = {"bundle": "extended", "onnx": "extended-onnx"}
"""The folders of a version's bundle and export with items that were added after training."""


def current_version(registry: Path) -> str | None:
    """Return the name of the current version; None if nothing is published.

    Raises:
        ArtefactError: the pointer is damaged.
    """
    if not (registry / POINTER).exists():
        return None
    version = read_json(registry / POINTER).get("version")
    if not isinstance(version, str) or not version or Path(version).name != version:
        raise ArtefactError(f"{registry / POINTER} is damaged: its version is {version!r}")
    return version


def bundle_folder(path: Path) -> Path:
    """Return the bundle's folder: the path itself, or for a registry the current version's.

    Raises:
        ArtefactError: a registry has no current version, or its pointer is damaged.
    """
    if not (path / POINTER).exists() and not (path / VERSIONS).is_dir():
        return path
    version = current_version(path)
    if version is None:
        raise ArtefactError(f"{path} is a registry in which nothing is published yet")
    return newest_folder(path / VERSIONS / version, BUNDLE)


def newest_folder(version: Path, kind: str) -> Path:
    """Return a version's folder of a kind, "bundle" or "onnx"; with new items if it has any."""
    extended = version / EXTENDED[kind]
    return extended if extended.exists() else version / kind


def items_file(folder: Path) -> Path | None:
    """Return the registry's file of titles for a bundle or an export; None if there is none."""
    versions = folder.resolve().parent.parent
    path = versions.parent / ITEMS
    return path if versions.name == VERSIONS and path.exists() else None


def with_registered_items(items: Vocabulary, folder: Path) -> Vocabulary:
    """Return items with the newest titles and genres of their registry, if they are in one.

    Values that the registry's file lacks stay as they were at training.

    Args:
        items: the items of the bundle or export.
        folder: the folder of the bundle or export.

    Raises:
        ArtefactError: the file is damaged.
    """
    path = items_file(folder)
    if path is None:
        return items
    try:
        table = pl.read_parquet(path)
    except (PolarsError, OSError) as error:
        raise ArtefactError(f"{path} cannot be read ({error}); run the pipeline again") from None
    newest, trained = with_details(Vocabulary(items.ids), table).details, items.details
    columns = {name: trained[name] for name in trained.columns}
    for name in newest.columns:
        values = newest[name]
        if name in columns:
            values = values.zip_with(values.is_not_null(), columns[name])
        columns[name] = values
    return Vocabulary(items.ids, pl.DataFrame(columns))
