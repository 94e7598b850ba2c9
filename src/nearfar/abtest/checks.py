"""Whether an A/B test can be trusted: sizes of arms, leaks between them, clicks from nowhere."""

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
"""Below so many expected users in an arm the chi-square distribution is not one of counts."""


@dataclass(frozen=True)
class CheckSettings(Settings):
    """What is still good.

    Args:
        alpha: p-values of checks below this fail; small, because a check that fails stops a test.
        max_share: the share of users in several arms, in another arm than the hash's, or served
            another arm's recommendations, above which the test fails.
        max_orphan_share: the share of clicks on a day without an exposure of the user (and card)
            above which the test fails; logs lose a few exposures.

    Source: Fabijan et al. 2019, "Diagnosing sample ratio mismatch in online controlled
    experiments", for tests of sizes at a small alpha.
    """

    alpha: Annotated[float, Ge(0), Lt(1)] = 0.001
    max_share: Annotated[float, Ge(0), Lt(1)] = 0.001
    max_orphan_share: Annotated[float, Ge(0), Lt(1)] = 0.01


@dataclass(frozen=True)
class Check:
    """One question put to the logs.

    Args:
        name: what JSON calls it.
        passed: whether the answer is good; None where the logs cannot tell.
        told: the answer, for people.
        numbers: the answer, JSON-able.
    """

    name: str
    passed: bool | None
    told: str
    numbers: dict[str, Any] = field(default_factory=dict)

    def to_dict(self) -> dict[str, Any]:
        """The check as JSON-able values."""
        return {"name": self.name, "passed": self.passed, "told": self.told, **self.numbers}


def check_logs(
    logs: Logs, experiment: Experiment, settings: CheckSettings | None = None
) -> tuple[Check, ...]:
    """Every check that the logs of an experiment allow, but the A/A test.

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
    chosen = settings or CheckSettings()
    within = logs.between(*window(logs, experiment))
    arms = arms_of_users(within.exposures, experiment)
    return (
        _sizes(within, arms, experiment, chosen),
        _mixed(arms, chosen),
        _hash(arms, experiment, chosen),
        _served(within, chosen),
        _orphans(within, arms, experiment, chosen) if within.clicks.height else _no_clicks(logs),
    )


def sample_ratio_p(counts: Iterable[int], weights: Iterable[int]) -> float:
    """The chance of arms this unequal if users were spread by the weights.

    The chi-square test; for two arms of which one should have fewer than five users, the exact
    binomial test.

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


def _sizes(
    logs: Logs, arms: pl.DataFrame, experiment: Experiment, settings: CheckSettings
) -> Check:
    """Sample-ratio mismatch over all cards and on each, at alpha over the number of tests."""
    single = arms.filter(pl.col("n_arms") == 1)
    groups: dict[str, pl.DataFrame] = {"all cards": single}
    for card in logs.cards if len(logs.cards) > 1 else ():
        of_card = logs.of_card(card).exposures.select("user").unique()
        groups[f"card {card}"] = single.join(of_card, on="user", how="semi")
    found, worst = {}, 1.0
    for name, users in groups.items():
        counted = dict(users["arm"].value_counts().iter_rows())
        counts = {arm: counted.get(arm, 0) for arm in experiment.arms}
        p = sample_ratio_p(counts.values(), experiment.weights)
        found[name] = {"users": counts, "p": p}
        worst = min(worst, p)
    counts = found["all cards"]["users"]
    sizes = ", ".join(
        f"{arm} {n:,} ({100 * n / max(1, sum(counts.values())):.2f} % for "
        f"{100 * experiment.shares[arm]:.2f} %)"
        for arm, n in counts.items()
    )
    bad = [name for name, one in found.items() if one["p"] < settings.alpha / len(found)]
    told = f"users of the arms: {sizes}; p {found['all cards']['p']:.3g}"
    if bad:
        told += f": not by chance ({', '.join(bad)}); find out who is missing before analysing"
    return Check("sample_ratio", not bad, told, {"groups": found, "smallest_p": worst})


def _mixed(arms: pl.DataFrame, settings: CheckSettings) -> Check:
    n = int((arms["n_arms"] > 1).sum())
    share = n / arms.height
    return Check(
        "one_arm_a_user",
        share <= settings.max_share,
        f"{n:,} of {arms.height:,} users were exposed in several arms",
        {"n_users": n, "share": share},
    )


def _hash(arms: pl.DataFrame, experiment: Experiment, settings: CheckSettings) -> Check:
    single = arms.filter(pl.col("n_arms") == 1)
    wrong = int((experiment.arms_of(single["user"]) != single["arm"]).sum())
    share = wrong / max(1, single.height)
    told = f"{wrong:,} of {single.height:,} users are in another arm than their id says"
    if share > settings.max_share and not experiment.salt:
        told = "not told: the experiment has no salt, so that something else may give the arms"
        return Check("assignment", None, told, {"n_users": wrong, "share": share})
    if share > 0.1:
        told += (
            "; were arms given by this name, salt, weights and form of ids? Where something else "
            "gives them, leave the salt out of the experiment's file"
        )
    return Check(
        "assignment", share <= settings.max_share, told, {"n_users": wrong, "share": share}
    )


def _served(logs: Logs, settings: CheckSettings) -> Check:
    seen = logs.exposures
    if "served" not in seen.columns:
        return Check(
            "own_recommendations", None,
            "not told: the exposures have no column 'served', the arm whose recommendations a "
            "card showed",
        )  # fmt: skip
    leaked = seen.filter(pl.col("served").is_not_null() & (pl.col("served") != pl.col("arm")))
    views, n = int(leaked["views"].sum()), leaked["user"].n_unique()
    share = views / int(seen["views"].sum())
    return Check(
        "own_recommendations",
        share <= settings.max_share,
        f"{views:,} views of {n:,} users showed another arm's recommendations",
        {"n_views": views, "n_users": n, "share": share},
    )


def _no_clicks(logs: Logs) -> Check:
    if not logs.clicks.height:
        return Check("clicks_after_exposures", None, "not told: there are no clicks")
    first, last = logs.clicks["day"].min(), logs.clicks["day"].max()
    told = f"all clicks are from {first} to {last}, none from the days of the experiment"
    return Check("clicks_after_exposures", False, told)


def _orphans(
    logs: Logs, arms: pl.DataFrame, experiment: Experiment, settings: CheckSettings
) -> Check:
    """Clicks on a day when the user saw nothing; as many in every arm, or something is broken."""
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
