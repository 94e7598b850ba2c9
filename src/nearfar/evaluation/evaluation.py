"""What an evaluation found: one value per user and metric, and what follows from them."""

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
        name: what tables call the model.
        per_user: metric -> one value per user.
        overall: catalogue metric -> its one value for all users.
        user_ids: the users evaluated, in the order of the values.
        n_fold_in: how many interactions of each user the model saw.
        n_held_out: how many of each it had to find, at least one.
        n_dropped: users left out because they had nothing to find.

    Examples:
        >>> found = nf.evaluate(ease, split.test, ["Recall@5"])
        >>> found.values("recall@5").shape
        (10,)
        >>> found.interval("Recall@5").level
        0.95
        >>> [(str(group), part.n_users) for group, part in found.groups("5-9,10-").items()]
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
        """The value of every user.

        Here and below a metric may be given by its printed form, such as "NDCG@100" or "recall@20".

        Raises:
            UnknownNameError: the metric was not evaluated.
            SettingsError: it is a catalogue metric, which has no values of single users.
        """
        metric = self._evaluated(metric)
        if metric not in self.per_user:
            raise SettingsError(f"{metric} has one value for all users, and none for each")
        return self.per_user[metric]

    def mean(self, metric: Metric | str) -> float:
        """The mean over users, or a catalogue metric's one value; NaN where there is no user.

        Raises:
            UnknownNameError: the metric was not evaluated.
        """
        metric = self._evaluated(metric)
        if metric in self.overall:
            return self.overall[metric]
        values = self.per_user[metric]
        return float(values.mean()) if len(values) else math.nan

    def standard_error(self, metric: Metric | str) -> float | None:
        """The standard error of the mean; None for a catalogue metric or fewer than two users.

        Raises:
            UnknownNameError: the metric was not evaluated.
        """
        metric = self._evaluated(metric)
        return None if metric in self.overall else standard_error(self.per_user[metric])

    def interval(
        self, metric: Metric | str, level: float = 0.95, method: Method = "t", seed: int = 0
    ) -> Interval | None:
        """An interval of the mean over users; see `intervals.mean_interval`.

        None for a catalogue metric, whose value no resampling of values gives, and for fewer
        than two users.

        Raises:
            UnknownNameError: the metric was not evaluated, or there is no such method.
            SettingsError: the level is not between 0 and 1.
        """
        metric = self._evaluated(metric)
        if metric in self.overall:
            return None
        return mean_interval(self.per_user[metric], level, method, seed)

    def activity(self, by: Activity = "total") -> Int[np.ndarray, " users"]:
        """How many interactions each user has: all of them, or those that the model saw.

        Raises:
            UnknownNameError: `by` is neither "total" nor "fold_in".
        """
        if by not in ("total", "fold_in"):
            raise UnknownNameError("count of interactions", by, ["total", "fold_in"])
        return self.n_fold_in + self.n_held_out if by == "total" else self.n_fold_in

    def groups(
        self, bounds: str | Sequence[Group | str], by: Activity = "total"
    ) -> dict[Group, Evaluation]:
        """The evaluation of each group of users, by their number of interactions.

        Source: the paper's section 4.3, Table 3, which speaks of a user's number of interactions
        without saying whether the held-out ones count; by="total" counts them, by="fold_in"
        leaves them out.
        Differs: Table 3 names its last groups 51-100 and 100+; here no user is in two groups.

        A group may be empty, users in no group are in no part, and catalogue metrics are left
        out, for they are not the sum of their groups.

        Args:
            bounds: as "5-10,11-50,51-100,101-", or a list of such parts.
            by: which interactions count.

        Raises:
            SettingsError: the bounds cannot be read, overlap or do not rise.
        """
        groups = parse_groups(bounds) if isinstance(bounds, str) else ordered_groups(bounds)
        activity = self.activity(by)
        return {group: self.only(group.contains(activity)) for group in groups}

    def to_dict(self, level: float = 0.95, method: Method = "t", seed: int = 0) -> dict[str, Any]:
        """The summary as JSON-able values; what does not exist is None, never NaN."""
        return {
            "name": self.name,
            "n_users": self.n_users,
            "n_dropped": self.n_dropped,
            "level": level,
            "interval_method": method,
            "metrics": {str(m): self._summary(m, level, method, seed) for m in self.metrics},
        }

    def to_polars(self, *, per_user: bool = False, level: float = 0.95) -> pl.DataFrame:
        """The summary, one row per metric; or the values, one row per user.

        Args:
            per_user: columns `user`, `n_fold_in`, `n_held_out` and one per metric, in place of
                `metric`, `n_users`, `mean`, `standard_error`, `low`, `high`.
            level: of the interval from `low` to `high`.
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
        """As `to_polars`, for pandas.

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

    def only(self, chosen: Bool[np.ndarray, " users"]) -> Evaluation:
        """Return the evaluation of some of the users."""
        return Evaluation(
            name=self.name,
            per_user={metric: values[chosen] for metric, values in self.per_user.items()},
            user_ids=self.user_ids.take(np.flatnonzero(chosen)),
            n_fold_in=self.n_fold_in[chosen],
            n_held_out=self.n_held_out[chosen],
        )

    def _evaluated(self, metric: Metric | str) -> Metric:
        """The metric, which may be given by its printed form ("ndcg@100")."""
        found = parse_metric(metric) if isinstance(metric, str) else metric
        if found not in self.per_user and found not in self.overall:
            raise UnknownNameError("metric of this evaluation", str(found), map(str, self.metrics))
        return found
