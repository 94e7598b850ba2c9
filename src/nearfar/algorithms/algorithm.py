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

PACKAGE = __name__.rpartition(".")[0]


class Algorithm(Settings, ABC):
    """Hyper-parameters of a method, and how it fits; a second fit starts anew.

    Subclasses are frozen dataclasses whose fields declare their ranges (`nearfar.core.ranges`).

    Raises:
        UnknownNameError: there is no such hyper-parameter.
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
                f"a preset is taken by {cls.__name__}.from_preset({named['preset']!r})"
            )
        return super().__new__(cls, *values, **named)

    @classmethod
    def from_preset(cls, name: str, **values: Any) -> Self:
        """Return the algorithm with the settings that are kept under a name, as `--preset` does.

        Args:
            name: of the preset, as "fast" or "published"; `nearfar algorithms NAME` lists them.
            **values: settings in their place.

        Raises:
            UnknownNameError: there is no such preset or setting.

        Examples:
            >>> nf.MultVAE.from_preset("published", epochs=30).epochs
            30
        """
        kept = preset(discovery.name_of(cls), name)
        return cast("Self", settings.build(cls, settings.merge(kept, values)))

    WEIGHTED: ClassVar[bool] = False
    """Whether `fit` uses the weights of interactions."""

    @abstractmethod
    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Model:
        """A model of the training interactions.

        Args:
            train: users x items. Where interactions have weights and the algorithm does not use
                them, it says so: see `Callback.warn`.
            validation: held-out users that iterative algorithms choose the best epoch by.
            run: device, seed, folder, callbacks. The callbacks get the start and the end of every
                fit; an algorithm of your own reports at most its steps and epochs.

        Raises:
            EmptyDataError: there are no interactions.
        """

    def __init_subclass__(cls, **named: Any) -> None:
        super().__init_subclass__(**named)
        if "fit" in vars(cls):
            fit = reporting(labelled(vars(cls)["fit"]))
            setattr(cls, "fit", fit)  # noqa: B010  (a method, by design)

    def ignoring_weights(self) -> list[Algorithm]:
        """Return this algorithm, or its parts, as far as `fit` does not use weights."""
        return [] if self.WEIGHTED else [self]

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        """Return the values that settings left at None take on this data, by name."""
        return {}

    def resolved(self, train: Interactions) -> Self:
        """Return this algorithm with every setting that is left to the data filled in.

        `fit` uses these values and a bundle reports them, so that no value stays unknown.

        Args:
            train: the training users x items.
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

        `nearfar autopilot` leaves out what needs more than the machine or the budget has.

        Args:
            train: the training users x items.
        """
        return Requirements()

    def alternatives(self) -> tuple[Self, ...]:
        """Return what `fit` tries in turn where validation users can tell which one is better.

        The first is what it fits without validation users; most algorithms have no other. None of
        them has alternatives of its own.
        """
        return (self,)

    def as_fitted(self, model: Model) -> Self:
        """Return this algorithm with the settings that its fit chose on validation users.

        A bundle reports these, so that a fit without validation users gives the same model.

        Args:
            model: what `fit` returned.
        """
        return self

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """Return the settings by name, in the form of scikit-learn's estimators.

        Algorithms are frozen: `dataclasses.replace(algorithm, l2=50.0)` gives one with another
        setting.

        Args:
            deep: also the settings of parts, as "alignment__weight".
        """
        return _params(self, deep)


def _params(settings: Any, deep: bool) -> dict[str, Any]:
    params = {f.name: getattr(settings, f.name) for f in dataclasses.fields(settings)}
    parts = {k: v for k, v in params.items() if deep and dataclasses.is_dataclass(v)}
    for name, part in parts.items():
        params |= {f"{name}__{inner}": value for inner, value in _params(part, deep).items()}
    return params


def reporting(fit: Callable[..., Model]) -> Callable[..., Model]:
    """Wrap an algorithm's `fit`: the callbacks of its run get its start and its end."""

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
        named: as given, `run` left out.
        parameters: of the method, by name.

    Raises:
        SettingsError: one is an option of the run.
        UnknownNameError: the method has no such argument.
    """
    of_run = {field.name for field in dataclasses.fields(Run)}
    for name, value in named.items():
        if name in parameters:
            continue
        if name in of_run:
            raise SettingsError(
                f"{name} is an option of the run: fit(..., run=nf.Run({name}={value!r}))"
            )
        known = [each for each in parameters if each not in ("self", "algorithm")]
        raise UnknownNameError("argument of fit", name, known)


def start_report(algorithm: Algorithm, n_users: int, n_items: int, run: Run) -> StartReport:
    """Return the report of a fit's start, which callbacks get."""
    return StartReport(
        discovery.name_of(type(algorithm)), label_of(algorithm), settings.to_plain(algorithm),
        run.seed, n_users, n_items, run.folder, run.resume,
    )  # fmt: skip


