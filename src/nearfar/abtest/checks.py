"""Checks of an A/B test: sizes of arms, users in several arms, clicks without an exposure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Annotated, Any

import numpy as np
import polars as pl
from annotated_types import Ge, Lt
from scipy import stats

from nearfar.abtest.assignment import Experiment
from nearfar.abtest.logs import Logs
from nearfar.abtest.units import arms_of_users, window
from nearfar.core.settings import Settings

FEW_EXPECTED = 5
"""Below this number of expected users in an arm, the chi-square approximation does not hold."""


@dataclass(frozen=True)
class CheckSettings(Settings):
    """The limits of the checks.

    Source: Fabijan et al. 2019, "Diagnosing sample ratio mismatch in online controlled
    experiments", for tests of sizes at a small alpha.

    Args:
        alpha: a check fails if its p-value is below this; small, since a failed check stops a test.
        max_share: largest allowed share of users in several arms, in another arm than the hash's,
            or served another arm's recommendations.
        max_orphan_share: largest allowed share of clicks on a day without an exposure of the user
            (and card); logs lose a few exposures.
    """

    alpha: Annotated[float, Ge(0), Lt(1)] = 0.001
    max_share: Annotated[float, Ge(0), Lt(1)] = 0.001
    max_orphan_share: Annotated[float, Ge(0), Lt(1)] = 0.01


@dataclass(frozen=True)
class Check:
    """The result of one check of the logs.

    Args:
        name: name of the check in JSON.
        passed: whether the check passed; None if the logs lack the data for it.
        message: the result as text.
        numbers: the result as JSON-able values.
    """

    name: str
    passed: bool | None
    message: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """Return the check as JSON-able values."""
        return {"name": self.name, "passed": self.passed, "message": self.message, **self.numbers}


def check_logs(
    logs: Logs, experiment: Experiment, settings: CheckSettings | None = None
) -> tuple[Check, ...]:
    """Run all checks on the logs of an experiment, except the A/A test.

    Raises:
        SchemaError: the exposures have no arms.
        DataError: an exposure has no arm, or one that the experiment does not have.
        EmptyDataError: there are no exposures in the experiment's window.

    Examples:
        >>> from nearfar.abtest.assignment import Experiment
        >>> from nearfar.abtest.logs import read_logs
        >>> from nearfar.abtest.simulate import Simulation, simulate_logs
        >>> simulation = Simulation(n_users=500, days=4, pre_days=4)
        >>> experiment = Experiment("home", salt="s", start=simulation.start)
        >>> logs = read_logs(*simulate_logs(simulation, experiment))
        >>> from nearfar.abtest.checks import check_logs
        >>> [check.name for check in check_logs(logs, experiment)][:3]
        ['sample_ratio', 'one_arm_a_user', 'assignment']
    """
    settings = settings or CheckSettings()
    within = logs.between(*window(logs, experiment))
    arms = arms_of_users(within.exposures, experiment)
    return (
        _check_sample_ratio(within, arms, experiment, settings),
        _check_one_arm(arms, settings),
        _check_assignment(arms, experiment, settings),
        _check_served(within, settings),
        _check_orphans(within, arms, experiment, settings)
        if within.clicks.height
        else _check_without_clicks(logs),
    )


def sample_ratio_p(counts: Iterable[int], weights: Iterable[int]) -> float:
    """Return the p-value of the arms' sizes if users were assigned by the weights.

    It is the chi-square test; for two arms with fewer than five expected users in one of them, it
    is the exact binomial test.

    Examples:
        >>> from nearfar.abtest.checks import sample_ratio_p
        >>> round(sample_ratio_p([520, 480], [1, 1]), 3)
        0.206
    """
    observed = np.array(list(counts), dtype=np.float64)
    if not observed.any():
        return 1.0
    shares = np.array(list(weights), dtype=np.float64)
    expected = observed.sum() * shares / shares.sum()
    if len(observed) == 2 and expected.min() < FEW_EXPECTED:
        share = float(shares[1] / shares.sum())
        return float(stats.binomtest(int(observed[1]), int(observed.sum()), share).pvalue)
    return float(stats.chisquare(observed, expected).pvalue)


def _check_sample_ratio(
    logs: Logs, arms: pl.DataFrame, experiment: Experiment, settings: CheckSettings
) -> Check:
    """Check for sample-ratio mismatch on all cards and each, at alpha over the number of tests."""
    single = arms.filter(pl.col("n_arms") == 1)
    groups: dict[str, pl.DataFrame] = {"all cards": single}
    for card in logs.cards if len(logs.cards) > 1 else ():
        card_users = logs.of_card(card).exposures.select("user").unique()
        groups[f"card {card}"] = single.join(card_users, on="user", how="semi")
    results, smallest_p = {}, 1.0
    for name, users in groups.items():
        arm_counts = dict(users["arm"].value_counts().iter_rows())
        counts = {arm: arm_counts.get(arm, 0) for arm in experiment.arms}
        p = sample_ratio_p(counts.values(), experiment.weights)
        results[name] = {"users": counts, "p": p}
        smallest_p = min(smallest_p, p)
    counts = results["all cards"]["users"]
    sizes = ", ".join(
        f"{arm} {n:,} ({100 * n / max(1, sum(counts.values())):.2f} % for "
        f"{100 * experiment.shares[arm]:.2f} %)"
        for arm, n in counts.items()
    )
    failed = [
        name for name, result in results.items() if result["p"] < settings.alpha / len(results)
    ]
    message = f"users of the arms: {sizes}; p {results['all cards']['p']:.3g}"
    if failed:
        message += (
            f": not by chance ({', '.join(failed)}); find out who is missing before analysing"
        )
    return Check("sample_ratio", not failed, message, {"groups": results, "smallest_p": smallest_p})


def _check_one_arm(arms: pl.DataFrame, settings: CheckSettings) -> Check:
    n = int((arms["n_arms"] > 1).sum())
    share = n / arms.height
    return Check(
        "one_arm_a_user",
        share <= settings.max_share,
        f"{n:,} of {arms.height:,} users were exposed in several arms",
        {"n_users": n, "share": share},
    )


def _check_assignment(arms: pl.DataFrame, experiment: Experiment, settings: CheckSettings) -> Check:
    single = arms.filter(pl.col("n_arms") == 1)
    wrong = int((experiment.arms_of(single["user"]) != single["arm"]).sum())
    share = wrong / max(1, single.height)
    message = f"{wrong:,} of {single.height:,} users are in another arm than their id says"
    if share > settings.max_share and not experiment.salt:
        message = "not checked: the experiment has no salt, so the arms may come from elsewhere"
        return Check("assignment", None, message, {"n_users": wrong, "share": share})
    if share > 0.1:
        message += (
            "; were arms given by this name, salt, weights and form of ids? Where something else "
            "gives them, leave the salt out of the experiment's file"
        )
    return Check(
        "assignment", share <= settings.max_share, message, {"n_users": wrong, "share": share}
    )


def _check_served(logs: Logs, settings: CheckSettings) -> Check:
    exposures = logs.exposures
    if "served" not in exposures.columns:
        return Check(
            "own_recommendations", None,
            "not checked: the exposures have no column 'served', the arm whose recommendations a "
            "card showed",
        )  # fmt: skip
    leaked = exposures.filter(pl.col("served").is_not_null() & (pl.col("served") != pl.col("arm")))
    views, n = int(leaked["views"].sum()), leaked["user"].n_unique()
    share = views / int(exposures["views"].sum())
    return Check(
        "own_recommendations",
        share <= settings.max_share,
        f"{views:,} views of {n:,} users showed another arm's recommendations",
        {"n_views": views, "n_users": n, "share": share},
    )


def _check_without_clicks(logs: Logs) -> Check:
    if not logs.clicks.height:
        return Check("clicks_after_exposures", None, "not checked: there are no clicks")
    first, last = logs.clicks["day"].min(), logs.clicks["day"].max()
    message = f"all clicks are from {first} to {last}, none from the days of the experiment"
    return Check("clicks_after_exposures", False, message)


def _check_orphans(
    logs: Logs, arms: pl.DataFrame, experiment: Experiment, settings: CheckSettings
) -> Check:
    """Check the share of clicks on a day without an exposure of the user, also by arm."""
    keys = ["user", "day", *(["card"] if logs.cards else [])]
    total = int(logs.clicks["clicks"].sum())
    orphans = logs.clicks.join(logs.exposures.select(keys).unique(), on=keys, how="anti")
    n = int(orphans["clicks"].sum())
    known = orphans.join(arms.filter(pl.col("n_arms") == 1).select("user", "arm"), on="user")
    by_arm = {
        arm: int(known.filter(pl.col("arm") == arm)["clicks"].sum()) for arm in experiment.arms
    }
    strangers = n - int(orphans.join(arms, on="user", how="semi")["clicks"].sum())
    share = n / total
    return Check(
        "clicks_after_exposures",
        share <= settings.max_orphan_share,
        f"{n:,} of {total:,} clicks are of a user who saw no such card that day ({strangers:,} of "
        "users never exposed)",
        {"n_clicks": n, "share": share, "n_of_strangers": strangers, "by_arm": by_arm},
    )
