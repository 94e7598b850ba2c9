"""`autopilot`: find the best model of all families for a log, and save its bundle."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from nearfar.bundle.folder import check_destination
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.files import write_json
from nearfar.core.manifest import is_bundle
from nearfar.data.events import Log
from nearfar.data.interactions import Interactions
from nearfar.data.splits.hold_out import single_item_remark
from nearfar.experiments.autopilot.families import BLEND, Family, select_families
from nearfar.experiments.autopilot.finish import finish
from nearfar.experiments.autopilot.fitting import Fitter, Say
from nearfar.experiments.autopilot.held_out_users import HeldOut, hold_out
from nearfar.experiments.autopilot.leaderboard import Goal, Leaderboard, make_leaderboard
from nearfar.experiments.autopilot.records import FORMAT, Records
from nearfar.experiments.autopilot.search import FamilySearch
from nearfar.experiments.autopilot.time_budget import TimeBudget
from nearfar.experiments.provenance import provenance
from nearfar.experiments.stopping import Stop, Terminated, raising_on_sigterm
from nearfar.experiments.tuning.trials import METRIC
from nearfar.train.callback import Reporting, silent
from nearfar.train.run import Device, Precision, Run

LEADERBOARD = "leaderboard.json"


@dataclass(frozen=True)
class AutopilotOptions:
    """Options of the autopilot's search.

    Args:
        minutes: time budget of the search and the last fit, over all calls.
        goal: "accuracy" or "speed"; see `make_leaderboard`.
        only: families to search; all if empty.
        time_split: split by time instead of holding out random users.
        seed: random seed of the split, the proposals and the fits.
        device, precision: device and precision of the fits.

    Raises:
        SettingsError: a value is out of range.
        UnknownNameError: a family is unknown.

    Examples:
        >>> nf.AutopilotOptions(minutes=5, only=("ease", "wmf")).minutes
        5
    """

    minutes: float = 30.0
    goal: Goal = "accuracy"
    only: tuple[str, ...] = ()
    time_split: bool = False
    seed: int = 0
    device: Device = "auto"
    precision: Precision = "float32"

    def __post_init__(self) -> None:
        if not (math.isfinite(self.minutes) and self.minutes > 0):
            raise SettingsError(f"minutes is {self.minutes}; it must be above 0")
        if self.goal not in ("accuracy", "speed"):
            raise SettingsError(f"goal is {self.goal!r}; it must be accuracy or speed")
        _ = self.families
        Run(device=self.device, precision=self.precision)

    @property
    def families(self) -> tuple[Family, ...]:
        """The families to search."""
        return select_families(self.only)


@dataclass(frozen=True, eq=False)
class Autopilot:
    """The result of an autopilot run.

    Args:
        bundle: folder of the winner, fitted on all users; None if the run stopped before.
        folder: folder of trials.json and leaderboard.json.
        leaderboard: best trial of each family; None if no trial is complete.
        test: the winner's metrics on the test users, JSON-able; None without test users.
        records: the finished trials.
        stop: what stopped the run; None if it finished.
        held_out: the split of the data.
        provenance: versions, machine and commit.
    """

    bundle: Path | None
    folder: Path
    leaderboard: Leaderboard | None
    test: dict[str, Any] | None
    records: Records
    stop: Stop | None
    held_out: HeldOut
    provenance: dict[str, Any] = field(default_factory=dict)

    @property
    def n_trials(self) -> int:
        """Number of finished trials."""
        return len(self.records.trials)

    @property
    def seconds(self) -> float:
        """Seconds used, over all calls."""
        return self.records.seconds

    def to_dict(self) -> dict[str, Any]:
        """Return the result as JSON-able values."""
        return {
            "bundle": str(self.bundle) if self.bundle else None,
            "folder": str(self.folder),
            "stopped": self.stop,
            "seconds": self.seconds,
            "n_trials": self.n_trials,
            "data": self.held_out.protocol,
            "leaderboard": self.leaderboard.to_dict() if self.leaderboard else None,
            "test": self.test,
            "provenance": self.provenance,
        }


def autopilot(
    data: Log | Interactions,
    out: str | Path,
    options: AutopilotOptions | None = None,
    *,
    say: Say = lambda text: None,
    reporting: Reporting = silent,
) -> Autopilot:
    """Find the best model of all families for a log, and save it as a bundle.

    The search holds out validation users and, of 5,000 users or more, test users. It fits every
    family once with its first settings and leaves out, with the reason, what does not fit in
    memory or time. Then it halves the families round by round and tries settings around the best
    of the remaining ones. Validation NDCG@100 selects the winner, which is measured once on the
    test users and then fitted on all users.

    Each finished trial is written to OUT.autopilot; a killed or stopped search resumes from there
    when it is called again. The proposals, the winner and the leaderboard depend only on the
    finished trials and the seed.

    Args:
        data: a filtered log, or interactions.
        out: folder of the bundle.
        options: options of the search.
        say: called with each line of progress.
        reporting: returns the callbacks of each fit.

    Returns:
        The winner's bundle, the leaderboard, and what stopped the search, if anything.

    Raises:
        ArtefactError: `out` exists and is not a bundle.
        SettingsError: OUT.autopilot holds the search of other data, families or seed.
        EmptyDataError: too few users have two items.
        SchemaError: a split by time is requested and the log has no timestamps.

    Examples:
        >>> options = nf.AutopilotOptions(minutes=30)
        >>> result = nf.autopilot(log, "best", options, say=print)  # doctest: +SKIP
    """
    options, out = options or AutopilotOptions(), Path(out)
    check_destination(out)
    held_out = hold_out(data, options.seed, by_time=options.time_split)
    if not held_out.validation.held_out.n_interactions:
        raise EmptyDataError("no validation user has a held-out item to choose a model by")
    folder = folder_of(out)
    records = Records(folder, _identity(options, held_out))
    origin = provenance(Run(device=options.device).torch_device)
    fitter = Fitter(
        held_out, records, TimeBudget(records, options.minutes), options.seed, options.device,
        options.precision, say, reporting,
        blends=options.goal == "accuracy" and BLEND in options.families,
    )  # fmt: skip
    say(_summary(held_out))
    stop: Stop | None = None
    finished = _is_finished(records, options, out)
    board = None
    try:
        with raising_on_sigterm():
            if not finished:
                records.left_out = {}  # more memory or time may be available now
                if records.trials:
                    say(
                        f"going on after {len(records.trials)} trials; "
                        f"{max(fitter.left, 0) / 60:.1f} of {options.minutes:g} min are left"
                    )
                FamilySearch(options.families, fitter).run()
                board = make_leaderboard(records, held_out.validation, options.goal)
                if board is not None:
                    finish(fitter, board, out, held_out.validation)
                    finished = True
    except KeyboardInterrupt as stopped:
        stop = "terminated" if isinstance(stopped, Terminated) else "interrupted"
        if records.trials:
            fitter.clock.note()
    board = make_leaderboard(records, held_out.validation, options.goal)
    result = Autopilot(
        bundle=out if finished else None,
        folder=folder,
        leaderboard=board,
        test=records.outcome.get("test"),
        records=records,
        stop=stop,
        held_out=held_out,
        provenance=origin,
    )
    if board is not None:
        write_json(folder / LEADERBOARD, result.to_dict())
    return result


def _is_finished(records: Records, options: AutopilotOptions, out: Path) -> bool:
    """Return whether an earlier call finished with this goal and at least as many minutes."""
    outcome = records.outcome
    return (
        outcome.get("goal") == options.goal
        and outcome.get("minutes", 0.0) >= options.minutes
        and is_bundle(out)
    )


def folder_of(out: Path) -> Path:
    """Return the folder beside a bundle that keeps the trials of its search."""
    return out.with_name(out.name + ".autopilot")


def _identity(options: AutopilotOptions, held_out: HeldOut) -> dict[str, Any]:
    """Return what identifies a search; trials with another identity cannot continue it."""
    validation = held_out.validation
    return {
        "format": FORMAT,
        "families": [f.name for f in options.families],
        "train": held_out.train.fingerprint,
        "validation": [validation.fold_in.fingerprint, validation.held_out.fingerprint],
        "metric": str(METRIC),
        "seed": options.seed,
        "precision": options.precision,
    }


def _summary(held_out: HeldOut) -> str:
    train, test = held_out.train, held_out.test
    by_time = held_out.protocol["kind"] == "by time"
    single = "" if by_time else single_item_remark(held_out.everyone)
    return (
        f"{train.n_users:,} training users, {train.n_items:,} items, {train.n_interactions:,} "
        f"interactions; {held_out.validation.n_users:,} validation users"
        + (f", {test.n_users:,} test users" if test is not None else "; too few for test users")
        + (f"; {single}" if single else "")
    )
