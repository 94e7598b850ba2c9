"""Resume a training that was stopped, or discard its folder if the training is a different one."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from nearfar.core.errors import ArtefactError
from nearfar.core.files import read_json, write_json

IDENTITY = "training.json"
WARM = "warm."


def warm_file(folder: Path, champion: str) -> Path:
    """Return the file of the champion's weights that a training starts from.

    The path is a setting of the initialiser and so part of the checkpoint's identity; it contains
    the champion's name, so that the identity does too.
    """
    return folder.resolve() / f"{WARM}{champion}.safetensors"


def prepare_folder(folder: Path, identity: Mapping[str, Any], say: Callable[[str], object]) -> None:
    """Prepare a folder for a training: keep its checkpoint, or remove that of another training.

    Args:
        folder: folder of the day's unfinished training.
        identity: settings, data, seed and all else that identifies the training, JSON-able.
        say: receives a line on what the folder held.
    """
    current = json.loads(json.dumps(identity))
    leftovers = []
    if folder.is_dir():
        leftovers = [path for path in folder.iterdir() if not _is_warm(path, current)]
    if leftovers:
        try:
            previous = read_json(folder / IDENTITY)
        except ArtefactError:
            previous = {}  # a damaged file identifies no training
        if previous == current:
            if len(leftovers) > 1:  # a checkpoint beside `IDENTITY`
                say(f"going on with the training in {folder}")
            return
        changed = sorted(k for k in {*previous, *current} if previous.get(k) != current.get(k))
        difference = f"differs in {', '.join(changed)}" if previous else "cannot be identified"
        say(f"the training in {folder} {difference}; starting anew")
        for path in leftovers:
            _remove(path)
    write_json(folder / IDENTITY, current)


def remove_unfinished(root: Path, as_of: str) -> None:
    """Remove the unfinished trainings of a day and of those before it."""
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name <= as_of:
            shutil.rmtree(folder, ignore_errors=True)


def _is_warm(path: Path, identity: Mapping[str, Any]) -> bool:
    """Return whether a path is the weights file that this training starts from."""
    return path.name == f"{WARM}{identity.get('warm_from')}.safetensors"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
