"""Contracts: checks of the events before a training or scoring uses them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from math import ceil, floor
from pathlib import Path
from typing import Annotated, Any

import polars as pl
from annotated_types import Ge

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, Share
from nearfar.core.settings import Settings
from nearfar.store.rejection import EMPTY, NUMBERS, REASONS, check_schema, rejections
from nearfar.store.volume import UsualVolume, usual_volume

CHECKS = ("missing", "unusable", "misdated", "repeated", "rejected", "volume")
"""Names of a contract's checks, by which an operator accepts a failure once."""


@dataclass(frozen=True)
class ContractReport:
    """The result of checking a contract; `to_dict` is JSON-able.

    Attributes:
        since, until: the window [since, until), as ISO dates.
        n_read, n_accepted, n_rejected: numbers of rows.
        rejected: reason -> number of rows rejected for it.
        shares: share of all rows rejected as "missing", "unusable", "misdated", "repeated" and
            "empty" (a weight of 0, or below 0 for a return: not an event, without limit), and
            "rejected" for all except the empty ones.
        daily: number of accepted events per day of the window.
        usual: checked day -> median of the days before it.
        broken: messages of the checks that failed; empty if the contract holds.
        quarantine: file of the rejected rows; None if there are none.
        checks: names of the checks that failed, such as "volume"; see `CHECKS`.
        accepted: messages of the failures that the operator accepted.
    """

    since: str
    until: str
    n_read: int
    n_accepted: int
    n_rejected: int
    rejected: dict[str, int]
    shares: dict[str, float]
    daily: dict[str, int]
    usual: dict[str, float]
    broken: list[str]
    quarantine: str | None
    checks: list[str] = field(default_factory=list)
    accepted: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """Return the report as JSON-able values."""
        return asdict(self)


class BrokenContractError(DataError):
    """Events break a contract; `report` has the details."""

    def __init__(self, report: ContractReport) -> None:
        rejected = ""
        if report.quarantine:
            rejected = (
                f"; {report.n_rejected:,} of {report.n_read:,} rows read are rejected; they are in "
                f"{report.quarantine}"
            )
        last = date.fromisoformat(report.until) - timedelta(days=1)
        options = " ".join(f"--accept {check}" for check in report.checks)
        remedy = (
            f"; if that is right, continue this once with {options}, or change the limit under "
            "[contract]"
            if options
            else ""
        )
        super().__init__(
            f"events of {report.since} to {last}: {'; '.join(report.broken)}{rejected}{remedy}"
        )
        self.report = report


@dataclass(frozen=True, eq=False)
class CheckedEvents:
    """The accepted events of a check.

    Attributes:
        events: accepted rows, in their original order.
        report: result of the check.
    """

    events: pl.DataFrame
    report: ContractReport


