"""Write self-contained HTML pages: one file that includes Plotly and needs no network.

A page is a list of sections, and a section is a list of blocks. The templates `page.html` and
`blocks.html` turn them into HTML and escape all text.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar._version import __version__
from nearfar.core.errors import SettingsError
from nearfar.core.extras import require
from nearfar.core.files import atomic_file
from nearfar.evaluation.table import Table
from nearfar.pages.chart import Chart
from nearfar.pages.plotly import plotly_figure

if TYPE_CHECKING:
    from jinja2 import Environment

HERE = Path(__file__).parent
SUFFIXES = (".html", ".htm")

POLICY = (
    "default-src 'none'; script-src 'unsafe-inline' 'unsafe-eval'; style-src 'unsafe-inline'; "
    "img-src data: blob:; base-uri 'none'; form-action 'none'"
)
"""Content security policy of the page: it can reach no host. Plotly needs eval to compile shader
parameters for WebGL."""

NUMBER = re.compile(r"-|[-+<]?[\d.,]+(e[-+]?\d+)?( ?± ?[\d.]+(e[-+]?\d+)?)?( ?%)?")
"""A table cell with a number, optionally with its interval; "-" for no number."""


@dataclass(frozen=True)
class Heading:
    """A heading inside a section."""

    text: str


@dataclass(frozen=True)
class Remark:
    """A paragraph in small grey type."""

    text: str


@dataclass(frozen=True)
class Bullets:
    """A list of lines; an empty list is not shown."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Commands:
    """Command lines, each in its own block for copying."""

    lines: Sequence[str]


@dataclass(frozen=True)
class Captioned:
    """A table with a caption above and its notes below; the first column names the rows."""

    table: Table
    caption: str

    def kinds(self) -> list[str]:
        """Return "number" or "text" for each column."""
        columns = zip(*self.table.rows, strict=True) if self.table.rows else ()
        kinds = ["number" if all(map(NUMBER.fullmatch, cells)) else "text" for cells in columns]
        return ["text", *kinds[1:]] if kinds else ["text"] * len(self.table.header)


@dataclass(frozen=True)
class Charts:
    """Charts in as many columns as fit.

    Args:
        charts: the charts.
        zoom: whether the wheel and touch zoom and move the charts instead of scrolling the page.
    """

    charts: Sequence[Chart]
    zoom: bool = False


@dataclass(frozen=True)
class Details:
    """Blocks that are hidden until the reader clicks the summary."""

    summary: str
    blocks: Sequence[Block]


Block = str | Heading | Remark | Bullets | Commands | Captioned | Charts | Details
"""A part of a section; a string is a paragraph."""


@dataclass(frozen=True)
class Section:
    """A part of a page under its own heading.

    Args:
        anchor: id on the page, of letters, digits and "-"; its charts are ANCHOR-1, ANCHOR-2, ...
        title: the heading.
        blocks: the content.
    """

    anchor: str
    title: str
    blocks: Sequence[Block]


def check_page(path: Path, purpose: str) -> None:
    """Check that a page can be written to this file, before the work begins.

    Raises:
        SettingsError: the suffix is not that of a page, or the path is a folder.
        MissingExtraError: Plotly or Jinja2 is not installed.
    """
    if path.suffix.lower() not in SUFFIXES:
        raise SettingsError(f"{path} ends in {path.suffix or 'nothing'}; {purpose} is a .html file")
    if path.is_dir():
        raise SettingsError(f"{path} is a folder; name a file")
    require("plotly", "jinja2", extra="maps", purpose=purpose)


def write_page(
    path: Path, title: str, introduction: Sequence[Block], sections: Sequence[Section]
) -> None:
    """Write a page with its charts atomically; it includes about 5 MB of Plotly.

    Args:
        path: the file to write.
        title: title of the page.
        introduction: blocks above the sections.
        sections: the sections; several have a navigation.
    """
    with atomic_file(path, text=True) as file:
        file.write(page(title, introduction, sections))


def page(title: str, introduction: Sequence[Block], sections: Sequence[Section]) -> str:
    """Return a page as text; see `write_page`."""
    from plotly.offline import get_plotlyjs

    return templates().get_template("page.html").render(
        title=title, introduction=introduction, sections=sections, policy=POLICY,
        version=__version__, plotly=get_plotlyjs(), style=_source("page.css"),
        script=_source("charts.js"),
    )  # fmt: skip


@cache
def templates() -> Environment:
    """Return the templates of pages; `blocks.html` renders a single section."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    environment = Environment(
        loader=FileSystemLoader(HERE), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True, keep_trailing_newline=True,
    )  # fmt: skip
    environment.filters["figure"] = plotly_figure
    environment.filters["kind"] = lambda block: type(block).__name__
    # NaN is not valid JSON. Keys keep the order of the figure.
    environment.policies["json.dumps_kwargs"] = {"allow_nan": False, "separators": (",", ":")}
    return environment


@cache
def _source(name: str) -> str:
    return (HERE / name).read_text(encoding="utf-8")
