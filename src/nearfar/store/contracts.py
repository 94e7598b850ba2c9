"""What events must be before anything is trained or scored on them."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from statistics import median
from typing import Annotated, Any

import polars as pl
from annotated_types import Ge

from nearfar.core.errors import DataError, SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt, Share
from nearfar.core.settings import Settings
from nearfar.store.rejection import EMPTY, REASONS, check_schema, rejections

CHECKS = ("missing", "unusable", "misdated", "repeated", "rejected", "volume")
"""What a contract checks, by the names under which an operator accepts it once."""


@dataclass(frozen=True)
class ContractReport:
    """What a contract found; `to_dict` is JSON-able.

    Attributes:
        since, until: the window, ISO dates, [since, until).
        n_read, n_accepted, n_rejected: rows.
        rejected: how many rows for each reason there was.
        shares: of all rows, those rejected as "missing", "unusable", "misdated", "repeated" and
            "empty" (a weight of 0, or below as of a return: no event, without limit), and
            "rejected" altogether but for the empty ones.
        daily: accepted events of each day of the window.
        usual: of each day that was looked at, the median of the days before.
        broken: what of the contract does not hold; empty where all does.
        quarantine: the file that the rejected rows are in; None where there are none.
        checks: the names of the checks that do not hold, as "volume"; see `CHECKS`.
        accepted: what does not hold and was accepted by the operator.
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
        """The report as plain JSON-able values."""
        return asdict(self)


class BrokenContractError(DataError):
    """Events are not what they must be; `report` tells what was found."""

    def __init__(self, report: ContractReport) -> None:
        kept = ""
        if report.quarantine:
            kept = (
                f"; {report.n_rejected:,} of {report.n_read:,} rows read are rejected; they are in "
                f"{report.quarantine}"
            )
        last = date.fromisoformat(report.until) - timedelta(days=1)
        once = " ".join(f"--accept {check}" for check in report.checks)
        remedy = f"; if that is right, go on this once with {once}" if once else ""
        super().__init__(
            f"events of {report.since} to {last}: {'; '.join(report.broken)}{kept}{remedy}"
        )
        self.report = report


@dataclass(frozen=True, eq=False)
class CheckedEvents:
    """Events that hold a contract.

    Attributes:
        events: the rows accepted, in the order they came in.
        report: what was found.
    """

    events: pl.DataFrame
    report: ContractReport


