"""What tables call a fitted model: its algorithm, with the settings that are not the defaults."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from nearfar.models.model import Model


def label_of(settings: Any) -> str:
    """Return the name of an algorithm or part, as "MultVAE(epochs=30, alignment=PIA)"."""
    if isinstance(settings, float):
        return f"{settings:g}"
    if isinstance(settings, tuple | list):
        return f"({', '.join(map(label_of, settings))})"
    if not dataclasses.is_dataclass(settings) or isinstance(settings, type):
        return str(settings)
    changed = [
        f"{field.name}={label_of(value)}"
        for field in dataclasses.fields(settings)
        if field.repr and (value := getattr(settings, field.name)) != _default(field)
    ]
    name = type(settings).__name__
    return f"{name}({', '.join(changed)})" if changed else name


def labelled(fit: Callable[..., Model]) -> Callable[..., Model]:
    """Wrap an algorithm's `fit` so that the model is called after the algorithm."""

    @functools.wraps(fit)
    def fit_and_name(algorithm: Any, *args: Any, **named: Any) -> Model:
        model = fit(algorithm, *args, **named)
        if isinstance(model, Model):
            model.label = label_of(algorithm)
        return model

    return fit_and_name


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
