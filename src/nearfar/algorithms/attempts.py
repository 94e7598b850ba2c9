"""Networks tried in turn where validation users can tell which one suits the data."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeVar

from nearfar.algorithms.label import label_of
from nearfar.models.model import Model
from nearfar.train.history import Attempt
from nearfar.train.run import PartReporter, Run

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
    made: list[Attempt] = []
    best: tuple[float, M, Run] | None = None
    interrupted = False
    for i, algorithm in enumerate(attempts):
        if isinstance(run.reporter, PartReporter):
            run.reporter.part(f"network {i + 1} of {len(attempts)}")
        own = run.part(i)
        model = fit(algorithm, own)
        score = own.history.best_score
        made.append(Attempt(label_of(algorithm), score, len(own.history.records)))
        if best is None or score > best[0]:
            best = (score, model, own)
        interrupted = own.history.interrupted
        if interrupted:
            break
    assert best is not None, "there is at least one attempt"
    run.history.records.extend(best[2].history.records)
    run.history.stopped_early = best[2].history.stopped_early
    run.history.interrupted = interrupted
    run.history.attempts.extend(made)
    return best[1]
