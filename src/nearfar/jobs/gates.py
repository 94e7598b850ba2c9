"""Gates: the checks that a candidate must pass before it replaces the current version."""

from __future__ import annotations

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
from nearfar.jobs.gate_texts import limit_text, measured_text
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.ndcg import NDCG
from nearfar.store.contracts import CHECKS

NDCG_AT = NDCG(100)
COVERAGE_AT = Coverage(100)
METRICS = (NDCG_AT, COVERAGE_AT)


@dataclass(frozen=True)
class Gates(Settings):
    """Limits of the gates. The champion is the current version.

    All but `min_group_users` and `min_users` are shares: 0.02 is 2 %.

    Args:
        max_ndcg_drop: largest drop of NDCG@100 relative to the champion, on the same users.
        min_over_popularity: smallest gain of NDCG@100 relative to popularity.
        max_coverage_drop: largest drop of catalogue coverage relative to the champion.
        max_group_drop: largest drop of NDCG@100 relative to the champion, in any group of users by
            activity.
        min_group_users: smallest number of users for which a group is judged.
        max_catalogue_change: largest share of items that only one of the two catalogues has.
        max_activity_change: largest relative change of the mean interactions per user.
        max_collapsed: largest share of latent dimensions that are collapsed.
        min_users: smallest number of held-out users to judge with. A first version passes with
            fewer, with a remark.

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
    """The result of one gate.

    Args:
        gate: name of its setting.
        value: measured value: the share lost (negative for a gain) of a drop, the share gained of
            `min_over_popularity`, a count of `min_users`; None without anything to compare with.
        limit: the gate's limit, in the same unit.
        passed: whether the candidate passes.
        message: the result in words.
        accepted: whether it passes only because the operator accepted it.

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
    message: str
    accepted: bool = False

    @property
    def measured(self) -> str:
        """The value with its unit, such as "gained 26.8%"."""
        return measured_text(self.gate, self.value)

    @property
    def allowed(self) -> str:
        """The limit with its unit, such as "drop of at most 20.0%"."""
        return limit_text(self.gate, self.limit)

    def to_dict(self) -> dict[str, Any]:
        """Return the verdict as JSON-able values: the numbers, and as text with units."""
        return {**vars(self), "measured": self.measured, "allowed": self.allowed}


