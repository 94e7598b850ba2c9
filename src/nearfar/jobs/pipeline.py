"""The settings of a production pipeline: one TOML file."""

from __future__ import annotations

import contextlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, is_dataclass, replace
from pathlib import Path
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, find_algorithm, make_algorithm, preset
from nearfar.bundle.exports.export import Export
from nearfar.bundle.exports.onnx import Onnx
from nearfar.core import settings
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.extras import require
from nearfar.core.secrets import Url
from nearfar.data.weighting import Scale
from nearfar.jobs.gates import Gates
from nearfar.jobs.item_details import ItemDetails
from nearfar.jobs.pipeline_sections import Retention, ScoreSection, TrainSection
from nearfar.store.contracts import Contract
from nearfar.store.sinks.sink import RecommendationSink, make_sink
from nearfar.store.sources.source import EventSource, make_source

FILE_URL = re.compile(r"((?:sqlite|duckdb)(?:\+\w+)?:///)(?![/:]|\$\{)([^?]+)(.*)", re.DOTALL)
"""Matches the URL of a database file at a relative path, not of a database in memory."""


@dataclass(frozen=True)
class Pipeline:
    """The settings of a production pipeline.

    Args:
        registry: folder of versions, pointer and events.
        source: where events come from.
        sink: where recommendations go.
        algorithm: algorithm to train.
        train: when and on what to train.
        score: which users to score, and how.
        gates: checks of a candidate.
        contract: checks of the events.
        retention: how many days and versions to keep.
        items: file of item titles; None for no titles.
        metrics_file: file of metrics for Prometheus; None writes none.

    Examples:
        >>> from nearfar.jobs.pipeline import make_pipeline
        >>> places = {"source": {"kind": "csv", "path": "events.csv"}}
        >>> places |= {"sink": {"kind": "parquet", "path": "recommendations"}}
        >>> make_pipeline(places, Path("shop")).registry.as_posix()
        'shop/registry'
    """

    registry: Path
    source: EventSource
    sink: RecommendationSink
    algorithm: Algorithm
    train: TrainSection = field(default_factory=TrainSection)
    score: ScoreSection = field(default_factory=ScoreSection)
    gates: Gates = field(default_factory=Gates)
    contract: Contract = field(default_factory=Contract)
    retention: Retention = field(default_factory=Retention)
    items: ItemDetails | None = None
    metrics_file: Path | None = None

    @property
    def scale(self) -> Scale:
        """How training uses the weights of events."""
        return self.train.weighting.scale_of(named=bool(self.source.columns.weight))

    def __post_init__(self) -> None:
        if self.train.kind_weights is not None and self.source.columns.kind == "":
            raise SettingsError(
                f"train.kind_weights is {self.train.kind_weights!r}, and source.columns.kind says "
                "that no column holds kinds; leave one out"
            )
        if self.score.active_days > self.train.window_days:
            raise SettingsError(
                f"score.active_days is {self.score.active_days} and train.window_days "
                f"{self.train.window_days}; histories are read from the window"
            )


def read_pipeline(path: Path) -> Pipeline:
    """Read a pipeline from a TOML file; relative paths in it start from the file's folder.

    Raises:
        SettingsError: the file is missing, is not TOML, or a setting is unknown or wrong.

    Examples:
        >>> from nearfar.jobs.pipeline import read_pipeline
        >>> pipeline = read_pipeline(Path("shop/pipeline.toml"))  # doctest: +SKIP
    """
    if not path.is_file():
        what = "is not a file" if path.exists() else "does not exist"
        raise SettingsError(
            f"{path} {what}; name the settings with -c FILE, or write them by "
            "nearfar pipeline init --source YOUR_LOG"
        )
    return make_pipeline(settings.read_toml(path), path.parent)


