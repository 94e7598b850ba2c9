"""What a source was read as, and what of it was left out."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(repr=False)
class ReadReport:
    """What was read, as it is told to whoever has it read; filled while reading.

    Attributes:
        source: the path, or what else was read.
        format: the data set or format that it was read as.
        files: the files read, in order.
        skipped_files: files beside them that were not read.
        layout: separator, header and encoding of text; empty for other formats.
        columns: the column of each role.
        different_files: what files that are written otherwise than the first are read as.
        unused_columns: the others.
        n_rows: rows read.
        n_kept: rows kept.
        left_out: how many rows were left out, by reason.
        converted: how many values were read as something else than they are written, by what.
        contradictions: how many rows count although a column without a role says the opposite of
            an interaction, by what it says.
        times: the form in which times are written; empty without times.
        counts_steps: whether times are numbers too small for dates.
        remarks: what else there is to know.

    Examples:
        >>> from nearfar.tables.report import ReadReport
        >>> isinstance(log.read, ReadReport), log.read.n_rows
        (True, 600)
    """

    source: str = ""
    format: str = ""
    files: list[str] = field(default_factory=list)
    skipped_files: list[str] = field(default_factory=list)
    layout: str = ""
    columns: dict[str, str] = field(default_factory=dict)
    different_files: dict[str, str] = field(default_factory=dict)
    unused_columns: list[str] = field(default_factory=list)
    n_rows: int = 0
    n_kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    converted: Counter[str] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)
    times: str = ""
    counts_steps: bool = False
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """The report as plain JSON-able values."""
        return {
            **vars(self),
            "left_out": dict(self.left_out),
            "converted": dict(self.converted),
            "contradictions": dict(self.contradictions),
        }

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def losses(self) -> list[str]:
        """What was not read, left out or converted, and remarks, in words: a line each."""
        result = [f"not read: {_listed(self.skipped_files)}"] if self.skipped_files else []
        result += [
            f"left out: {n:,} of {self.n_rows:,} rows ({n / max(self.n_rows, 1):.1%}): {reason}"
            for reason, n in self.left_out.items()
        ]
        result += [f"{what}: {n:,} values" for what, n in self.converted.items()]
        result += [
            f"counted although {what}: {n:,} of {self.n_rows:,} rows"
            for what, n in self.contradictions.items()
        ]
        return result + self.remarks

    def lines(self) -> list[str]:
        """The report in words, for stderr: what it was read as, then what was left out."""
        roles = ", ".join(
            role if column == role else f"{role}={column}" for role, column in self.columns.items()
        )
        times = f" (time in {self.times})" if self.times else ""
        files = f" of {len(self.files)} files ({_listed(self.files, 2)})" if self.files[1:] else ""
        layout = f" ({self.layout})" if self.layout else ""
        found = f"{roles}{times}; " if roles or times else ""
        result = [
            f"read {self.source} as {self.format}{layout}{files}: {found}{self.n_rows:,} rows"
        ]
        if self.different_files:
            told = [f"{name} ({what})" for name, what in self.different_files.items()]
            result.append(f"written otherwise: {_listed(told, 3)}")
        if self.unused_columns:
            unused = [column or "one without a name" for column in self.unused_columns]
            result.append(f"columns not used: {_listed(unused)}")
        return result + self.losses()


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
