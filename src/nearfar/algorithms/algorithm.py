"""The interface of an algorithm."""

from __future__ import annotations

import dataclasses
import functools
import inspect
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, ClassVar, Self, cast

from nearfar.algorithms.label import label_of, labelled
from nearfar.algorithms.requirements import Requirements
from nearfar.algorithms.statistics import Statistics
from nearfar.core import discovery, settings
from nearfar.core.errors import DataError, EmptyDataError, SettingsError, UnknownNameError, kind_of
from nearfar.core.settings import Settings
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.model import Model
from nearfar.train.callback import StartReport, reported
from nearfar.train.progress import with_progress
from nearfar.train.run import Run
from nearfar.vae.likelihoods.likelihood import TrainingCounts

PACKAGE = __name__.rpartition(".")[0]


class Algorithm(Settings, ABC):
    """The hyper-parameters of a method, and a `fit` that trains a new model with them.

    Subclasses are frozen dataclasses whose fields declare their ranges (`nearfar.core.ranges`).

    Raises:
        UnknownNameError: a keyword argument is not a hyper-parameter.
        SettingsError: a hyper-parameter has the wrong type or is out of range.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Recent(nf.Algorithm):
        ...     power: float = 1.0
        ...
        ...     def fit(self, train, validation=None, *, run=None):
        ...         weights = np.diag(train.item_counts**self.power).astype(np.float32)
        ...         return nf.ItemItem(weights, train.item_counts, train.n_users)
        >>> Recent(power=0.5).fit(split.train).n_items
        20
    """

    def __new__(cls, *values: Any, **named: Any) -> Self:
        known = [f.name for f in dataclasses.fields(cast("Any", cls))]
        if "preset" in named and "preset" not in known:
            raise SettingsError(
                f"preset is not a setting of {cls.__name__}; "
                f"write {cls.__name__}.from_preset({named['preset']!r})"
            )
        return super().__new__(cls, *values, **named)

    @classmethod
    def from_preset(cls, name: str, **values: Any) -> Self:
        """Return the algorithm with the settings of a preset, as `--preset` does.

        Args:
            name: the preset, as "fast" or "published"; `nearfar algorithms NAME` lists them.
            **values: settings that replace those of the preset.

        Raises:
            UnknownNameError: there is no such preset or setting.

        Examples:
            >>> nf.MultVAE.from_preset("published", epochs=30).epochs
            30
        """
        preset_values = preset(discovery.name_of(cls), name)
        return cast("Self", settings.build(cls, settings.merge(preset_values, values)))

    WEIGHTED: ClassVar[bool] = False
    """Whether `fit` uses the weights of interactions."""

    EARLIER: ClassVar[Mapping[str, Any]] = {}
    """Settings that the class got later, with the values that older bundles were fitted with."""

    @abstractmethod
    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Model:
        """Return a model fitted to the training interactions.

        Args:
            train: training interactions, users x items. An algorithm that does not use their
                weights warns where there are any: see `Callback.warn`.
            validation: held-out users on whom iterative algorithms choose the best epoch.
            run: device, seed, folder, callbacks. The callbacks receive the start and the end of
                every fit; a custom `fit` reports only its steps and epochs.

        Raises:
            EmptyDataError: there are no interactions.
        """

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "fit" in vars(cls):
            fit = reporting(labelled(vars(cls)["fit"]))
            setattr(cls, "fit", fit)  # noqa: B010  (a method, by design)

    def ignoring_weights(self) -> list[Algorithm]:
        """Return this algorithm, or those of its parts, whose `fit` does not use weights."""
        return [] if self.WEIGHTED else [self]

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        """Return the values, by name, that these data give to settings left at None."""
        return {}

    def resolved(self, train: Interactions) -> Self:
        """Return this algorithm with values from the data for its settings that are None.

        `fit` uses these values, and a bundle reports them.

        Args:
            train: training interactions, users x items.
        """
        unset = settings_left_to_data(self)
        if not unset or not train.n_interactions:
            return self
        values = self.data_defaults(Statistics.of(train))
        return cast("Self", dataclasses.replace(
            cast("Any", self), **{name: values[name] for name in unset if name in values}
        ))  # fmt: skip

    def requirements(self, train: Interactions) -> Requirements:
        """Return the memory and the work of a fit, estimated before it starts.

        `nearfar autopilot` skips algorithms that need more than the machine or the budget has.

        Args:
            train: training interactions, users x items.
        """
        return Requirements()

    def alternatives(self, catalogue: TrainingCounts | None = None) -> tuple[Self, ...]:
        """Return the variants of this algorithm that `fit` compares on validation users.

        Without validation users `fit` takes the first. Most algorithms have only one. A variant
        has no alternatives of its own.

        Args:
            catalogue: counts of the training data. Without it, variants whose settings depend on
                the data are left out.
        """
        return (self,)

    def as_fitted(self, model: Model) -> Self:
        """Return this algorithm with the settings that its fit chose on validation users.

        A bundle reports these, so that a fit without validation users gives the same model.

        Args:
            model: the model that `fit` returned.
        """
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, as scikit-learn's estimators do.

        Algorithms are frozen: `dataclasses.replace(algorithm, l2=50.0)` returns a changed copy.

        Args:
            deep: whether to include the settings of parts, as "alignment__weight".
        """
        return _params(self, deep)


def _params(settings: Any, deep: bool) -> dict[str, Any]:
    params = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    parts = {k: v for k, v in params.items() if deep and dataclasses.is_dataclass(v)}
    for name, part in parts.items():
        params |= {f"{name}__{inner}": value for inner, value in _params(part, deep).items()}
    return params


def reporting(fit: Callable[..., Model]) -> Callable[..., Model]:
    """Return `fit` wrapped so that the callbacks of its run receive its start and its end."""
    parameters = inspect.signature(fit).parameters

    @functools.wraps(fit)
    def fit_and_report(
        algorithm: Algorithm, train: Interactions, *args: Any, run: Run | None = None, **named: Any
    ) -> Model:
        check_arguments(named, parameters)
        run = with_progress(run)
        if run is None or not run.callbacks or not isinstance(train, Interactions):
            return fit(algorithm, train, *args, run=run, **named)
        start = start_report(algorithm.resolved(train), train.n_users, train.n_items, run)
        with reported(run.callbacks, run.history, start):
            return fit(algorithm, train, *args, run=run, **named)

    return fit_and_report


def check_arguments(named: Mapping[str, Any], parameters: Mapping[str, Any]) -> None:
    """Check the named arguments of a `fit`.

    Args:
        named: the arguments, without `run`.
        parameters: the parameters of the method, by name.

    Raises:
        SettingsError: an argument is an option of the run.
        UnknownNameError: the method has no such parameter.
    """
    run_options = {field.name for field in dataclasses.fields(Run)}
    for name, value in named.items():
        if name in parameters:
            continue
        if name in run_options:
            raise SettingsError(
                f"{name} is an option of the run: fit(..., run=nf.Run({name}={value!r}))"
            )
        known = [p for p in parameters if p not in ("self", "algorithm")]
        raise UnknownNameError("argument of fit", name, known)


def start_report(algorithm: Algorithm, n_users: int, n_items: int, run: Run) -> StartReport:
    """Return the report that callbacks receive at the start of a fit."""
    return StartReport(
        discovery.name_of(type(algorithm)), label_of(algorithm), settings.to_plain(algorithm),
        run.seed, n_users, n_items, run.folder, run.resume,
    )  # fmt: skip


def settings_left_to_data(algorithm: Algorithm) -> list[str]:
    """Return the names of the settings that are None; the data may decide some of them."""
    fields = dataclasses.fields(cast("Any", algorithm))
    return [f.name for f in fields if getattr(algorithm, f.name) is None]


def names() -> list[str]:
    """Return the names of all algorithms in the package."""
    return list(discovery.discover(PACKAGE, Algorithm))


def find_algorithm(name: str) -> type[Algorithm]:
    """Return the class of an algorithm by its name, as "ease", or a third party's by dotted path.

    Raises:
        UnknownNameError: there is no such algorithm.
    """
    return discovery.find(PACKAGE, Algorithm, name)


def make_algorithm(name: str, values: dict[str, Any]) -> Algorithm:
    """Return the algorithm of that name with these settings.

    Raises:
        UnknownNameError: there is no such algorithm or setting.
        SettingsError: a setting has the wrong type or is out of range.
    """
    return settings.build(find_algorithm(name), values)


def preset(name: str, which: str) -> dict[str, Any]:
    """Return the settings of the preset `which` of an algorithm.

    Raises:
        UnknownNameError: there is no preset of that name; the message lists the presets.
    """
    settings_by_preset = presets(name)
    if which not in settings_by_preset:
        raise UnknownNameError(f"preset of {name}", which, settings_by_preset)
    return settings_by_preset[which]


def presets(name: str) -> dict[str, dict[str, Any]]:
    """Return the presets of an algorithm (presets/NAME.toml): settings by the preset's name.

    Raises:
        UnknownNameError: there is no such algorithm.
    """
    path = Path(__file__).parent / "presets" / f"{discovery.name_of(find_algorithm(name))}.toml"
    return settings.read_toml(path) if path.exists() else {}


def check_not_empty(train: Interactions) -> None:
    """Check that the training data are `Interactions`, and not empty.

    Raises:
        DataError: the training data have another type.
        EmptyDataError: there are no interactions.
    """
    if not isinstance(train, Interactions):
        raise DataError(
            f"an algorithm fits Interactions, not {kind_of(train)}; get them by "
            "log.interactions() from a log, or by split.train from a split"
        )
    if not train.n_interactions:
        raise EmptyDataError(
            f"there are no interactions to fit ({train.n_users} users, {train.n_items} items)"
        )
