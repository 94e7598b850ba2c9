"""The report on what a source was read as, and what was left out or converted."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any


@dataclass(repr=False)
class ReadReport:
    """What was read and how; filled while reading.

    Attributes:
        source: the path or name of the source.
        format: the data set or format it was read as.
        files: the files read, in order.
        skipped_files: files in the same folder that were not read.
        layout: separator, header and encoding of text; empty for other formats.
        columns: the column of each role.
        different_files: the layout and columns of each file that differs from the first one.
        unused_columns: the columns without a role.
        n_rows: number of rows read.
        n_in_window: number of these rows in the time window that was asked for; None without one.
        n_kept: number of rows kept.
        left_out: number of rows left out, by reason.
        converted: number of values that were changed on reading, by the change.
        contradictions: number of rows that count as interactions although a column without a role
            says the opposite, by what it says.
        times: the format of the times; empty without times.
        counts_steps: whether times are numbers too small for dates.
        remarks: other messages, such as values that look wrong.

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
    n_in_window: int | None = None
    n_kept: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    converted: Counter[str] = field(default_factory=Counter)
    contradictions: Counter[str] = field(default_factory=Counter)
    times: str = ""
    counts_steps: bool = False
    remarks: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return {
            **vars(self),
            "left_out": dict(self.left_out),
            "converted": dict(self.converted),
            "contradictions": dict(self.contradictions),
        }

    def __repr__(self) -> str:
        return "\n".join(self.lines())

    def losses(self) -> list[str]:
        """Return one line for each thing not read, left out or converted, and for each remark."""
        result = [f"not read: {_listed(self.skipped_files)}"] if self.skipped_files else []
        n_judged = self.n_rows if self.n_in_window is None else self.n_in_window
        rows = f"of {n_judged:,} rows" + ("" if self.n_in_window is None else " of the window")
        result += [
            f"left out: {n:,} {rows} ({n / max(n_judged, 1):.1%}): {reason}"
            for reason, n in self.left_out.items()
        ]
        result += [f"{change}: {n:,} values" for change, n in self.converted.items()]
        result += [
            f"counted as interactions although {problem}: {n:,} {rows}"
            for problem, n in self.contradictions.items()
        ]
        return result + self.remarks

    def lines(self) -> list[str]:
        """Return the report as lines of text: what was read, then `losses`."""
        roles = ", ".join(
            role if column == role else f"{role}={column}" for role, column in self.columns.items()
        )
        times = f" (time in {self.times})" if self.times else ""
        files = f" of {len(self.files)} files ({_listed(self.files, 2)})" if self.files[1:] else ""
        layout = f" ({self.layout})" if self.layout else ""
        columns = f"{roles}{times}; " if roles or times else ""
        result = [
            f"read {self.source} as {self.format}{layout}{files}: {columns}{self.n_rows:,} rows"
        ]
        if self.different_files:
            others = [f"{name} ({how})" for name, how in self.different_files.items()]
            result.append(f"files in another layout: {_listed(others, 3)}")
        if self.unused_columns:
            unused = [column or "a column without a name" for column in self.unused_columns]
            result.append(f"columns not used: {_listed(unused)}")
        return result + self.losses()


def _listed(names: list[str], most: int = 8) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
