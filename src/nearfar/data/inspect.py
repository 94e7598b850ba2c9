"""Describe a log, the effect of filters on it, and the cost of training on it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np

from nearfar.core.arguments import validate_arguments
from nearfar.core.errors import EmptyDataError
from nearfar.data.events import Log
from nearfar.data.filters import Filters, merge_duplicates
from nearfar.data.log import read_log

QUANTILES = (0.0, 0.1, 0.25, 0.5, 0.75, 0.9, 0.99, 1.0)
MAX_HISTOGRAM = 50
USUAL_FILTERS = {
    "rating >= 4": Filters(min_rating=4),
    "users >= 5": Filters(min_user=5),
    "items >= 5": Filters(min_item=5),
    "rating >= 4, users >= 5": Filters(min_rating=4, min_user=5),
    "5-core": Filters(min_user=5, min_item=5, fixed_point=True),
}
BATCH, N_HIDDEN, N_LATENT, EPOCHS = 500, 600, 200, 200
FLOAT_BYTES = 4


@dataclass(frozen=True)
class FilterEffect:
    """The effect of a filter on a log without repeated events."""

    filter: str
    events: int
    users: int
    items: int
    left_events: int
    left_users: int
    left_items: int


@dataclass(frozen=True)
class TrainingNeeds:
    """Estimated costs of training, from the data's size and one measured matrix product.

    Attributes:
        ease_bytes: one items x items matrix of 32-bit floats, inverted in place.
        mult_vae_parameters: parameters of the published network, I-600-200-600-I.
        mult_vae_bytes: parameters, gradients, Adam's two moments, the best epoch's parameters, and
            a batch of 500 users.
        mult_vae_epoch_flop: floating-point operations per epoch.
        measured_flop_per_second: speed of a NumPy matrix product on this machine now.
        mult_vae_hours: hours for 200 epochs at that speed; a GPU is many times faster.
    """

    ease_bytes: int
    mult_vae_parameters: int
    mult_vae_bytes: int
    mult_vae_epoch_flop: float
    measured_flop_per_second: float | None
    mult_vae_hours: float | None


@dataclass(frozen=True, repr=False)
class LogReport:
    """The description of a log; `to_dict` returns values that JSON can hold.

    Attributes:
        read: the `ReadReport` of the source as a dictionary; None for a log that was not read.
        n_events: number of events, with repeated ones, before users and items are filtered.
        n_interactions: number of distinct (user, item) pairs.
        n_repeated: number of events that repeat a pair.
        density: share of all user-item pairs that are interactions.
        activity, popularity: interactions per user and per item, by quantile ("0.5": the median).
        ratings: number of events per rating; None for more than 50 different ratings.
        zero_ratings: share of events with a rating of 0; None without ratings.
        rating_quantiles: quantiles of the ratings.
        first, last: times of the first and the last event, ISO in UTC.
        span_days: days between the two.
        would_drop: the effects of usual filters.
        needs: estimated costs of training.
    """

    name: str
    n_users: int
    n_items: int
    n_events: int
    n_interactions: int
    n_repeated: int
    density: float
    activity: dict[str, float]
    popularity: dict[str, float]
    ratings: dict[str, int] | None
    rating_quantiles: dict[str, float] | None
    zero_ratings: float | None
    first: str | None
    last: str | None
    span_days: float | None
    columns: list[str]
    item_details: list[str]
    dropped_while_reading: list[str]
    would_drop: list[FilterEffect]
    needs: TrainingNeeds
    read: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the report as values that JSON can hold."""
        return asdict(self)

    def __str__(self) -> str:
        lines = [
            f"{self.name}: {self.n_users:,} users, {self.n_items:,} items, "
            f"{self.n_interactions:,} interactions ({self.density:.4%} of all pairs), "
            f"{self.n_repeated:,} repeated events",
            f"columns: {', '.join(self.columns)}",
        ]
        for entity, counts in (("user", self.activity), ("item", self.popularity)):
            low, median, high = (counts[q] for q in ("0", "0.5", "1"))
            lines.append(f"interactions per {entity}: {low:g} to {high:g}, median {median:g}")
        if self.first is not None:
            lines.append(f"from {self.first} to {self.last}")
        lines += [
            f"{effect.filter} would leave {effect.left_users:,} users, {effect.left_items:,} "
            f"items, {effect.left_events:,} interactions"
            for effect in self.would_drop
        ]
        return "\n".join(lines)

    __repr__ = __str__


