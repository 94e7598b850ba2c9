"""Open the inputs of commands: logs, splits, and the bundles used on them."""

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
from nearfar.data.events import Log, titles_message, with_details
from nearfar.data.filters import Filters
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.log import read_log
from nearfar.data.splits.folder import is_split_folder, load_split
from nearfar.evaluation.evaluate import on_items_of
from nearfar.tables.item_table import read_item_table
from nearfar.tables.report import ReadReport
from nearfar.tables.roles import title_columns

if TYPE_CHECKING:
    from nearfar.bundle.bundle import Bundle

DETAILS_OPTIONS = ("details", "item")
"""Options of the table of items, which also have an effect on a split."""


def open_log(
    source: str, options: LogOptions, output: Output, filters: Filters | None = None
) -> Log:
    """Read a log from a path or a named data set, and print how it was read.

    Args:
        source: the path or name.
        options: the command's options.
        output: where to print remarks.
        filters: used instead of those in the options.

    Raises:
        DataError: the path is empty text or a split, or the log cannot be read.
    """
    if not source.strip():
        raise DataError("the log's path is empty; give a file, a folder or a data set's name")
    if is_split_folder(Path(source)):
        raise DataError(f"{source} is a split; give the log that it was made from")
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
            f"the weights in {column!r} are not used in training: all interactions count the same; "
            "--weights linear or --weights log uses them"
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
        _report_titles(options.details, log.item_ids, details, output)
    return log


def split_with_options(split: Split, source: str, options: LogOptions, output: Output) -> Split:
    """Return a split with the item details that the options name.

    Args:
        split: the split.
        source: its path, for messages.
        options: the command's options.
        output: where to print how many items have a title.

    Raises:
        SettingsError: a given option has no effect on a split.
        DataError: the table of items cannot be read.
    """
    hints = get_type_hints(LogOptions, include_extras=True)
    allowed = DETAILS_OPTIONS if options.details is not None else ()
    for field in fields(options):
        if field.name not in allowed and getattr(options, field.name) != field.default:
            declared = hints[field.name].__metadata__[0]
            # Typer puts the first name of an option without a default into `default`.
            option = next(iter(declared.param_decls), declared.default)
            raise SettingsError(
                f"{source} is a split, and {option} has no effect on one: give it to nearfar data "
                "split, or give the log"
            )
    if options.details is None:
        return split
    details = _read_details(options.details, options, output)
    items = with_details(split.train.item_ids, details)
    _report_titles(options.details, items, details, output)
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
    """Read a table of items, and print what was left out and converted."""
    report = ReadReport()
    details = read_item_table(path, item=options.item, log_encoding=options.encoding, report=report)
    for line in report.losses():
        output.remark(f"{path}: {line}")
    return details


def _report_titles(
    path: Path | None, items: Vocabulary, details: pl.DataFrame, output: Output
) -> None:
    """Print how many items have a title in a table of items; warn if none has."""
    n_titled, text = titles_message(items, details)
    write = output.remark if n_titled else output.warning
    write(f"{path}: {text}")


def report_weights(train: Interactions, output: Output) -> None:
    """Print the range of the interactions' weights, if they have any."""
    if train.weights is not None:
        low, mean, high = (getattr(train.weights, name)() for name in ("min", "mean", "max"))
        output.remark(f"interactions weigh {low:.3g} to {high:.3g}, {mean:.3g} in the mean")


def open_held_out(source: Path, part: str) -> tuple[Split, FoldIn]:
    """Return the split in a folder, and its test or validation users."""
    split = load_split(source)
    return split, split.test if part == "test" else split.validation


def align_to_bundle(data: FoldIn, items, output: Output) -> FoldIn:
    """Return held-out users over a bundle's items; warn if items are lost."""
    on_bundle, warning = on_items_of(data, items)
    if warning:
        output.warning(warning)
    return on_bundle


def bundles_by_name(paths: list[Path]) -> dict[str, Path]:
    """Return the bundles' folders by name, the shortest end of the path that is unique.

    Raises:
        BadParameter: a bundle is named twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise typer.BadParameter("a bundle is named twice", param_hint="BUNDLES")
    for n_parts in range(1, max((len(path.parts) for path in paths), default=1)):
        by_name = {"/".join(path.parts[-n_parts:]): path for path in paths}
        if len(by_name) == len(paths):
            return by_name
    return {str(path): path for path in paths}


def warn_of_other_data(title: str, bundle: Bundle, split: Split, output: Output) -> None:
    """Warn if a bundle was trained on other users than a split's."""
    if not bundle.trained_on(split.train):
        output.warning(
            f"{title} was not trained on this split's training users; results on these say little "
            "about the users it was trained on"
        )
