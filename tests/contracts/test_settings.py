"""Every declared range is held: for algorithms, their parts, and whatever else has settings."""

from __future__ import annotations

import dataclasses
import math
import types
import typing
from collections.abc import Iterator
from typing import Annotated, Any

import pytest
from annotated_types import Ge, Gt, Le, Lt, MinLen
from hypothesis import given
from hypothesis import strategies as st

from nearfar.abtest.analysis import AnalysisSettings
from nearfar.abtest.checks import CheckSettings
from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.pia import PIA
from nearfar.cluster.workers import Workers
from nearfar.core import discovery, settings
from nearfar.core.errors import SettingsError
from nearfar.core.schema import schema_of
from nearfar.maps.projections.projection import Projection
from nearfar.train.plan import Phase
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.initialisers.initialiser import Initialiser
from nearfar.vae.likelihoods.likelihood import Likelihood
from nearfar.vae.priors.prior import Prior
from nearfar.vae.weights.weight import Weight

KINDS = (Algorithm, Corruption, Encoder, Likelihood, Prior, Projection, Initialiser, Weight)
PARTS = [PIA, *(
    cls
    for base in KINDS
    for cls in discovery.discover(base.__module__.rpartition(".")[0], base).values()
)]  # fmt: skip
CLASSES = [*PARTS, Run, Phase, Workers, CheckSettings, AnalysisSettings]
REQUIRED = {"path": "weights.safetensors"}
TOGETHER = {
    *(("Composite", name) for name in ("normal", "old_posterior", "wide")),
    ("Blend", "weights"),
}
"""Shares that must add up to 1, and weights, one per part: no edge of one is allowed alone."""


def constraints_of(hint: Any) -> tuple[type, list[Any]]:
    """The plain type of a field and its constraints; of a list's elements for a list."""
    origin, arguments = typing.get_origin(hint), typing.get_args(hint)
    if origin is Annotated:
        plain, inner = constraints_of(arguments[0])
        return plain, [*arguments[1:], *inner]
    if origin in (typing.Union, types.UnionType):
        return constraints_of(next(a for a in arguments if a is not type(None)))
    if origin is tuple:
        return tuple, constraints_of(arguments[0])[1]
    return hint, []


RANGED = [
    (cls, name, *constraints_of(settings.types_of(cls)[name]))
    for cls in CLASSES
    for name in (f.name for f in dataclasses.fields(cls))
    if constraints_of(settings.types_of(cls)[name])[1]
]


def beyond(plain: type, constraint: Any) -> Iterator[Any]:
    """Values just outside a range and far outside of it."""
    if isinstance(constraint, MinLen):
        yield "" if plain is str else ()
        return
    whole = plain in (int, tuple)
    bound = next(iter(vars_of(constraint)))
    step = 1 if whole else 1e-9
    sign = -1 if isinstance(constraint, Ge | Gt) else 1
    values = [plain_number(plain, v) for v in (bound + sign * step, bound + sign * 1000)]
    if isinstance(constraint, Gt | Lt):
        values.append(plain_number(plain, bound))
    yield from ((v,) for v in values) if plain is tuple else values


def plain_number(plain: type, value: float) -> float:
    """A number of the field's own type."""
    return float(value) if plain is float else int(value)


def vars_of(constraint: Any) -> list[Any]:
    return [getattr(constraint, f.name) for f in dataclasses.fields(constraint)]


def edge(plain: type, constraint: Any) -> Any:
    """The last value inside of a range, on the side of this constraint."""
    if isinstance(constraint, MinLen):
        return "x" if plain is str else (1,)
    bound = vars_of(constraint)[0]
    if plain is tuple:
        return (bound,)
    if isinstance(constraint, Gt):
        return math.nextafter(bound, math.inf)
    if isinstance(constraint, Lt):
        return math.nextafter(bound, -math.inf)
    return plain(bound)


