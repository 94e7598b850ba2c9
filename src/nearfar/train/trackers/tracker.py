"""The base class of experiment trackers: opens, fills and closes one tracked run per fit."""

from __future__ import annotations

import contextlib
import json
import logging
import math
import re
import sys
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping
from itertools import count
from pathlib import Path
from types import TracebackType
from typing import Any, ClassVar, Self

from nearfar.core import discovery
from nearfar.core.errors import SettingsError
from nearfar.core.extras import require
from nearfar.core.files import read_json, write_json
from nearfar.train.callback import Callback, EndReport, StartReport, State
from nearfar.train.history import EpochRecord, StepReport, flatten

LOGGER = logging.getLogger("nearfar")
PACKAGE = __name__.rpartition(".")[0]
NOTES = "tracked.json"
"""File in the run's folder with the id of the tracked run, for a fit that is resumed."""

EVERY_STEPS = 100
"""Steps between values that are logged within an epoch."""


class Tracker(Callback, ABC):
    """Log each fit as one run of an experiment tracker.

    A tracked run has the settings; after every epoch the mean of each objective term, the loss
    weights, the validation metrics and the speed; within an epoch the means so far, every 100
    steps; at the end the best epoch and the metrics of the fitted model. The x axis is the number
    of steps.

    A fit that is resumed from the checkpoint in its folder continues the same tracked run. A
    tracker that fails, as on a full disk, warns once, and the fit continues without it.

    Used as a context, a tracker keeps its run open after the fit, for metrics of the fitted model.

    Args:
        place: where the tracker writes; each tracker documents what it means.
        name: name of the tracked runs; by default the algorithm's name in tables.
        group: a name for tracked runs that belong together, such as those of a search.

    Raises:
        MissingExtraError: the tracker's package is not installed.
        SettingsError: the place is missing.

    Examples:
        >>> class Printing(nf.Tracker):
        ...     MODULE = "json"
        ...
        ...     def open(self, run, name, settings):
        ...         return name
        ...
        ...     def log(self, values, step, part):
        ...         pass
        ...
        ...     def close(self, state):
        ...         closed.append(state)
        >>> closed = []
        >>> run = nf.Run(seed=1, callbacks=[Printing("here")])
        >>> model = nf.EASE(l2=50).fit(split.train, run=run)
        >>> closed
        ['finished']
    """

    MODULE: ClassVar[str]
    """The package that the tracker needs."""

    NEEDS_PLACE: ClassVar[bool] = True
    """Whether a target must have a place."""

    REPLACES: ClassVar[bool] = False
    """Whether a resumed fit replaces the values logged at later steps than it resumes from.
    Otherwise epochs that were logged before are not logged again."""

    def __init__(self, place: str | Path = "", name: str | None = None, group: str = "") -> None:
        self.place, self.name, self.group = str(place), name, group
        kind = discovery.name_of(type(self))
        require(self.MODULE, extra="track", purpose=f"--track {kind}")
        self.target = f"{kind}:{self.place}" if self.place else kind
        if self.NEEDS_PLACE and not self.place:
            raise SettingsError(f"{kind} needs a place; write {kind}:DIR")
        self._in_context = self._open = self._failed = False
        self._step = 0
        self._part = ""
        # The part of each fit in progress, the outermost first, and the numbers of its own parts.
        self._fits: list[tuple[str, Iterator[int]]] = []
        self._folder: Path | None = None
        self._run = ""
        self._last_steps: dict[str, int] = {}
        self._state: State = "failed"

    @abstractmethod
    def open(self, run: str | None, name: str, settings: Mapping[str, Any]) -> str:
        """Open a tracked run and return its id.

        Args:
            run: the id of the run to continue; None for a new one.
            name: name of a new run.
            settings: settings of a new run, without nesting.
        """

    @abstractmethod
    def log(self, values: Mapping[str, float], step: int, part: str) -> None:
        """Log values at a step.

        Args:
            values: finite values by name, as "validation/NDCG_at_100".
            step: steps done, counted separately for each part.
            part: "", or a name such as "part-0" for a part of a blend or one of several networks.
        """

    def summarise(self, values: Mapping[str, float], step: int, part: str) -> None:
        """Log values of the whole fit, at its last step."""
        self.log(values, step, part)

    @abstractmethod
    def close(self, state: State) -> None:
        """Close the tracked run."""

    def start(self, report: StartReport, /) -> None:
        self._fits.append((self._part, count()))
        if len(self._fits) > 1:
            return
        self._close_run()
        self._failed = False
        self._folder = report.folder
        self._run_safely(lambda: self._open_run(report))

    def part(self, name: str, /) -> None:
        before, numbers = self._fits[-1]
        self._part = f"{before}/part-{next(numbers)}".lstrip("/")

    def step(self, report: StepReport, /) -> None:
        if report.total_step % EVERY_STEPS == 0:
            values = {f"step/{name}": value for name, value in report.terms.items()}
            values["step/users_per_second"] = report.users_per_second
            self._log_values(values, report.total_step)

    def epoch(self, record: EpochRecord, /) -> None:
        values: dict[str, float] = {"epoch": record.epoch + 1, "train/loss": record.loss}
        values |= {f"train/{name}": value for name, value in record.terms.items()}
        values |= {f"weight/{name}": value for name, value in record.weights.items()}
        values |= {f"validation/{name}": value for name, value in record.validation.items()}
        values |= {
            name: getattr(record, name)
            for name in ("collapsed_dimensions", "neighbours_kept", "seconds",
                         "validation_seconds", "users_per_second")
            if getattr(record, name) is not None
        }  # fmt: skip
        self._log_values(values, record.step)
        self._last_steps[self._part] = max(record.step, self._last_steps.get(self._part, 0))
        self._run_safely(self._write_notes)

    def end(self, report: EndReport, /) -> None:
        self._part, _ = self._fits.pop()
        if report.best is not None:
            values: dict[str, float] = {"best/epoch": report.best.epoch + 1}
            values |= {f"best/{name}": value for name, value in report.best.validation.items()}
            self._log_values(values, self._step, summary=True)
        if not self._fits:
            self._state = report.state
            if not self._in_context:
                self._close_run()

    def measured(self, metrics: Mapping[str, float], /) -> None:
        values = {f"measured/{name}": value for name, value in metrics.items()}
        self._log_values(values, self._step, summary=True)

    def __enter__(self) -> Self:
        self._in_context = True
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._in_context = False
        self._close_run()

    def _open_run(self, report: StartReport) -> None:
        notes = self._read_notes() if report.resume else {}
        self._last_steps = dict(notes.get("epochs", {}))
        self._step = self._last_steps.get("", 0)
        settings = {"algorithm": report.algorithm, "seed": report.seed}
        settings |= {"n_users": report.n_users, "n_items": report.n_items}
        settings |= {
            name: json.dumps(value) if isinstance(value, list) else value
            for name, value in flatten(report.settings).items()
        }
        self._open = True
        self._run = self.open(notes.get("run"), self.name or report.label, settings)
        self._write_notes()

    def _log_values(self, values: Mapping[str, float], step: int, *, summary: bool = False) -> None:
        if not (summary or self.REPLACES) and step <= self._last_steps.get(self._part, -1):
            return
        self._step = step
        finite = {_metric_name(name): float(v) for name, v in values.items() if math.isfinite(v)}
        if finite:
            write = self.summarise if summary else self.log
            self._run_safely(lambda: write(finite, step, self._part))

    def _close_run(self) -> None:
        if self._open:
            self._run_safely(lambda: self.close(self._state))
        self._open = False

    def _run_safely(self, action: Callable[[], object]) -> None:
        """Run an action; on the first failure warn, and skip all later actions."""
        if self._failed:
            return
        try:
            with contextlib.redirect_stdout(sys.stderr):  # stdout is for results
                action()
        except Exception as error:
            self._failed = True
            reason = str(error).strip().partition("\n")[0] or type(error).__name__
            LOGGER.warning("%s failed (%s): the fit continues untracked", self.target, reason)

    def _read_notes(self) -> dict[str, Any]:
        path = None if self._folder is None else self._folder / NOTES
        return read_json(path).get(self.target, {}) if path and path.exists() else {}

    def _write_notes(self) -> None:
        if self._folder is None:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        path = self._folder / NOTES
        notes = read_json(path) if path.exists() else {}
        write_json(path, notes | {self.target: {"run": self._run, "epochs": self._last_steps}})


def _metric_name(name: str) -> str:
    """Return a name that every tracker accepts, as "validation/NDCG_at_100"."""
    return re.sub(r"[^\w\-./ ]+", "_", name.replace("@", "_at_")).strip("_")
