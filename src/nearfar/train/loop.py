"""The training loop."""

from __future__ import annotations

import signal
import threading
from types import FrameType, TracebackType
from typing import Any

import numpy as np
from scipy.sparse import csr_array

from nearfar.core.errors import EmptyDataError
from nearfar.core.seeding import generator
from nearfar.train.callback import report_end
from nearfar.train.feed import Batches, Feed
from nearfar.train.plan import TrainingPlan
from nearfar.train.run import Run, matrix_products
from nearfar.train.state import TrainingState, Validate
from nearfar.vae.neighbours import Neighbourhoods
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective


def train(
    network: VAE,
    objective: Objective,
    plan: TrainingPlan,
    x: csr_array,
    *,
    validate: Validate | None,
    run: Run,
    identity: dict[str, Any],
) -> None:
    """Train in place; at the end `network` and `objective` have the weights of the best epoch.

    The best epoch is the one with the highest first validation score; without `validate` it is the
    last. All random numbers derive from the seed and the number of the step, so that a run resumed
    from any checkpoint ends with the same bits.

    Args:
        network: the network to train.
        objective: the objective to minimise.
        plan: epochs, batches and optimiser.
        x: training users x items; users without items are skipped.
        validate: returns the validation scores of the current weights; the first one decides.
        run: seed, device, folder and callbacks; its history is filled.
        identity: what identifies the run; a checkpoint with another identity is refused.

    Raises:
        DivergedError: an objective term or a weight is not finite.
        EmptyDataError: no user has an item.
        StoppedError: Ctrl-C or SIGTERM came before the first epoch had ended.
    """
    users = np.flatnonzero(np.diff(x.indptr))
    if not len(users):
        raise EmptyDataError("no training user has an item")
    neighbourhoods = Neighbourhoods.of(x, users, run.seed, run.torch_device)
    state = TrainingState(network, objective, plan, run, identity, len(users), neighbourhoods)
    try:
        if run.resume:
            state.resume(run.folder)
        state.start_metrics()
        feed = Feed(x, run.torch_device, present_items=plan.optimiser != "adam")
        stopped_by = epochs(state, feed, users, validate)
        if stopped_by == signal.SIGTERM:
            if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:  # raising it ends the process
                report_end(run.callbacks, run.history, "interrupted", "SIGTERM")
            signal.raise_signal(signal.SIGTERM)
        if stopped_by is not None and not run.keep_on_interrupt:
            raise KeyboardInterrupt
        state.keep_best()
    finally:
        state.release()


def epochs(
    state: TrainingState, feed: Batches, users: np.ndarray, validate: Validate | None
) -> int | None:
    """Train all epochs; if a signal asks to stop, return its number."""
    run, plan = state.run, state.plan
    with Interruptible() as stop, matrix_products(run):
        while state.epoch < plan.epochs and not state.exhausted():
            passes = plan.passes(state.epoch)
            for number in range(state.pass_in_epoch, len(passes)):
                phase = passes[number]
                order = generator(run.seed, *_stream_name(state.epoch, number)).permutation(users)
                for rows in feed.batches(order, plan.batch_size, state.step_in_pass):
                    state.take_step(phase, rows)
                    if stop.requested is not None:
                        state.write_checkpoint()
                        run.history.interrupted = True
                        return stop.requested
                    state.checkpoint_if_due()
                next_phase = passes[number + 1 : number + 2]
                state.end_pass(phase, last_of_phase=next_phase != [phase])
            state.end_epoch(validate)
    return stop.requested


def _stream_name(epoch: int, number: int) -> tuple[str | int, ...]:
    """Return the name of the random stream that orders the users in a pass of an epoch."""
    return ("order", epoch, number) if number else ("order", epoch)


class Interruptible:
    """A context in which the first Ctrl-C or SIGTERM only sets `requested`; a second one raises.

    Outside the main thread it does nothing, because signals go to the main thread.
    """

    def __init__(self) -> None:
        self.requested: int | None = None
        self._old_handlers: dict[int, signal._HANDLER] = {}

    def __enter__(self) -> Interruptible:
        if threading.current_thread() is threading.main_thread():
            for number in (signal.SIGINT, signal.SIGTERM):
                self._old_handlers[number] = signal.signal(number, self._handle)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)
        self._old_handlers.clear()

    def _handle(self, number: int, frame: FrameType | None) -> None:
        if self.requested is not None:
            raise KeyboardInterrupt
        self.requested = number
