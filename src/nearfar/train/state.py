"""The state of a training run: take a step, end an epoch, write a checkpoint, resume from it."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.core.errors import DivergedError, StoppedError
from nearfar.core.seeding import derive
from nearfar.kernels.rows import Rows
from nearfar.train.callback import CheckpointReport
from nearfar.train.checkpoint import Checkpoint
from nearfar.train.history import EpochRecord, History, StepReport
from nearfar.train.means import Means
from nearfar.train.optimiser import Optimisers
from nearfar.train.plan import Phase, TrainingPlan
from nearfar.train.reducer import LocalReducer, Reducer
from nearfar.train.run import Run
from nearfar.vae.information import Information, moments_of
from nearfar.vae.neighbours import Neighbourhoods
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective
from nearfar.vae.weights.weight import Progress

COLLAPSED_NATS = 0.01
"""A latent dimension with less information about the user counts as collapsed."""

UNREAD_STEPS = {"cpu": 1, "cuda": 50}
"""Steps after which the terms are read from the device."""

Validate = Callable[[], dict[str, float]]
"""Returns the validation scores of the current weights; the first one decides what is best."""


class TrainingState:
    """The state of a run: weights, optimiser, sums over the epoch and the best weights so far.

    Args:
        network: the network to train.
        objective: the objective to minimise.
        plan: epochs, batches and optimiser.
        run: seed, device, folder and callbacks.
        identity: what identifies the run; a checkpoint with another identity is refused.
        n_users: training users with items, of all processes.
        neighbourhoods: neighbours of a sample of the training users.
        reducer: sums over the processes that share the users; by default for one process.
    """

    def __init__(
        self,
        network: VAE,
        objective: Objective,
        plan: TrainingPlan,
        run: Run,
        identity: dict[str, Any],
        n_users: int,
        neighbourhoods: Neighbourhoods,
        reducer: Reducer | None = None,
    ) -> None:
        self.network = network.to(run.torch_device)
        self.objective = objective.to(run.torch_device)
        self.plan = plan
        self.run = run
        self.identity = {
            **identity, "plan": asdict(plan), "seed": run.seed, "precision": run.precision,
        }  # fmt: skip
        workspace = self.network.decoder.out.workspace
        workspace.limit_bytes, workspace.fused = run.scores_bytes, run.fused
        workspace.dtype = torch.bfloat16 if run.precision == "bfloat16" else None
        self.n_users = n_users
        self.steps_per_pass = -(-n_users // plan.batch_size)
        self.modules = nn.ModuleDict({"network": self.network, "objective": self.objective})
        if self.objective.prior is not None:
            self.objective.prior.renew(self.network.encoder)
        self.optimisers = Optimisers(self.modules, plan)
        self.history = run.history
        self.history.clear()
        self.epoch = self.pass_in_epoch = self.step_in_pass = self.steps_before = 0
        self.means = Means(run.torch_device)
        self.information = Information(network.n_latent).to(run.torch_device)
        self.neighbourhoods = neighbourhoods
        self.reducer = reducer or LocalReducer()
        self.seconds = 0.0
        self.last_checkpoint = time.monotonic()
        self.best: dict[str, Tensor] = {}
        self.best_score = float("-inf")

    def progress(self) -> Progress:
        """Return the progress that loss weights and the learning rate depend on."""
        scores = tuple(
            next(iter(r.validation.values())) for r in self.history.records if r.validation
        )
        step = self.steps_before + self.step_in_epoch
        return Progress(step, self.epoch, scores, self.n_steps, self.plan.epochs)

    @property
    def n_steps(self) -> int:
        """Steps in this epoch."""
        return len(self.plan.passes(self.epoch)) * self.steps_per_pass

    @property
    def step_in_epoch(self) -> int:
        return self.pass_in_epoch * self.steps_per_pass + self.step_in_pass

    def exhausted(self) -> bool:
        """Return whether patience is exhausted, and record it in the history."""
        best = self.history.best_epoch
        epochs_since_best = self.epoch - 1 - best if best is not None else 0
        exhausted = bool(self.plan.patience) and epochs_since_best >= self.plan.patience
        self.history.stopped_early = exhausted
        return exhausted

    def take_step(self, phase: Phase, rows: Rows) -> None:
        """Update the weights by one batch, and report the step."""
        started = time.perf_counter()
        progress = self.progress()
        rng = torch.Generator(self.run.torch_device)
        rng.manual_seed(derive(self.run.seed, "step", progress.step))
        weights = self.weights(progress, phase)
        optimiser = self.optimisers.of(phase)
        self.network.train()
        if rows.n_users:
            step = self.network.training_step(
                rows, rng, corrupt=phase.corrupt, noise=self.plan.noise
            )
            loss, terms = self.objective(step, weights)
        else:  # only other processes have users in this batch
            step, loss = None, torch.zeros((), device=self.run.torch_device)
            terms = dict.fromkeys(weights, loss)
        means = self.reducer.means({"loss": loss.detach(), **terms}, rows)
        self.means.add(means, rows.users_of_batch)
        if self.means.unread >= UNREAD_STEPS[self.run.torch_device.type]:
            self.read_terms()
        optimiser.zero()
        if step is not None:
            loss.backward()
        self.reducer.reduce_gradients(optimiser, rows)
        rate = phase.learning_rate or self.plan.learning_rate
        optimiser.step(rate * self.plan.schedule(progress))
        sums = self.information.sums
        moments = torch.zeros_like(sums) if step is None else moments_of(step.posterior)
        self.information.add_sums(self.reducer.sums(moments), rows.users_of_batch)
        self.step_in_pass += 1
        self.seconds += time.perf_counter() - started
        if self.run.callbacks:
            report = StepReport(
                self.epoch, self.plan.epochs, self.step_in_epoch, self.n_steps, self.means.values,
                self.means.users_done / max(self.seconds, 1e-9), self.progress().step,
            )  # fmt: skip
            for callback in self.run.callbacks:
                callback.step(report)

    def weights(self, progress: Progress, phase: Phase) -> dict[str, float]:
        """Return the weights of the objective terms of a phase."""
        weights = self.objective.weights(progress)
        return {name: weights[name] for name in phase.terms or weights}

    def end_pass(self, phase: Phase, *, last_of_phase: bool) -> None:
        """Count a pass over the users; renew the prior if the phase ends and asks for it."""
        if last_of_phase and phase.renews_prior and self.objective.prior is not None:
            self.objective.prior.renew(self.network.encoder)
        self.pass_in_epoch += 1
        self.step_in_pass = 0

    def read_terms(self) -> None:
        """Read the terms of the steps since the last reading; raise if one is not finite.

        On a CPU this happens in every step, before the weights change. Reading from a GPU waits
        for it and happens rarely: the current weights may be damaged by then, the best are not.
        """
        diverged = self.means.read_waiting()
        if not diverged:
            return
        best = f"; the best epoch so far is {self.history.best_epoch}" if self.best else ""
        raise DivergedError(
            f"training diverged at step {self.progress().step} (epoch {self.epoch}): "
            f"{', '.join(sorted(diverged, key=lambda n: n == 'loss'))} is not finite{best}. "
            f"Lower learning_rate (it is {self.plan.learning_rate:g}) or the term's weight"
        )

    def end_epoch(self, validate: Validate | None) -> None:
        """Validate, record and report the epoch, and start the next one."""
        started = time.perf_counter()
        self.read_terms()  # before validation, which is useless if training has diverged
        self.seconds += time.perf_counter() - started  # includes waiting for the steps of a GPU
        started = time.perf_counter()
        scores, better = self.judge(validate)
        means = self.means.values
        record = EpochRecord(
            epoch=self.epoch,
            step=self.steps_before + self.n_steps,
            loss=means.pop("loss"),
            terms=means,
            weights=self.objective.weights(self.progress()),
            collapsed_dimensions=int((self.information.nats() < COLLAPSED_NATS).sum()),
            validation=scores,
            best=better,
            seconds=self.seconds,
            validation_seconds=time.perf_counter() - started,
            users_per_second=self.means.users_done / max(self.seconds, 1e-9),
            neighbours_kept=self.neighbourhoods.kept(self.network),
        )
        self.history.records.append(record)
        if self.run.folder is not None:
            History.append_jsonl(self.run.folder / "metrics.jsonl", record)
        self.steps_before += self.n_steps
        self.epoch += 1
        if any(p.from_best and p.first_epoch == self.epoch for p in self.plan.phases):
            self.modules.load_state_dict(self.best)
        self.pass_in_epoch = self.step_in_pass = 0
        self.means.clear()
        self.information.clear()
        self.seconds = 0.0
        for callback in self.run.callbacks:
            callback.epoch(record)
        if self.run.checkpoint_epochs and self.epoch % self.run.checkpoint_epochs == 0:
            self.write_checkpoint()

    def judge(self, validate: Validate | None) -> tuple[dict[str, float], bool]:
        """Return the validation scores of the current weights, and whether they are the best.

        The best weights are copied. Those of the last epoch need no copy, because they do not
        change any more, unless a checkpoint is written.
        """
        self.network.eval()
        scores = validate() if validate else {}
        score = next(iter(scores.values())) if scores else float(self.epoch)
        better = score > self.best_score
        if better:
            self.best_score = score
            self.best = {}  # frees the old copy before the new one is made
            is_final = self.epoch + 1 == self.plan.epochs and self.run.folder is None
            copy = Tensor.detach if is_final else torch.clone
            self.best = {k: copy(v.detach()) for k, v in self.modules.state_dict().items()}
        return scores, better

    def release(self) -> None:
        """Free the memory that only training needs."""
        self.optimisers.release()
        self.network.decoder.out.workspace.release()

    def keep_best(self) -> None:
        """Load the best weights; raise `StoppedError` if no epoch has ended."""
        if not self.best:
            raise StoppedError(
                "stopped before the first epoch had ended: there is no model yet; "
                "resume to continue" + ("" if self.run.folder else " (needs a run folder)")
            )
        self.modules.load_state_dict(self.best)

    def checkpoint_if_due(self) -> None:
        if time.monotonic() - self.last_checkpoint >= self.run.checkpoint_seconds:
            self.write_checkpoint()

    def write_checkpoint(self) -> None:
        if self.run.folder is None:
            return
        self.read_terms()
        tensors = {f"now.{k}": v for k, v in self.modules.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"adam.{k}": v for k, v in self.optimisers.state().items()}
        tensors["information"] = self.information.sums
        if self.neighbourhoods.last is not None:
            tensors["neighbours"] = self.neighbourhoods.last
        position = {
            "epoch": self.epoch, "pass_in_epoch": self.pass_in_epoch,
            "step_in_pass": self.step_in_pass, "steps_before": self.steps_before,
            "means": self.means.state(), "informed_users": self.information.n_users,
            "seconds": self.seconds, "best_score": self.best_score if self.best else None,
            "records": [r.to_dict() for r in self.history.records],
            "threads": torch.get_num_threads(),
        }  # fmt: skip
        path = Checkpoint(self.identity, position, tensors).write(self.run.folder)
        self.last_checkpoint = time.monotonic()
        for callback in self.run.callbacks:
            callback.checkpoint(CheckpointReport(path, self.epoch, self.progress().step))

    def resume(self, folder: Path | None) -> None:
        """Restore the state from the checkpoint in the folder, if there is one."""
        checkpoint = Checkpoint.read(folder, self.identity) if folder else None
        if checkpoint is None:
            return
        self.modules.load_state_dict(checkpoint.part("now."))
        self.best = {k: v.to(self.run.torch_device) for k, v in checkpoint.part("best.").items()}
        self.optimisers.restore(checkpoint.part("adam."))
        position = checkpoint.position
        self.epoch, self.steps_before = position["epoch"], position["steps_before"]
        self.pass_in_epoch, self.step_in_pass = position["pass_in_epoch"], position["step_in_pass"]
        self.means.restore(position["means"])
        self.information.sums.copy_(checkpoint.tensors["information"])
        self.information.n_users = position["informed_users"]
        neighbours, device = checkpoint.tensors.get("neighbours"), self.run.torch_device
        self.neighbourhoods.last = None if neighbours is None else neighbours.to(device)
        self.seconds = position["seconds"]
        if position["best_score"] is not None:
            self.best_score = position["best_score"]
        self.history.records[:] = [EpochRecord(**r) for r in position["records"]]

    def start_metrics(self) -> None:
        """Rewrite metrics.jsonl without lines that a killed run wrote after its checkpoint."""
        if self.run.folder is not None:
            self.run.folder.mkdir(parents=True, exist_ok=True)
            self.history.write_jsonl(self.run.folder / "metrics.jsonl")