def settings_left_to_data(algorithm: Algorithm) -> list[str]:
    """Return the names of the settings that are None; some of them the data may decide."""
    fields = dataclasses.fields(cast("Any", algorithm))
    return [f.name for f in fields if getattr(algorithm, f.name) is None]


def filled_in(before: Algorithm, after: Algorithm) -> dict[str, Any]:
    """Return the settings that `resolved` filled in, by name; of a part as "parts[0].l2".

    Args:
        before: the algorithm as it was set.
        after: what `before.resolved(train)` returned.
    """
    names = settings_left_to_data(before)
    filled = {name: getattr(after, name) for name in names if getattr(after, name) is not None}
    for field in dataclasses.fields(cast("Any", before)):
        value = getattr(before, field.name)
        for i, part in enumerate(value if isinstance(value, tuple) else ()):
            if isinstance(part, Algorithm):
                inner = filled_in(part, getattr(after, field.name)[i])
                filled |= {f"{field.name}[{i}].{name}": v for name, v in inner.items()}
    return filled


def names() -> list[str]:
    """Return the names of all algorithms in the package."""
    return list(discovery.discover(PACKAGE, Algorithm))


def find_algorithm(name: str) -> type[Algorithm]:
    """The algorithm of that name, as "ease"; or a third party's by its dotted path.

    Raises:
        UnknownNameError: there is no such algorithm.
    """
    return discovery.find(PACKAGE, Algorithm, name)


def make_algorithm(name: str, values: dict[str, Any]) -> Algorithm:
    """The algorithm of that name with these settings.

    Raises:
        SettingsError: a setting is unknown or wrong.
    """
    return settings.build(find_algorithm(name), values)


def preset(name: str, which: str) -> dict[str, Any]:
    """The settings that are kept for an algorithm under the name `which`.

    Raises:
        UnknownNameError: there is no preset of that name; the message lists the presets.
    """
    found = presets(name)
    if which not in found:
        raise UnknownNameError(f"preset of {name}", which, found)
    return found[which]


def presets(name: str) -> dict[str, dict[str, Any]]:
    """All settings that are kept for an algorithm (presets/NAME.toml), by their names.

    Raises:
        UnknownNameError: there is no such algorithm.
    """
    path = Path(__file__).parent / "presets" / f"{discovery.name_of(find_algorithm(name))}.toml"
    return settings.read_toml(path) if path.exists() else {}


def check_not_empty(train: Interactions) -> None:
    """Raises: EmptyDataError where there is nothing to learn from; DataError for other data."""
    if not isinstance(train, Interactions):
        raise DataError(
            f"an algorithm fits Interactions, not {kind_of(train)}; a log gives them by "
            "log.interactions(), a split by split.train"
        )
    if not train.n_interactions:
        raise EmptyDataError(
            f"there are no interactions to fit ({train.n_users} users, {train.n_items} items)"
        )
