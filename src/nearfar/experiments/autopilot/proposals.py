"""Propose the settings of the next trial, from the seed and the family's finished trials."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nearfar.core.seeding import generator
from nearfar.experiments.autopilot.records import Record
from nearfar.experiments.tuning.space import Parameter, Space

WIDTH = 0.12
"""Standard deviation of the first step around the best settings, as a share of a parameter's
range."""

NARROWING = 0.85
"""Factor by which the step shrinks with every trial."""

LEAST_WIDTH = 0.02

RANDOM_SHARE = 0.1
"""Share of proposals drawn from the whole space instead of around the best settings."""

UNCHANGED_SHARE = 0.4
"""Probability that a proposal leaves a parameter unchanged, if there are several parameters."""


def propose(
    space: Space,
    start: Mapping[str, Any],
    finished: Sequence[Record],
    seed: int,
    family: str,
) -> dict[str, Any]:
    """Return the settings of a family's next trial.

    This is a random search around the best settings so far, with steps that shrink, and sometimes
    a draw from the whole space. The draw depends only on the seed, the family and the number of
    finished trials, so that a killed search resumes with the same proposals.

    Args:
        space: the search space.
        start: values of the first trial.
        finished: finished trials of the family.
        seed: random seed of the search.
        family: name of the family.
    """
    rng = generator(seed, "autopilot", family, len(finished))
    complete = [r for r in finished if r.score is not None]
    best = max(complete, key=lambda r: (r.score or 0.0, -r.number), default=None)
    tried = [r.values for r in finished]
    width = max(LEAST_WIDTH, WIDTH * NARROWING ** max(0, len(finished) - 1))
    values: dict[str, Any] = {}
    for _ in range(20):
        from_whole_space = best is None or rng.random() < RANDOM_SHARE
        centre = dict(start) if best is None else {**start, **best.values}
        values = {
            key: _draw(parameter, rng)
            if from_whole_space
            else _draw_near(parameter, centre.get(key), width, len(space.parameters), rng)
            for key, parameter in space.parameters.items()
        }
        if values not in tried:
            return values
    return values


def _draw(parameter: Parameter, rng: np.random.Generator) -> Any:
    if parameter.choices:
        return parameter.choices[int(rng.integers(len(parameter.choices)))]
    return _value_at(parameter, float(rng.random()))


def _draw_near(
    parameter: Parameter, value: Any, width: float, n_parameters: int, rng: np.random.Generator
) -> Any:
    step, unchanged = float(rng.normal()) * width, rng.random() < UNCHANGED_SHARE
    if unchanged and n_parameters > 1 and value is not None:
        return value
    if parameter.choices:
        if value not in parameter.choices:
            return _draw(parameter, rng)
        index = parameter.choices.index(value) + (1 if step > 0 else -1)
        return parameter.choices[min(max(index, 0), len(parameter.choices) - 1)]
    position = _position(parameter, value)
    return _value_at(parameter, min(max(position + step, 0.0), 1.0))


def _bounds(parameter: Parameter) -> tuple[float, float]:
    low, high = parameter.low, parameter.high
    assert low is not None
    assert high is not None
    return (math.log(low), math.log(high)) if parameter.log else (float(low), float(high))


def _position(parameter: Parameter, value: Any) -> float:
    """Return the position of a value in its range, from 0 to 1."""
    if not isinstance(value, int | float) or (parameter.log and value <= 0):
        return 0.5
    low, high = _bounds(parameter)
    number = math.log(value) if parameter.log else float(value)
    return min(max((number - low) / (high - low), 0.0), 1.0)


def _value_at(parameter: Parameter, position: float) -> Any:
    """Return the value at a position of the range from 0 to 1, rounded to four digits."""
    low, high = _bounds(parameter)
    value = low + position * (high - low)
    value = math.exp(value) if parameter.log else value
    if parameter.step and parameter.low is not None:
        value = parameter.low + parameter.step * round((value - parameter.low) / parameter.step)
    value = min(max(value, parameter.low or 0), parameter.high or value)
    if parameter.whole:
        return round(value)
    rounded = float(f"{value:.4g}")
    return rounded if parameter.holds(rounded) else float(value)
