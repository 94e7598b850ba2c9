"""Which rows of a log of clicks are clicks, and what looks odd about users."""

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
    """Leaves out rows of a log of clicks that a column says to be none.

    Args:
        named: names of columns by role.
        report: filled with the rows left out.
    """

    def __init__(self, named: Mapping[str, str], report: ReadReport) -> None:
        given = {role: named[role] for role in ("kind", "outcome") if role in named}
        self._judge = PlainEvents(report, Columns(**given), _keeping)
        self._report = report

    def only(self, rows: TableRows) -> TableRows:
        """The rows that are clicks."""
        frame, left_out = self._judge.read(rows.frame)
        return replace(rows, frame=frame if left_out is None else frame.filter(~left_out))

    def finish(self) -> None:
        """Tell of the kinds, once all rows are read."""
        if len(self._judge.kinds) > 1:
            kinds = ", ".join(f"{kind} {n:,}" for kind, n in list(self._judge.kinds.items())[:8])
            self._report.remarks.append(f"rows of several kinds count as clicks ({kinds})")


def _keeping(role: str) -> str:
    return f"--column {role}= keeps it; in Python columns={{{role!r}: ''}}"


def remarks_on_users(rows: pl.DataFrame) -> list[str]:
    """What there is to say of the users of a log.

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
    """What there is to say of the zones of both logs.

    Args:
        exposures: how many times name a zone, and how many do not.
        clicks: likewise.
    """
    (seen_zoned, seen_naive), (done_zoned, done_naive) = exposures, clicks
    text = "the times of the {} name no zone and are taken for UTC, those of the {} name one"
    if seen_naive and not seen_zoned and done_zoned:
        return [text.format("exposures", "clicks")]
    return (
        [text.format("clicks", "exposures")] if done_naive and not done_zoned and seen_zoned else []
    )
