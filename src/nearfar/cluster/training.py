"""The training on one worker: `nearfar.train.loop` over its users, with sums over all workers."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm, assemble
from nearfar.cluster.feed import SharedFeed
from nearfar.cluster.histories import Histories
from nearfar.cluster.team import Team
from nearfar.core import discovery, settings
from nearfar.core.errors import ArtefactError, EmptyDataError, SettingsError
from nearfar.data.interactions import FoldIn
from nearfar.kernels.gradients import Gradient
from nearfar.kernels.rows import Rows
from nearfar.train.checkpoint import Checkpoint
from nearfar.train.history import History
from nearfar.train.loop import epochs
from nearfar.train.optimiser import Optimiser
from nearfar.train.reducer import Reducer
from nearfar.train.run import Precision, Run
from nearfar.train.state import TrainingState
from nearfar.vae.initialisers.initialiser import Initialiser
from nearfar.vae.initialisers.saved import Saved
from nearfar.vae.initialisers.spectral import Spectral
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.likelihoods.bernoulli import bernoulli
from nearfar.vae.likelihoods.gaussian import GaussianLoss
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.likelihoods.multinomial import SoftReconstruction, reconstruction
from nearfar.vae.likelihoods.sampled import SampledReconstruction
from nearfar.vae.neighbours import Neighbourhoods
from nearfar.vae.terms.alignment import Alignment
from nearfar.vae.terms.kl import KL

BY_USER = (KL, Alignment, SampledReconstruction, SoftReconstruction, GaussianLoss)
"""Terms that use nothing of a batch's other users except what `Rows.whole` contains."""

FITTED = "fitted"

LARGE_PARAMETER = 1 << 18
"""Number of values from which on a parameter is sent in its own message."""


@dataclass(frozen=True, eq=False)
class Task:
    """The task of the workers of a training.

    Args:
        algorithm: algorithm to fit.
        histories: histories of the training users.
        validation: held-out users, which the first worker scores.
        folder: folder of checkpoint, metrics and fitted weights, which all workers see.
        seed: random seed of the run.
        precision: precision of the output layer's products.
        device: device to compute on.
        checkpoint_seconds, checkpoint_epochs: as in `Run`.
    """

    algorithm: AutoencoderAlgorithm
    histories: Histories
    validation: FoldIn | None
    folder: Path
    seed: int
    precision: Precision
    device: str
    checkpoint_seconds: float
    checkpoint_epochs: int

    @property
    def identity(self) -> dict[str, Any]:
        """What identifies the training of a checkpoint; without the number of workers."""
        held_out = self.validation
        return {
            "algorithm": discovery.name_of(type(self.algorithm)),
            "settings": settings.to_plain(self.algorithm),
            "train": self.histories.fingerprint,
            "validation": None
            if held_out is None
            else [held_out.fold_in.fingerprint, held_out.held_out.fingerprint],
        }

    @property
    def catalogue(self) -> TrainingCounts:
        return TrainingCounts(self.histories.item_counts, self.histories.n_users)


def check_shareable(algorithm: object) -> AutoencoderAlgorithm:
    """Return the algorithm, after checking that several workers can train it.

    Raises:
        SettingsError: the algorithm does not train an autoencoder, or needs all users, or all users
            of a batch, on one machine.
    """
    name = discovery.name_of(type(algorithm))
    if not isinstance(algorithm, AutoencoderAlgorithm):
        raise SettingsError(
            f"{name} is fitted on one machine; only autoencoders, such as multvae, are trained on "
            "several"
        )
    if algorithm.USER_NODES:
        raise SettingsError(f"{name} has parameters of each training user; train it on one machine")
    initialiser: Initialiser | None = algorithm.initialiser
    while isinstance(initialiser, Saved):
        initialiser = initialiser.before
    if not isinstance(initialiser, Xavier | Spectral):
        raise SettingsError(
            f"initialiser is {discovery.name_of(type(initialiser))}, which reads all users at "
            "once; use spectral, xavier or saved weights instead"
        )
    objective = algorithm.objective(TrainingCounts(np.ones(2, np.int64), 2), 0)
    for term in (weighted.term for weighted in objective.terms.values()):
        if not (isinstance(term, BY_USER) or term in (reconstruction, bernoulli)):
            raise SettingsError(
                f"{name} has the term {type(term).__name__}, which needs the whole batch; train it "
                "on one machine"
            )
    return algorithm


