"""The search: a survey of all families, then rounds that each keep the better half of them."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from nearfar.algorithms.algorithm import Algorithm, make_algorithm
from nearfar.core import settings
from nearfar.core.errors import NearfarError
from nearfar.experiments.autopilot.families import BLEND, PIA_VARIANT, Family
from nearfar.experiments.autopilot.fitting import Fitter
from nearfar.experiments.autopilot.leaderboard import make_leaderboard
from nearfar.experiments.autopilot.needs import closed_form_seconds, too_large
from nearfar.experiments.autopilot.proposals import propose
from nearfar.experiments.autopilot.time_budget import TooSlow
from nearfar.experiments.tuning.space import value_of

TRIALS = 6
TRIALS_PER_PARAMETER = 8
"""A family has at most `TRIALS` trials, and `TRIALS_PER_PARAMETER` more per searched setting."""

FIRST_SHARES = 3
"""The first fit of a family without epochs, and of the first autoencoder, may take 1 / FIRST_SHARES
of the time left. Further autoencoders share equally and leave one share to the rounds."""

LEAST_EPOCHS = 3
"""A fit that would have to be shortened below this number of epochs is left out."""

LEAST_SHARE = 0.5
"""Once an autoencoder is fitted, others are left out instead of cut below this share of their
epochs: on citeulike-a RecVAE with 14 epochs of 40 took a fifth of 30 minutes and told little."""

SAFETY = 0.85
"""A fit is shortened to this share of its allowance."""

TOLERANCE = 1.25
"""Factor by which a shortened fit, or a fit in a round, may exceed its allowance: projections are
uncertain on a busy machine, and starting anew costs more."""

LEAST_FACTORS = 32
"""A factor model that would have to be cut below this number of factors is left out."""


@dataclass
class FamilySearch:
    """Searches the best settings of some families.

    Args:
        families: families to search.
        fitter: fits algorithms and records trials.
    """

    families: Sequence[Family]
    fitter: Fitter

    def __post_init__(self) -> None:
        self.records = self.fitter.records
        self.train = self.fitter.held_out.train
        self.say = self.fitter.say

    def run(self) -> None:
        """Survey all families, halve them round by round, then try a blend.

        The survey may use all the time, because everything after it builds on it. The rounds
        reserve time for the last fits of a blend's parts. If the blend does not win, that time
        goes to more trials of the last round.
        """
        self.fitter.resume_trial(self.families)
        self._survey()
        self._rounds_for(self.fitter.clock.left)
        self.fitter.blend()
        if self.fitter.blends and not self._blend_wins():
            self._rounds_for(0.0)
            self.fitter.blend_seconds = self.fitter.clock.left
            self.fitter.blend()

    def _rounds_for(self, blend_seconds: float) -> None:
        """Run the rounds with some seconds reserved for a blend."""
        self.fitter.blend_seconds = blend_seconds
        self._rounds()

    def _blend_wins(self) -> bool:
        board = make_leaderboard(self.records, self.fitter.held_out.validation, "accuracy")
        return board is not None and board.winner.family == BLEND

    def _survey(self) -> None:
        """Fit every family once with its first settings, the cheapest first."""
        unfitted = [f for f in self.families if f != BLEND and not self._is_surveyed(f)]
        for index, family in enumerate(unfitted):
            n_autoencoders = sum(f.kind == "autoencoder" for f in unfitted[index:])
            first = family.kind != "autoencoder" or not self._has_autoencoder()
            allowance = self.fitter.left / (FIRST_SHARES if first else n_autoencoders + 1)
            reason = self._without_prospects(family) or self._fit_first(family, allowance)
            if reason is not None:
                self.records.left_out[family.name] = reason
                self.records.write()
                self.say(f"{family.label} is left out: {reason}")

    def _is_surveyed(self, family: Family) -> bool:
        return bool(self.records.of(family.name)) or family.name in self.records.left_out

    def _without_prospects(self, family: Family) -> str | None:
        """Return why a family with PIA is not worth a fit, judging by the same without PIA."""
        plain = next(
            (f for f in self.families if f.algorithm == family.algorithm and not f.variants), family
        )
        if plain == family or PIA_VARIANT not in family.variants:
            return None
        if plain.name in self.records.left_out:
            return f"{plain.label} is left out"
        surveyed = [f for f in self.families if f.kind not in ("popularity", "blend")]
        ranked = self._ranked([f for f in surveyed if not f.variants], before_round=1)
        better_half = ranked[: math.ceil(len(ranked) / 2)]
        return None if plain in better_half else f"{plain.label} is not in the better half"

    def _fit_first(self, family: Family, allowance: float) -> str | None:
        """Fit a family's first trial; return None, or why the family is left out."""
        algorithm = family.start_on(self.train)
        if family.kind != "popularity":  # popularity is always fitted, so that there is a winner
            if allowance <= 0:
                return "the time was used up before its turn"
            reason = too_large(algorithm, self.train)
            if reason is not None:
                return reason
            affordable = self._shorten_closed_form(family, algorithm, allowance)
            if affordable is None:
                return _too_long(closed_form_seconds(algorithm, self.train), allowance)
            algorithm = affordable
        projected, tolerance = 0.0, 1.0
        for _ in range(3):
            values = self._searched_values(family, algorithm)
            try:
                self.fitter.attempt(family, algorithm, values, 0, max(tolerance * allowance, 1.0))
                return None
            except TooSlow as slow:
                projected = slow.seconds
                share = SAFETY * allowance / projected
                shorter = shortened(family, algorithm, share)
                if shorter is None or (share < LEAST_SHARE and self._has_autoencoder()):
                    break
                algorithm, tolerance = shorter.resolved(self.train), TOLERANCE
                self.say(f"    {slow}; shortened to {_length(algorithm)}")
        return _too_long(projected, allowance)

    def _shorten_closed_form(
        self, family: Family, algorithm: Algorithm, allowance: float
    ) -> Algorithm | None:
        """Return a closed form with as many factors as there is time for; None for too few.

        Other algorithms are returned unchanged: their fits can be stopped.
        """
        seconds, shorter = closed_form_seconds(algorithm, self.train), algorithm
        while closed_form_seconds(shorter, self.train) > allowance:
            quartered = shortened(family, shorter, 1 / 4)
            if quartered is None:
                return None
            shorter = quartered.resolved(self.train)
        if shorter != algorithm:
            self.say(
                f"{family.label} would take about {seconds:.0f} s; shortened to {_length(shorter)}"
            )
        return shorter

    def _has_autoencoder(self) -> bool:
        names = [f.name for f in self.families if f.kind == "autoencoder"]
        return any(self.records.best(name) is not None for name in names)

    def _rounds(self) -> None:
        alive = [f for f in self.families if self.records.best(f.name) is not None]
        searched = [f for f in alive if self._space_size(f)]
        if not searched:
            return
        n_rounds = max(1, math.ceil(math.log2(len(searched)))) if len(searched) > 1 else 1
        first = max([1, *(r.round for r in self.records.trials)])
        for number in range(first, n_rounds + 1):
            survivors = self._survivors(searched, number)
            if number != first or not any(r.round == number for r in self.records.trials):
                names = ", ".join(f.label for f in survivors)
                self.say(f"round {number} of {n_rounds}: {names}")
            end = self.fitter.clock.used + self.fitter.left / (n_rounds - number + 1)
            while (family := self._next(survivors, number, end)) is not None:
                self._try_proposal(family, number, end)

    def _survivors(self, searched: Sequence[Family], number: int) -> list[Family]:
        """Return the families that remain in a round, by their best trials before it.

        If a blend is planned, the best family of each kind ranks before a second one of any kind.
        """
        ranked = self._ranked(searched, before_round=number)
        if self.fitter.blends:
            kinds = [family.kind for family in ranked]
            ranked = [
                ranked[i] for i in sorted(range(len(ranked)), key=lambda i: kinds[i] in kinds[:i])
            ]
        return ranked[: max(1, math.ceil(len(searched) / 2**number))]

    def _ranked(self, families: Sequence[Family], before_round: int) -> list[Family]:
        """Return the families by their best trial before a round, the best first."""
        before = [r for r in self.records.trials if r.round < before_round and r.score is not None]
        best = {
            f.name: max((r.score or 0.0 for r in before if r.family == f.name), default=-1.0)
            for f in families
        }
        return sorted(families, key=lambda f: -best[f.name])

    def _next(self, survivors: Sequence[Family], number: int, end: float) -> Family | None:
        """Return the family that has used the least time in a round; None at the round's end."""
        time_left = min(self.fitter.left, end - self.fitter.clock.used)
        candidates = []
        for family in survivors:
            trials = self.records.of(family.name)
            limit = TRIALS + TRIALS_PER_PARAMETER * self._space_size(family)
            seconds = [r.fit_seconds for r in trials if r.score is not None]
            if len(trials) < limit and sum(seconds) / len(seconds) < time_left:
                spent = sum(r.fit_seconds for r in trials if r.round == number)
                candidates.append((spent, family))
        return min(candidates, key=lambda candidate: candidate[0])[1] if candidates else None

    def _try_proposal(self, family: Family, number: int, end: float) -> None:
        first = self._first(family)
        trials = self.records.of(family.name)
        start = self._searched_values(family, first)
        values = propose(family.space(first), start, trials, self.fitter.seed, family.name)
        # A fit may exceed the end of a round, so that one that is nearly finished is not lost.
        allowance = min(self.fitter.left, TOLERANCE * (end - self.fitter.clock.used))
        try:
            algorithm = family.with_values(first, values)
            reason = too_large(algorithm, self.train)
            seconds = self._expected_seconds(family, algorithm)
            if reason is None and seconds > allowance:
                reason = _too_long(seconds, allowance)
        except NearfarError as error:
            algorithm, reason = first, str(error)
        if reason is not None:
            self.fitter.add(family, algorithm, values, number, "failed", reason=reason)
            return
        try:
            self.fitter.attempt(family, algorithm, values, number, max(allowance, 1.0))
        except TooSlow as slow:
            self.fitter.add(
                family, algorithm, values, number, "given up", seconds=allowance, reason=str(slow)
            )

    def _expected_seconds(self, family: Family, algorithm: Algorithm) -> float:
        """Return the expected seconds of a closed form, scaled from the first trial; else 0."""
        first = next(r for r in self.records.of(family.name) if r.score is not None)
        estimated = closed_form_seconds(self._first(family), self.train)
        if not estimated:
            return 0.0
        return first.fit_seconds * closed_form_seconds(algorithm, self.train) / estimated

    def _first(self, family: Family) -> Algorithm:
        """Return the algorithm of a family's first complete trial, which may be shortened."""
        first = next(r for r in self.records.of(family.name) if r.score is not None)
        return make_algorithm(family.algorithm, first.settings)

    def _space_size(self, family: Family) -> int:
        return len(family.space(self._first(family)).parameters)

    def _searched_values(self, family: Family, algorithm: Algorithm) -> dict[str, Any]:
        plain = settings.to_plain(algorithm)
        return {key: value_of(plain, key) for key in family.space(algorithm).parameters}


