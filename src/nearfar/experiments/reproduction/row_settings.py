"""The settings of a row's algorithm on a data set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm, presets
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core import settings
from nearfar.core.errors import UnknownNameError
from nearfar.experiments.reproduction.rows import TableRow

Overrides = Mapping[str, Mapping[str, Any]]
"""The user's own settings: "multvae" or "multvae+pia" -> settings."""


def row_algorithm(
    row: TableRow, names: Sequence[str], overrides: Overrides | None = None
) -> Algorithm:
    """Return the algorithm of a row, as a single network.

    Its settings are merged from these, and later ones win:

    1. the section of presets/ALGORITHM.toml with the first of `names` that it has; the defaults if
       it has none of them;
    2. the row's own settings (`row.fixed`), which replace whole settings;
    3. the sections "NAME+VARIANT" of its variants, and "NAME+VARIANT+VARIANT" of two of them;
    4. `overrides` of "ALGORITHM", then of "ALGORITHM+VARIANT" in the same way;
    5. the row's ablation.

    Args:
        row: the row.
        names: possible names of the section, in order of preference.
        overrides: the user's own settings.

    Raises:
        UnknownNameError: the algorithm or a setting is unknown.
        SettingsError: a setting is wrong.
    """
    sections = presets(row.algorithm)
    suffixes = _suffixes(row.variants)
    user_settings = overrides or {}
    values = settings.merge(
        {**_section(sections, names, ""), **row.fixed},
        *(_section(sections, names, suffix) for suffix in suffixes),
        *(user_settings.get(row.algorithm + suffix, {}) for suffix in ("", *suffixes)),
    )
    algorithm = make_algorithm(row.algorithm, values).alternatives()[0]
    if row.ablation is None:
        return algorithm
    assert isinstance(algorithm, AutoencoderAlgorithm), f"{row.label} has no alignment to change"
    return row.ablation.of(algorithm)


def check_overrides(overrides: Overrides, rows: Sequence[TableRow]) -> None:
    """Check that each override applies to a row.

    Raises:
        UnknownNameError: no row has that algorithm or variant.
    """
    known = {row.algorithm + suffix for row in rows for suffix in ("", *_suffixes(row.variants))}
    for name in overrides:
        if name not in known:
            raise UnknownNameError("algorithm among the rows", name, known)


def _section(sections: Overrides, names: Sequence[str], suffix: str) -> Mapping[str, Any]:
    return next((sections[n + suffix] for n in names if n + suffix in sections), {})


def _suffixes(variants: Sequence[str]) -> list[str]:
    """Return the suffix of each variant, and of all together if there are several."""
    single = [f"+{variant}" for variant in variants]
    return [*single, "".join(single)] if len(single) > 1 else single
