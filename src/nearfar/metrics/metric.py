"""What a metric is: a value with a cutoff that turns judged rankings into numbers."""

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
from nearfar.metrics.judged import Judged as Judged
from nearfar.metrics.judged import judge as judge

PACKAGE = "nearfar.metrics"
_SPELLING = re.compile(r"(?P<name>[^@()]+?)(?:@(?P<k>[^()]*?))?(?:\((?P<variant>[^()]*)\))?")


@dataclass(frozen=True)
class Metric(ABC):
    """A metric at a cutoff: `Recall() @ 20` is `Recall(20)` and prints as "Recall@20".

    Metrics are values: they compare, hash and serve as keys. A new one is a new file beside
    this one, with one subclass of `UserMetric` or `CatalogueMetric`.

    Args:
        k: how many places count; None until `@` says.

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
    """What its numbers are: a "share" from 0 to 1, or a unit such as "bits"."""

    variants: ClassVar[Mapping[str, Mapping[str, Any]]] = {}
    """Printed suffix -> the settings it stands for: "all" of "Recall@20(all)"."""

    def __post_init__(self) -> None:
        k = self.k
        if k is not None and (isinstance(k, bool) or not isinstance(k, int) or k < 1):
            raise SettingsError(f"{type(self).__name__} at cutoff {k!r}; use 1, 2, 3, ...")

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
        """The cutoff `k`, once there is one.

        Raises:
            SettingsError: no cutoff was chosen.
        """
        if self.k is None:
            name = type(self).__name__
            raise SettingsError(f"{name} has no cutoff; choose one, as {name}() @ 20")
        return self.k

    @abstractmethod
    def overall(self, judged: Judged) -> float:
        """The value of all these users together.

        Raises:
            SettingsError: no cutoff was chosen, or the ranking has fewer places than that.
        """


class UserMetric(Metric):
    """A metric with one value per user; overall it is their mean.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Hits(nf.UserMetric):
        ...     def per_user(self, judged):
        ...         return judged.first(self.depth).hits.sum(axis=1).astype(float)
        >>> nf.evaluate(ease, split.test, [Hits(5)]).values(Hits(5)).shape
        (10,)
    """

    @abstractmethod
    def per_user(self, judged: Judged) -> Float64[np.ndarray, " users"]:
        """The value of every user.

        The ranking may be deeper than this metric's cutoff: `judged.first(self.depth)` cuts it,
        and raises what is below.

        Raises:
            SettingsError: no cutoff was chosen, or the ranking has fewer places than that.
        """

    def overall(self, judged: Judged) -> float:
        return float(self.per_user(judged).mean())


@dataclass(frozen=True)
class DividedMetric(UserMetric):
    """A metric whose hits are divided by what could be found, on which the field disagrees.

    Args:
        k: the cutoff.
        over: what the hits are divided by: "reachable", min(k, |H|), or "held_out", |H|.

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
    """A metric with one value for a whole set of users, which no mean over users gives.

    Examples:
        >>> @dataclass(frozen=True)
        ... class Shown(nf.CatalogueMetric):
        ...     def overall(self, judged):
        ...         return float((judged.first(self.depth).shown_counts() > 0).sum())
        >>> nf.evaluate(nf.Popularity().fit(split.train), split.test, [Shown(20)]).mean(Shown(20))
        20.0
    """


def reachable(judged: Judged, k: int, over: str) -> Float64[np.ndarray, " users"]:
    """What a user's hits are divided by: min(k, |H|), or |H| where `over` is "held_out".

    A user without held-out items gets NaN, so that a mean over such users is not too low
    unnoticed.
    """
    most = judged.n_held_out if over == "held_out" else np.minimum(judged.n_held_out, k)
    return np.where(most > 0, most, np.nan)


def parse_metric(text: str) -> Metric:
    """A metric from its printed form: "Recall@20", "ndcg@100", "recall@20(all)".

    Case, "-" and "_" do not matter. A third party's metric is named by its dotted path,
    "their_package.their_module.TheirMetric@10".

    Raises:
        UnknownNameError: there is no such metric, or it has no such variant.
        SettingsError: the cutoff is missing or is not a whole number of at least 1.

    Examples:
        >>> nf.parse_metric("ndcg@100") == nf.NDCG(100)
        True
    """
    match = _SPELLING.fullmatch(text.strip())
    if match is None:
        raise SettingsError(f"{text!r} is not a metric with a cutoff, such as ndcg@100")
    cls: type[Any] = discovery.find(PACKAGE, Metric, _known_spelling(match["name"].strip()))
    cutoff = (match["k"] or "").strip()
    if not (cutoff.isascii() and cutoff.isdigit()):
        raise SettingsError(
            f"metric {text!r} has no whole number as cutoff; write {cls.__name__.lower()}@20"
        )
    return cls(k=int(cutoff), **_settings_of(cls, match["variant"]))


def _known_spelling(name: str) -> str:
    if "." in name:
        return name
    squeezed = name.lower().replace("-", "").replace("_", "")
    for known in discovery.names(PACKAGE):
        if known.replace("_", "") == squeezed:
            return known
    return name.lower()


def _settings_of(cls: type[Metric], variant: str | None) -> Mapping[str, Any]:
    if variant is None:
        return {}
    key = variant.strip().lower()
    if key not in cls.variants:
        raise UnknownNameError(f"variant of {cls.__name__}", key, cls.variants)
    return cls.variants[key]
