"""Networks tried in turn where validation users can tell which one suits the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nearfar.algorithms.label import label_of
from nearfar.core.errors import CollapsedError, DivergedError, NearfarError, StoppedError
from nearfar.models.model import Model
from nearfar.train.callback import report_warning
from nearfar.train.history import Attempt, History
from nearfar.train.run import Run

A = TypeVar("A")
M = TypeVar("M", bound=Model)


def best_attempt(attempts: Sequence[A], fit: Callable[[A, Run], M], run: Run) -> M:
    """Fit one algorithm after the other, and keep the model with the best validation score.

    With one algorithm this is its fit. Of several, each has its checkpoint and metrics.jsonl in
    `part-0` and so on in the run's folder, and the run's history is the best one's, with all of
    them as its `attempts`. Equal scores keep the earlier one. One whose training fails is an
    attempt with an `error`, and a warning says so. After Ctrl-C no other is begun.

    Args:
        attempts: the algorithms, in turn.
        fit: fits one of them by a run; the history holds validation scores.
        run: of all of them.

    Raises:
        NearfarError: no training succeeded; the error of the first one.
    """
    if len(attempts) == 1:
        return fit(attempts[0], run)
    run.history.clear()
    fitted: list[tuple[M, History]] = []
    errors: list[NearfarError] = []
    for i, algorithm in enumerate(attempts):
        name = f"network {i + 1} of {len(attempts)}"
        for callback in run.callbacks:
            callback.part(name)
        own = run.part(i)
        label = label_of(algorithm)
        history = own.history
        try:
            fitted.append((fit(algorithm, own), history))
        except (CollapsedError, DivergedError, StoppedError) as error:
            errors.append(error)
            history.interrupted = isinstance(error, StoppedError)
            run.history.attempts.append(Attempt(label, None, len(history.records), str(error)))
            if not history.interrupted:
                report_warning(run.callbacks, f"{name} failed and is left out: {error}")
        else:
            run.history.attempts.append(Attempt(label, history.best_score, len(history.records)))
        finally:
            run.history.interrupted = history.interrupted
        if history.interrupted:
            break
    if not fitted:
        raise errors[0]
    model, best = max(fitted, key=lambda each: each[1].best_score)
    run.history.records.extend(best.records)
    run.history.stopped_early = best.stopped_early
    return model