def shortened(family: Family, algorithm: Algorithm, share: float) -> Algorithm | None:
    """Return the algorithm shortened to a share of its time; None if too little would remain.

    An autoencoder gets fewer epochs and a learning-rate schedule that is shorter by as much; a
    learning rate that depends on the data is derived again. A factor model gets fewer factors,
    halved until their squared number is down to the share.
    """
    factors = getattr(algorithm, "n_factors", None)
    if isinstance(factors, int):
        halvings = max(1, math.ceil(math.log(1 / share, 4)))
        n = factors // 2**halvings
        return family.with_values(algorithm, {"n_factors": n}) if n >= LEAST_FACTORS else None
    before = getattr(algorithm, "epochs", None)
    if before is None:
        return None
    n = min(int(share * before), before - 1)
    if n < LEAST_EPOCHS:
        return None
    values: dict[str, Any] = {"epochs": n}
    if getattr(getattr(algorithm, "schedule", None), "epochs", 0):  # 0 is as long as the training
        values["schedule.epochs"] = n
    if getattr(family.base(), "learning_rate", 0) is None:
        values["learning_rate"] = None  # the rate derived from the data depends on the epochs
    return family.with_values(algorithm, values)


def _length(algorithm: Algorithm) -> str:
    name = "n_factors" if hasattr(algorithm, "n_factors") else "epochs"
    return f"{name}={getattr(algorithm, name)}"


def _too_long(seconds: float, allowance: float) -> str:
    return (
        f"would take about {seconds / 60:.1f} min, and {max(allowance, 0) / 60:.1f} min are left "
        "for it; give more --minutes"
    )