@dataclass(frozen=True)
class Contract(Settings):
    """What events must be; the defaults suit a log of some thousand events per day or more.

    Rows that do not hold it are rejected: those without a user, item or timestamp, or with a
    rating or weight that is missing or not finite, or a negative rating, where others have one;
    with an id that is empty, holds the character NUL or is longer than 1,024 bytes; outside the
    window; and repeats of an earlier row: the same user, item, timestamp and, where events have
    them, kind, rating and weight.
    Some of that is usual. Too much of it, or a day with far fewer or far more events than usual,
    breaks the contract. A weight of 0 or below (a return) is no event.

    Args:
        max_missing_share: of rows rejected for something missing.
        max_unusable_share: of rows rejected for an unusable value.
        max_misdated_share: of rows rejected for lying outside the window or in the future.
        max_repeated_share: of rows rejected as repeated.
        max_rejected_share: of rows rejected, for whatever reason.
        clock_tolerance_seconds: how far ahead of this machine's clock an event may be.
        min_volume_ratio: least events of a day, as a share of the median of the days before.
        max_volume_ratio: most events of a day, likewise.
        volume_days: how many of the last days that are over are looked at so; 0 for none. Give the
            days since the last run, so that an old outage does not stop every run after it.
        median_days: how many days before a day make its median.
        min_median_days: with fewer days of data before it, a day is not looked at.

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
        """The events that hold the contract; writes nothing but the quarantine.

        Args:
            events: as `EventSource.read` hands them out.
            since, until: the window, [since, until).
            quarantine: a Parquet file for the rows rejected, with their `reason`; written also
                where the contract is broken, and removed where an earlier run left one and no
                row is rejected.
            now: the moment that events of the future are told by; by default this machine's.
            accept: names of `CHECKS` that may fail this once.

        Raises:
            BrokenContractError: the contract is broken; a kind of DataError.
            SchemaError: a column is missing or of the wrong type.
        """
        check_schema(events)
        moment = datetime.now(UTC) if now is None else now
        latest = moment + timedelta(seconds=self.clock_tolerance_seconds)
        reasons = rejections(events, midnight(since), midnight(until), latest)
        accepted = events.filter(reasons.is_null())
        rejected = events.with_columns(reasons).filter(reasons.is_not_null())
        if quarantine is not None:
            _write_quarantine(Path(quarantine), rejected)
        counts = dict(rejected["reason"].value_counts().iter_rows())
        daily = _daily(accepted, since, until)
        usual = self._usual(daily, moment)
        shares = _shares(counts, events.height)
        failures = self._broken(accepted.height, shares, daily, usual)
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
            usual={d.isoformat(): n for d, n in usual.items()},
            broken=[text for _, text in broken],
            quarantine=str(quarantine) if quarantine is not None and rejected.height else None,
            checks=sorted({check for check, _ in broken if check}),
            accepted=[text for check, text in failures if check in accept],
        )
        if report.broken:
            raise BrokenContractError(report)
        return CheckedEvents(accepted, report)

    def _usual(self, daily: dict[date, int], now: datetime) -> dict[date, float]:
        """The median of the days before, for the last days that are over by `now`."""
        days = sorted(daily)
        began = next((i for i, d in enumerate(days) if daily[d]), len(days))
        usual = {}
        n_over = sum(midnight(day) + timedelta(days=1) <= now for day in days)
        for i in range(max(n_over - self.volume_days, 0), n_over):
            before = days[max(began, i - self.median_days) : i]
            if len(before) >= self.min_median_days:
                usual[days[i]] = float(median(daily[d] for d in before))
        return usual

    def _broken(
        self,
        n_accepted: int,
        shares: dict[str, float],
        daily: dict[date, int],
        usual: dict[date, float],
    ) -> list[tuple[str, str]]:
        """What does not hold: the check's name, empty where it cannot be accepted, and a text."""
        found = [] if n_accepted else [("", "there are none")]
        for name, share in shares.items():
            limit = 1.0 if name == EMPTY else getattr(self, f"max_{name}_share")
            if share > limit:
                text = f"{share:.2%} of rows are {name}, at most {limit:.2%} may be"
                found.append((name, f"{text} (max_{name}_share)"))
        for day, typical in usual.items():
            n, low, high = daily[day], self.min_volume_ratio, self.max_volume_ratio
            if not low * typical <= n <= high * typical:
                limit = f"min_volume_ratio {low:g}" if n < typical else f"max_volume_ratio {high:g}"
                text = (
                    f"{day} has {n:,} events, {low * typical:,.0f} to {high * typical:,.0f} were "
                    f"expected from a median of {typical:,.0f} on the days before ({limit})"
                )
                found.append(("volume", text))
        return found


def _shares(counts: dict[str, int], n_read: int) -> dict[str, float]:
    kinds = dict.fromkeys(REASONS.values(), 0)
    for reason, n in counts.items():
        kinds[REASONS[reason]] += n
    kinds["rejected"] = sum(n for reason, n in counts.items() if REASONS[reason] != EMPTY)
    return {kind: n / n_read if n_read else 0.0 for kind, n in kinds.items()}


def _daily(events: pl.DataFrame, since: date, until: date) -> dict[date, int]:
    counted = events.group_by(pl.col("timestamp").dt.date()).len()
    found: dict[date, int] = dict(counted.iter_rows())
    days = (since + timedelta(days=i) for i in range((until - since).days))
    return {day: found.get(day, 0) for day in days}


def _write_quarantine(path: Path, rejected: pl.DataFrame) -> None:
    if not rejected.height:
        path.unlink(missing_ok=True)
        return
    with atomic_file(path) as file:
        rejected.select("reason", pl.exclude("reason")).write_parquet(file)


def midnight(day: date) -> datetime:
    """The moment at which a day begins, in UTC."""
    return datetime(day.year, day.month, day.day, tzinfo=UTC)
