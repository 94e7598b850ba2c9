"""A bundle: a fitted model, its items, and how it was trained."""

from __future__ import annotations

import math
import os
import platform
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import UTC, datetime
from functools import cached_property
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from scipy.sparse import csr_array

from nearfar._version import __version__
from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.algorithms.label import label_of
from nearfar.algorithms.saved_settings import saved_settings
from nearfar.bundle.extended_catalogue import extended_catalogue, n_trained_items
from nearfar.bundle.titles import TitleIndex
from nearfar.core import discovery, settings
from nearfar.core.errors import ArtefactError, DataError, NearfarError, kind_of
from nearfar.core.frames import summary_html, summary_text
from nearfar.core.manifest import REMEDY
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.data.item_features import ItemFeatures, read_item_features
from nearfar.models.model import Model
from nearfar.models.new_items import with_new_items
from nearfar.train.history import History

MAX_LISTED = 20
LIBRARIES = ("torch", "numpy", "scipy", "polars")


@dataclass(frozen=True)
class BundleMetadata:
    """Describes how a model was trained; every value is JSON-able.

    Args:
        algorithm: its discovery name; `make_algorithm(algorithm, settings)` makes it again.
        settings: the algorithm's hyper-parameters.
        data: name, fingerprint, n_users, n_items, n_interactions and protocol.
        metrics: the measured metrics by part of the split: {"validation": {...}}.
        training: one record per epoch.
        seed: random seed of the run; None if it had none.
        created: time of creation, ISO 8601 in UTC.
        versions: versions of nearfar, Python and the numerical libraries.
    """

    algorithm: str
    settings: dict[str, Any] = field(default_factory=dict)
    data: dict[str, Any] = field(default_factory=dict)
    metrics: dict[str, Any] = field(default_factory=dict)
    training: list[dict[str, Any]] = field(default_factory=list)
    seed: int | None = None
    created: str = ""
    versions: dict[str, str] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return all fields as JSON-able values; numbers that are not finite become None."""
        return {f.name: jsonable(getattr(self, f.name)) for f in fields(self)}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> BundleMetadata:
        """Make a `BundleMetadata` from what `to_dict` returned.

        Fields unknown to this version are dropped. Settings that the version which wrote the bundle
        did not have get the values that keep its meaning.

        Raises:
            ArtefactError: the algorithm is missing, or a field has the wrong type.
        """
        expected = {"algorithm": str, "training": list, "created": str, "seed": int | None}
        arguments = {f.name: values[f.name] for f in fields(cls) if f.name in values}
        if "algorithm" not in arguments:
            raise ArtefactError(f"'about' lacks 'algorithm'; {REMEDY}")
        for name, value in arguments.items():
            kind = expected.get(name, dict)
            if not isinstance(value, kind):
                kind_name = kind.__name__ if isinstance(kind, type) else kind
                raise ArtefactError(
                    f"'about.{name}' is a {type(value).__name__}; {kind_name} was expected; "
                    f"{REMEDY}"
                )
        saved = saved_settings(arguments["algorithm"], arguments.get("settings", {}))
        return cls(**{**arguments, "settings": saved})


@dataclass(frozen=True, eq=False)
class Bundle:
    """A fitted model with the ids and details of its items, and how it was trained.

    Raises:
        DataError: the number of ids is not the number of items that the model scores.

    Examples:
        >>> bundle = nf.Bundle.of(ease, nf.EASE(l2=50), split.train)
        >>> bundle.n_items, bundle.metadata.algorithm
        (20, 'ease')
    """

    model: Model
    items: Vocabulary
    metadata: BundleMetadata

    def __post_init__(self) -> None:
        if self.model.n_items != len(self.items):
            raise DataError(
                f"the model scores {self.model.n_items} items and there are {len(self.items)} ids; "
                "give the item ids that it was fitted on"
            )

    @property
    def n_items(self) -> int:
        return len(self.items)

    def __repr__(self) -> str:
        return summary_text(f"Bundle of {self.metadata.algorithm}", self._facts())

    def _repr_html_(self) -> str:
        return summary_html(f"Bundle of {self.metadata.algorithm}", self._facts())

    def _facts(self) -> dict[str, object]:
        titles = self.items.titles
        n_titles = 0 if titles is None else len(self.items) - titles.null_count()
        return {
            "kind": type(self.model).__name__, "items": self.n_items, "titles": n_titles,
            "training users": self.model.n_train_users, "created": self.metadata.created,
        }  # fmt: skip

    @classmethod
    def of(
        cls,
        model: Model,
        algorithm: Algorithm,
        train: Interactions,
        *,
        seed: int | None = None,
        protocol: Mapping[str, Any] | None = None,
        metrics: Mapping[str, Any] | None = None,
        history: History | None = None,
    ) -> Bundle:
        """Return the bundle of a model just fitted on `train`; for the options see `describe`."""
        metadata = describe(
            algorithm.as_fitted(model), train,
            seed=seed, protocol=protocol, metrics=metrics, history=history,
        )  # fmt: skip
        return cls(model, train.item_ids, metadata)

    def trained_on(self, train: Interactions) -> bool:
        """Return whether the model was fitted on these interactions; True if that is unknown."""
        return self.metadata.data.get("fingerprint") in (None, train.fingerprint)

    def with_new_items(
        self,
        features: ItemFeatures | str | Path | pl.DataFrame,
        *,
        exposure: float = 1.0,
        histories: csr_array | None = None,
        seed: int = 0,
    ) -> Bundle:
        """Return a bundle that also recommends items that nobody has interacted with yet.

        New items come after the bundle's items, which keep their positions; see
        `models.new_items.with_new_items` for how they are placed. `metadata.data["new_items"]`
        records what was added.

        Args:
            features: features of the new items, and of known items whose details hold none; see
                `read_item_features`.
            exposure: how often to recommend new items, relative to known items whose features
                predict the same popularity.
            histories: users' histories over the bundle's items, on which exposure is measured;
                by default synthetic ones, which is less exact.
            seed: random seed.

        Raises:
            DataError: the features cannot be read, no item is new, or no new item shares a feature
                with known items.
            SettingsError: exposure is not above 0, or the model's kind does not support new items.
        """
        if not isinstance(features, ItemFeatures):
            features = read_item_features(features)
        catalogue = extended_catalogue(self.items, features)
        model, placement = with_new_items(
            self.model, catalogue.known, catalogue.new,
            exposure=exposure, histories=histories, seed=seed,
        )  # fmt: skip
        record = {
            "n_new": catalogue.new.shape[0],
            "n_trained": n_trained_items(self.metadata.data, self.n_items),
            "n_left_out": len(catalogue.left_out),
            "left_out": catalogue.left_out.head(MAX_LISTED).to_list(), "exposure": exposure,
            "seed": seed, **vars(placement),
        }  # fmt: skip
        data = {**self.metadata.data, "new_items": jsonable(record)}
        return Bundle(model, catalogue.items, replace(self.metadata, data=data))

    @cached_property
    def titles(self) -> TitleIndex:
        """Return the index of the items by title, built at the first use."""
        return TitleIndex(self.items, self.model.popularity)


def describe(
    algorithm: Algorithm,
    train: Interactions,
    *,
    seed: int | None = None,
    protocol: Mapping[str, Any] | None = None,
    metrics: Mapping[str, Any] | None = None,
    history: History | None = None,
) -> BundleMetadata:
    """Describe how a model was fitted.

    Settings that default to values computed from the data are recorded with those values.

    Args:
        algorithm: the algorithm that fitted the model; if it chooses settings on validation users,
            give `algorithm.as_fitted(model)`.
        train: the training data.
        seed: random seed of the run.
        protocol: how the data was made; its "log" becomes the name of the data.
        metrics: the measured metrics by part of the split.
        history: the epochs, if there were any.
    """
    values = settings.to_plain(algorithm.resolved(train))
    protocol = dict(protocol or {})
    log = protocol.get("log")
    data = {
        "name": ", ".join(map(str, log)) if isinstance(log, list | tuple) else log,
        "fingerprint": train.fingerprint,
        "n_users": train.n_users,
        "n_items": train.n_items,
        "n_interactions": train.n_interactions,
        "protocol": protocol,
    }
    if train.weights is not None:
        ignoring = [discovery.name_of(type(a)) for a in algorithm.ignoring_weights()]
        data["weights"] = {"ignored_by": ignoring}
    return BundleMetadata(
        algorithm=discovery.name_of(type(algorithm)),
        settings={k: v for k, v in values.items() if k != "kind"},
        data=jsonable(data),
        metrics=jsonable(dict(metrics or {})),
        training=jsonable([r.to_dict() for r in history.records] if history else []),
        seed=seed,
        created=datetime.now(UTC).isoformat(timespec="seconds"),
        versions=versions(),
    )


def versions() -> dict[str, str]:
    """Return the versions of nearfar, Python and the numerical libraries."""
    result = {"nearfar": __version__, "python": platform.python_version()}
    for name in LIBRARIES:
        try:
            result[name] = version(name)
        except PackageNotFoundError:
            result[name] = "unknown"
    return result


def label_of_metadata(metadata: BundleMetadata) -> str:
    """Return the model's name in tables; a third party's algorithm is named, not imported."""
    if "." in metadata.algorithm:
        return metadata.algorithm
    try:
        return label_of(make_algorithm(metadata.algorithm, metadata.settings))
    except NearfarError:  # the settings are of another version of nearfar
        return metadata.algorithm


def jsonable(value: Any) -> Any:
    """Convert a value to JSON's types; numbers that are not finite become None."""
    if isinstance(value, Mapping):
        return {str(k): jsonable(v) for k, v in value.items()}
    if isinstance(value, np.ndarray | np.generic):
        return jsonable(value.tolist())
    if isinstance(value, list | tuple):
        return [jsonable(v) for v in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if value is None or isinstance(value, str | int | float | bool):
        return value
    return str(value)


def check_bundle(value: object) -> None:
    """Check that a value is a bundle.

    Raises:
        DataError: it is something else, such as a model (whose items have no ids) or a path.
    """
    if isinstance(value, str | os.PathLike):
        raise DataError(
            f"a bundle was expected, not {kind_of(value)}; "
            f"read it with nf.load_bundle({str(value)!r})"
        )
    if not isinstance(value, Bundle):
        raise DataError(
            f"a bundle was expected, not {kind_of(value)}; make one from a model with "
            "nf.Bundle.of(model, algorithm, split.train)"
        )
