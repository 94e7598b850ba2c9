"""The encoding, separator, quoting and header of a text file, set by the caller or inferred."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import chain
from typing import Literal

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.identity import INVISIBLE
from nearfar.tables.comments import SIGNS, is_number, read_comments, without_sign
from nearfar.tables.item_lists import refuse_item_lists
from nearfar.tables.names import RARER, SYNONYMS, plain_name
from nearfar.tables.reader import SampledFiles

SEPARATORS = "\t,;|\x01"
RARE_SEPARATORS = ("::", " ")
ALIGNED = " +"
"""Any number of blanks, between aligned columns."""
NAMED_SEPARATORS = {"tab": "\t", "\\t": "\t", "comma": ",", "semicolon": ";", "space": " "}
SNIFFED_LINES = 50
NAMES = {"\t": "tabs", ",": "commas", ";": "semicolons", "|": "bars", " ": "spaces", "::": "'::'",
         " +": "blanks", "\x01": "Ctrl-A"}  # fmt: skip
USERS, ITEMS = (
    frozenset(chain(SYNONYMS[role], *RARER[role])) for role in ("user", "item")
)  # fmt: skip
"""Usual names of the columns of users and items."""
SEPARATOR_LINE = re.compile(rb"sep=(.)\r?\n", re.IGNORECASE)

Quoting = Literal["auto", "double", "none"]


@dataclass(frozen=True)
class TextOptions:
    """Options for a text file; what is not set is inferred from the start of the file.

    Attributes:
        encoding: Python's name of the encoding ("latin-1", "cp1252", "utf-16"); None for UTF-8, or
            UTF-16 after its byte order mark.
        separator: the separator of cells; None to infer it from the first lines.
        quoting: "double": a double quote at the start of a cell protects separators and newlines
            up to the next quote, also where the lines inside look like rows, and two quotes are one
            character; "none": quotes are ordinary characters; "auto": "none" if cells are separated
            by tabs and the header is not quoted, else as "double", but lines inside a quote that
            look like rows are refused.
        header: whether the first line is a header; None: it is one unless it has only numbers.

    Raises:
        SettingsError: an option has an unknown value.

    Examples:
        >>> from nearfar.tables.dialect import TextOptions
        >>> TextOptions(encoding="latin-1", separator="tab").separator
        '\\t'
    """

    encoding: str | None = None
    separator: str | None = None
    quoting: Quoting = "auto"
    header: bool | None = None

    def __post_init__(self) -> None:
        if self.quoting not in ("auto", "double", "none"):
            raise SettingsError(f"quoting is {self.quoting!r}; expected auto, double or none")
        separator = self.separator
        if separator is not None:
            separator = NAMED_SEPARATORS.get(separator.lower(), separator)
            if separator != "::" and (len(separator.encode()) != 1 or separator in '"\r\n'):
                raise SettingsError(
                    f"separator is {self.separator!r}; expected one character, such as ',' or "
                    "';', or tab"
                )
            object.__setattr__(self, "separator", separator)


@dataclass(frozen=True)
class Dialect:
    """How a file's text is split into rows and cells.

    Attributes:
        separator: the separator of cells.
        quoted: whether a double quote at the start of a cell protects separators and newlines.
        header: whether the first line is a header.
        encoding: the encoding of the file; None for UTF-8, or UTF-16 after its byte order mark.
        skipped_bytes: the number of bytes before the first line ("sep=;" of spreadsheets, a title).
        n_skipped: the number of nonblank lines before the header.
        row_names: whether rows begin with their number, which has no name in the header.
        trusts_quotes: whether quoted cells may have lines that look like rows.
    """

    separator: str = ","
    quoted: bool = False
    header: bool = True
    encoding: str | None = None
    skipped_bytes: int = 0
    n_skipped: int = 0
    row_names: bool = False
    trusts_quotes: bool = False

    def __str__(self) -> str:
        parts = [f"separated by {NAMES.get(self.separator, repr(self.separator))}"]
        parts += ["" if self.header else "no header", self.encoding or ""]
        parts += ["a number before each row"] if self.row_names else []
        return ", ".join(filter(None, parts))


def sniff(files: SampledFiles, name: str, options: TextOptions) -> tuple[Dialect, list[str]]:
    """Infer the dialect of a text file and the names of its columns.

    Without a header the columns are named column_1, column_2, ...

    Raises:
        EmptyDataError: the file is empty.
        DataError: the file is not text, or has a list of items on each line.
    """
    sample = files.sample(name, options.encoding)
    skipped = 0
    separator = options.separator
    if line := SEPARATOR_LINE.match(sample):
        skipped = line.end()
        separator = separator or line[1].decode("latin-1")
    try:
        text = sample[skipped:].decode("utf-8", errors="strict")
    except UnicodeDecodeError as wrong:
        line = sample.count(b"\n", 0, skipped + wrong.start) + 1
        if line == 1:
            raise DataError(
                f"{files.where(name)}, line 1: byte 0x{sample[skipped + wrong.start]:02x} is not "
                "UTF-8 text; set the file's encoding, such as --encoding latin-1 or cp1252"
            ) from None
        text = sample[skipped : skipped + wrong.start].decode("utf-8")
    lines = text.split("\n")
    heading = None
    n_titles = n_skipped = _n_title_lines(lines, separator, options.header)
    if n_skipped is None:
        comments = read_comments(lines, separator, _separator, header=options.header)
        n_skipped, heading, separator = comments.n_lines, comments.header, comments.separator
    skipped += sum(len(line.encode()) + 1 for line in lines[:n_skipped])
    preamble, lines = lines[:n_skipped], lines[n_skipped:]
    if options.header is not True and heading is None:
        refuse_item_lists(lines, separator, files.where(name), header=options.header)
    separator = separator or _separator([line.rstrip("\r") for line in lines[:SNIFFED_LINES]])
    if n_titles is not None and options.header is not False and lines[0].startswith(SIGNS):
        n_cells = [line.count(separator) + 1 for line in (*lines[1:2], lines[0])]
        headings = (without_sign(lines[0], separator, n) for n in n_cells)
        heading = next((x for x in headings if x is not None), None)
    if heading is not None:
        lines[0] = heading
    quoted = options.quoting == "double" or (
        options.quoting == "auto"
        and separator != "::"
        and (separator != "\t" or _is_quoted(lines[0].rstrip("\r").split("\t")))
    )
    cells = _cells(lines, separator, quoted, files.where(name))
    header = options.header
    if header is None:
        header = not all(is_number(c) for c in cells)
    columns = cells if header else [f"column_{i + 1}" for i in range(len(cells))]
    dialect = Dialect(
        separator, quoted, header, options.encoding, skipped,
        trusts_quotes=options.quoting == "double",
    )  # fmt: skip
    if header and _have_row_names(lines, dialect, len(columns)):
        dialect, columns = replace(dialect, row_names=True), ["", *columns]
    return replace(dialect, n_skipped=sum(bool(line.strip()) for line in preamble)), columns


def _have_row_names(lines: Sequence[str], dialect: Dialect, n_columns: int) -> bool:
    """Return whether rows have a cell more than the header, and the first counts them, as R does.

    Args:
        lines: the header and the first rows.
        dialect: how they are split into cells.
        n_columns: the number of cells of the header.
    """
    try:
        rows = [
            _cells([line], dialect.separator, dialect.quoted, "")
            for line in lines[1:SNIFFED_LINES]
            if line.strip()
        ]
    except DataError:  # a cell spans lines
        return False
    if len(rows) < 3 or not all(len(row) == n_columns + 1 and row[-1] for row in rows):
        return False
    numbers = [row[0] for row in rows]
    return any(numbers == [str(at + first) for at in range(len(rows))] for first in (0, 1))


def _n_title_lines(lines: Sequence[str], separator: str | None, header: bool | None) -> int | None:
    """Return the number of lines above the first one with known names for users and items.

    Return None if there is no such line, or if the caller says that there is no header. Return 0 if
    the first line has one of these names, or if the caller says that the first line is the header.
    """
    if header is not None and (not header or not lines[0].startswith(SIGNS)):
        return 0 if header else None
    pattern = r"[\t,;|\x01]|::" if separator is None else re.escape(separator)
    for at, line in enumerate(lines[:SNIFFED_LINES]):
        names = {plain_name(cell) for cell in re.split(pattern, line)}
        if names & USERS and names & ITEMS:
            return at
        if at == 0 and names & (USERS | ITEMS) and not line.startswith(SIGNS):
            return 0
    return None


def _separator(lines: Sequence[str]) -> str:
    """Return the most frequent separator that splits most lines into equally many cells.

    If none does, return the most frequent one in the first line.
    """
    other_lines = [line for line in lines[1:] if line.strip()] or [lines[0]]

    def fitness(separator: str) -> tuple[bool, int, int]:
        n = lines[0].count(separator)
        n_alike = sum(line.count(separator) == n for line in other_lines)
        return n > 0 and n_alike >= 0.9 * len(other_lines), n, -SEPARATORS.index(separator)

    best = max(SEPARATORS, key=fitness)
    if best in lines[0]:
        return best
    rare = next((s for s in RARE_SEPARATORS if s in lines[0].strip()), ",")
    aligned = any(re.search(r"^ |  ", line.rstrip()) for line in lines)
    return ALIGNED if rare == " " and aligned else rare


def _is_quoted(cells: Sequence[str]) -> bool:
    return all(len(c) > 1 and c[0] == c[-1] == '"' for c in (c.strip() for c in cells))


def _cells(lines: Sequence[str], separator: str, quoted: bool, where: str) -> list[str]:
    """Return the cells of the first row, which may span several lines inside quotes."""
    if separator == ALIGNED:
        lines, separator = [re.sub(" +", " ", lines[0].strip(" \r"))], " "
    if not quoted or separator == "::" or '"' not in lines[0]:
        return [_name(c) for c in lines[0].rstrip("\r").split(separator)]
    texts = (f"{line.removesuffix(chr(13))}\n" for line in lines)
    rows = csv.reader(texts, delimiter=separator, skipinitialspace=True, strict=True)
    try:
        return [_name(c).replace("\n", " ") for c in next(rows, [])]
    except csv.Error as error:
        raise DataError(
            f"{where}, line 1: the quotes of the first line are not closed, or text follows them "
            f"({error}); read quotes as ordinary characters with --quoting none"
        ) from None


def _name(cell: str) -> str:
    """Return a column's name without surrounding blanks and invisible characters."""
    return cell.translate(dict.fromkeys(map(ord, INVISIBLE))).strip()
