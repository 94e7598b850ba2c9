"""The options of all commands that read a log: columns, filters, how to read it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Annotated

import typer

from nearfar.data.filters import Filters
from nearfar.data.weighting import Repeats, Scale
from nearfar.tables.dialect import Quoting, TextOptions
from nearfar.tables.roles import OPTIONS
from nearfar.tables.rules import RowRules
from nearfar.tables.streams import MAX_EXPANSION
from nearfar.tables.table import ReadOptions
from nearfar.tables.time_units import TimeUnit

FILTERS = (
    "min_rating", "min_weight", "min_user", "max_user", "min_item", "core", "since", "until",
)  # fmt: skip
DETAILS = ("details",)
WEIGHTS = ("kind_weights", "weights", "repeats")
"""Options that only have an effect on training."""


@dataclass(frozen=True)
class LogOptions:
    """The options for reading a log; each field is an option of the command."""

    user: Annotated[
        str | None,
        typer.Option("--user-column", help="The log's column of users, if not recognised."),
    ] = None
    item: Annotated[
        str | None,
        typer.Option("--item-column", help="The log's column of items, if not recognised."),
    ] = None
    rating: Annotated[
        str | None,
        typer.Option("--rating-column", help="The log's column of ratings, if not recognised."),
    ] = None
    timestamp: Annotated[
        str | None,
        typer.Option("--time-column", help="The log's column of timestamps, if not recognised."),
    ] = None
    weight: Annotated[
        str | None,
        typer.Option(
            "--weight-column",
            help="The log's column of counts (plays, clicks, quantity), if not recognised. Rows "
            "with a count of 0 are left out; a negative count is a return. By "
            "default training uses the counts as weights only if this option is given.",
        ),
    ] = None
    kind: Annotated[
        str | None,
        typer.Option(
            "--kind-column",
            help="The log's column of event kinds (view, click, buy), if not recognised. Rows of"
            " kinds that are not interactions (impression, refund) are left out; '' keeps "
            "them.",
        ),
    ] = None
    outcome: Annotated[
        str | None,
        typer.Option(
            "--outcome-column",
            help="The log's column of outcomes (clicked: 0 or 1), if not recognised. Rows with "
            "a negative outcome (0, no, false) are left out; '' keeps them.",
        ),
    ] = None
    kind_weights: Annotated[
        str | None,
        typer.Option(
            "--kind-weights",
            help="Weight of each event kind in training: view=1,click=2,buy=5. Rows of other "
            "kinds are left out; the report counts them.",
        ),
    ] = None
    weights: Annotated[
        Scale | None,
        typer.Option(
            "--weights",
            help="How weights are used in training: linear: as they are; log: log2(1 + weight); "
            "none: not used. [linear with --kind-weights or --weight-column, else none]",
            show_default=False,
        ),
    ] = None
    repeats: Annotated[
        Repeats | None,
        typer.Option(
            "--repeats",
            help="How the weights of several events of the same user and item are combined. [max"
            " with --kind-weights, else sum]",
            show_default=False,
        ),
    ] = None
    details: Annotated[
        Path | None,
        typer.Option(
            "--item-details",
            help="A CSV, TSV or Parquet file with a column of items and one of titles; genres and "
            "other columns are kept too.",
        ),
    ] = None
    min_rating: Annotated[
        float | None,
        typer.Option(
            "--min-rating", help="Keep ratings of at least this value; 4 of 5 stars is usual."
        ),
    ] = None
    min_weight: Annotated[
        float | None,
        typer.Option("--min-weight", help="Keep counts of at least this value. [above 0]"),
    ] = None
    min_user: Annotated[
        int, typer.Option("--min-user", help="Keep users with at least this many items.", min=0)
    ] = 0
    max_user: Annotated[
        int | None,
        typer.Option(
            "--max-user", help="Keep users with at most this many items, to exclude bots.", min=1
        ),
    ] = None
    min_item: Annotated[
        int, typer.Option("--min-item", help="Keep items with at least this many users.", min=0)
    ] = 0
    core: Annotated[
        bool, typer.Option("--core", help="Repeat --min-user and --min-item until both hold.")
    ] = False
    since: Annotated[
        str | None,
        typer.Option("--since", help="Keep events from this date (or epoch second) on."),
    ] = None
    until: Annotated[
        str | None, typer.Option("--until", help="Keep events before this date (or epoch second).")
    ] = None
    format: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="Read the log as this data set or format (ml-1m, recbole, table, ..., or a dotted "
            "path to your own) instead of recognising it.",
        ),
    ] = None
    table: Annotated[
        str | None,
        typer.Option(
            "--table",
            help="For a folder or archive: the file to read, or a pattern such as 'part-*.csv'. "
            "For an SQLite file: the table.",
        ),
    ] = None
    encoding: Annotated[
        str | None,
        typer.Option(
            "--encoding", help="Encoding of a text file: latin-1, cp1252, utf-16, ... [utf-8]"
        ),
    ] = None
    separator: Annotated[
        str | None,
        typer.Option(
            "--separator",
            help="Column separator of a text file: ',', ';', tab, ... if not recognised.",
        ),
    ] = None
    quoting: Annotated[
        Quoting,
        typer.Option(
            "--quoting",
            help="double: a double quote at the start of a cell protects separators and newlines; "
            "none: quotes are characters; auto: none for tabs, else double.",
        ),
    ] = "auto"
    no_header: Annotated[
        bool,
        typer.Option(
            "--no-header",
            help="The first line is data; columns are then called column_1, column_2, ...",
        ),
    ] = False
    time_unit: Annotated[
        TimeUnit,
        typer.Option("--time-unit", help="Unit of numbers in the time column; auto recognises it."),
    ] = "auto"
    time_format: Annotated[
        str | None,
        typer.Option(
            "--time-format", help="Format of times, such as '%d/%m/%Y %H:%M', if not recognised."
        ),
    ] = None
    item_separator: Annotated[
        str | None,
        typer.Option(
            "--item-separator",
            help="For a text file: separator of several items in one cell, such as '|'.",
        ),
    ] = None
    drop_bad_rows: Annotated[
        bool,
        typer.Option(
            "--drop-bad-rows",
            help="Leave out and count unreadable rows, up to a tenth of all, instead of stopping"
            " at the first.",
        ),
    ] = False
    literal_ids: Annotated[
        bool,
        typer.Option(
            "--literal-ids", help="Read NA, NULL, None and the like as ids, not as missing values."
        ),
    ] = False
    max_expansion: Annotated[
        int,
        typer.Option(
            "--max-expansion",
            help="Refuse a compressed file that decompresses to more than this many times its "
            "size.",
            min=1,
        ),
    ] = MAX_EXPANSION

    @property
    def columns(self) -> dict[str, str | None]:
        """The column of each role; None for a role whose column is not given."""
        return {role: getattr(self, role) for role in OPTIONS}

    @property
    def filters(self) -> Filters:
        """The filters given."""
        return Filters(
            min_rating=self.min_rating,
            min_weight=self.min_weight,
            min_user=self.min_user,
            max_user=self.max_user,
            min_item=self.min_item,
            fixed_point=self.core,
            since=parse_time(self.since),
            until=parse_time(self.until),
        )

    @property
    def reading(self) -> ReadOptions:
        """How to read the log's files."""
        return ReadOptions(
            TextOptions(
                self.encoding, self.separator, self.quoting, False if self.no_header else None
            ),
            RowRules(
                "drop" if self.drop_bad_rows else "refuse",
                self.literal_ids,
                self.time_unit,
                self.time_format,
                self.item_separator,
            ),
            self.table,
            self.max_expansion,
        )


def parse_time(text: str | None) -> int | str | None:
    """Return an epoch second as an integer; leave an ISO date, or None, as it is."""
    return int(text) if text is not None and text.lstrip("-").isdigit() else text