@dataclass(frozen=True)
class Contract(Settings):
    """Limits for the events; the defaults suit a log of some thousand events per day or more.

    These rows are rejected: a user, item or timestamp is missing; a rating or weight is missing or
    not finite, if others have one, or a rating is negative; an id is empty, contains the character
    NUL or is longer than 1,024 bytes; the timestamp is outside the window; or the row repeats an
    earlier one, with the same user, item, timestamp and, if there are any, kind, rating and weight.
    A weight of 0 or below (a return) is not an event.
    Too many rejected rows, or a day with far fewer or far more events than usual, break the
    contract. A number of events is usual if it is near the median of the days before or of the same
    weekdays among them, or if chance explains the difference. After days without any event the
    median is that of the days before them, so an outage breaks the contract until it is over.

    Args:
        max_missing_share: largest share of rows rejected for a missing value.
        max_unusable_share: largest share of rows rejected for an unusable value.
        max_misdated_share: largest share of rows outside the window or in the future.
        max_repeated_share: largest share of repeated rows.
        max_rejected_share: largest share of rejected rows, for any reason.
        clock_tolerance_seconds: how far ahead of this machine's clock an event may be.
        min_volume_ratio: fewest events of a day, as a share of the median of the days before.
        max_volume_ratio: most events of a day, as a multiple of the same median.
        volume_days: number of last complete days whose volume is checked; 0 for none. Set it to
            the days since the last run, so that an old outage does not stop every later run.
        median_days: number of days before a day for the median.
        min_median_days: a day with fewer days of data before it is not checked.

    Examples:
        >>> from nearfar.store.contracts import Contract
        >>> Contract(max_repeated_share=0.2, volume_days=0).max_repeated_share
        0.2
    """

    max_missing_share: Share = 0.01
    max_unusable_share: Share = 0.01
    max_misdated_share: Share = 0.05
    max_repeated_share: Share = 0.1
    max_rejected_share: Share = 0.1
    clock_tolerance_seconds: NonNegativeFloat = 300.0
    min_volume_ratio: Share = 0.3
    max_volume_ratio: Annotated[float, Ge(1)] = 3.0
    volume_days: NonNegativeInt = 1
    median_days: PositiveInt = 28
    min_median_days: PositiveInt = 7

    def check_together(self) -> None:
        if self.min_median_days > self.median_days:
            raise SettingsError(
                f"min_median_days is {self.min_median_days}; it must be at most median_days, "
                f"which is {self.median_days}"
            )

    def check(
        self,
        events: pl.DataFrame,
        since: date,
        until: date,
        *,
        quarantine: Path | None = None,
        now: datetime | None = None,
        accept: Collection[str] = (),
    ) -> CheckedEvents:
        """Return the accepted events; write nothing except the quarantine.

        Args:
            events: events as `EventSource.read` returns them.
            since, until: the window [since, until).
            quarantine: Parquet file for the rejected rows with their `reason`. It is written even
                if the contract is broken, and removed if no row is rejected.
            now: current time; by default this machine's clock.
            accept: names of `CHECKS` that may fail this once.

        Raises:
            BrokenContractError: the contract is broken.
            SchemaError: a column is missing or of the wrong type.
        """
        check_schema(events)
        events = events.drop(c for c in NUMBERS if c in events.columns and _is_empty(events[c]))
        now = datetime.now(UTC) if now is None else now
        latest = now + timedelta(seconds=self.clock_tolerance_seconds)
        reasons = rejections(events, midnight(since), midnight(until), latest)
        accepted = events.filter(reasons.is_null())
        rejected = events.with_columns(reasons).filter(reasons.is_not_null())
        if quarantine is not None:
            _write_quarantine(Path(quarantine), rejected)
        counts = dict(rejected["reason"].value_counts().iter_rows())
        daily = _daily_counts(accepted, since, until)
        usual = self._usual_volumes(daily, now)
        shares = _shares(counts, events.height)
        failures = self._failures(accepted.height, counts, shares)
        failures += self._volume_failures(daily, usual)
        broken = [(check, text) for check, text in failures if check not in accept]
        report = ContractReport(
            since=since.isoformat(),
            until=until.isoformat(),
            n_read=events.height,
            n_accepted=accepted.height,
            n_rejected=rejected.height,
            rejected={r: counts[r] for r in REASONS if r in counts},
            shares=shares,
            daily={d.isoformat(): n for d, n in daily.items()},
            usual={d.isoformat(): volume.median for d, volume in usual.items()},
            broken=[text for _, text in broken],
            quarantine=str(quarantine) if quarantine is not None and rejected.height else None,
            checks=sorted({check for check, _ in broken if check}),
            accepted=[text for check, text in failures if check in accept],
        )
        if report.broken:
            raise BrokenContractError(report)
        return CheckedEvents(accepted, report)

    def _usual_volumes(self, daily: dict[date, int], now: datetime) -> dict[date, UsualVolume]:
        """Return the usual volume of each of the last complete days, by the days before it."""
        days = sorted(daily)
        n_complete = sum(midnight(day) + timedelta(days=1) <= now for day in days)
        checked = days[max(n_complete - self.volume_days, 0) : n_complete]
        volumes = (
            (day, usual_volume(daily, day, self.median_days, self.min_median_days))
            for day in checked
        )
        return {day: volume for day, volume in volumes if volume is not None}

    def _failures(
        self, n_accepted: int, counts: dict[str, int], shares: dict[str, float]
    ) -> list[tuple[str, str]]:
        """Return name and message of each failed check of rows; "" if it cannot be accepted."""
        failures = [] if n_accepted else [("", "there are none")]
        for name, share in shares.items():
            limit = 1.0 if name == EMPTY else getattr(self, f"max_{name}_share")
            if share > limit:
                problem = "have a missing value" if name == "missing" else f"are {name}"
                reasons = [f"{r}: {n:,}" for r, n in counts.items() if REASONS[r] == name != r]
                listed = f" ({', '.join(reasons)})" if reasons else ""
                text = f"{share:.2%} of rows {problem}{listed}; at most {limit:.2%} may"
                failures.append((name, f"{text} (max_{name}_share)"))
        return failures

    def _volume_failures(
        self, daily: dict[date, int], usual: dict[date, UsualVolume]
    ) -> list[tuple[str, str]]:
        """Return name and message for each checked day with an unusual number of events."""
        failures = []
        low, high = self.min_volume_ratio, self.max_volume_ratio
        for day, volume in usual.items():
            n = daily[day]
            if not volume.is_far(n, low, high):
                continue
            least, most = volume.limits(low, high)
            limit = (
                f"min_volume_ratio {low:g}" if n < volume.median else f"max_volume_ratio {high:g}"
            )
            is_outage = volume.last not in (None, day - timedelta(days=1))
            last = f" (the last are of {volume.last})" if is_outage else ""
            text = (
                f"{day} has {n:,} events{last}, {ceil(max(least, 0)):,} to {floor(most):,} were "
                f"expected from a median of {volume.median:,.0f} on the days before ({limit})"
            )
            failures.append(("volume", text))
        return failures


def _is_empty(numbers: pl.Series) -> bool:
    return numbers.null_count() == len(numbers)


def _shares(counts: dict[str, int], n_read: int) -> dict[str, float]:
    kinds = dict.fromkeys(REASONS.values(), 0)
    for reason, n in counts.items():
        kinds[REASONS[reason]] += n
    kinds["rejected"] = sum(n for reason, n in counts.items() if REASONS[reason] != EMPTY)
    return {kind: n / n_read if n_read else 0.0 for kind, n in kinds.items()}


def _daily_counts(events: pl.DataFrame, since: date, until: date) -> dict[date, int]:
    per_day = events.group_by(pl.col("timestamp").dt.date()).len()
    counts: dict[date, int] = dict(per_day.iter_rows())
    days = (since + timedelta(days=i) for i in range((until - since).days))
    return {day: counts.get(day, 0) for day in days}


def _write_quarantine(path: Path, rejected: pl.DataFrame) -> None:
    if not rejected.height:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as file:
        rejected.select("reason", pl.exclude("reason")).write_parquet(file)


def midnight(day: date) -> datetime:
    """Return the time at which a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
