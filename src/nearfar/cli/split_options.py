"""What options that read a log mean where a split is given instead."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import get_type_hints

from nearfar.cli.log_options import LogOptions
from nearfar.cli.output import Output
from nearfar.core.errors import SettingsError
from nearfar.data.events import told_titles, with_details
from nearfar.data.interactions import Split
from nearfar.tables.item_table import read_item_table

OF_DETAILS = ("details", "item")
"""Fields that concern a table of items, which a split may get too."""


def with_options_of_logs(split: Split, source: str, options: LogOptions, output: Output) -> Split:
    """The split with the items' details that the options name.

    Args:
        split: as read.
        source: its path, for messages.
        options: of the command.
        output: told how many items have a title.

    Raises:
        SettingsError: an option was given that has no effect on a split.
        DataError: the table of items cannot be read.
    """
    hints = get_type_hints(LogOptions, include_extras=True)
    allowed = OF_DETAILS if options.details is not None else ()
    for field in fields(options):
        if field.name not in allowed and getattr(options, field.name) != field.default:
            declared = hints[field.name].__metadata__[0]
            option = next(iter(declared.param_decls), declared.default)  # as Typer has taken it
            raise SettingsError(
                f"{source} is a split, and {option} has no effect on one: give it to nearfar data "
                "split, or give the log"
            )
    if options.details is None:
        return split
    details = read_item_table(options.details, item=options.item)
    items = with_details(split.train.item_ids, details)
    n_titled, text = told_titles(items, details)
    say = output.remark if n_titled else output.warning
    say(f"{options.details}: {text}")
    parts = {
        name: replace(
            part,
            fold_in=replace(part.fold_in, item_ids=items),
            held_out=replace(part.held_out, item_ids=items),
        )
        for name, part in (("validation", split.validation), ("test", split.test))
    }
    return replace(split, train=replace(split.train, item_ids=items), **parts)