@validate_arguments()
def inspect_log(
    source: Any, filters: Filters | None = None, *, measure_speed: bool = True
) -> LogReport:
    """Describe a log.

    Args:
        source: a log with its repeated events, or any source of `read_log`, such as a path.
        filters: applied before the description; repeated events, ratings and times still describe
            all events.
        measure_speed: time a matrix product (a fraction of a second) to estimate training time.
            Without it there is no estimate.

    Raises:
        EmptyDataError: the log has no events.
        DataError: the source cannot be read.

    Examples:
        >>> report = nf.inspect_log(log, measure_speed=False)
        >>> report.n_users, report.activity["0.5"]
        (60, 8.0)
    """
    log = source if isinstance(source, Log) else read_log(source)
    if not log.n_events:
        raise EmptyDataError(f"{log.name} has no events to inspect")
    unique = merge_duplicates(log)
    n_repeated = log.n_events - unique.n_events
    if filters is not None:
        unique = filters.beyond_rows.apply(log)
    activity = np.bincount(unique.users, minlength=unique.n_users)
    popularity = np.bincount(unique.item_positions, minlength=unique.n_items)
    first, last, span = _span(log)
    ratings = log.events["rating"].to_numpy() if log.has("rating") else None
    return LogReport(
        name=log.name,
        n_users=unique.n_users,
        n_items=unique.n_items,
        n_events=log.n_events,
        n_interactions=unique.n_events,
        n_repeated=n_repeated,
        density=unique.n_events / (unique.n_users * unique.n_items),
        activity=_quantiles(activity),
        popularity=_quantiles(popularity),
        ratings=None if ratings is None else _histogram(ratings),
        rating_quantiles=None if ratings is None else _quantiles(ratings),
        zero_ratings=None if ratings is None else float((ratings == 0).mean()),
        first=first,
        last=last,
        span_days=span,
        columns=log.events.columns,
        item_details=log.item_ids.details.columns,
        dropped_while_reading=[str(step) for step in unique.steps],
        would_drop=[
            _filter_effect(unique, name, filters)
            for name, filters in USUAL_FILTERS.items()
            if log.has("rating") or filters.min_rating is None
        ],
        needs=estimate_needs(
            unique.n_users, unique.n_items, unique.n_events, measure_speed=measure_speed
        ),
        read=None if log.read is None else log.read.to_dict(),
    )


def estimate_needs(
    n_users: int, n_items: int, n_interactions: int, *, measure_speed: bool = True
) -> TrainingNeeds:
    """Estimate the costs of training EASE and the published Mult-VAE on data of this size."""
    inner = N_HIDDEN * 2 * N_LATENT + N_LATENT * N_HIDDEN
    biases = N_HIDDEN + 2 * N_LATENT + N_HIDDEN + n_items
    parameters = 2 * n_items * N_HIDDEN + inner + biases
    # A dense batch of logits, their exponentials, and the gradient; hidden layers twice.
    buffers = BATCH * (3 * n_items + 2 * (2 * N_HIDDEN + 3 * N_LATENT))
    # Two operations per weight and user forward, four backward; the first layer is sparse.
    flop = 6.0 * (N_HIDDEN * n_interactions + (inner + N_HIDDEN * n_items) * n_users)
    speed = _flop_per_second() if measure_speed else None
    return TrainingNeeds(
        ease_bytes=n_items**2 * FLOAT_BYTES,
        mult_vae_parameters=parameters,
        mult_vae_bytes=(5 * parameters + buffers) * FLOAT_BYTES,
        mult_vae_epoch_flop=flop,
        measured_flop_per_second=speed,
        mult_vae_hours=None if speed is None else EPOCHS * flop / speed / 3600,
    )


def _flop_per_second() -> float:
    left = np.ones((BATCH, N_HIDDEN), np.float32)
    right = np.ones((N_HIDDEN, 4096), np.float32)
    best = float("inf")
    for _ in range(4):
        start = time.perf_counter()
        np.matmul(left, right)
        best = min(best, time.perf_counter() - start)
    return 2.0 * BATCH * N_HIDDEN * 4096 / best


def _quantiles(values: np.ndarray) -> dict[str, float]:
    quantiles = np.quantile(values, QUANTILES)
    return {f"{q:g}": float(v) for q, v in zip(QUANTILES, quantiles, strict=True)}


def _histogram(ratings: np.ndarray) -> dict[str, int] | None:
    values, counts = np.unique(ratings, return_counts=True)
    if len(values) > MAX_HISTOGRAM:
        return None
    return {f"{v:g}": int(n) for v, n in zip(values, counts, strict=True)}


def _span(log: Log) -> tuple[str | None, str | None, float | None]:
    if not log.has("timestamp"):
        return None, None, None
    times = log.events["timestamp"].to_numpy()
    first, last = int(times.min()), int(times.max())
    return _iso(first), _iso(last), (last - first) / 86400


def _iso(seconds: int) -> str | None:
    try:
        return datetime.fromtimestamp(seconds, UTC).isoformat()
    except (OverflowError, ValueError, OSError):
        return None


def _filter_effect(log: Log, name: str, filters: Filters) -> FilterEffect:
    try:
        filtered = filters.apply(log)
        n_events, n_users, n_items = filtered.n_events, filtered.n_users, filtered.n_items
    except EmptyDataError:
        n_events = n_users = n_items = 0
    return FilterEffect(
        filter=name,
        events=log.n_events - n_events,
        users=log.n_users - n_users,
        items=log.n_items - n_items,
        left_events=n_events,
        left_users=n_users,
        left_items=n_items,
    )
