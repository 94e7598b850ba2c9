"""Where fetched data sets lie."""

from __future__ import annotations

import os
from pathlib import Path

from nearfar.core.errors import DataError
from nearfar.data.formats import all_sources
from nearfar.data.sources.source import Source
from nearfar.tables.raw import RawFiles


def cache_folder(cache: str | Path | None = None) -> Path:
    """The folder given, or $NEARFAR_CACHE, $XDG_CACHE_HOME/nearfar, ~/.cache/nearfar."""
    if cache is not None:
        return Path(cache)
    if own := os.environ.get("NEARFAR_CACHE"):
        return Path(own)
    if shared := os.environ.get("XDG_CACHE_HOME"):
        return Path(shared) / "nearfar"
    return Path.home() / ".cache" / "nearfar"


def data_sets() -> dict[str, Source]:
    """The sources that are data sets rather than formats, by name."""
    return {s.name: s for s in all_sources() if s.downloads or s.instructions or s.generated}


def find_cached(source: Source, cache: str | Path | None = None) -> Path | None:
    """The file or folder of a data set in the cache, or None."""
    folder = cache_folder(cache) / source.name
    if not folder.is_dir():
        return None
    for path in sorted(folder.glob("*.zip")):
        if source.matches(RawFiles(path)):
            return path
    files = RawFiles(folder)
    return folder if source.matches(files) else None


def cached(name: str, cache: str | Path | None = None) -> Path:
    """The file or folder of the data set `name` in the cache.

    Raises:
        DataError: `name` is no data set (nor, presumably, a path), or is not fetched yet.
    """
    known = data_sets()
    source = known.get(name.lower().replace("_", "-"))
    if source is None:
        raise DataError(
            f"{name!r} is neither a path that exists nor a data set; known: {', '.join(known)}"
        )
    found = find_cached(source, cache)
    if found is None:
        raise DataError(
            f"{source.name} is not in the cache {cache_folder(cache)}; "
            f"fetch it with: nearfar data fetch {source.name}"
        )
    return found
