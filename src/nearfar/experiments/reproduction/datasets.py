"""The data sets of the tables: their source, filters and split."""

from __future__ import annotations

import re
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

from nearfar.core.errors import DataError, SettingsError, UnknownNameError
from nearfar.data.filters import Filters, preset
from nearfar.data.shapes import SHAPES
from nearfar.data.sources.source import Source, detect, generated
from nearfar.data.splits.folder import is_split_folder
from nearfar.evaluation.evaluate import DEFAULT_METRICS
from nearfar.metrics.metric import Metric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall
from nearfar.tables.columns import Columns
from nearfar.tables.table import ReadOptions

Protocol = Literal["strong", "given", "folder"]

GIVEN_METRICS: tuple[Metric, ...] = (Recall(20, over="held_out"), NDCG(20))
"""The metrics published on LightGCN's splits."""

HELD_OUT: dict[str, int | float] = {
    "ml-100k": 0.15, "ml-1m": 600, "ml-10m": 5_000, "ml-20m": 10_000, "netflix": 40_000,
    "msd": 50_000,
}  # fmt: skip
"""Number or share of validation users, and of as many test users; the last three as published."""

SHARE = 0.1
SMALL = "ml-1m"
LARGE = ("ml-10m", "ml-20m", "netflix", "msd")
NAMES = (*HELD_OUT, "gowalla")


@dataclass(frozen=True)
class OwnData:
    """Options of a user's own log; they do not apply to published data sets.

    Args:
        filters: filters of the events; by default users with at least five items.
        columns: names of the columns.
        reading: how to read the files.
        held_out: number of validation users, and of as many test users; below 1, their share. By
            default a tenth; for synthetic data the share of the data set that they imitate.
        settings_of: data set whose settings the algorithms take; by default "ml-1m", for synthetic
            data the data set that they imitate.
    """

    filters: Filters | None = None
    columns: Columns = field(default_factory=Columns)
    reading: ReadOptions = field(default_factory=ReadOptions)
    held_out: int | float | None = None
    settings_of: str | None = None


@dataclass(frozen=True)
class DataSet:
    """A data set under one protocol.

    Args:
        name: "ml-1m", "synthetic:ml-1m,seed=3", or a path.
        protocol: "strong": test users are not in training; "given": published in two parts, with
            every user in training; "folder": a split made before.
        data: file or folder; None for data that are downloaded or generated.
        filters, columns, held_out, reading: as in `OwnData`.
        settings_names: possible names of the section of an algorithm's settings, in order of
            preference.
        metrics: metrics of its tables.
        published: whether published numbers refer to these data.
    """

    name: str
    protocol: Protocol
    data: Path | None
    filters: Filters
    columns: Columns
    held_out: int | float
    settings_names: tuple[str, ...]
    metrics: tuple[Metric, ...]
    published: bool = False
    reading: ReadOptions = field(default_factory=ReadOptions)

    def preparation(self) -> dict[str, Any]:
        """Return what determines the split apart from the file's content; JSON-able."""
        return {
            "name": self.name,
            "protocol": self.protocol,
            "filters": vars(self.filters),
            "columns": vars(self.columns),
            "reading": asdict(self.reading),
            "held_out": self.held_out,
        }


def data_set(name: str, *, data: Path | None = None, own: OwnData | None = None) -> DataSet:
    """Return the data set with a name, or the user's own data set at a path.

    Args:
        name: one of `NAMES`, "synthetic:SHAPE", a log, or the folder of a split.
        data: raw files of a named data set; by default those in the cache.
        own: options of a user's own log.

    Raises:
        DataError: the name or the path is unknown.
        SettingsError: options contradict the protocol of the data set.

    Examples:
        >>> from nearfar.experiments.reproduction.datasets import data_set
        >>> [str(metric) for metric in data_set("gowalla").metrics]
        ['Recall@20(all)', 'NDCG@20']
    """
    key = name.strip().lower().replace("_", "-")
    if key in NAMES:
        if own is not None and own != OwnData():
            raise SettingsError(
                f"{key} has its published protocol; to use other filters, columns or held-out "
                "users give its file as the data set"
            )
        return _named(key, data)
    if data is not None:
        raise SettingsError(f"{name} needs no --data; it is for the data sets {', '.join(NAMES)}")
    own = own or OwnData()
    if generated(name) and not Path(name).exists():
        return _synthetic(name, own)
    path = Path(name)
    if not path.exists():
        raise DataError(
            f"{name!r} is neither a path that exists nor one of the data sets {', '.join(NAMES)}; "
            "synthetic:SHAPE generates one"
        )
    if is_split_folder(path):
        if own != OwnData(settings_of=own.settings_of):
            raise SettingsError(f"{name} is split already; omit filters, columns and held-out")
        protocol: Protocol = "folder"
    else:
        protocol = "given" if type(detect(path)).parts is not Source.parts else "strong"
    return DataSet(
        name, protocol, path, own.filters or Filters(min_user=5), own.columns,
        SHARE if own.held_out is None else own.held_out,
        settings_names(own.settings_of or SMALL), _metrics(protocol), reading=own.reading,
    )  # fmt: skip


def settings_names(name: str) -> tuple[str, ...]:
    """Return the possible names of the section of settings for a data set, in order of preference.

    Large data sets without their own settings use the published ones of MovieLens-20M, small ones
    those tuned on MovieLens-1M.

    Raises:
        UnknownNameError: the data set is unknown.
    """
    if name not in NAMES:
        raise UnknownNameError("data set with settings", name, NAMES)
    fallbacks = ("ml-20m", "published") if name in LARGE else ("ml-1m",)
    return tuple(dict.fromkeys((name, *fallbacks)))


def _named(name: str, data: Path | None) -> DataSet:
    if data is not None and not data.exists():
        raise DataError(f"{data} does not exist; --data names the file or folder of {name}")
    protocol: Protocol = "given" if name == "gowalla" else "strong"
    return DataSet(
        name, protocol, data, Filters() if protocol == "given" else preset(name), Columns(),
        HELD_OUT.get(name, 0), settings_names(name), _metrics(protocol), published=True,
    )  # fmt: skip


def _synthetic(name: str, own: OwnData) -> DataSet:
    """Return generated data; a named shape holds out the same share of users as its data set."""
    shape = re.split(r"[,?]", name.partition(":")[2])[0].strip().lower().replace("_", "-")
    share = HELD_OUT[shape] / SHAPES[shape]["users"] if shape in SHAPES else SHARE
    like = shape if shape in SHAPES else SMALL
    return DataSet(
        name, "strong", None, own.filters or Filters(), own.columns,
        share if own.held_out is None else own.held_out,
        settings_names(own.settings_of or like), DEFAULT_METRICS,
    )  # fmt: skip


def _metrics(protocol: Protocol) -> tuple[Metric, ...]:
    return GIVEN_METRICS if protocol == "given" else DEFAULT_METRICS
