"""Fitting several algorithms and keeping the best by their validation scores."""

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
    """Fit the algorithms in turn and return the model with the best validation score.

    A single algorithm is fitted as usual. Of several, each writes its checkpoint and
    metrics.jsonl to `part-0` and so on in the run's folder. The run's history is that of the best
    attempt, and lists all of them as its `attempts`. Equal scores keep the earlier attempt. An
    attempt that fails is recorded with its `error`, and a warning names it. After Ctrl-C no other
    attempt starts.

    Args:
        attempts: the algorithms, in order.
        fit: fits one of them in a run whose history then holds validation scores.
        run: the run of all attempts.

    Raises:
        NearfarError: every attempt failed; this is the error of the first.
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
        attempt_run = run.part(i)
        label = label_of(algorithm)
        history = attempt_run.history
        try:
            fitted.append((fit(algorithm, attempt_run), history))
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
    model, best = max(fitted, key=lambda attempt: attempt[1].best_score)
    run.history.records.extend(best.records)
    run.history.stopped_early = best.stopped_early
    return model
