"""Read the ids of the items that are never recommended."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from nearfar.bundle.bundle import Bundle
from nearfar.core import identity
from nearfar.core.errors import SettingsError
from nearfar.jobs.pipeline import Pipeline


def denied_names(pipeline: Pipeline) -> list[str]:
    """Return the ids of the items that are never recommended, as text.

    Raises:
        SettingsError: the file of denied ids cannot be read.
    """
    names = list(pipeline.score.deny)
    if pipeline.score.deny_file is not None:
        path = Path(pipeline.score.deny_file)
        try:
            names += [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"deny_file {path} cannot be read: {error}") from None
    return [name for name in names if name]


def denied_ids(pipeline: Pipeline, bundle: Bundle) -> pl.Series:
    """Return the denied ids in the catalogue's type, including ids that it does not know.

    Raises:
        SettingsError: the file of denied ids cannot be read, or the catalogue has integers and an
            id is not an integer.
    """
    ids = pl.Series("item", denied_names(pipeline), dtype=pl.String)
    if not bundle.items.is_integer:
        return ids
    numbers = identity.integers(ids)
    if numbers.null_count():
        raise SettingsError(
            f"[score] deny: {ids.filter(numbers.is_null())[0]!r} is not an integer without leading "
            "zeros or signs; the ids of this catalogue are such integers"
        )
    return numbers
