"""The sources there are: by name, and by the look of files."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nearfar.core import discovery
from nearfar.core.errors import DataError
from nearfar.data.sources.source import Source
from nearfar.tables.raw import RawFiles

PACKAGE = "nearfar.data.sources"


def all_sources() -> list[Source]:
    """Every source, by name."""
    return [_made(cls) for cls in discovery.discover(PACKAGE, Source).values()]


def chosen_source(source: str | Source | type[Source]) -> Source:
    """The source called so, or found at a dotted path; a source itself as it is.

    Raises:
        UnknownNameError: there is none.
    """
    if isinstance(source, str):
        return _made(discovery.find(PACKAGE, Source, source))
    return source if isinstance(source, Source) else _made(source)


def generated(text: str) -> Source | None:
    """The source that makes the log called `text` ("synthetic:ml-1m"), or None."""
    name = text.partition(":")[0].strip().lower().replace("_", "-")
    return next((s for s in all_sources() if s.generated and s.name == name), None)


def _made(concrete: Callable[[], Source]) -> Source:
    return concrete()


def detect(path: str | Path | RawFiles) -> Source:
    """The source whose layout the files at `path` have.

    Raises:
        DataError: no source or more than one knows them.
    """
    files = path if isinstance(path, RawFiles) else RawFiles(path)
    known = all_sources()
    matching = [s for s in known if not s.generic and s.matches(files)]
    matching = matching or [s for s in known if s.generic and s.matches(files)]
    if len(matching) == 1:
        return matching[0]
    if matching:
        names = ", ".join(s.name for s in matching)
        raise DataError(f"{files.path} could be read as {names}; choose with --format NAME")
    held = ", ".join(files.names[:5]) or "nothing"
    raise DataError(
        f"{files.path} holds no data in a known format (it holds {held}); known: "
        + ", ".join(s.name for s in known)
    )
