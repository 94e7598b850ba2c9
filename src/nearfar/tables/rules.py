"""What to do with values that cannot be read, and the errors that tell of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.tables.clock import TimeUnit
from nearfar.tables.columns import OPTIONS, Role, quoted
from nearfar.tables.names import plain_name

BadRows = Literal["refuse", "drop", "null"]
TELLING_SHARE = 0.1
DROP = "--drop-bad-rows (in Python: drop_bad_rows=True)"


@dataclass(frozen=True)
class RowRules:
    """What to do with values that cannot be read.

    Attributes:
        bad_rows: "refuse": an error names the first; "drop": the row is left out and counted;
            "null": the value is taken for missing, for a caller that judges missing values.
        literal_ids: take NA, NULL, None and the like for ids rather than for missing ones.
        time_unit: what numbers in a time column count; "auto" tells it.
        time_format: how times are written, as strptime knows it; None to tell it.
        item_separator: what separates items where a cell of text holds several; None to tell it.
        max_dropped_share: of a table's rows. If more are unreadable, the table itself is not
            understood.
        has_options: whether these rules are options of the command that runs, so that errors may
            name them.

    Raises:
        SettingsError: a setting has no such value.

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


def on_nameless(where: str, columns: Mapping[str, str], shares: Mapping[str, float]) -> list[str]:
    """What to say of rows without an id: that so many of them may tell of a wrong column.

    Args:
        where: how messages name the table.
        columns: the column of each role.
        shares: of the rows, by the role whose id they lack.
    """
    return [
        f"{share:.0%} of the rows in {where} have no {role}: is {columns[role]!r} the column of "
        f"the {role}?"
        for role, share in shares.items()
        if share > TELLING_SHARE
    ]


def others_alike(
    unused: Sequence[str],
    columns: Mapping[str, str],
    roles: Sequence[Role],
    given: Mapping[str, str | None],
) -> list[str]:
    """Remarks on columns that could have been the user or the item as well.

    Args:
        unused: the columns without a role.
        columns: the column of each role.
        roles: the roles wanted.
        given: names of columns by role, as far as they are given.
    """
    remarks = []
    for role in roles:
        if role.kind != "id" or role.name not in columns or given.get(role.name) is not None:
            continue
        if alike := [column for column in unused if plain_name(column) in role.known]:
            remarks.append(
                f"{quoted(alike)} could be the {role.name} too; {columns[role.name]!r} is taken: "
                f"name another with {OPTIONS[role.name]}"
            )
    return remarks


def beyond(role: str, value: object) -> SchemaError:
    """The error for an integer id that 64 bits do not hold."""
    return SchemaError(
        f"{role} id {value} does not fit a signed 64-bit integer; "
        "put a letter before such ids to have them read as text"
    )


def missing_value(where: str, row: int, role: str, *, has_options: bool = True) -> DataError:
    """The error for a value that must be there.

    Args:
        where: how messages name the table.
        row: counted from 1.
        role: of the column.
        has_options: whether options of the command help.
    """
    hint = ""
    if has_options:
        hint = f"; leave such rows out with {DROP}"
        if role in OPTIONS:
            hint += f", or name another column with {OPTIONS[role]}"
            hint += "" if role in ("user", "item") else " ('' for none)"
    return DataError(f"{where}, row {row}: the {role} is missing{hint}")
