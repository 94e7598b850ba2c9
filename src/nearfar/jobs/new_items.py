"""Add items that came since the training to the published version, every day."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.extended_catalogue import NothingNewError
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.bundle.registry_layout import EXTENDED
from nearfar.core.errors import NearfarError
from nearfar.core.files import digest
from nearfar.data.interactions import Interactions
from nearfar.jobs.item_details import ItemDetails
from nearfar.jobs.pipeline import Pipeline, exports_of
from nearfar.jobs.registry import Registry

FILE = "file_sha256"


def extend_version(
    pipeline: Pipeline,
    registry: Registry,
    version: str,
    users: Interactions,
    say: Callable[[str], object],
) -> Bundle:
    """Return a version's bundle, extended by the items of `[items]` that it was not trained on.

    The extended bundle is saved beside the version's own, where the service finds it, and reused
    until the file changes. If the file cannot be used, `say` receives the reason and the version is
    returned as it is, so that the day is scored.

    Args:
        pipeline: its `items` names the columns of features; without any, nothing is added.
        registry: registry of the version.
        version: name of the version.
        users: active users, on whom the exposure of new items is set.
        say: receives a line on what is added.
    """
    device = pipeline.train.device
    bundle = registry.bundle(version, device=device)
    details, folder = pipeline.items, registry.bundle_folder(version).with_name(EXTENDED["bundle"])
    if details is None or not details.features:
        _remove_extended(folder)
        return bundle
    try:
        return _extend(pipeline, details, bundle, folder, users, say)
    except NothingNewError:
        _remove_extended(folder)
    except (NearfarError, OSError) as error:
        say(f"no new items are added: {error}")
        _remove_extended(folder)
    return bundle


def _extend(
    pipeline: Pipeline,
    details: ItemDetails,
    bundle: Bundle,
    folder: Path,
    users: Interactions,
    say: Callable[[str], object],
) -> Bundle:
    stamp = f"{digest(Path(details.path))}, {details}"
    if folder.exists():
        saved = load_bundle(folder, device=pipeline.train.device)
        if saved.metadata.data.get("new_items", {}).get(FILE) == stamp:
            return saved
    features = details.read_features()
    for remark in features.remarks:
        say(f"{details.path}: {remark}")
    extended = bundle.with_new_items(
        features, exposure=details.exposure, seed=pipeline.train.seed,
        histories=users.on_items(bundle.items).x,
    )  # fmt: skip
    summary = {**extended.metadata.data["new_items"], FILE: stamp}
    metadata = replace(extended.metadata, data={**extended.metadata.data, "new_items": summary})
    extended = replace(extended, metadata=metadata)
    save_bundle(extended, folder)
    for name, export in exports_of(pipeline.train.exports).items():
        export.write(extended, folder.with_name(EXTENDED[name]))
    left_out = summary["n_left_out"]
    say(
        f"{summary['n_new']:,} items that came since the training are added by their features"
        + (f"; {left_out:,} share no feature with known items" if left_out else "")
    )
    return extended


def _remove_extended(folder: Path) -> None:
    for name in EXTENDED.values():
        shutil.rmtree(folder.with_name(name), ignore_errors=True)
