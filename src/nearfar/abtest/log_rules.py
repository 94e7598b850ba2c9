"""Rules for logs: which rows of a log of clicks are clicks, and remarks on users and zones."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import polars as pl

from nearfar.core.vocabulary import Vocabulary
from nearfar.data.id_remarks import remark_on_shared, remarks_on_ids
from nearfar.data.plain_events import PlainEvents
from nearfar.tables.columns import Columns
from nearfar.tables.report import ReadReport
from nearfar.tables.rows import TableRows


class Clicks:
    """Leaves out rows that are not clicks, according to a column of kinds or outcomes.

    Args:
        named: role -> name of the column.
        report: updated with the rows left out.
    """

    def __init__(self, named: Mapping[str, str], report: ReadReport) -> None:
        columns = {role: named[role] for role in ("kind", "outcome") if role in named}
        self._rule = PlainEvents(report, Columns(**columns), _advice_to_keep)
        self._report = report

    def only(self, rows: TableRows) -> TableRows:
        """Return the rows that are clicks."""
        frame, left_out = self._rule.read(rows.frame)
        return replace(rows, frame=frame if left_out is None else frame.filter(~left_out))

    def finish(self) -> None:
        """Add a remark if rows of several kinds were read; call it after the last row."""
        if len(self._rule.kinds) > 1:
            kinds = ", ".join(f"{kind} {n:,}" for kind, n in list(self._rule.kinds.items())[:8])
            self._report.remarks.append(f"rows of several kinds count as clicks ({kinds})")


def _advice_to_keep(role: str) -> str:
    return f"--column {role}= keeps it; in Python columns={{{role!r}: ''}}"


def remarks_on_users(rows: pl.DataFrame) -> list[str]:
    """Return remarks on odd user ids of a log.

    Args:
        rows: columns user, and views or clicks.
    """
    value = "views" if "views" in rows.columns else "clicks"
    counts = rows.group_by("user", maintain_order=True).agg(pl.col(value).sum())
    users = counts["user"]
    if not len(users):
        return []
    shared = remark_on_shared("user", Vocabulary(users), counts[value].to_numpy(), advice="")
    return [*remarks_on_ids("user", users), *([shared] if shared else [])]


def remarks_on_zones(exposures: tuple[int, int], clicks: tuple[int, int]) -> list[str]:
    """Return a remark if only one of the two logs names time zones.

    Args:
        exposures: number of times with a zone, and number without.
        clicks: the same for clicks.
    """
    zoned, naive = zip(exposures, clicks, strict=True)
    text = "the times of the {} have no time zone and are read as UTC; those of the {} have one"
    if naive[0] and not zoned[0] and zoned[1]:
        return [text.format("exposures", "clicks")]
    if naive[1] and not zoned[1] and zoned[0]:
        return [text.format("clicks", "exposures")]
    return []