@dataclass(frozen=True)
class ModelState:
    """The properties of a version's data and model that gates compare.

    Args:
        items: the catalogue.
        mean_interactions: mean interactions per user.
        collapsed: share of latent dimensions that are collapsed; None for a model without any.
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
    """Return the verdict of each gate; without a champion, omit the gates that compare with it.

    Args:
        gates: limits of the gates.
        candidate: `METRICS` of the candidate on held-out users; None without held-out users.
        popularity: the same of recommending popular items.
        champion: the same of the current version, if there is one.
        state: state of the candidate.
        before: state of the champion.
        groups: groups of users by activity.
    """
    verdicts = [_judge_users(gates, candidate, before)]
    if candidate is not None and popularity is not None:
        ndcg, base = candidate.mean(NDCG_AT), popularity.mean(NDCG_AT)
        verdicts.append(
            _at_least("min_over_popularity", _gain(ndcg, base), gates.min_over_popularity,
                      f"NDCG@100 {ndcg:.4f} against {base:.4f} of popularity")
        )  # fmt: skip
    verdicts.append(
        _at_most("max_collapsed", state.collapsed, gates.max_collapsed,
                 "share of latent dimensions that are collapsed")
    )  # fmt: skip
    if candidate is not None and champion is not None:
        ndcg, base = candidate.mean(NDCG_AT), champion.mean(NDCG_AT)
        verdicts.append(
            _at_most("max_ndcg_drop", -_gain(ndcg, base), gates.max_ndcg_drop,
                     f"NDCG@100 {ndcg:.4f} against {base:.4f} of the champion")
        )  # fmt: skip
        coverage = candidate.mean(COVERAGE_AT), champion.mean(COVERAGE_AT)
        verdicts.append(
            _at_most("max_coverage_drop", -_gain(*coverage), gates.max_coverage_drop,
                     f"catalogue coverage {coverage[0]:.3f} against {coverage[1]:.3f}")
        )  # fmt: skip
        verdicts.append(_judge_groups(gates, candidate, champion, groups))
    if before is not None:
        verdicts.append(
            _at_most("max_catalogue_change", catalogue_change(state.items, before.items),
                     gates.max_catalogue_change, "share of items in only one of both catalogues")
        )  # fmt: skip
        change = abs(_gain(state.mean_interactions, before.mean_interactions))
        verdicts.append(
            _at_most("max_activity_change", change, gates.max_activity_change,
                     f"{state.mean_interactions:.1f} interactions per user after "
                     f"{before.mean_interactions:.1f}")
        )  # fmt: skip
    return verdicts


def accept_failures(verdicts: list[Verdict], accept: Collection[str]) -> list[Verdict]:
    """Return the verdicts, with failed gates that the operator accepted marked as passed."""
    return [
        v if v.passed or v.gate not in accept else replace(v, passed=True, accepted=True)
        for v in verdicts
    ]


def reliability_remarks(
    gates: Gates,
    candidate: Evaluation | None,
    champion: Evaluation | None,
    popularity: Evaluation | None = None,
) -> list[str]:
    """Return a remark if the limit of NDCG lies within the confidence interval of the gain.

    The gain is over the champion; a first version, which has none, is compared with popularity.
    """
    if champion is not None:
        base, limit, name = champion, -gates.max_ndcg_drop, "the current version"
    else:
        base, limit, name = popularity, gates.min_over_popularity, "popularity"
    if candidate is None or base is None or base.mean(NDCG_AT) == 0:
        return []
    pair = compare(base, candidate, NDCG_AT)
    if pair.interval is None:
        return [f"the gates rest on {pair.n_users} held-out user; chance decides"]
    gain, half_width = _gain(pair.mean_b, pair.mean_a), pair.interval.half_width / pair.mean_a
    if abs(gain - limit) > half_width:
        return []
    return [
        f"the gates rest on {pair.n_users:,} held-out users: NDCG@100 against {name} is "
        f"{gain:+.1%} ±{half_width:.1%} (95 % interval), which includes the limit of {limit:+.1%}"
    ]


def check_accepted(names: Collection[str]) -> None:
    """Check that each name is a gate or a check of the contract.

    Raises:
        UnknownNameError: a name is unknown.
    """
    known = {*(f.name for f in fields(Gates) if f.name != "min_group_users"), *CHECKS}
    for name in names:
        if name not in known:
            raise UnknownNameError("check", name, known)


def catalogue_change(items: Vocabulary, before: Vocabulary) -> float:
    """Return the share of items that only one of two catalogues has, of the items of either."""
    shared = int((before.index(items.ids) >= 0).sum())
    union = len(items) + len(before) - shared
    return 1 - shared / union


def state_of(record: Mapping[str, Any], items: Vocabulary) -> ModelState:
    """Return the state of a version from its record."""
    data = record.get("data", {})
    collapsed = record.get("collapsed")
    return ModelState(items, float(data.get("mean_interactions", 0.0)), collapsed)


def _judge_users(gates: Gates, candidate: Evaluation | None, before: ModelState | None) -> Verdict:
    """Judge whether enough users are held out; a first version has no predecessor to protect."""
    n_users = 0 if candidate is None else candidate.n_users
    first = before is None
    text = "held-out users that the gates rest on"
    if n_users < gates.min_users:
        text += (
            "; a first version passes with fewer" if first
            else "; raise train.held_out or train.holdout_days, or lower gates.min_users"
        )  # fmt: skip
    return Verdict("min_users", n_users, gates.min_users, first or n_users >= gates.min_users, text)


def _judge_groups(
    gates: Gates, candidate: Evaluation, champion: Evaluation, groups: tuple[Group, ...]
) -> Verdict:
    """Judge the largest drop of NDCG over the groups of users."""
    activity = candidate.activity()
    worst, name, n_judged = 0.0, "none", 0
    for group in groups:
        members = group.contains(activity)
        if members.sum() < gates.min_group_users:
            continue
        n_judged += 1
        ndcg = float(np.mean(candidate.values(NDCG_AT)[members]))
        base = float(np.mean(champion.values(NDCG_AT)[members]))
        if -_gain(ndcg, base) > worst:
            worst, name = -_gain(ndcg, base), str(group)
    if not n_judged:
        text = f"not judged: no group has {gates.min_group_users} held-out users"
        return _at_most("max_group_drop", None, gates.max_group_drop, text)
    return _at_most("max_group_drop", worst, gates.max_group_drop,
                    f"NDCG@100 of users with {name} interactions" if name != "none"
                    else "no group of users lost anything")  # fmt: skip


def _gain(value: float, base: float) -> float:
    """Return the relative gain of a value over a base; 0 if both are 0."""
    if base == 0:
        return 0.0 if value == 0 else float("inf")
    return value / base - 1


def _at_most(gate: str, value: float | None, limit: float, text: str) -> Verdict:
    return Verdict(gate, value, limit, value is None or value <= limit, text)


def _at_least(gate: str, value: float, limit: float, text: str) -> Verdict:
    return Verdict(gate, value, limit, value >= limit, text)
