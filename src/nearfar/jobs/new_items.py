"""Items that came since the training, added to the published version every day."""

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


def with_items_since(
    pipeline: Pipeline,
    registry: Registry,
    version: str,
    users: Interactions,
    say: Callable[[str], object],
) -> Bundle:
    """Return a version's bundle with the items of `[items]` that it was not trained on.

    The bundle is kept beside the version's own, where the service finds it, until the file
    changes. A file of features that cannot be used is told of, and the version is returned as it
    is: the day's recommendations do not wait for it.

    Args:
        pipeline: its `items` names the columns of features; without any, nothing is added.
        registry: of the version.
        version: its name.
        users: whose lists new items take their share of.
        say: told what is added.
    """
    device = pipeline.train.device
    bundle = registry.bundle(version, device=device)
    details, folder = pipeline.items, registry.bundle_folder(version).with_name(EXTENDED["bundle"])
    if details is None or not details.features:
        _remove(folder)
        return bundle
    try:
        return _extended(pipeline, details, bundle, folder, users, say)
    except NothingNewError:
        _remove(folder)
    except (NearfarError, OSError) as error:
        say(f"no new items are added: {error}")
        _remove(folder)
    return bundle


def _extended(
    pipeline: Pipeline,
    details: ItemDetails,
    bundle: Bundle,
    folder: Path,
    users: Interactions,
    say: Callable[[str], object],
) -> Bundle:
    stamp = f"{digest(Path(details.path))}, {details}"
    if folder.exists():
        kept = load_bundle(folder, device=pipeline.train.device)
        if kept.about.data.get("new_items", {}).get(FILE) == stamp:
            return kept
    features = details.read_features()
    for remark in features.remarks:
        say(f"{details.path}: {remark}")
    extended = bundle.with_new_items(
        features, exposure=details.exposure, seed=pipeline.train.seed,
        histories=users.on_items(bundle.items).x,
    )  # fmt: skip
    done = {**extended.about.data["new_items"], FILE: stamp}
    about = replace(extended.about, data={**extended.about.data, "new_items": done})
    extended = replace(extended, about=about)
    save_bundle(extended, folder)
    for name, export in exports_of(pipeline.train.exports).items():
        export.write(extended, folder.with_name(EXTENDED[name]))
    left_out = done["n_left_out"]
    say(
        f"{done['n_new']:,} items that came since the training are added by their features"
        + (f"; {left_out:,} share no feature with known items" if left_out else "")
    )
    return extended


def _remove(folder: Path) -> None:
    for name in EXTENDED.values():
        shutil.rmtree(folder.with_name(name), ignore_errors=True)
