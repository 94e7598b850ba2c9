"""Finished trials of the autopilot: one JSON file, and each trial's values per user beside it."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np

from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.core.files import atomic_file, read_json, write_json
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluation import Evaluation
from nearfar.metrics.metric import Metric, UserMetric, parse_metric

FORMAT = 2
"""Also increased if a default that trials leave open changes: their scores mean another model then.
2: users have weights in EASE and EDLAE."""

FILE = "trials.json"
CURRENT = "current.json"

State = Literal["complete", "given up", "failed"]


@dataclass(frozen=True)
class Record:
    """One finished trial.

    Args:
        number: counted from 0 over all families.
        family: its name.
        values: the searched settings, by dotted name.
        settings: all settings of the algorithm.
        state: complete, given up after some epochs, or failed.
        score: the mean validation metric; None unless complete.
        epochs: the validation metric after each epoch, of what has epochs.
        n_epochs: the epochs that give the best validation metric; None for what has none.
        fit_seconds: wall-clock time of the fit.
        users_per_second: validation users ranked per second, judging included.
        mib: size of the model's arrays in MiB.
        reason: why it failed.
        round: the round of the search; 0 is the survey of all families.
        full_epochs: that the family starts with if there is time; None for what has no epochs.
    """

    number: int
    family: str
    values: dict[str, Any]
    settings: dict[str, Any]
    state: State
    score: float | None = None
    epochs: list[float] = field(default_factory=list)
    n_epochs: int | None = None
    fit_seconds: float = 0.0
    users_per_second: float | None = None
    mib: float | None = None
    reason: str | None = None
    round: int = 0
    full_epochs: int | None = None


@dataclass
class Records:
    """The finished trials of a search, and what else a killed search needs to go on.

    Args:
        folder: where the files are.
        identity: what the trials are of; trials of anything else are refused.
        trials: in order.
        seconds: spent on the search so far, over all calls.
        left_out: families that were not tried, with the reason.
        outcome: what the last fit and the test came to; empty until then.

    Raises:
        SettingsError: the folder holds the trials of another search.
        ArtefactError: the file is damaged or of a newer format.
    """

    folder: Path
    identity: dict[str, Any]
    trials: list[Record] = field(default_factory=list)
    seconds: float = 0.0
    left_out: dict[str, str] = field(default_factory=dict)
    outcome: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        path = self.folder / FILE
        if not path.exists():
            return
        content = read_json(path)
        if int(content.get("format", 0)) > FORMAT:
            raise ArtefactError(f"{path} was written by a newer nearfar; upgrade")
        changed = [
            key
            for key in sorted({*content["identity"], *self.identity})
            if content["identity"].get(key) != self.identity.get(key)
        ]
        if changed:
            raise SettingsError(
                f"{path} is of another search (other {', '.join(changed)}); name another bundle, "
                "or delete the folder"
            )
        self.trials = [Record(**trial) for trial in content["trials"]]
        self.seconds = float(content["seconds"])
        self.left_out = dict(content["left_out"])
        self.outcome = dict(content["outcome"])

    def of(self, family: str) -> list[Record]:
        """Return the finished trials of one family, in order."""
        return [trial for trial in self.trials if trial.family == family]

    def best(self, family: str | None = None) -> Record | None:
        """Return the complete trial with the highest score, the first of equals."""
        return best_of(self.trials if family is None else self.of(family))

    def add(self, trial: Record, measured: Evaluation | None) -> None:
        """Add a trial and write it at once; the values per user go first."""
        if measured is not None:
            arrays: dict[str, Any] = {str(m): v for m, v in measured.per_user.items()}
            buffer = io.BytesIO()
            np.savez_compressed(buffer, **arrays)
            with atomic_file(self._values(trial.number)) as file:
                file.write(buffer.getvalue())
        self.trials.append(trial)
        self.write()

    def write(self) -> None:
        """Write the JSON file atomically."""
        content = {
            "format": FORMAT,
            "identity": self.identity,
            "seconds": self.seconds,
            "left_out": self.left_out,
            "outcome": self.outcome,
            "trials": [asdict(trial) for trial in self.trials],
        }
        write_json(self.folder / FILE, content)

    def evaluation(self, trial: Record, validation: FoldIn, name: str) -> Evaluation:
        """Return what a complete trial was measured as, user by user.

        Raises:
            ArtefactError: the values are missing or damaged.
        """
        n_held_out = np.diff(validation.held_out.x.indptr).astype(np.int64)
        users = np.flatnonzero(n_held_out)
        path = self._values(trial.number)
        try:
            with np.load(path) as arrays:
                per_user: dict[Metric, Any] = {
                    metric: arrays[str(metric)]
                    for metric in map(parse_metric, arrays.files)
                    if isinstance(metric, UserMetric)
                }
        except (OSError, ValueError, KeyError) as error:
            raise ArtefactError(f"{path} cannot be read ({error}); delete {self.folder}") from None
        return Evaluation(
            name=name,
            per_user=per_user,
            user_ids=validation.fold_in.user_ids.take(users),
            n_fold_in=np.diff(validation.fold_in.x.indptr).astype(np.int64)[users],
            n_held_out=n_held_out[users],
            n_dropped=validation.n_users - len(users),
        )

    def begin(
        self, family: str, values: dict[str, Any], settings: dict[str, Any], round: int
    ) -> None:
        """Note which trial is running, so that a killed search goes on with it."""
        write_json(
            self.folder / CURRENT,
            {"family": family, "values": values, "settings": settings, "round": round},
        )

    def begun(self) -> dict[str, Any] | None:
        """Return the trial that a killed search was running; None where there is none."""
        path = self.folder / CURRENT
        return read_json(path) if path.exists() else None

    def ended(self) -> None:
        """Forget the running trial."""
        (self.folder / CURRENT).unlink(missing_ok=True)

    def _values(self, number: int) -> Path:
        return self.folder / "values" / f"{number:04}.npz"


def best_of(trials: Sequence[Record]) -> Record | None:
    """Return the complete trial with the highest score, the first of equals; None without any."""
    complete = [trial for trial in trials if trial.score is not None]
    return max(complete, key=lambda t: (t.score or 0.0, -t.number)) if complete else None
