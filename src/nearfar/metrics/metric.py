"""The base classes of metrics: a metric at a cutoff turns judged rankings into numbers."""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, ClassVar, Literal, Self

import numpy as np
from jaxtyping import Float64

from nearfar.core import discovery
from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.metrics.judged_ranking import JudgedRanking as JudgedRanking
from nearfar.metrics.judged_ranking import judge as judge

PACKAGE = "nearfar.metrics"
_METRIC = re.compile(r"(?P<name>[^@()]+?)(?:@(?P<k>[^()]*?))?(?:\((?P<variant>[^()]*)\))?")


@dataclass(frozen=True)
class Metric(ABC):
    """A metric at a cutoff: `Recall() @ 20` is `Recall(20)` and prints as "Recall@20".

    Metrics compare by value, hash, and serve as keys. A new metric is a new file beside this one,
    with one subclass of `UserMetric` or `CatalogueMetric`.

    Args:
        k: number of places that count; None until set by `@`.

    Raises:
        SettingsError: `k` is not a whole number of at least 1.

    Examples:
        >>> str(nf.Recall() @ 20)
        'Recall@20'
        >>> nf.Recall() @ 20 == nf.Recall(20)
        True
    """

    k: int | None = None

    unit: ClassVar[str] = "share"
    """Unit of the values: a "share" from 0 to 1, or another unit such as "bits"."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Printed suffix -> the settings it stands for: "all" of "Recall@20(all)"."""

    by_genre: ClassVar[bool] = False
    """Whether it needs the genres of the items."""

    whole: ClassVar[bool] = False
    """Whether it needs the ranking of all candidates, and not only of the first k."""

    def __post_init__(self) -> None:
        k = self.k
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
            raise SettingsError(f"{type(self).__name__} has cutoff {k!r}; use 1, 2, 3, ...")

    def __matmul__(self, k: int) -> Self:
        return replace(self, k=k)

    def __str__(self) -> str:
        cutoff = "" if self.k is None else f"@{self.k}"
        return f"{type(self).__name__}{cutoff}{self._suffix()}"

    def _suffix(self) -> str:
        for suffix, settings in self.variants.items():
            if all(getattr(self, name) == value for name, value in settings.items()):
                return f"({suffix})"
        return ""

    @property
    def depth(self) -> int:
        """The cutoff `k`.

        Raises:
            SettingsError: the metric has no cutoff.
        """
        if self.k is None:
            name = type(self).__name__
            raise SettingsError(f"{name} has no cutoff; choose one, as {name}() @ 20")
        return self.k

    @abstractmethod
    def overall(self, judged: JudgedRanking) -> float:
        """Compute the value over all users together.

        Raises:
            SettingsError: the metric has no cutoff, or the ranking has fewer places.
        """


class UserMetric(Metric):
    """A metric with one value per user; its overall value is their mean.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Hits(nf.UserMetric):
        ...     def per_user(self, judged):
        ...         return judged.truncated(self.depth).hits.sum(axis=1).astype(float)
        >>> nf.evaluate(ease, split.test, [Hits(5)]).values(Hits(5)).shape
        (10,)
    """

    @abstractmethod
    def per_user(self, judged: JudgedRanking) -> Float64[np.ndarray, " users"]:
        """Compute the value of every user.

        A user without held-out items has NaN if the metric divides by their number, else 0.

        The ranking may be deeper than this metric's cutoff: cut it by
        `judged.truncated(self.depth)`, which raises the error below.

        Raises:
            SettingsError: the metric has no cutoff, or the ranking has fewer places.
        """

    def overall(self, judged: JudgedRanking) -> float:
        return float(self.per_user(judged).mean())


@dataclass(frozen=True)
class DividedMetric(UserMetric):
    """A metric that divides hits by their possible number, for which there are two conventions.

    Args:
        k: the cutoff.
        over: the divisor of the hits: "reachable", min(k, |H|), or "held_out", |H|.

    Raises:
        UnknownNameError: `over` is neither.
    """

    over: Literal["reachable", "held_out"] = "reachable"

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {"all": {"over": "held_out"}}

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.over not in ("reachable", "held_out"):
            raise UnknownNameError("over", self.over, ["reachable", "held_out"])


class CatalogueMetric(Metric):
    """A metric with one value for a whole set of users, which is not a mean over users.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Shown(nf.CatalogueMetric):
        ...     def overall(self, judged):
        ...         return float((judged.truncated(self.depth).recommendation_counts() > 0).sum())
        >>> nf.evaluate(nf.Popularity().fit(split.train), split.test, [Shown(20)]).mean(Shown(20))
        20.0
    """


def reachable(judged: JudgedRanking, k: int, over: str) -> Float64[np.ndarray, " users"]:
    """Return the divisor of each user's hits: min(k, |H|), or |H| if `over` is "held_out".

    It is NaN for a user without held-out items, so that such users cannot silently lower a mean.
    """
    divisor = judged.n_held_out if over == "held_out" else np.minimum(judged.n_held_out, k)
    return np.where(divisor > 0, divisor, np.nan)


def parse_metric(text: str) -> Metric:
    """Parse a metric from its printed form: "Recall@20", "ndcg@100", "recall@20(all)".

    Case, "-" and "_" do not matter. A third-party metric is named by its dotted path,
    "their_package.their_module.TheirMetric@10".

    Raises:
        UnknownNameError: there is no such metric, or it has no such variant.
        SettingsError: the cutoff is missing or is not a whole number of at least 1.

    Examples:
        >>> nf.parse_metric("ndcg@100") == nf.NDCG(100)
        True
    """
    match = _METRIC.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is not a metric with a cutoff, such as ndcg@100")
    cls: type[Any] = discovery.find(PACKAGE, Metric, _discovery_name(match["name"].strip()))
    cutoff = (match["k"] or "").strip()
    if not (cutoff.isascii() and cutoff.isdigit()):
        name = match["name"].strip()
        spelling = name if "." in name else cls.__name__.lower()
        raise SettingsError(f"metric {text!r} has no whole number as cutoff; write {spelling}@20")
    return cls(k=int(cutoff), **_variant_settings(cls, match["variant"]))


def _discovery_name(name: str) -> str:
    if "." in name:
        return name
    letters = name.lower().replace("-", "").replace("_", "")
    for known in discovery.discover(PACKAGE, Metric):
        if known.replace("_", "") == letters:
            return known
    return name.lower()


def _variant_settings(cls: type[Metric], variant: str | None) -> Mapping[str, Any]:
    if variant is None:
        return {}
    key = variant.strip().lower()
    if key not in cls.variants:
        raise UnknownNameError(f"variant of {cls.__name__}", key, cls.variants)
    return cls.variants[key]
