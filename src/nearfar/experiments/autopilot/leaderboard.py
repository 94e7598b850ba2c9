"""The leaderboard: each family's best trial, with its interval and a test against the winner."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import Paired, compare_all
from nearfar.evaluation.table import Table
from nearfar.evaluation.text import number, p_value, with_half_width
from nearfar.experiments.autopilot.blending import LEAST_GAIN, choose_winner
from nearfar.experiments.autopilot.families import BLEND, FAMILIES, KIND_NAMES, Family
from nearfar.experiments.autopilot.records import Record, Records
from nearfar.experiments.tuning.trials import METRIC

Goal = Literal["accuracy", "speed"]

LEVEL = 0.05
"""A difference is significant if the p of its paired test is below this level."""

SPEED_SHARE = 0.98
"""The share of the best validation metric that the goal "speed" requires of a model."""


@dataclass(frozen=True, eq=False)
class LeaderboardRow:
    """A family's best trial.

    Args:
        family: the family.
        trial: its best trial.
        measured: the trial's metrics per validation user.
        n_trials: number of trials of the family.
        versus_winner: this model minus the winner, paired by user; None for the winner.
    """

    family: Family
    trial: Record
    measured: Evaluation
    n_trials: int
    versus_winner: Paired | None = None

    def to_dict(self) -> dict[str, Any]:
        """Return the row as JSON-able values."""
        metrics = self.measured.to_dict()["metrics"]
        return {
            "family": self.family.name,
            "model": self.family.label,
            "kind": KIND_NAMES[self.family.kind],
            "winner": self.versus_winner is None,
            "validation": metrics,
            "versus_winner": self.versus_winner.to_dict() if self.versus_winner else None,
            "fit_seconds": self.trial.fit_seconds,
            "users_per_second": self.trial.users_per_second,
            "mib": self.trial.mib,
            "n_trials": self.n_trials,
            "trial": self.trial.number,
            "values": self.trial.values,
            "settings": self.trial.settings,
        }


@dataclass(frozen=True, eq=False)
class Leaderboard:
    """All families with a complete trial, the best first.

    Args:
        rows: one row per family.
        winner: row of the winner.
        left_out: label of each family that was left out -> reason.
        goal: goal by which the winner was selected.
    """

    rows: tuple[LeaderboardRow, ...]
    winner: LeaderboardRow
    left_out: dict[str, str]
    goal: Goal = "accuracy"

    def table(self) -> Table:
        """Return the leaderboard as a table."""
        header = ("model", str(METRIC), "versus winner", "p", "fit s", "users/s", "MiB", "trials")
        notes = [
            f"{self.winner.measured.n_users:,} validation users. ± half the 95% interval (t). "
            f"versus winner: difference in {METRIC}, user by user; p: paired t test, Holm."
        ]
        if self.goal == "speed":
            notes.append(
                f"Chosen for speed: the most users per second among models with at least "
                f"{SPEED_SHARE:.0%} of the best {METRIC}."
            )
        notes += [f"{label} is left out: {reason}." for label, reason in self.left_out.items()]
        return Table(
            header,
            tuple(self._cells(row) for row in self.rows),
            tuple(notes),
            tuple(row.to_dict() for row in self.rows),
        )

    def to_dict(self) -> dict[str, Any]:
        """Return the leaderboard as JSON-able values."""
        return {
            "goal": self.goal,
            "metric": str(METRIC),
            "winner": self.winner.family.name,
            "verdict": self.verdict(),
            "rows": [row.to_dict() for row in self.rows],
            "left_out": self.left_out,
        }

    def verdict(self) -> str:
        """Return in words which kind of model won, and by how much."""
        winner = self.winner
        score = f"{METRIC} {number(winner.trial.score, METRIC)}"
        article = "" if winner.family.kind in ("popularity", "factors") else "A "
        lead = f"{article}{KIND_NAMES[winner.family.kind]} wins: "
        parts = [f"{lead[0].upper()}{lead[1:]}{winner.family.label}, {score}."]
        if winner.family == BLEND:
            single = next(row for row in self.rows if row.family != BLEND)
            parts.append(f"Its parts: {_parts_in_words(winner.trial)}.")
            parts.append(f"The best single model, {single.family.label}, {_difference(single)}.")
            if not _significant(single):
                parts.append("--for speed, or --only without blend, keeps a single one.")
        else:
            blend = self._best_of("blend")
            if blend is not None and self.goal == "accuracy":
                parts.append(_blend_in_words(blend))
        if winner.family.kind not in ("autoencoder", "blend"):
            best = self._best_of("autoencoder")
            if best is None:
                parts.append("No autoencoder was measured; see what is left out, and why.")
            else:
                parts.append(f"The best autoencoder, {best.family.label}, {_difference(best)}.")
        elif winner.family.kind == "autoencoder":
            best = self._best_of("linear")
            if best is not None:
                parts.append(f"The best linear model, {best.family.label}, {_difference(best)}.")
        if self.cut_short():
            parts.append(
                f"For lack of time these had fewer epochs than they start with, or were left out: "
                f"{'; '.join(self.cut_short())}. More --minutes may make them better."
            )
        return " ".join((*parts, *self._doubts()))

    def _doubts(self) -> Iterator[str]:
        """Yield a sentence on what the validation users are too few to show."""
        others = [row for row in self.rows if row.versus_winner is not None]
        if others and not any(_significant(row) for row in others):
            yield (
                f"{self.winner.measured.n_users:,} validation users cannot tell these families "
                "apart: no difference is significant."
            )
        elif any(row.family.kind == "popularity" and not _significant(row) for row in others):
            yield "That it is better than popularity is not significant."

    def cut_short(self) -> list[str]:
        """Return the labels of autoencoders that had fewer than their full epochs or were left out.

        The leaderboard says little about them.
        """
        rows = {row.family.name: row for row in self.rows}
        labels = []
        for family in FAMILIES:
            if family.kind != "autoencoder":
                continue
            row = rows.get(family.name)
            full = None if row is None else row.trial.full_epochs
            shorter = row is not None and full and row.trial.settings.get("epochs", full) < full
            if shorter or family.label in self.left_out:
                labels.append(family.label)
        return labels

    def _best_of(self, kind: str) -> LeaderboardRow | None:
        return next((row for row in self.rows if row.family.kind == kind), None)

    def _cells(self, row: LeaderboardRow) -> tuple[str, ...]:
        trial, pair = row.trial, row.versus_winner
        interval = pair.interval if pair is not None else None
        interval_of_mean = row.measured.interval(METRIC)
        return (
            row.family.label,
            with_half_width(
                row.measured.mean(METRIC),
                interval_of_mean.half_width if interval_of_mean else None,
                METRIC,
            ),
            "winner"
            if pair is None
            else with_half_width(
                pair.difference, interval.half_width if interval else None, METRIC, signed=True
            ),
            "-" if pair is None else p_value(pair.p_holm),
            f"{trial.fit_seconds:.1f}",
            f"{trial.users_per_second or 0:,.0f}",
            f"{trial.mib or 0:,.1f}",
            str(row.n_trials),
        )


def make_leaderboard(records: Records, validation: FoldIn, goal: Goal) -> Leaderboard | None:
    """Return the leaderboard of finished trials; None if no trial is complete.

    Args:
        records: the trials.
        validation: validation users that they were measured on.
        goal: "accuracy" selects the highest mean; "speed" the model that ranks the most users per
            second among those with at least 98% of that mean.
    """
    best = {f: trial for f in FAMILIES if (trial := records.best(f.name)) is not None}
    if not best:
        return None
    winner = choose([t for f, t in best.items() if f != BLEND] or list(best.values()), goal)
    if goal == "accuracy" and BLEND in best:
        winner = choose_winner(winner, best[BLEND])
    measured = {f.name: records.evaluation(trial, validation, f.label) for f, trial in best.items()}
    pairs: dict[str, Paired] = {}
    if len(best) > 1:
        pairs = {p.b: p for p in compare_all(measured, winner.family, [METRIC])}
    rows = [
        LeaderboardRow(f, trial, measured[f.name], len(records.of(f.name)), pairs.get(f.name))
        for f, trial in best.items()
    ]
    rows.sort(key=lambda row: (-(row.trial.score or 0.0), row.trial.number))
    labels = {f.name: f.label for f in FAMILIES}
    left_out = {labels.get(name, name): reason for name, reason in records.left_out.items()}
    for family in FAMILIES:
        failed = [r for r in records.of(family.name) if r.state == "failed"]
        if family not in best and failed:
            left_out[family.label] = f"failed: {failed[-1].reason}"
    winner_row = next(row for row in rows if row.trial.number == winner.number)
    return Leaderboard(tuple(rows), winner_row, left_out, goal)


def choose(trials: Sequence[Record], goal: Goal) -> Record:
    """Return the winner among complete trials."""
    best = max(trials, key=lambda t: (t.score or 0.0, -t.number))
    if goal == "accuracy":
        return best
    accurate = [t for t in trials if (t.score or 0.0) >= SPEED_SHARE * (best.score or 0.0)]
    return max(accurate, key=lambda t: (t.users_per_second or 0.0, -t.number))


def _parts_in_words(blend: Record) -> str:
    """Return a blend's parts with their weights, such as "edlae 0.50, multvae 0.50"."""
    kinds = [part["kind"] for part in blend.settings["parts"]]
    weights = blend.settings["weights"]
    shares = [weight / sum(weights) for weight in weights]
    return ", ".join(f"{k} {share:.2f}" for k, share in zip(kinds, shares, strict=True) if share)


def _blend_in_words(row: LeaderboardRow) -> str:
    """Return a sentence on a blend that did not win."""
    parts = _parts_in_words(row.trial)
    if sum(weight > 0 for weight in row.trial.settings["weights"]) == 1:
        return f"A blend gains nothing: on validation users the best weights are {parts}."
    pair = row.versus_winner
    higher = pair is not None and pair.difference > 0
    threshold = f": from {LEAST_GAIN:.1%} more it would have won" if higher else ""
    return f"A blend of several models, {parts}, {_difference(row)}{threshold}."


def _difference(row: LeaderboardRow) -> str:
    pair = row.versus_winner
    assert pair is not None
    amount = number(abs(pair.difference), METRIC)
    direction = "lower" if pair.difference < 0 else "higher"
    doubt = "" if _significant(row) else ", which may be chance"
    return f"is {amount} {direction} (p {p_value(pair.p_holm)}){doubt}"


def _significant(row: LeaderboardRow) -> bool:
    pair = row.versus_winner
    return pair is not None and pair.p_holm is not None and pair.p_holm < LEVEL
