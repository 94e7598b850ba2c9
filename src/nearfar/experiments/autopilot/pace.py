"""The time: how much of a search's budget is left, and whether a training will end in it."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from nearfar.experiments.autopilot.records import Records
from nearfar.train.callback import Callback
from nearfar.train.history import EpochRecord, StepReport
from nearfar.train.run import Run

WARM_UP_SECONDS = 2.0
"""A fit's speed is judged when its steps have been seen for so long."""

WAIT_SHARE = 1 / 3
"""Share of the epochs before a fit may be given up."""

N_BEFORE_GIVING_UP = 2
"""Complete trials of a family before one of its fits may be given up."""


@dataclass
class TimeBudget:
    """The time budget, over all calls of one search.

    Args:
        records: what was spent by earlier calls.
        minutes: the budget.
    """

    records: Records
    minutes: float

    def __post_init__(self) -> None:
        self._before = self.records.seconds
        self._started = time.monotonic()

    @property
    def used(self) -> float:
        """Seconds used so far."""
        return self._before + time.monotonic() - self._started

    @property
    def left(self) -> float:
        """Seconds left; negative once the budget is overdrawn."""
        return 60 * self.minutes - self.used

    def note(self) -> None:
        """Write down what has been used."""
        self.records.seconds = self.used
        self.records.write()


class TooSlow(Exception):  # noqa: N818 - it is no error
    """A fit would not end in the time allowed for it.

    Args:
        seconds: what the fit would take in all, projected.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"would take about {seconds:.0f} s")
        self.seconds = seconds


class Hopeless(Exception):  # noqa: N818 - it is no error
    """A fit is worse than the median of its family's earlier ones at the same epoch."""


class Pace(Callback):
    """Stops a fit which is too slow or hopeless, by raising.

    Args:
        run: the run; its history holds the epochs before a checkpoint.
        allowance: seconds that the fit may take from now on.
        earlier: the validation metric by epoch of the family's complete trials.
    """

    def __init__(self, run: Run, allowance: float, earlier: Sequence[Sequence[float]] = ()) -> None:
        self.run = run
        self.allowance = allowance
        self.earlier = earlier
        self.epochs: list[float] = []
        self.n_epochs = 0
        self._started = time.monotonic()
        self._first: tuple[float, float] | None = None

    def step(self, report: StepReport, /) -> None:
        """Raises TooSlow where the fit would take longer than it may."""
        self.n_epochs = report.n_epochs
        done = (report.epoch + report.step / report.n_steps) / report.n_epochs
        now = time.monotonic()
        if self._first is None:  # what comes before the first step is no measure of a step
            self._first = now, done
            return
        then, before = self._first
        elapsed, rest = now - self._started, (now - then) * (1 - done) / max(done - before, 1e-9)
        seen_enough = now - then >= WARM_UP_SECONDS or elapsed > self.allowance
        if done < 1 and seen_enough and elapsed + rest > self.allowance:
            raise TooSlow((elapsed + rest) / max(1 - before, 1e-9))

    def epoch(self, record: EpochRecord, /) -> None:
        """Raises Hopeless where the fit is not worth going on with."""
        taken_up = not self.epochs and self.run.history.records
        for each in self.run.history.records if taken_up else [record]:
            if each.validation:
                self.epochs.append(next(iter(each.validation.values())))
        n = len(self.epochs)
        before = [max(e[:n]) for e in self.earlier if len(e) >= n]
        if (
            len(before) >= N_BEFORE_GIVING_UP
            and n >= WAIT_SHARE * self.n_epochs
            and max(self.epochs) < np.median(before)
        ):
            raise Hopeless
