"""Gates: what a candidate must be before it may take the champion's place."""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass, fields, replace
from typing import Any

import numpy as np

from nearfar.core.errors import UnknownNameError
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt
from nearfar.core.settings import Settings
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.groups import Group
from nearfar.evaluation.paired import compare
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.ndcg import NDCG
from nearfar.store.contracts import CHECKS

NDCG_AT = NDCG(100)
COVERAGE_AT = Coverage(100)
METRICS = (NDCG_AT, COVERAGE_AT)


@dataclass(frozen=True)
class Gates(Settings):
    """How much worse than the champion a candidate may be; shares unless said.

    Args:
        max_ndcg_drop: of NDCG@100, relative to the champion on the same users.
        min_over_popularity: by which share NDCG@100 must be above that of popularity.
        max_coverage_drop: of catalogue coverage, relative to the champion.
        max_group_drop: of NDCG@100 in any group of users by activity, relative to the champion.
        min_group_users: groups with fewer users are not judged.
        max_catalogue_change: items that are new or gone, of all items of both.
        max_activity_change: of the mean number of interactions per user, relative.
        max_collapsed: latent dimensions that tell nothing, of all.
        min_users: held-out users that the gates rest on, a count. The first version, which has no
            predecessor, passes with fewer, with a remark.

    Examples:
        >>> from nearfar.jobs.gates import Gates
        >>> Gates(max_ndcg_drop=0.05).max_ndcg_drop
        0.05
    """

    max_ndcg_drop: NonNegativeFloat = 0.02
    min_over_popularity: NonNegativeFloat = 0.0
    max_coverage_drop: NonNegativeFloat = 0.2
    max_group_drop: NonNegativeFloat = 0.1
    min_group_users: NonNegativeInt = 100
    max_catalogue_change: NonNegativeFloat = 0.5
    max_activity_change: NonNegativeFloat = 0.5
    max_collapsed: NonNegativeFloat = 0.9
    min_users: NonNegativeInt = 10


@dataclass(frozen=True)
class Verdict:
    """What one gate said.

    Args:
        gate: its setting's name.
        value: what was measured: of drops the share lost (negative where something was gained),
            of `min_over_popularity` the share above, of `min_users` a count; None where there was
            nothing to compare with.
        limit: what it was held against, in the same unit.
        passed: whether the candidate may go on.
        told: in words.
        accepted: whether it passed only because the operator accepted it.

    Examples:
        >>> from nearfar.jobs.gates import Verdict
        >>> verdict = Verdict("max_ndcg_drop", 0.01, 0.02, True, "NDCG@100 fell by 1.0 %")
        >>> verdict.allowed
        'drop of at most 2.0%'
    """

    gate: str
    value: float | None
    limit: float
    passed: bool
    told: str
    accepted: bool = False

    @property
    def measured(self) -> str:
        """The value with its unit, as "gained 26.8 %"."""
        return measured_text(self.gate, self.value)

    @property
    def allowed(self) -> str:
        """The limit with its unit, as "drop of at most 20 %"."""
        return limit_text(self.gate, self.limit)

    def to_dict(self) -> dict[str, Any]:
        """The verdict, JSON-able: numbers, and the same with their units."""
        return {**vars(self), "measured": self.measured, "allowed": self.allowed}


@dataclass(frozen=True)
class ModelState:
    """What is compared of a training's data and model.

    Args:
        items: the catalogue.
        mean_interactions: a user.
        collapsed: share of latent dimensions; None of a model without any.
    """

    items: Vocabulary
    mean_interactions: float
    collapsed: float | None = None


def judge(
    gates: Gates,
    candidate: Evaluation | None,
    popularity: Evaluation | None,
    champion: Evaluation | None,
    state: ModelState,
    before: ModelState | None,
    groups: tuple[Group, ...],
) -> list[Verdict]:
    """All gates; without a champion those that compare with it are left out.

    Args:
        gates: the limits.
        candidate: measured on the held-out users with `METRICS`; None where there are none.
        popularity: the same users, recommended what is popular.
        champion: the same users by the current version, if there is one.
        state: of the candidate.
        before: of the champion.
        groups: of users by activity.
    """
    found = [_users(gates, candidate, before)]
    if candidate is not None and popularity is not None:
        own, base = candidate.mean(NDCG_AT), popularity.mean(NDCG_AT)
        found.append(
            _at_least("min_over_popularity", _gain(own, base), gates.min_over_popularity,
                      f"NDCG@100 {own:.4f} against {base:.4f} of popularity")
        )  # fmt: skip
    found.append(
        _at_most("max_collapsed", state.collapsed, gates.max_collapsed,
                 "latent dimensions that tell nothing, of all")
    )  # fmt: skip
    if candidate is not None and champion is not None:
        own, theirs = candidate.mean(NDCG_AT), champion.mean(NDCG_AT)
        found.append(
            _at_most("max_ndcg_drop", -_gain(own, theirs), gates.max_ndcg_drop,
                     f"NDCG@100 {own:.4f} against {theirs:.4f} of the champion")
        )  # fmt: skip
        coverage = candidate.mean(COVERAGE_AT), champion.mean(COVERAGE_AT)
        found.append(
            _at_most("max_coverage_drop", -_gain(*coverage), gates.max_coverage_drop,
                     f"share of the catalogue shown {coverage[0]:.3f} against {coverage[1]:.3f}")
        )  # fmt: skip
        found.append(_groups(gates, candidate, champion, groups))
    if before is not None:
        found.append(
            _at_most("max_catalogue_change", catalogue_change(state.items, before.items),
                     gates.max_catalogue_change, "items new or gone, of all items of both")
        )  # fmt: skip
        change = abs(_gain(state.mean_interactions, before.mean_interactions))
        found.append(
            _at_most("max_activity_change", change, gates.max_activity_change,
                     f"{state.mean_interactions:.1f} interactions per user after "
                     f"{before.mean_interactions:.1f}")
        )  # fmt: skip
    return found


