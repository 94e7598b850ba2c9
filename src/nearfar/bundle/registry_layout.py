"""A pipeline's registry as its readers see it: the current version, and the titles of its items.

    current.json                 names the current version
    versions/VERSION/bundle/     the version's bundle, and exports beside it
    versions/VERSION/extended/   the same with items that came since the training
    items.parquet                titles and genres, renewed by every run of the pipeline

It needs no PyTorch, as a service of exports does not.
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
"""Where a version's bundle and exports lie with the items that came since the training."""


def current_version(registry: Path) -> str | None:
    """The name of the current version; None where nothing is published.

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
    """A bundle's folder: the path itself, or of a registry the current version's.

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
    """A version's folder of a kind, "bundle" or "onnx": with new items, if they were added."""
    extended = version / EXTENDED[kind]
    return extended if extended.exists() else version / kind


def items_file(folder: Path) -> Path | None:
    """The registry's file of titles for a bundle or an export; None where there is none."""
    versions = folder.resolve().parent.parent
    path = versions.parent / ITEMS
    return path if versions.name == VERSIONS and path.exists() else None


def with_registered_items(items: Vocabulary, folder: Path) -> Vocabulary:
    """Items with the newest titles and genres of their registry, if they lie in one.

    What the registry's file lacks stays as it was at the training.

    Args:
        items: of the bundle or export.
        folder: where that lies.

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
    newest, before = with_details(Vocabulary(items.ids), table).details, items.details
    columns = {name: before[name] for name in before.columns}
    for name in newest.columns:
        values = newest[name]
        if name in columns:
            values = values.zip_with(values.is_not_null(), columns[name])
        columns[name] = values
    return Vocabulary(items.ids, pl.DataFrame(columns))