def train_part(task: Task, team: Team) -> History:
    """Train as one worker of a team; the first worker saves the weights in the task's folder.

    Raises:
        DivergedError: a term or a weight is no longer finite.
        EmptyDataError: no user has an item.
    """
    algorithm, histories = task.algorithm, task.histories
    run = Run(
        seed=task.seed, device="cuda" if task.device == "cuda" else "cpu",
        precision=task.precision, folder=task.folder if team.rank == 0 else None,
        checkpoint_seconds=task.checkpoint_seconds, checkpoint_epochs=task.checkpoint_epochs,
    )  # fmt: skip
    x = histories.read_range(team.rank, team.size)
    x = x[np.flatnonzero(np.diff(x.indptr))]
    parts = assemble(algorithm, x, task.catalogue, run.seed, team.sum_on_cpu)
    network = parts.model.network
    with torch.no_grad():
        for parameter in network.parameters():  # initial values may differ by rounding
            team.broadcast_first(parameter)
    terms = [weighted.term for weighted in parts.objective.terms.values()]
    is_sampled = any(isinstance(term, SampledReconstruction) for term in terms)
    feed = SharedFeed(x, run.torch_device, team, with_items=is_sampled)
    if not feed.n_users:
        raise EmptyDataError("no training user has an item")
    neighbourhoods = Neighbourhoods(feed.sample(run.seed))
    state = TrainingState(
        network, parts.objective, parts.plan, run, task.identity, feed.n_users, neighbourhoods,
        TeamReducer(team),
    )  # fmt: skip
    validate = None
    if task.validation is not None:
        scores = parts.validator(task.validation, run)
        validate = lambda: team.run_on_first(scores)  # noqa: E731
    try:
        state.resume(task.folder)
        _check_same_position(state, team, task.folder)
        state.start_metrics()
        epochs(state, feed, np.arange(feed.n_users), validate)
        state.keep_best()
    finally:
        state.release()
    if team.rank == 0:
        tensors = {k: v.detach() for k, v in state.modules.state_dict().items()}
        position = {
            "records": [r.to_dict() for r in run.history.records],
            "stopped_early": run.history.stopped_early,
        }
        Checkpoint(state.identity, position, tensors).write(task.folder / FITTED)
    return run.history


def _check_same_position(state: TrainingState, team: Team, folder: Path) -> None:
    """Check that all workers have resumed from the same checkpoint.

    Raises:
        ArtefactError: they have not.
    """
    step = state.steps_before + state.step_in_epoch
    positions = team.gather(np.array([state.epoch, step]))
    if (positions != positions[0]).any():
        raise ArtefactError(
            f"workers found checkpoints of steps {sorted(set(positions[:, 1].tolist()))} in "
            f"{folder}; all workers must see the same folder, as on a network file system"
        )


class TeamReducer(Reducer):
    """Sums losses and gradients over the workers of a team, each with a part of every batch.

    Each worker has the gradient of the mean over its own users. Weighted by the worker's share of
    the batch, these gradients add up to that of the mean over the batch, also if shares are uneven
    or a worker has no user in the batch. All workers then take the same step, so that weights,
    optimiser and sums are the same on all of them.

    Differs: this is not `DistributedDataParallel`, whose hooks see only gradients of autograd. The
    gradients of tables do not go through autograd (see `nearfar.kernels.gradients`), and only
    their touched rows are sent. The result is the same, but DDP would send gradients during the
    backward pass.

    Args:
        team: the workers.
    """

    def __init__(self, team: Team) -> None:
        self._team = team
        self._with_gradient: dict[Optimiser, list[nn.Parameter]] = {}

    def means(
        self, terms: dict[str, Float[Tensor, ""]], rows: Rows
    ) -> dict[str, Float[Tensor, ""]]:
        sums = torch.stack(list(terms.values())).double() * rows.n_users
        means = self._team.sum_all(sums) / rows.users_of_batch
        return dict(zip(terms, means, strict=True))

    def sums(self, values: Tensor) -> Tensor:
        return self._team.sum_all(values)

    @torch.no_grad()
    def reduce_gradients(self, optimiser: Optimiser, rows: Rows) -> None:
        share = rows.n_users / rows.users_of_batch
        self._reduce_dense(optimiser, share)
        for gradient in optimiser.table_gradients():
            self._reduce_rows(gradient, share)

    def _reduce_rows(self, gradient: Gradient, share: float) -> None:
        """Sum the rows that any worker touched; a flag per row first tells which these are."""
        items = self._team.max_all(gradient.touched()).nonzero()[:, 0]
        values = gradient.rows(items).mul_(share)
        gradient.replace(items, self._team.sum_all(values) if len(items) else values)

    def _reduce_dense(self, optimiser: Optimiser, share: float) -> None:
        """Sum the gradients of autograd: large parameters one by one, small ones in one message."""
        small = []
        for parameter in self._parameters_with_gradient(optimiser):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.mul_(share)
            if parameter.numel() < LARGE_PARAMETER:
                small.append(parameter.grad)
            else:
                self._team.sum_all(parameter.grad)
        if small:
            total = self._team.sum_all(torch.cat([g.reshape(-1) for g in small]))
            for gradient, part in zip(small, total.split([g.numel() for g in small]), strict=True):
                gradient.copy_(part.view_as(gradient))

    def _parameters_with_gradient(self, optimiser: Optimiser) -> list[nn.Parameter]:
        """Return the parameters with a gradient on any worker, which are the same in every step."""
        if optimiser not in self._with_gradient:
            local = [p.grad is not None for p in optimiser.parameters]
            flags = torch.tensor(local, dtype=torch.uint8, device=self._team.device)
            on_any_worker = self._team.max_all(flags).bool().tolist()
            self._with_gradient[optimiser] = [
                p for p, present in zip(optimiser.parameters, on_any_worker, strict=True) if present
            ]
        return self._with_gradient[optimiser]
