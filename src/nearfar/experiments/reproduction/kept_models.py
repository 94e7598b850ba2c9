"""The models that a study kept."""

from __future__ import annotations

from pathlib import Path

from nearfar.bundle.manifest import is_bundle
from nearfar.core.files import read_json
from nearfar.experiments.reproduction.rows import TABLES


def is_study(folder: Path) -> bool:
    """Whether a folder is of `nearfar reproduce`."""
    return (folder / "cells").is_dir()


def kept_models(folder: Path, split: str) -> dict[str, Path]:
    """The bundles of a study that were fitted on one split, by the labels of their rows.

    They come in the order of the rows in the paper's tables.

    A label that several have is followed by the fingerprint of the cell.

    Args:
        folder: of the study.
        split: the fingerprint of the split.
    """
    found: list[tuple[str, Path]] = []
    for summary in sorted((folder / "cells").glob("*.json")):
        model = folder / "models" / summary.stem
        content = read_json(summary)
        if content.get("identity", {}).get("split") == split and is_bundle(model):
            found.append((str(content.get("test", {}).get("name", summary.stem)), model))
    order = list(dict.fromkeys(row.label for rows in TABLES.values() for row in rows))
    found.sort(key=lambda each: order.index(each[0]) if each[0] in order else len(order))
    labels = [label for label, _ in found]
    return {
        label if labels.count(label) == 1 else f"{label} {model.name}": model
        for label, model in found
    }
