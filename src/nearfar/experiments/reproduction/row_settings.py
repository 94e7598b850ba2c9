"""What a row's algorithm is set to on a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm, presets
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core import settings
from nearfar.core.errors import UnknownNameError
from nearfar.experiments.reproduction.rows import TableRow

Overrides = Mapping[str, Mapping[str, Any]]
"""Settings of the user's own: "multvae" or "multvae+pia" -> settings."""


def row_algorithm(
    row: TableRow, names: Sequence[str], overrides: Overrides | None = None
) -> Algorithm:
    """The algorithm of a row.

    Laid over each other, the last winning:

    1. the section of presets/ALGORITHM.toml that is called as the data set; where there is none,
       as the next of `names`; where there is none of these either, the defaults;
    2. what makes the row this row (`row.fixed`), which replaces whole settings;
    3. the sections "NAME+VARIANT" of its variants, and "NAME+VARIANT+VARIANT" of two of them;
    4. `overrides` of "ALGORITHM", then of "ALGORITHM+VARIANT" in the same way;
    5. the row's ablation.

    It is a single network, also where `fit` would try several.

    Args:
        names: what the section may be called, first choice first.

    Raises:
        UnknownNameError: there is no such algorithm, or a setting is unknown.
        SettingsError: a setting is wrong.
    """
    sections = presets(row.algorithm)
    suffixes = _suffixes(row.variants)
    given = overrides or {}
    values = settings.merge(
        {**_first(sections, names, ""), **row.fixed},
        *(_first(sections, names, suffix) for suffix in suffixes),
        *(given.get(row.algorithm + suffix, {}) for suffix in ("", *suffixes)),
    )
    algorithm = make_algorithm(row.algorithm, values).alternatives()[0]
    if row.ablation is None:
        return algorithm
    assert isinstance(algorithm, AutoencoderAlgorithm), f"{row.label} has no alignment to change"
    return row.ablation.of(algorithm)


def check_overrides(overrides: Overrides, rows: Sequence[TableRow]) -> None:
    """Refuse settings that no row would take.

    Raises:
        UnknownNameError: no row has that algorithm or variant.
    """
    known = {row.algorithm + suffix for row in rows for suffix in ("", *_suffixes(row.variants))}
    for name in overrides:
        if name not in known:
            raise UnknownNameError("algorithm among the rows", name, known)


def _first(sections: Overrides, names: Sequence[str], suffix: str) -> Mapping[str, Any]:
    return next((sections[n + suffix] for n in names if n + suffix in sections), {})


def _suffixes(variants: Sequence[str]) -> list[str]:
    """The variants alone, and all together where there are several."""
    single = [f"+{variant}" for variant in variants]
    return [*single, "".join(single)] if len(single) > 1 else single
