"""Rules for values that cannot be read, and the errors and remarks about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import polars as pl

from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.tables.columns import quoted
from nearfar.tables.names import plain_name
from nearfar.tables.roles import OPTIONS, Role
from nearfar.tables.time_units import TimeUnit

BadRows = Literal["refuse", "drop", "null"]
REMARKABLE_SHARE = 0.1
DROP = "--drop-bad-rows (in Python: drop_bad_rows=True)"
LITERAL = "--literal-ids (in Python: RowRules(literal_ids=True); in settings: literal_ids = true)"


@dataclass(frozen=True)
class RowRules:
    """Rules for values that cannot be read.

    Attributes:
        bad_rows: "refuse": raise an error for the first bad row; "drop": leave bad rows out and
            count them; "null": make bad values missing, for a caller that checks missing values.
        literal_ids: read NA, NULL, None and similar words as ids, not as missing ids.
        time_unit: the unit of numbers in a time column; "auto" to infer it.
        time_format: the strptime format of times; None to infer it.
        item_separator: the separator of items in a cell with several items; None to infer it.
        max_dropped_share: the largest share of unreadable rows to leave out. With more, an error
            says that the table itself is not understood.
        has_options: whether the command that runs has these options, so that errors name them.

    Raises:
        SettingsError: `bad_rows` is unknown.

    Examples:
        >>> from nearfar.tables.rules import RowRules
        >>> from nearfar.tables.table import ReadOptions
        >>> frame = pl.DataFrame({"user": [1, 2] * 20, "item": [7] * 39 + [None]})
        >>> options = ReadOptions(rules=RowRules(bad_rows="drop"))
        >>> nf.read_log(frame, options=options).read.n_kept
        39
    """

    bad_rows: BadRows = "refuse"
    literal_ids: bool = False
    time_unit: TimeUnit = "auto"
    time_format: str | None = None
    item_separator: str | None = None
    max_dropped_share: float = 0.1
    has_options: bool = True

    def __post_init__(self) -> None:
        if self.bad_rows not in ("refuse", "drop", "null"):
            raise SettingsError(f"bad_rows is {self.bad_rows!r}; expected refuse or drop")


def remarks_on_missing_ids(
    where: str, columns: Mapping[str, str], shares: Mapping[str, float]
) -> list[str]:
    """Return a remark per role whose id is missing in many rows: its column may be the wrong one.

    Args:
        where: the table's name in messages.
        columns: the column of each role.
        shares: the share of rows without an id, by role.
    """
    return [
        f"{share:.0%} of the rows in {where} have no {role}; check that {columns[role]!r} is the "
        f"column of the {role}"
        for role, share in shares.items()
        if share > REMARKABLE_SHARE
    ]


def remarks_on_alternatives(
    unused: Sequence[str],
    columns: Mapping[str, str],
    roles: Sequence[Role],
    given: Mapping[str, str | None],
) -> list[str]:
    """Return remarks on other columns that could be the user or the item.

    Args:
        unused: the columns without a role.
        columns: the column of each role.
        roles: the roles that were looked for.
        given: the column names that the caller set, by role.
    """
    remarks = []
    for role in roles:
        if role.kind != "id" or role.name not in columns or given.get(role.name) is not None:
            continue
        if alike := _alternatives(unused, columns[role.name], role.known):
            remarks.append(
                f"{quoted(alike)} could also be the {role.name}; {columns[role.name]!r} is used; "
                f"name another column with {OPTIONS[role.name]}"
            )
    return remarks


def alternatives(
    unused: Sequence[str], columns: Mapping[str, str], roles: Sequence[Role]
) -> dict[str, list[str]]:
    """Return the unused columns that could be the user or the item, by role; also by rarer names.

    Args:
        unused: the columns without a role.
        columns: the column of each role.
        roles: the roles that were looked for.
    """
    return {
        role.name: _alternatives(unused, columns[role.name], role.names)
        for role in roles
        if role.kind == "id" and role.name in columns
    }


def _alternatives(unused: Sequence[str], column: str, names: Sequence[str]) -> list[str]:
    """Return the columns with one of these names, in the object of a column or in none."""
    parent = column.rpartition(".")[0]
    return [
        c
        for c in unused
        if plain_name(c) in names
        or (c.rpartition(".")[0] == parent and plain_name(c.rpartition(".")[2]) in names)
    ]


def id_overflow(role: str, value: object) -> SchemaError:
    """Return the error for an integer id of more than 64 bits."""
    return SchemaError(
        f"{role} id {value} does not fit a signed 64-bit integer; "
        "put a letter before such ids, so that they are read as text"
    )


def missing_value(
    where: str,
    row: int,
    role: str,
    *,
    extent: str = "",
    has_options: bool = True,
    others: Sequence[str] = (),
) -> DataError:
    """Return the error for a missing value.

    Args:
        where: the table's name in messages.
        row: the row's number, from 1.
        role: the role of the column.
        extent: how many rows have the same problem; see `extent_of`.
        has_options: whether the message names options of the command.
        others: other columns that could have the role.
    """
    hint = ""
    if has_options:
        hint = f"; leave such rows out with {DROP}"
        if role in OPTIONS:
            hint += f", or name another column with {OPTIONS[role]}"
            hint += f", such as {quoted(others[:3])}" if others else ""
            hint += "" if role in ("user", "item") else " ('' for none)"
    return DataError(f"{where}, row {row}: the {role} is missing{hint}{extent}")


def extent_of(bad: pl.Series, first_row: int) -> str:
    """Return how many rows up to the end of a block have a problem, for the end of a message.

    Args:
        bad: mask of the block's rows with the problem, at least one; earlier blocks had none.
        first_row: the number of the block's first row.
    """
    n_bad, n_rows = int(bad.sum()), first_row - 1 + len(bad)
    return f" ({n_bad:,} of the first {n_rows:,} rows are like it)" if n_bad > 1 else ""
