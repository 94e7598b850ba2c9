"""What commands are given, opened: logs, splits, and bundles to look at on them."""

from __future__ import annotations

from dataclasses import fields, replace
from pathlib import Path
from typing import TYPE_CHECKING, get_type_hints

import polars as pl
import typer

from nearfar.cli.log_options import LogOptions
from nearfar.cli.output import Output
from nearfar.core.errors import DataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.events import Log, told_titles, with_details
from nearfar.data.filters import Filters
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.log import read_log
from nearfar.data.splits.folder import is_split_folder, load_split
from nearfar.evaluation.evaluate import on_items_of
from nearfar.tables.columns import title_columns
from nearfar.tables.item_table import read_item_table
from nearfar.tables.report import ReadReport

if TYPE_CHECKING:
    from nearfar.bundle.bundle import Bundle

OF_DETAILS = ("details", "item")
"""Options that concern a table of items, which a split may get too."""


def open_log(
    source: str, options: LogOptions, output: Output, filters: Filters | None = None
) -> Log:
    """Read the log at a path, or of a data set by its name, and say what it was read as.

    Args:
        source: the path or name.
        options: of the command.
        output: gets the remarks.
        filters: in place of the options' own.

    Raises:
        DataError: the path is empty text or a split, or the log cannot be read.
    """
    if not source.strip():
        raise DataError("the log's path is empty; give a file, a folder or a data set's name")
    if is_split_folder(Path(source)):
        raise DataError(f"{source} is a split; give the log that it was made of")
    details = None
    if options.details is not None:
        details = _read_details(options.details, options, output)
    log = read_log(
        source,
        **options.columns,
        filters=options.filters if filters is None else filters,
        format=options.format,
        options=options.reading,
        drop_bad_rows=options.drop_bad_rows,
        items=details,
        kind_weights=options.kind_weights,
        weights=options.weights,
        repeats=options.repeats,
    )
    column = log.read and log.read.columns.get("weight")
    if column and options.weights is None and not log.weighted:
        output.remark(
            f"the weights in {column!r} are not used in training, where all interactions count "
            "alike; --weights linear or --weights log uses them"
        )
    if log.read is not None:
        for line in log.read.lines():
            output.remark(line)
        titles = title_columns(log.read.unused_columns)
        if titles and options.details is None and Path(source).is_file():
            output.remark(f"to use {titles[0]!r} as titles: --item-details {source}")
    for step in log.steps:
        output.remark(str(step))
    if details is not None:
        _say_titles(options.details, log.item_ids, details, output)
    return log


def split_with_options(split: Split, source: str, options: LogOptions, output: Output) -> Split:
    """Return the split with the items' details that the options name.

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
    details = _read_details(options.details, options, output)
    items = with_details(split.train.item_ids, details)
    _say_titles(options.details, items, details, output)
    parts = {
        name: replace(
            part,
            fold_in=replace(part.fold_in, item_ids=items),
            held_out=replace(part.held_out, item_ids=items),
        )
        for name, part in (("validation", split.validation), ("test", split.test))
    }
    return replace(split, train=replace(split.train, item_ids=items), **parts)


def _read_details(path: Path, options: LogOptions, output: Output) -> pl.DataFrame:
    """Read the table of items at the path, and say what was left out and converted."""
    report = ReadReport()
    details = read_item_table(path, item=options.item, log_encoding=options.encoding, report=report)
    for line in report.losses():
        output.remark(f"{path}: {line}")
    return details


def _say_titles(
    path: Path | None, items: Vocabulary, details: pl.DataFrame, output: Output
) -> None:
    """Say how many items have a title in the table at the path; warn where none has."""
    n_titled, text = told_titles(items, details)
    say = output.remark if n_titled else output.warning
    say(f"{path}: {text}")


def say_weights(train: Interactions, output: Output) -> None:
    """Say which weights interactions have, where they have any."""
    if train.weights is not None:
        low, mean, high = (getattr(train.weights, name)() for name in ("min", "mean", "max"))
        output.remark(f"interactions weigh {low:.3g} to {high:.3g}, {mean:.3g} in the mean")


def open_held_out(source: Path, part: str) -> tuple[Split, FoldIn]:
    """The test or the validation users of a split folder."""
    split = load_split(source)
    return split, split.test if part == "test" else split.validation


def aligned(data: FoldIn, items, output: Output) -> FoldIn:
    """The held-out users over a bundle's items; says so if that loses anything."""
    moved, lost = on_items_of(data, items)
    if lost:
        output.warning(lost)
    return moved


def named_bundles(paths: list[Path]) -> dict[str, Path]:
    """Bundles' folders by the shortest end of the path that tells them apart.

    Raises:
        BadParameter: one is named twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise typer.BadParameter("a bundle is named twice", param_hint="BUNDLES")
    for n_parts in range(1, max((len(path.parts) for path in paths), default=1)):
        named = {"/".join(path.parts[-n_parts:]): path for path in paths}
        if len(named) == len(paths):
            return named
    return {str(path): path for path in paths}


def warn_of_other_data(title: str, bundle: Bundle, split: Split, output: Output) -> None:
    """Say so where a bundle that is to be looked at was trained on other users."""
    if not bundle.trained_on(split.train):
        output.warning(
            f"{title} was not trained on this split's training users; what it does with these "
            "tells little of those that it knows"
        )