def make_pipeline(values: Mapping[str, Any], folder: Path) -> Pipeline:
    """Build a pipeline from plain values; see `read_pipeline`.

    Examples:
        >>> from nearfar.jobs.pipeline import make_pipeline
        >>> places = {"source": {"kind": "parquet", "path": "events"}}
        >>> places |= {"sink": {"kind": "parquet", "path": "recommendations"}}
        >>> make_pipeline(places, Path("shop")).train.every_days
        7
    """
    known = {"registry", "metrics_file", "source", "sink", "items", "algorithm", "train", "score",
             "gates", "contract", "retention"}  # fmt: skip
    for name in values:
        if name not in known:
            raise UnknownNameError("section or setting of a pipeline", name, known)
    for name in known - {"registry", "metrics_file"}:
        if not isinstance(values.get(name, {}), Mapping):
            raise SettingsError(f"{name} is {values[name]!r}; a section was expected, as [{name}]")
    for name in ("registry", "metrics_file"):
        if not isinstance(values.get(name, ""), str):
            raise SettingsError(f"{name} is {values[name]!r}; it must be text, a path")
    for name in ("source", "sink"):
        if "kind" not in values.get(name, {}):
            raise SettingsError(f'[{name}] lacks its kind, as kind = "parquet"')
    metrics, items = values.get("metrics_file"), values.get("items", {})
    if "columns" in items:
        raise SettingsError(
            '[items] names its columns one by one, as item = "sku" and title = "name", not in a '
            "table of columns"
        )
    source, sink = ({k: v for k, v in values[n].items() if k != "kind"} for n in ("source", "sink"))
    return Pipeline(
        registry=folder / Path(str(values.get("registry", "registry"))).expanduser(),
        source=make_source(str(values["source"]["kind"]), _resolve_paths(source, folder)),
        sink=make_sink(str(values["sink"]["kind"]), _resolve_paths(sink, folder)),
        algorithm=_build_algorithm(values.get("algorithm", {"kind": "multvae"}), folder),
        train=_build_train(values.get("train", {}), folder),
        score=_build_score(values.get("score", {}), folder),
        gates=settings.build(Gates, values.get("gates", {}), "gates"),
        contract=settings.build(Contract, values.get("contract", {}), "contract"),
        retention=settings.build(Retention, values.get("retention", {}), "retention"),
        items=settings.build(ItemDetails, _resolve_paths(dict(items), folder), "items")
        if items
        else None,
        metrics_file=folder / Path(str(metrics)).expanduser() if metrics else None,
    )


def _build_algorithm(values: Mapping[str, Any], folder: Path) -> Algorithm:
    if "kind" not in values:
        raise SettingsError('[algorithm] lacks its kind, as kind = "multvae"')
    name = str(values["kind"])
    base = preset(name, str(values["preset"])) if "preset" in values else {}
    algorithm = find_algorithm(name)
    options = {k: v for k, v in values.items() if k not in ("kind", "preset")}
    options = settings.with_todays_names(algorithm, options)
    if isinstance(options.get("initialiser"), Mapping):
        options["initialiser"] = _resolve_paths(dict(options["initialiser"]), folder)
    known = {f.name for f in fields(algorithm)} if is_dataclass(algorithm) else set(options)
    for key in options:
        if key not in known:
            raise UnknownNameError("setting of [algorithm]", key, {*known, "preset"})
    return make_algorithm(name, settings.merge(base, options))


def _build_train(values: Mapping[str, Any], folder: Path) -> TrainSection:
    section = settings.build(TrainSection, values, "train")
    return replace(
        section, track=tuple(_resolve_target(target, folder) for target in section.track)
    )


def _resolve_target(target: str, folder: Path) -> str:
    """Return a tracker's target, a relative path in it joined to the settings' folder."""
    kind, _, place = target.partition(":")
    is_path = kind in ("mlflow", "tensorboard") and place and "://" not in place
    return f"{kind}:{folder / place}" if is_path else target


def _build_score(values: Mapping[str, Any], folder: Path) -> ScoreSection:
    values = dict(values)
    if isinstance(values.get("deny"), list):
        values["deny"] = [str(v) for v in values["deny"]]
    for name in ("deny_file", "rules", "experiment"):
        if values.get(name):
            values[name] = str(folder / Path(str(values[name])).expanduser())
    return settings.build(ScoreSection, values, "score")


def _resolve_paths(values: dict[str, Any], folder: Path) -> dict[str, Any]:
    """Join relative paths, also the one in a database URL, to the settings' folder."""
    path, url = values.get("path"), values.get("url")
    if isinstance(path, str):
        values = {**values, "path": _resolved(path, folder)}
    if isinstance(url, str) and (match := FILE_URL.fullmatch(url)):
        values = {**values, "url": match[1] + str((folder / match[2]).absolute()) + match[3]}
    return values


def _resolved(path: str, folder: Path) -> str:
    """Return a path joined to a folder, unless it is absolute or an address.

    A path that begins with an environment variable is judged by the variable's value.
    """
    if not path:
        raise SettingsError("path is ''; the path of a file or folder was expected")
    path = value = str(Path(path).expanduser()) if path.startswith("~") else path
    if path.startswith("${"):
        with contextlib.suppress(SettingsError):  # reading tells which variable is not set
            value = Url(path).reveal()
    is_alone = "://" in value or value.startswith(("${", "~")) or Path(value).is_absolute()
    return path if is_alone else str(folder / path)


def exports_of(names: Iterable[str]) -> dict[str, Export]:
    """Return the exports of these names, each under the name of its folder in a version.

    Raises:
        MissingExtraError: a library that one of them needs is not installed.
    """
    exports: dict[str, Export] = {}
    for name in names:
        require(name, extra=name, purpose=f"exports = [{name!r}]")
        exports[name] = Onnx()
    return exports
