"""Why the numbers of an A/B test may not be believed."""

from __future__ import annotations

from datetime import timedelta

from nearfar.abtest.checks import Check, CheckSettings, check_logs
from nearfar.abtest.logs import Logs
from nearfar.abtest.units import Units

MOST = 0.5
"""Of clicks; where more are of users who saw nothing that day, something is wrong."""


def warnings_of(logs: Logs, units: Units) -> tuple[str, ...]:
    """Why the numbers of an analysis may not be believed.

    Args:
        logs: that were analysed.
        units: the users.
    """
    experiment, n_planned = units.experiment, units.n_planned_days
    warnings = []
    if n_planned is not None and units.n_days < n_planned:
        warnings.append(
            f"data end on {units.last_day}, day {units.n_days} of {n_planned}: an early look"
        )
    # without a salt the arms may have been given by something else than the hash
    decisive = {"sample_ratio", "assignment"} if experiment.salt else {"sample_ratio"}
    failed = [c for c in check_logs(logs, experiment) if c.passed is False]
    warnings += [c.told for c in failed if c.name in decisive or _tells_of_other_users(c)]
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


def _tells_of_other_users(check: Check) -> bool:
    """Whether clicks are of users who saw nothing, as where ids are written in two ways.

    A few clicks may come a day after the view.
    """
    if check.name != "clicks_after_exposures":
        return False
    share = check.numbers.get("share", 1.0)
    of_strangers = check.numbers.get("n_of_strangers", 0) / check.numbers.get("n_clicks", 1)
    return share > MOST or share * of_strangers > CheckSettings.max_orphan_share


def told_of_late(logs: Logs, units: Units) -> str:
    """How much of the logs is from after the last day that counts; "" for nothing."""
    late = logs.between(units.last_day + timedelta(days=1), None)
    views, clicks = int(late.exposures["views"].sum()), int(late.clicks["clicks"].sum())
    if not views and not clicks:
        return ""
    return f"{views:,} views and {clicks:,} clicks are from after {units.last_day}: not counted."
