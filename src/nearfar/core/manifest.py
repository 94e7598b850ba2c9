"""The manifest of a folder that nearfar writes, with checksums of all its files.

Bundles, exports and splits have one.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

from nearfar.core.errors import ArtefactError
from nearfar.core.files import check_files, digest, read_json, write_json

NAME = "manifest.json"
KIND = "nearfar bundle"
FORMAT = 1
REMEDY = "copy it again or train again"
MADE_BY = {
    "nearfar bundle": "nearfar train writes one, and a pipeline into its folder registry",
    "nearfar index": "nearfar index BUNDLE --out INDEX makes one",
    "nearfar split": "make one of a log by nearfar data split LOG --out SPLIT",
}
"""Kind of folder -> how to make one, for the message about a wrong folder."""
USES = {
    "nearfar ONNX export": "nearfar serve --runtime onnx and ONNX Runtime recommend from an "
    "export; here give the bundle that it was made of",
}
"""Kind of folder -> what to do with it, for the message where another kind was expected."""


def is_bundle(path: str | Path) -> bool:
    """Return whether a folder has the manifest of a bundle, of any format version."""
    return holds(path, KIND)


def holds(path: str | Path, kind: str) -> bool:
    """Return whether a folder has a manifest of this kind, of any format version."""
    try:
        return read_json(Path(path) / NAME).get("kind") == kind
    except (ArtefactError, OSError):
        return False


def write_manifest(folder: Path, content: dict[str, Any], kind: str = KIND) -> None:
    """Write the manifest of a folder, after all its other files."""
    files = {
        p.name: {"bytes": p.stat().st_size, "sha256": digest(p)} for p in sorted(folder.iterdir())
    }
    manifest = {"kind": kind, "format": FORMAT, **content, "files": files}
    write_json(folder / NAME, {**manifest, "sha256": _manifest_digest(manifest)})


def read_manifest(path: Path, kind: str = KIND, remedy: str = REMEDY) -> dict[str, Any]:
    """Read and check the manifest of a folder.

    Raises:
        ArtefactError: the folder is not of this kind or has a newer format, or the manifest is
            damaged.
    """
    if not path.exists():
        what = kind.removeprefix("nearfar ")
        raise ArtefactError(f"{path} does not exist; name the folder of a {what}")
    if not path.is_dir() or not (path / NAME).is_file():
        how = f"; {MADE_BY[kind]}" if kind in MADE_BY else ""
        raise ArtefactError(f"{path} is not a {kind}: it is not a folder with a {NAME}{how}")
    manifest = read_json(path / NAME)
    if manifest.get("kind") != kind:
        use = USES.get(str(manifest.get("kind")))
        raise ArtefactError(
            f"{path} is not a {kind}: the kind in its {NAME} is "
            f"{manifest.get('kind')!r}, not {kind!r}" + (f"; {use}" if use else "")
        )
    version = manifest.get("format")
    if isinstance(version, bool) or not isinstance(version, int) or version < 1:
        raise ArtefactError(f"{path / NAME} is damaged: its format is {version!r}; {remedy}")
    if version > FORMAT:
        raise ArtefactError(
            f"{path} was written by a newer nearfar (format {version}; this one reads {FORMAT}); "
            "upgrade"
        )
    recorded = manifest.pop("sha256", None)
    if recorded != _manifest_digest(manifest):
        raise ArtefactError(f"{path / NAME} is damaged: its checksum differs; {remedy}")
    return manifest


def check_manifest_files(path: Path, files: Any, remedy: str = REMEDY) -> None:
    """Check the name, size and checksum of every file that a manifest lists.

    Raises:
        ArtefactError: a name leads out of the folder, or a file is missing or damaged.
    """
    if not isinstance(files, dict) or not all(isinstance(v, dict) for v in files.values()):
        raise ArtefactError(f"{path / NAME} is damaged: it lists no files; {remedy}")
    check_files(path, files, listed_in=NAME, remedy=remedy)


def _manifest_digest(manifest: dict[str, Any]) -> str:
    text = json.dumps(manifest, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(text.encode()).hexdigest()
