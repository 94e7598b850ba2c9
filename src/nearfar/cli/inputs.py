"""What several commands are given: a log with its columns and filters, or a split."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import polars as pl
import typer

from nearfar.cli.output import Output
from nearfar.core.errors import DataError
from nearfar.data.columns import SYNONYMS, plain_name
from nearfar.data.events import Log
from nearfar.data.filters import Filters
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.item_table import read_item_table
from nearfar.data.log import read_log
from nearfar.data.splits.folder import is_split_folder, load_split
from nearfar.data.splits.hold_out import hold_out_users

if TYPE_CHECKING:
    from nearfar.bundle.bundle import Bundle

UserColumn = Annotated[
    str | None, typer.Option("--user-column", help="The log's column of users, if not recognised.")
]
ItemColumn = Annotated[
    str | None, typer.Option("--item-column", help="The log's column of items, if not recognised.")
]
RatingColumn = Annotated[
    str | None,
    typer.Option("--rating-column", help="The log's column of ratings, if not recognised."),
]
TimeColumn = Annotated[
    str | None,
    typer.Option("--time-column", help="The log's column of timestamps, if not recognised."),
]
ItemDetails = Annotated[
    Path | None,
    typer.Option(
        "--item-details",
        help="A CSV, TSV or Parquet file with a column item (or as in the log), title, genres.",
    ),
]
MinRating = Annotated[
    float | None, typer.Option("--min-rating", help="Keep ratings of at least this.")
]
MinUser = Annotated[
    int, typer.Option("--min-user", help="Keep users with at least so many items.", min=0)
]
MinItem = Annotated[
    int, typer.Option("--min-item", help="Keep items with at least so many users.", min=0)
]
Core = Annotated[
    bool, typer.Option("--core", help="Repeat --min-user and --min-item until both hold.")
]
Since = Annotated[
    str | None, typer.Option("--since", help="Keep events from this date (or epoch second) on.")
]
Until = Annotated[
    str | None, typer.Option("--until", help="Keep events before this date (or epoch second).")
]


def moment(text: str | None) -> int | str | None:
    """An epoch second or an ISO date, as typed."""
    return int(text) if text is not None and text.lstrip("-").isdigit() else text


def filters(
    min_rating: float | None,
    min_user: int,
    min_item: int,
    core: bool,
    since: str | None,
    until: str | None,
) -> Filters:
    """The filters that the options ask for."""
    return Filters(
        min_rating=min_rating,
        min_user=min_user,
        min_item=min_item,
        fixed_point=core,
        since=moment(since),
        until=moment(until),
    )


def open_log(
    source: str,
    *,
    user: str | None = None,
    item: str | None = None,
    rating: str | None = None,
    timestamp: str | None = None,
    filters: Filters | None = None,
    details: Path | None = None,
) -> Log:
    """A log by path or by the name of a data set.

    Raises:
        DataError: it is empty text, or a split.
    """
    if not source.strip():
        raise DataError("the log's path is empty; give a file, a folder or a data set's name")
    if is_split_folder(Path(source)):
        raise DataError(f"{source} is a split; give the log that it was made of")
    return read_log(
        source,
        user=user,
        item=item,
        rating=rating,
        timestamp=timestamp,
        filters=filters,
        items=None if details is None else read_details(details, item),
    )


def read_details(path: Path, item: str | None = None) -> pl.DataFrame:
    """Titles and the like of items, a row an item; the item's column is called "item".

    Raises:
        DataError: the file cannot be read, or no column is the item's.
    """

    def choose(names: Sequence[str]) -> dict[str, str]:
        own = item
        if own is None:
            plain = {plain_name(name): name for name in reversed(names)}
            own = next((plain[n] for n in SYNONYMS["item"] if n in plain), None)
        if own is None or own not in names:
            raise DataError(
                f"item details {path} have columns {', '.join(names)}; none is the item's: "
                "call it item, or as --item-column says"
            )
        return {"item": own, **{name: name for name in names if name not in (own, "item")}}

    return read_item_table(path, choose)


def open_training(
    source: str,
    filters: Filters,
    columns: dict[str, str | None],
    share: float,
    seed: int,
    details: Path | None = None,
) -> tuple[Interactions, FoldIn | None, dict[str, object]]:
    """Training users, validation users (none at share 0), and what is known of the data.

    A split folder says itself who is who; of a log, a share of the users is held out.
    """
    if is_split_folder(Path(source)):
        split = load_split(Path(source))
        return split.train, split.validation, {"split": split.fingerprint, **split.protocol}
    log = open_log(source, filters=filters, details=details, **columns)  # pyright: ignore[reportArgumentType]
    everyone = log.interactions()
    about: dict[str, object] = {"log": log.name, "steps": [str(step) for step in log.steps]}
    if share == 0:
        return everyone, None, about
    train, validation = hold_out_users(everyone, share, seed=seed)
    return train, validation, {**about, "validation_share": share, "validation_seed": seed}


def open_held_out(source: Path, part: str) -> tuple[Split, FoldIn]:
    """The test or the validation users of a split folder."""
    split = load_split(source)
    return split, split.test if part == "test" else split.validation


def aligned(data: FoldIn, items, output: Output) -> FoldIn:
    """The held-out users over a bundle's items; says so if that loses anything."""
    if data.fold_in.item_ids == items:
        return data
    moved = data.on_items(items)
    lost = data.held_out.n_interactions - moved.held_out.n_interactions
    if lost:
        output.warning(
            f"the bundle knows other items than the split: {lost:,} of "
            f"{data.held_out.n_interactions:,} held-out interactions are of items that it cannot "
            "recommend and are left out"
        )
    return moved


def named_bundles(paths: list[Path]) -> dict[str, Path]:
    """Bundles' folders by their last name, or by the whole path where two end alike.

    Raises:
        BadParameter: one is named twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise typer.BadParameter("a bundle is named twice", param_hint="BUNDLES")
    names = {path.name for path in paths}
    return {path.name if len(names) == len(paths) else str(path): path for path in paths}


def warn_of_other_data(title: str, bundle: Bundle, split: Split, output: Output) -> None:
    """Say so where a bundle that is to be looked at was trained on other users."""
    if not bundle.trained_on(split.train):
        output.warning(
            f"{title} was not trained on this split's training users; what it does with these "
            "tells little of those that it knows"
        )
