"""The autopilot's blend: a weighted sum of the best model of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.experiments.autopilot.families import BLEND, FAMILIES
from nearfar.experiments.autopilot.records import Record, Records, best_of

LEAST_GAIN = 0.005
"""The relative gain over the best single model's metric that a blend needs to win, because it costs
the memory and time of all its parts. A significant difference would be too strict: with few
validation users hardly any is significant, and on test users the blend was better on six data sets
of six (docs/defaults.md)."""


def best_of_kinds(records: Records) -> list[Record]:
    """Return the best trial of each kind of model except popularity, the best first."""
    by_kind: dict[str, list[Record]] = {}
    for family in FAMILIES:
        if family.kind not in ("popularity", "blend"):
            by_kind.setdefault(family.kind, []).extend(records.of(family.name))
    best = [trial for trials in by_kind.values() if (trial := best_of(trials)) is not None]
    return sorted(best, key=lambda t: (-(t.score or 0.0), t.number))


def parts_of(records: Records, seconds: float) -> list[Record]:
    """Return the trials to blend, the best first; fewer than two if there is no blend.

    They are the best trial of each kind, because kinds differ more than families do: on four of
    seven data sets a linear model, a factor model and an autoencoder together were better than
    each alone, and on one more a factor model and an autoencoder were (docs/defaults.md). The
    worst trials are dropped until the fits of the rest are short enough.

    Args:
        records: finished trials.
        seconds: time limit of the fits of all parts together.
    """
    parts = best_of_kinds(records)
    while parts and sum(part.fit_seconds for part in parts) > seconds:
        parts.pop()
    return parts


def blend_of(parts: Sequence[Record]) -> dict[str, Any]:
    """Return the settings of a blend of trials; its weights are chosen in the fit."""
    return {"parts": [_part(p, p.settings) for p in parts]}


def last_settings(trial: Record, records: Records) -> dict[str, Any]:
    """Return a trial's settings for the last fit, which has no validation users.

    The number of epochs is fixed to the best one on validation users, in each part of a blend. A
    blend drops parts of weight 0 if two others remain.
    """
    if trial.family == BLEND.name:
        by_number = {t.number: t for t in records.trials}
        weights = trial.settings["weights"]
        pairs = list(zip(trial.values["trials"], weights, strict=True))
        positive = [(n, w) for n, w in pairs if w]
        pairs = positive if len(positive) > 1 else pairs  # a blend needs two parts
        parts = [_part(by_number[n], last_settings(by_number[n], records)) for n, _ in pairs]
        return {**trial.settings, "parts": parts, "weights": [w for _, w in pairs]}
    values = dict(trial.settings)
    if trial.n_epochs is not None and "epochs" in values:
        values |= {"epochs": trial.n_epochs, "patience": 0}
    return values


def choose_winner(single: Record, blend: Record) -> Record:
    """Return the blend if it gains at least `LEAST_GAIN` over the best single model, else that.

    Args:
        single: best trial of a single algorithm.
        blend: best trial of a blend.
    """
    score, threshold = blend.score or 0.0, (1 + LEAST_GAIN) * (single.score or 0.0)
    return blend if score > 0 and score >= threshold else single


def _part(trial: Record, settings: dict[str, Any]) -> dict[str, Any]:
    """Return the settings of a blend's part: `settings` and the name of the trial's algorithm."""
    algorithms = {f.name: f.algorithm for f in FAMILIES}
    return {"kind": algorithms[trial.family], **settings}
