"""Networks tried in turn where validation users can tell which one suits the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nearfar.algorithms.label import label_of
from nearfar.models.model import Model
from nearfar.train.history import Attempt, History
from nearfar.train.run import Run

A = TypeVar("A")
M = TypeVar("M", bound=Model)


def best_attempt(attempts: Sequence[A], fit: Callable[[A, Run], M], run: Run) -> M:
    """Fit one algorithm after the other, and keep the model with the best validation score.

    With one algorithm this is its fit. Of several, each has its checkpoint and metrics.jsonl in
    `part-0` and so on in the run's folder, and the run's history is the best one's, with all of
    them as its `attempts`. Equal scores keep the earlier one. After Ctrl-C no other is begun.

    Args:
        attempts: the algorithms, in turn.
        fit: fits one of them by a run; the history holds validation scores.
        run: of all of them.
    """
    if len(attempts) == 1:
        return fit(attempts[0], run)
    run.history.clear()
    fitted: list[tuple[M, History]] = []
    for i, algorithm in enumerate(attempts):
        for callback in run.callbacks:
            callback.part(f"network {i + 1} of {len(attempts)}")
        own = run.part(i)
        fitted.append((fit(algorithm, own), own.history))
        if own.history.interrupted:
            break
    model, history = max(fitted, key=lambda each: each[1].best_score)
    run.history.records.extend(history.records)
    run.history.stopped_early = history.stopped_early
    run.history.interrupted = fitted[-1][1].interrupted
    run.history.attempts.extend(
        Attempt(label_of(algorithm), tried.best_score, len(tried.records))
        for algorithm, (_, tried) in zip(attempts, fitted, strict=False)
    )
    return model