def made(cls: type, name: str, value: Any) -> Any:
    needed = {f.name: REQUIRED[f.name] for f in dataclasses.fields(cls) if f.name in REQUIRED}
    return cls(**{**needed, name: value})


def label(value: object) -> str:
    return value.__name__ if isinstance(value, type) else str(value)


@pytest.mark.parametrize(("cls", "name", "plain", "constraints"), RANGED, ids=label)
def test_ranges_are_held_at_their_edges(cls, name, plain, constraints) -> None:
    for constraint in constraints:
        for value in beyond(plain, constraint):
            with pytest.raises(SettingsError, match=rf"^{name}(\[0\])? is "):
                made(cls, name, value)
            listed = list(value) if isinstance(value, tuple) else value
            with pytest.raises(SettingsError, match=rf"^part\.{name}(\[0\])? is "):
                settings.build(cls, {name: listed}, "part")
        if (cls.__name__, name) not in TOGETHER:
            assert getattr(made(cls, name, edge(plain, constraint)), name) == edge(
                plain, constraint
            )


def test_every_number_of_every_kind_has_been_looked_at() -> None:
    """A number without a range is named here, so that a new one is given a range or a reason."""
    free = {
        f"{cls.__name__}.{f.name}"
        for cls in CLASSES
        for f in dataclasses.fields(cls)
        if constraints_of(settings.types_of(cls)[f.name]) in ((int, []), (float, []))
    }
    assert free == {
        "Composite.wide_logvar",  # a logarithm
        "Spectral.logvar",  # a logarithm
        "Vamp.mean",  # of entries that are cut to 0 to 1 anyway
        "PLRec.popularity_exponent",  # a negative one favours popular items
        "Phase.first_epoch",  # counted by algorithms, no setting
        "Phase.end_epoch",
        "Run.seed",  # any number
        "AnalysisSettings.seed",
        "ConstantWeight.value",  # an objective term may be rewarded
    }


@given(st.sampled_from(RANGED), st.floats(allow_nan=True, allow_infinity=True) | st.integers())
def test_a_value_is_taken_if_and_only_if_it_is_in_range(ranged, value) -> None:
    cls, name, plain, constraints = ranged
    if plain is str or (cls.__name__, name) in TOGETHER:
        return
    right_type = isinstance(value, int) or (plain is float and math.isfinite(value))
    inside = right_type and all(
        {Ge: lambda v, b: v >= b, Gt: lambda v, b: v > b, Le: lambda v, b: v <= b,
         Lt: lambda v, b: v < b, MinLen: lambda v, b: True}[type(c)](value, vars_of(c)[0])
        for c in constraints
    )  # fmt: skip
    plain_values = {name: [value] if plain is tuple else value}
    if not inside:
        with pytest.raises(SettingsError, match=name):
            settings.build(cls, plain_values)
    elif not (issubclass(cls, Algorithm) and name.endswith("epochs")):  # a plan lists its epochs
        assert getattr(settings.build(cls, plain_values), name) == (
            (value,) if plain is tuple else value
        )


@pytest.mark.parametrize("cls", PARTS, ids=label)
def test_the_schema_tells_all_of_every_setting(cls) -> None:
    for setting in schema_of(cls):
        assert setting.meaning, setting.name
        assert setting.type, setting.name
        _, constraints = constraints_of(settings.types_of(cls)[setting.name])
        numbers = [vars_of(c)[0] for c in constraints]
        assert all(str(n) in setting.range for n in numbers), setting
        if not setting.required and not setting.kinds:
            default = setting.default
            value = getattr(made(cls, *_default(cls, setting.name)), setting.name)
            assert settings.to_plain(value) == default


def _default(cls: type, name: str) -> tuple[str, Any]:
    return name, getattr(cls(**{k: v for k, v in REQUIRED.items() if k in _names(cls)}), name)


def _names(cls: type) -> set[str]:
    return {f.name for f in dataclasses.fields(cls)}
