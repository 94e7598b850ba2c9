"""The data sets of the tables: where each comes from, how it is filtered and split."""

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
"""What is published on LightGCN's splits."""

HELD_OUT: dict[str, int | float] = {
    "ml-100k": 0.15, "ml-1m": 600, "ml-10m": 5_000, "ml-20m": 10_000, "netflix": 40_000,
    "msd": 50_000,
}  # fmt: skip
"""Users held out for validation, and as many again for test; the last three as published."""

SHARE = 0.1
SMALL = "ml-1m"
LARGE = ("ml-10m", "ml-20m", "netflix", "msd")
NAMES = (*HELD_OUT, "gowalla")


@dataclass(frozen=True)
class OwnData:
    """What the user says of a log of their own; published data sets take none of it.

    Args:
        filters: which events are kept; without them, users with at least five items.
        columns: names of columns.
        reading: how to read its files.
        held_out: users for validation, and as many again for test; below 1, a share. By default
            a tenth, and of synthetic data the share of the data set that they are shaped like.
        settings_of: the data set whose settings the algorithms take; by default "ml-1m", and of
            synthetic data the one that they are shaped like.
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
        protocol: "strong": users never seen in training; "given": published in two parts, every
            user in training; "folder": a split that was made before.
        data: the file or folder; None where it is fetched, or made.
        filters, columns, held_out, reading: as in `OwnData`.
        settings_names: what the section of an algorithm's settings may be called, first first.
        metrics: what its tables show.
        published: whether published numbers are of these very data.
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
        """What decides the split, beside the file's content; JSON-able."""
        return {
            "name": self.name,
            "protocol": self.protocol,
            "filters": vars(self.filters),
            "columns": vars(self.columns),
            "reading": asdict(self.reading),
            "held_out": self.held_out,
        }


def data_set(name: str, *, data: Path | None = None, own: OwnData | None = None) -> DataSet:
    """The data set called `name`, or the user's own at that path.

    Args:
        name: one of `NAMES`, "synthetic:SHAPE", a log, or a split folder.
        data: where the raw files of a named data set lie, if not in the cache.
        own: what is to be known of a log of one's own.

    Raises:
        DataError: nothing is called so.
        SettingsError: a published data set is given another protocol.

    Examples:
        >>> from nearfar.experiments.reproduction.datasets import data_set
        >>> [str(metric) for metric in data_set("gowalla").metrics]
        ['Recall@20(all)', 'NDCG@20']
    """
    key = name.strip().lower().replace("_", "-")
    if key in NAMES:
        if own is not None and own != OwnData():
            raise SettingsError(
                f"{key} has its published protocol; for filters, columns or held-out users of "
                "your own give its file as the data set"
            )
        return _named(key, data)
    if data is not None:
        raise SettingsError(
            f"{name} says itself where the data are; --data goes with {', '.join(NAMES)}"
        )
    own = own or OwnData()
    if generated(name) and not Path(name).exists():
        return _synthetic(name, own)
    path = Path(name)
    if not path.exists():
        raise DataError(
            f"{name!r} is neither a path that exists nor one of the data sets {', '.join(NAMES)}; "
            "synthetic:SHAPE makes one up"
        )
    if is_split_folder(path):
        if own != OwnData(settings_of=own.settings_of):
            raise SettingsError(f"{name} is split already; leave filters, columns, held-out out")
        protocol: Protocol = "folder"
    else:
        protocol = "given" if type(detect(path)).parts is not Source.parts else "strong"
    return DataSet(
        name, protocol, path, own.filters or Filters(min_user=5), own.columns,
        _or(own.held_out, SHARE), settings_names(own.settings_of or SMALL), _metrics(protocol),
        reading=own.reading,
    )  # fmt: skip


def settings_names(name: str) -> tuple[str, ...]:
    """What the section of settings for a data set may be called, first choice first.

    Large sets without settings of their own take the published ones of MovieLens-20M, small ones
    those tuned on MovieLens-1M.

    Raises:
        UnknownNameError: no data set is called so.
    """
    if name not in NAMES:
        raise UnknownNameError("data set with settings", name, NAMES)
    rest = ("ml-20m", "published") if name in LARGE else ("ml-1m",)
    return tuple(dict.fromkeys((name, *rest)))


def _named(name: str, data: Path | None) -> DataSet:
    if data is not None and not data.exists():
        raise DataError(f"{data} does not exist; --data names the file or folder of {name}")
    protocol: Protocol = "given" if name == "gowalla" else "strong"
    return DataSet(
        name, protocol, data, Filters() if protocol == "given" else preset(name), Columns(),
        HELD_OUT.get(name, 0), settings_names(name), _metrics(protocol), published=True,
    )  # fmt: skip


def _synthetic(name: str, own: OwnData) -> DataSet:
    """Made-up data; a named shape holds out the share of users that its model does."""
    shape = re.split(r"[,?]", name.partition(":")[2])[0].strip().lower().replace("_", "-")
    share = HELD_OUT[shape] / SHAPES[shape]["users"] if shape in SHAPES else SHARE
    like = shape if shape in SHAPES else SMALL
    return DataSet(
        name, "strong", None, own.filters or Filters(), own.columns, _or(own.held_out, share),
        settings_names(own.settings_of or like), DEFAULT_METRICS,
    )  # fmt: skip


def _or(given: int | float | None, default: int | float) -> int | float:
    return default if given is None else given


def _metrics(protocol: Protocol) -> tuple[Metric, ...]:
    return GIVEN_METRICS if protocol == "given" else DEFAULT_METRICS
