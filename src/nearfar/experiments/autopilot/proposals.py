"""The settings to try next: a function of the seed and of the trials that a family has finished."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.core.seeding import generator
from nearfar.experiments.autopilot.records import Record
from nearfar.experiments.tuning.space import Parameter, Space

WIDTH = 0.12
"""First step around the best settings, as a share of a parameter's range."""

NARROWING = 0.85
"""What the step shrinks by with every trial."""

LEAST_WIDTH = 0.02

RANDOM_SHARE = 0.1
"""Share of proposals drawn from the whole space rather than around the best settings."""

KEPT_SHARE = 0.4
"""Chance that a proposal leaves a parameter as it is, where there are several."""


def propose(
    space: Space,
    start: Mapping[str, Any],
    finished: Sequence[Record],
    seed: int,
    family: str,
) -> dict[str, Any]:
    """Return the settings that a family tries after its finished trials.

    It is a random search around the best settings so far, by steps that shrink; now and then a
    draw from the whole space. The draw depends on the seed, the family and the number of finished
    trials alone, so that a search that was killed goes on as it would have gone on.

    Args:
        space: what is searched.
        start: the values that the first trial had.
        finished: the family's trials.
        seed: of the search.
        family: its name.
    """
    rng = generator(seed, "autopilot", family, len(finished))
    complete = [r for r in finished if r.score is not None]
    best = max(complete, key=lambda r: (r.score or 0.0, -r.number), default=None)
    tried = [r.values for r in finished]
    width = max(LEAST_WIDTH, WIDTH * NARROWING ** max(0, len(finished) - 1))
    values: dict[str, Any] = {}
    for _ in range(20):
        anywhere = best is None or rng.random() < RANDOM_SHARE
        middle = dict(start) if best is None else {**start, **best.values}
        values = {
            key: _drawn(parameter, rng)
            if anywhere
            else _near(parameter, middle.get(key), width, len(space.parameters), rng)
            for key, parameter in space.parameters.items()
        }
        if values not in tried:
            return values
    return values


def _drawn(parameter: Parameter, rng: np.random.Generator) -> Any:
    if parameter.choices:
        return parameter.choices[int(rng.integers(len(parameter.choices)))]
    return _at(parameter, float(rng.random()))


def _near(
    parameter: Parameter, value: Any, width: float, n_parameters: int, rng: np.random.Generator
) -> Any:
    step, unchanged = float(rng.normal()) * width, rng.random() < KEPT_SHARE
    if unchanged and n_parameters > 1 and value is not None:
        return value
    if parameter.choices:
        if value not in parameter.choices:
            return _drawn(parameter, rng)
        place = parameter.choices.index(value) + (1 if step > 0 else -1)
        return parameter.choices[min(max(place, 0), len(parameter.choices) - 1)]
    share = _share_of(parameter, value)
    return _at(parameter, min(max(share + step, 0.0), 1.0))


def _bounds(parameter: Parameter) -> tuple[float, float]:
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    return (math.log(low), math.log(high)) if parameter.log else (float(low), float(high))


def _share_of(parameter: Parameter, value: Any) -> float:
    """Return where a value lies in its range, from 0 to 1."""
    if not isinstance(value, int | float) or (parameter.log and value <= 0):
        return 0.5
    low, high = _bounds(parameter)
    place = math.log(value) if parameter.log else float(value)
    return min(max((place - low) / (high - low), 0.0), 1.0)


def _at(parameter: Parameter, share: float) -> Any:
    """Return the value at a share of the range, with four digits."""
    low, high = _bounds(parameter)
    value = low + share * (high - low)
    value = math.exp(value) if parameter.log else value
    if parameter.step and parameter.low is not None:
        value = parameter.low + parameter.step * round((value - parameter.low) / parameter.step)
    value = min(max(value, parameter.low or 0), parameter.high or value)
    if parameter.whole:
        return round(value)
    short = float(f"{value:.4g}")
    return short if parameter.holds(short) else float(value)