def accepting(verdicts: list[Verdict], accept: Collection[str]) -> list[Verdict]:
    """Let refused gates pass that the operator accepted by name; they say so."""
    return [
        v if v.passed or v.gate not in accept else replace(v, passed=True, accepted=True)
        for v in verdicts
    ]


def chance(gates: Gates, candidate: Evaluation | None, champion: Evaluation | None) -> list[str]:
    """Remark where the held-out users are too few to tell on which side of the NDCG gate it is."""
    if candidate is None or champion is None or champion.mean(NDCG_AT) == 0:
        return []
    pair = compare(champion, candidate, NDCG_AT)
    if pair.interval is None:
        return [f"the gates rest on {pair.n_users} held-out user; chance decides"]
    gain, half = _gain(pair.mean_b, pair.mean_a), pair.interval.half_width / pair.mean_a
    if abs(gain + gates.max_ndcg_drop) > half:
        return []
    return [
        f"the gates rest on {pair.n_users:,} held-out users: NDCG@100 against the current version "
        f"is {gain:+.1%} ±{half:.1%} (95 % interval), which does not tell on which side of the "
        f"limit of -{gates.max_ndcg_drop:.1%} it is"
    ]


def check_accepted(names: Collection[str]) -> None:
    """Refuse names to accept that are neither a gate nor a check of the contract.

    Raises:
        UnknownNameError: a name is unknown.
    """
    known = {*(f.name for f in fields(Gates) if f.name != "min_group_users"), *CHECKS}
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)


def catalogue_change(items: Vocabulary, before: Vocabulary) -> float:
    """Items of one of two catalogues only, as a share of the items of both together."""
    shared = int((before.index(items.ids) >= 0).sum())
    union = len(items) + len(before) - shared
    return 1 - shared / union


def state_of(record: Mapping[str, Any], items: Vocabulary) -> ModelState:
    """The state that a version's record kept."""
    data = record.get("data", {})
    collapsed = record.get("collapsed")
    return ModelState(items, float(data.get("mean_interactions", 0.0)), collapsed)


def _users(gates: Gates, candidate: Evaluation | None, before: ModelState | None) -> Verdict:
    """Whether enough users were held out; a first version has no predecessor to protect."""
    n_users = 0 if candidate is None else candidate.n_users
    first = before is None
    told = "held-out users that the gates rest on"
    if n_users < gates.min_users:
        told += (
            "; a first version passes with fewer" if first
            else "; raise train.held_out or train.holdout_days, or lower gates.min_users"
        )  # fmt: skip
    return Verdict("min_users", n_users, gates.min_users, first or n_users >= gates.min_users, told)


def _groups(
    gates: Gates, candidate: Evaluation, champion: Evaluation, groups: tuple[Group, ...]
) -> Verdict:
    """The worst group's loss."""
    activity = candidate.activity()
    worst, name, judged = 0.0, "none", 0
    for group in groups:
        inside = group.contains(activity)
        if inside.sum() < gates.min_group_users:
            continue
        judged += 1
        own = float(np.mean(candidate.values(NDCG_AT)[inside]))
        theirs = float(np.mean(champion.values(NDCG_AT)[inside]))
        if -_gain(own, theirs) > worst:
            worst, name = -_gain(own, theirs), str(group)
    if not judged:
        told = f"not judged: no group has {gates.min_group_users} held-out users"
        return _at_most("max_group_drop", None, gates.max_group_drop, told)
    return _at_most("max_group_drop", worst, gates.max_group_drop,
                    f"NDCG@100 of users with {name} interactions" if name != "none"
                    else "no group of users lost anything")  # fmt: skip


def _gain(value: float, base: float) -> float:
    """By which share a value is above another; 0 where both are 0."""
    if base == 0:
        return 0.0 if value == 0 else float("inf")
    return value / base - 1


def _at_most(gate: str, value: float | None, limit: float, told: str) -> Verdict:
    return Verdict(gate, value, limit, value is None or value <= limit, told)


def _at_least(gate: str, value: float, limit: float, told: str) -> Verdict:
    return Verdict(gate, value, limit, value >= limit, told)


DROPS = ("max_ndcg_drop", "max_coverage_drop", "max_group_drop")
COUNTS = ("min_users",)
OVER_POPULARITY = "min_over_popularity"


def measured_text(gate: str, value: float | None) -> str:
    """A gate's value as people read it; "-" where nothing was measured."""
    if value is None:
        return "-"
    if gate in COUNTS:
        return f"{value:,.0f} users"
    if gate == OVER_POPULARITY:
        return "popularity has 0" if math.isinf(value) else f"{value + 1:.2f} times popularity"
    if gate in DROPS:
        if math.isinf(value):
            return "gained from 0"
        return f"{'dropped' if value > 0 else 'gained'} {abs(value):.1%}" if value else "unchanged"
    return f"{value:.1%}"


def limit_text(gate: str, limit: float) -> str:
    """A gate's limit as people read it."""
    if gate in COUNTS:
        return f"at least {limit:,.0f} users"
    if gate == OVER_POPULARITY:
        return f"at least {limit + 1:.2f} times"
    return f"drop of at most {limit:.1%}" if gate in DROPS else f"at most {limit:.1%}"
