"""Read tables as database shells and data frames print them, with ruled lines, as tabbed text.

Examples are psql's and MySQL's output, sqlcmd's aligned columns, Markdown and Polars frames.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from nearfar.core.errors import DataError
from nearfar.tables.raw import BLOCK_BYTES, RawFiles, last_newline

BARS = re.compile("[|│┆║]")
RULE = re.compile(r"[\s|+:=,;─┌┬┐├┼┤└┴┘╞═╪╡╒╤╕╘╧╛-]+")
DASHES = re.compile("[-─═=]+")
BORDER = re.compile("[+─┌┬┐├┼┤└┴┘╞═╪╡╒╤╕╘╧╛-]*[+┬┼┴╪╤╧┘└╘╛][+─┌┬┐├┼┤└┴┘╞═╪╡╒╤╕╘╧╛-]*")
FOOTER = re.compile(r"\(?\d[\d,.]* rows?(?: affected\)| in set.*| selected\.|\))|shape: \(.*\)")
"""The number of rows, above or below them."""
CUT_SHORT = re.compile(r"(?:…|\.\.\.)")
FIRST_LINES = 8


@dataclass(frozen=True)
class PrintedTable:
    """A text file that is a printed table, in the form of `RawFiles`, with tabs between its cells.

    Attributes:
        files: the files.
        rule: the line between the header and the rows.
        spans: the places of the cells in a line; empty if bars or separators are between them.
        has_bars: whether bars are between the cells.
    """

    files: RawFiles
    rule: str
    spans: Sequence[tuple[int, int | None]]
    has_bars: bool

    @classmethod
    def found(cls, files: RawFiles, name: str, encoding: str | None) -> PrintedTable | None:
        """Return the printed table in a file; None if it is none."""
        text = files.sample(name, encoding).decode("utf-8", errors="replace")
        lines = [line for line in text.split("\n")[:FIRST_LINES] if line.strip()]
        lines = [line for line in lines if not FOOTER.fullmatch(line.strip())]
        rules = [at for at, line in enumerate(lines) if _is_rule(line)]
        if not rules or rules[0] > 1 or (rules[0] == 0 and len(rules) < 2):
            return None
        header, rule = lines[rules[0] ^ 1], lines[rules[0] or rules[1]].rstrip()
        has_bars = bool(BARS.search(header))
        spans: list[tuple[int, int | None]] = []
        if not has_bars and not re.search("[,;\t]", header):
            spans = [match.span() for match in DASHES.finditer(rule)]
            if len(spans) < 2:
                return None
            # The last cell may be longer than its rule.
            spans[-1] = (spans[-1][0], None)
        return cls(files, rule, spans, has_bars)

    def where(self, name: str) -> str:
        """Return the file's name in messages."""
        return self.files.where(name)

    def sample(self, name: str, encoding: str | None = None) -> bytes:
        """Return the first rows of the file."""
        return next(self.blocks(name, encoding=encoding), b"")

    def blocks(
        self,
        name: str,
        *,
        size: int = BLOCK_BYTES,
        encoding: str | None = None,
        row_end: Callable[[bytes], int] = last_newline,
    ) -> Iterator[bytes]:
        """Yield the header and the rows, without ruled lines and numbers of rows."""
        above_rule = True
        n_headers = 0
        for block in self.files.blocks(name, size=size, encoding=encoding):
            rows: list[str] = []
            for line in block.decode("utf-8", errors="surrogateescape").split("\n"):
                if line.rstrip() == self.rule:
                    above_rule = False
                elif line.strip() and not self._is_left_out(line, above_rule):
                    n_headers += above_rule
                    if not above_rule or n_headers == 1:  # types may stand below the names
                        rows.append(self._row(line, name))
            if rows:
                yield ("\n".join(rows) + "\n").encode("utf-8", errors="surrogateescape")

    @staticmethod
    def _is_left_out(line: str, above_rule: bool) -> bool:
        text = line.strip()
        is_rule = _is_rule(line) if above_rule else BORDER.fullmatch(text) is not None
        return is_rule or FOOTER.fullmatch(text) is not None

    def _row(self, line: str, name: str) -> str:
        if self.spans:
            cells = [line[start:end] for start, end in self.spans]
            gaps = [line[end : after[0]] for (_, end), after in pairwise(self.spans)]
            if any(gap.strip() for gap in gaps):
                raise DataError(
                    f"{self.where(name)}: the cells of {line.strip()[:60]!r} are not below the "
                    "ruled lines of their columns; separate the cells by commas or tabs"
                )
        elif self.has_bars:
            cells = BARS.split(line.strip())
            cells = cells[not cells[0] : len(cells) - (not cells[-1])]
        else:
            return line
        cells = [cell.strip().replace("\t", " ") for cell in cells]
        is_frame = "│" in line
        if all(CUT_SHORT.fullmatch(cell) for cell in cells) or (
            is_frame and any(cell.endswith("…") for cell in cells)
        ):
            raise DataError(
                f"{self.where(name)} was printed in part, with dots for what was left out: "
                f"{line.strip()[:60]!r}; write all of it, to CSV or Parquet"
            )
        return "\t".join(cells)


def _is_rule(line: str) -> bool:
    """Return whether a line has only dashes below each column."""
    text = line.strip()
    if not RULE.fullmatch(text) or sum(map(len, DASHES.findall(text))) < 3:
        return False
    cells = [cell.strip(" :") for cell in re.split(r"[|+,;\t┌┬┐├┼┤└┴┘╞╪╡╒╤╕╘╧╛]", text)]
    return all(DASHES.fullmatch(part) for cell in cells for part in cell.split())
