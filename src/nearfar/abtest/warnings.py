"""Warnings about an A/B test: reasons not to trust its numbers."""

from __future__ import annotations

from datetime import timedelta

from nearfar.abtest.checks import Check, CheckSettings, check_logs
from nearfar.abtest.logs import Logs
from nearfar.abtest.units import Units

MAX_ORPHAN_SHARE = 0.5
"""Largest plausible share of clicks by users who saw nothing that day."""


def warnings_of(logs: Logs, units: Units) -> tuple[str, ...]:
    """Return the reasons not to trust the numbers of an analysis.

    Args:
        logs: the analysed logs.
        units: the users.
    """
    experiment, n_planned = units.experiment, units.n_planned_days
    warnings = []
    if n_planned is not None and units.n_days < n_planned:
        warnings.append(
            f"data end on {units.last_day}, day {units.n_days} of {n_planned}: an early look"
        )
    # Without a salt the arms may come from another assignment than the hash.
    decisive = {"sample_ratio", "assignment"} if experiment.salt else {"sample_ratio"}
    failed = [c for c in check_logs(logs, experiment) if c.passed is False]
    warnings += [c.message for c in failed if c.name in decisive or _shows_unknown_users(c)]
    within = logs.between(units.first_day, units.last_day)
    views, clicks = (
        int(frame.sum()) for frame in (within.exposures["views"], within.clicks["clicks"])
    )
    if clicks >= views:
        warnings.append(
            f"{clicks:,} clicks on {views:,} views: does the log of clicks hold views too, or were "
            "views lost?"
        )
    return tuple(warnings)


def _shows_unknown_users(check: Check) -> bool:
    """Return whether too many clicks are by users who saw nothing, as with ids in two spellings.

    A few clicks may come a day after the view.
    """
    if check.name != "clicks_after_exposures":
        return False
    share = check.numbers.get("share", 1.0)
    stranger_share = check.numbers.get("n_of_strangers", 0) / check.numbers.get("n_clicks", 1)
    return share > MAX_ORPHAN_SHARE or share * stranger_share > CheckSettings.max_orphan_share


def note_on_late_events(logs: Logs, units: Units) -> str:
    """Return a note on events after the last day that counts; empty if there are none."""
    late = logs.between(units.last_day + timedelta(days=1), None)
    views, clicks = int(late.exposures["views"].sum()), int(late.clicks["clicks"].sum())
    if not views and not clicks:
        return ""
    return f"{views:,} views and {clicks:,} clicks are from after {units.last_day}: not counted."
