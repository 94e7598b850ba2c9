"""Trainings that were stopped: taken up where they are the same, forgotten where they are not."""

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
    """Where the weights of a champion lie that a training goes on from.

    The path is a setting of the start and so part of the checkpoint's identity, and by the name
    in it so is the champion.
    """
    return folder.resolve() / f"{WARM}{champion}.safetensors"


def take_up(folder: Path, identity: Mapping[str, Any], say: Callable[[str], object]) -> None:
    """Make a folder ready for a training: what another one left in it is removed, and told.

    Args:
        folder: of the day's unfinished training.
        identity: JSON-able: settings, data, seed, and what else makes it this training.
        say: told what was found.
    """
    own = json.loads(json.dumps(identity))
    left = [p for p in folder.iterdir() if not _is_warm(p, own)] if folder.is_dir() else []
    if left:
        try:
            before = read_json(folder / IDENTITY)
        except ArtefactError:
            before = {}
        if before == own:
            if len(left) > 1:
                say(f"going on with the training in {folder}")
            return
        changed = sorted(k for k in {*before, *own} if before.get(k) != own.get(k))
        say(
            f"the training in {folder} was of other {', '.join(changed) if before else 'kind'}; "
            "starting anew"
        )
        for path in left:
            _remove(path)
    write_json(folder / IDENTITY, own)


def forget(root: Path, as_of: str) -> None:
    """Remove the unfinished trainings of a day and of those before it."""
    for folder in root.iterdir() if root.is_dir() else ():
        if folder.name <= as_of:
            shutil.rmtree(folder, ignore_errors=True)


def _is_warm(path: Path, identity: Mapping[str, Any]) -> bool:
    """Whether it is the file that this training starts from, which was just written."""
    return path.name == f"{WARM}{identity.get('warm_from')}.safetensors"


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    else:
        path.unlink()
