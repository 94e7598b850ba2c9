"""The autopilot's last trial: a blend of the best model of each kind."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from nearfar.experiments.autopilot.families import BLEND, FAMILIES
from nearfar.experiments.autopilot.records import Record, Records, best_of

LEAST_GAIN = 0.005
"""A blend wins from so much, in shares of the best single model's metric: it takes the memory and
the time of all its parts. To wait for a significant difference would cost more: with few
validation users hardly any is, and on users that chose nothing the blend was the better one on six
sets of six (docs/defaults.md)."""


def best_of_kinds(records: Records) -> list[Record]:
    """Return the best trial of each kind of model, popularity aside; the best first."""
    by_kind: dict[str, list[Record]] = {}
    for family in FAMILIES:
        if family.kind not in ("popularity", "blend"):
            by_kind.setdefault(family.kind, []).extend(records.of(family.name))
    best = [trial for trials in by_kind.values() if (trial := best_of(trials)) is not None]
    return sorted(best, key=lambda t: (-(t.score or 0.0), t.number))


def parts_of(records: Records, seconds: float) -> list[Record]:
    """Return the trials that a blend is made of, the best first; fewer than two for no blend.

    They are the best of each kind, since kinds differ more than families do: on four of seven data
    sets a linear model, a factor model and an autoencoder together were better than each, on one
    more the latter two (docs/defaults.md). The worst are left out until the others can be fitted
    on all users in time.

    Args:
        records: finished trials.
        seconds: that the fits of all parts may take together.
    """
    parts = best_of_kinds(records)
    while parts and sum(part.fit_seconds for part in parts) > seconds:
        parts.pop()
    return parts


def blend_of(parts: Sequence[Record]) -> dict[str, Any]:
    """Return the settings of a blend of trials; its weights are chosen as it is fitted."""
    return {"parts": [_part(p, p.settings) for p in parts]}


def last_settings(trial: Record, records: Records) -> dict[str, Any]:
    """Return a trial's settings for a fit without validation users: with the number of epochs
    that were best on validation users, of a blend in each of its parts. Parts of weight 0 are left
    out, so long as there are two others."""
    if trial.family == BLEND.name:
        by_number = {t.number: t for t in records.trials}
        weights = trial.settings["weights"]
        pairs = list(zip(trial.values["trials"], weights, strict=True))
        used = [(n, w) for n, w in pairs if w]
        used = used if len(used) > 1 else pairs  # a blend has two parts or more
        parts = [_part(by_number[n], last_settings(by_number[n], records)) for n, _ in used]
        return {**trial.settings, "parts": parts, "weights": [w for _, w in used]}
    values = dict(trial.settings)
    if trial.n_epochs is not None and "epochs" in values:
        values |= {"epochs": trial.n_epochs, "patience": 0}
    return values


def preferred(single: Record, blend: Record) -> Record:
    """Return the blend where it gains enough over the best single model, else that.

    Args:
        single: the best trial of one algorithm.
        blend: the best trial of a blend.
    """
    reached, least = blend.score or 0.0, (1 + LEAST_GAIN) * (single.score or 0.0)
    return blend if reached > 0 and reached >= least else single


def _part(trial: Record, settings: dict[str, Any]) -> dict[str, Any]:
    """Settings with the name of the trial's algorithm, as a blend has its parts."""
    algorithms = {f.name: f.algorithm for f in FAMILIES}
    return {"kind": algorithms[trial.family], **settings}
