"""The time budget of a search, and the callback that stops a fit that is too slow or hopeless."""

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
"""Seconds of steps to observe before a fit's duration is projected."""

WAIT_SHARE = 1 / 3
"""Share of the epochs after which a fit may be given up."""

N_BEFORE_GIVING_UP = 2
"""Number of complete trials of a family before one of its fits may be given up."""


@dataclass
class TimeBudget:
    """The time budget of a search, over all calls.

    Args:
        records: records of the search, with the seconds that earlier calls used.
        minutes: size of the budget.
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
        """Write the seconds used to the records."""
        self.records.seconds = self.used
        self.records.write()


class TooSlow(Exception):  # noqa: N818 - not an error
    """Raised when a fit would exceed its allowance.

    Args:
        seconds: projected duration of the whole fit.
    """

    def __init__(self, seconds: float) -> None:
        super().__init__(f"would take about {seconds:.0f} s")
        self.seconds = seconds


class Hopeless(Exception):  # noqa: N818 - not an error
    """Raised when a fit is worse than the median of its family's earlier ones at the same epoch."""


class Pace(Callback):
    """Stops a fit that is too slow or hopeless by raising an exception.

    Args:
        run: run of the fit; its history holds the epochs before a checkpoint.
        allowance: time limit of the fit from now on, in seconds.
        earlier: validation metric by epoch of each complete trial of the family.
    """

    def __init__(self, run: Run, allowance: float, earlier: Sequence[Sequence[float]] = ()) -> None:
        self.run = run
        self.allowance = allowance
        self.earlier = earlier
        self.epochs: list[float] = []
        self.n_epochs = 0
        self._started = time.monotonic()
        self._first_step: tuple[float, float] | None = None

    def step(self, report: StepReport, /) -> None:
        """Project the duration of the fit.

        Raises:
            TooSlow: the fit would exceed its allowance.
        """
        self.n_epochs = report.n_epochs
        done = (report.epoch + report.step / report.n_steps) / report.n_epochs
        now = time.monotonic()
        if self._first_step is None:  # the time before the first step says nothing of the others
            self._first_step = now, done
            return
        first_time, first_done = self._first_step
        observed, elapsed = now - first_time, now - self._started
        left = observed * (1 - done) / max(done - first_done, 1e-9)
        seen_enough = observed >= WARM_UP_SECONDS or elapsed > self.allowance
        if done < 1 and seen_enough and elapsed + left > self.allowance:
            raise TooSlow((elapsed + left) / max(1 - first_done, 1e-9))

    def epoch(self, record: EpochRecord, /) -> None:
        """Compare the validation metric with earlier trials at the same epoch.

        Raises:
            Hopeless: the fit is worse than their median.
        """
        # A resumed training first adds the epochs before its checkpoint.
        resumed = not self.epochs and self.run.history.records
        for epoch in self.run.history.records if resumed else [record]:
            if epoch.validation:
                self.epochs.append(next(iter(epoch.validation.values())))
        n = len(self.epochs)
        earlier_best = [max(e[:n]) for e in self.earlier if len(e) >= n]
        if (
            len(earlier_best) >= N_BEFORE_GIVING_UP
            and n >= WAIT_SHARE * self.n_epochs
            and max(self.epochs) < np.median(earlier_best)
        ):
            raise Hopeless
