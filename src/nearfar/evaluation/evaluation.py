"""The result of an evaluation: one value per user and metric, with means, intervals and groups."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from typing import Any, Literal

import numpy as np
import polars as pl
from jaxtyping import Bool, Float64, Int

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.core.frames import to_pandas
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.groups import Group, ordered_groups, parse_groups
from nearfar.evaluation.intervals import Interval, Method, mean_interval, standard_error
from nearfar.evaluation.text import aligned, with_half_width
from nearfar.metrics.metric import Metric, parse_metric

Activity = Literal["total", "fold_in"]


@dataclass(frozen=True, eq=False)
class Evaluation:
    """The values of one model on one group of users.

    Args:
        name: name of the model in tables.
        per_user: metric -> one value per user.
        overall: catalogue metric -> its one value for all users.
        user_ids: the evaluated users, in the order of the values.
        n_fold_in: number of fold-in items of each user.
        n_held_out: number of held-out items of each user, at least one.
        n_dropped: number of users left out because they had no held-out items.

    Examples:
        >>> evaluation = nf.evaluate(ease, split.test, ["Recall@5"])
        >>> evaluation.values("recall@5").shape
        (10,)
        >>> evaluation.interval("Recall@5").level
        0.95
        >>> [(str(group), part.n_users) for group, part in evaluation.groups("5-9,10-").items()]
        [('5-9', 3), ('10-', 7)]
    """

    name: str
    per_user: dict[Metric, Float64[np.ndarray, " users"]]
    user_ids: Vocabulary
    n_fold_in: Int[np.ndarray, " users"]
    n_held_out: Int[np.ndarray, " users"]
    overall: dict[Metric, float] = field(default_factory=dict)
    n_dropped: int = 0

    @property
    def n_users(self) -> int:
        return len(self.user_ids)

    @property
    def metrics(self) -> tuple[Metric, ...]:
        """All metrics: those with one value per user, then those of the catalogue."""
        return (*self.per_user, *self.overall)

    def values(self, metric: Metric | str) -> Float64[np.ndarray, " users"]:
        """Return the value of every user.

        Every method takes a metric or its printed form, such as "NDCG@100" or "recall@20".

        Raises:
            UnknownNameError: the metric was not evaluated.
            SettingsError: it is a catalogue metric, which has no value per user.
        """
        metric = self._evaluated(metric)
        if metric not in self.per_user:
            raise SettingsError(
                f"{metric} has one value for all users and none per user; read it with mean()"
            )
        return self.per_user[metric]

    def mean(self, metric: Metric | str) -> float:
        """Return the mean over users, or a catalogue metric's one value; NaN without users.

        Raises:
            UnknownNameError: the metric was not evaluated.
        """
        metric = self._evaluated(metric)
        if metric in self.overall:
            return self.overall[metric]
        values = self.per_user[metric]
        return float(values.mean()) if len(values) else math.nan

    def standard_error(self, metric: Metric | str) -> float | None:
        """Return the standard error of the mean; None for a catalogue metric or under two users.

        Raises:
            UnknownNameError: the metric was not evaluated.
        """
        metric = self._evaluated(metric)
        return None if metric in self.overall else standard_error(self.per_user[metric])

    def interval(
        self, metric: Metric | str, level: float = 0.95, method: Method = "t", seed: int = 0
    ) -> Interval | None:
        """Return a confidence interval of the mean over users; see `intervals.mean_interval`.

        It is None for fewer than two users and for a catalogue metric, which has no values per
        user to resample.

        Raises:
            UnknownNameError: the metric was not evaluated, or there is no such method.
            SettingsError: the level is not between 0 and 1.
        """
        metric = self._evaluated(metric)
        if metric in self.overall:
            return None
        return mean_interval(self.per_user[metric], level, method, seed)

    def activity(self, by: Activity = "total") -> Int[np.ndarray, " users"]:
        """Return the number of interactions of each user: all, or the fold-in items only.

        Raises:
            UnknownNameError: `by` is neither "total" nor "fold_in".
        """
        if by not in ("total", "fold_in"):
            raise UnknownNameError("count of interactions", by, ["total", "fold_in"])
        return self.n_fold_in + self.n_held_out if by == "total" else self.n_fold_in

    def groups(
        self, bounds: str | Sequence[Group | str], by: Activity = "total"
    ) -> dict[Group, Evaluation]:
        """Return the evaluation of each group of users, by their number of interactions.

        A group may be empty. Users in no group are left out, and so are catalogue metrics,
        whose value is not a mean over groups.

        Source: the paper's section 4.3, Table 3, which does not say whether held-out items count
        in a user's number of interactions; by="total" counts them, by="fold_in" does not.
        Differs: Table 3 names its last groups 51-100 and 100+; here no user is in two groups.

        Args:
            bounds: such as "5-10,11-50,51-100,101-", or a list of such parts.
            by: which interactions count: "total" or "fold_in".

        Raises:
            SettingsError: the bounds cannot be read, overlap or are not in rising order.
        """
        groups = parse_groups(bounds) if isinstance(bounds, str) else ordered_groups(bounds)
        activity = self.activity(by)
        return {group: self.only(group.contains(activity)) for group in groups}

    def to_dict(self, level: float = 0.95, method: Method = "t", seed: int = 0) -> dict[str, Any]:
        """Return the summary as JSON-able values; a value that does not exist is None, not NaN."""
        return {
            "name": self.name,
            "n_users": self.n_users,
            "n_dropped": self.n_dropped,
            "level": level,
            "interval_method": method,
            "metrics": {str(m): self._summary(m, level, method, seed) for m in self.metrics},
        }

    def to_polars(self, *, per_user: bool = False, level: float = 0.95) -> pl.DataFrame:
        """Return the summary, one row per metric; or the values, one row per user.

        Args:
            per_user: return columns `user`, `n_fold_in`, `n_held_out` and one per metric, instead
                of `metric`, `n_users`, `mean`, `standard_error`, `low`, `high`.
            level: confidence level of the interval from `low` to `high`.
        """
        if per_user:
            return pl.DataFrame(
                {
                    "user": self.user_ids.ids,
                    "n_fold_in": self.n_fold_in,
                    "n_held_out": self.n_held_out,
                    **{str(metric): values for metric, values in self.per_user.items()},
                }
            )
        rows = [
            {"metric": str(m), "n_users": self.n_users, **self._summary(m, level, "t", 0)}
            for m in self.metrics
        ]
        numbers = ("mean", "standard_error", "low", "high")
        return pl.DataFrame(rows, schema_overrides=dict.fromkeys(numbers, pl.Float64))

    def to_pandas(self, *, per_user: bool = False) -> Any:
        """Return `to_polars` as a pandas frame.

        Raises:
            MissingExtraError: pandas is not installed.
        """
        return to_pandas(self.to_polars(per_user=per_user))

    def __repr__(self) -> str:
        return str(self)

    def _repr_html_(self) -> str:
        return f"<pre>{escape(str(self))}</pre>"

    def __str__(self) -> str:
        rows = []
        for metric in self.metrics:
            interval = self.interval(metric)
            half_width = interval.half_width if interval else None
            rows.append([str(metric), with_half_width(self.mean(metric), half_width, metric)])
        dropped = f", {self.n_dropped} dropped with nothing held out" if self.n_dropped else ""
        return f"{aligned([self.name, 'mean ±95%'], rows)}\n{self.n_users} users{dropped}"

    def _summary(
        self, metric: Metric, level: float, method: Method, seed: int
    ) -> dict[str, float | None]:
        mean, interval = self.mean(metric), self.interval(metric, level, method, seed)
        return {
            "mean": mean if math.isfinite(mean) else None,
            "standard_error": self.standard_error(metric),
            "low": interval.low if interval else None,
            "high": interval.high if interval else None,
        }

    def only(self, mask: Bool[np.ndarray, " users"]) -> Evaluation:
        """Return the evaluation of a subset of users, given as a mask."""
        return Evaluation(
            name=self.name,
            per_user={metric: values[mask] for metric, values in self.per_user.items()},
            user_ids=self.user_ids.take(np.flatnonzero(mask)),
            n_fold_in=self.n_fold_in[mask],
            n_held_out=self.n_held_out[mask],
        )

    def _evaluated(self, metric: Metric | str) -> Metric:
        """Return the metric, parsed if it is text, after checking that it was evaluated."""
        parsed = parse_metric(metric) if isinstance(metric, str) else metric
        if parsed not in self.per_user and parsed not in self.overall:
            raise UnknownNameError("metric of this evaluation", str(parsed), map(str, self.metrics))
        return parsed
