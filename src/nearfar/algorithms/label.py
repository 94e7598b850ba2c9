"""Labels of fitted models in tables: the algorithm with the settings that are not defaults."""

from __future__ import annotations

import dataclasses
import functools
from collections.abc import Callable
from typing import Any

from nearfar.data.interactions import Interactions
from nearfar.models.model import Model
from nearfar.train.callback import report_warning
from nearfar.train.run import Run


def label_of(settings: Any) -> str:
    """Return the label of an algorithm or part, as "MultVAE(epochs=30, alignment=PIA)"."""
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
    """Return `fit` wrapped to warn where weights are ignored, and to set the model's label."""

    @functools.wraps(fit)
    def fit_and_label(algorithm: Any, *args: Any, **named: Any) -> Model:
        warn_of_ignored_weights(algorithm, *args, **named)
        model = fit(algorithm, *args, **named)
        if isinstance(model, Model):
            model.label = label_of(algorithm)
        return model

    return fit_and_label


def warn_of_ignored_weights(
    algorithm: Any, train: Any, validation: Any = None, *, run: Run | None = None
) -> None:
    """Warn if the interactions have weights and the algorithm does not use them.

    Callbacks that override `warn` get the text; without such a callback it is a Python warning.
    """
    if not isinstance(train, Interactions) or train.weights is None:
        return
    ignoring = [label_of(part) for part in algorithm.ignoring_weights()]
    # The parts of a blend warn themselves when they are fitted.
    if ignoring != [label_of(algorithm)]:
        return
    text = (
        f"{type(algorithm).__name__} does not use the weights of interactions: all of them count "
        "the same in this training"
    )
    report_warning(() if run is None else run.callbacks, text, stacklevel=3)


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default
