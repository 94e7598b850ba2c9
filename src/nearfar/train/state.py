"""Where a training run stands: a step, an epoch's end, a checkpoint, taking one up."""

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

UNREAD_STEPS = {"cpu": 1, "cuda": 50}
"""How many steps' terms may wait on the device before they are read."""

Validate = Callable[[], dict[str, float]]


class TrainingState:
    """Where a run stands: weights, optimiser, sums of the epoch, best weights so far.

    Args:
        network: what is trained.
        objective: what is minimised.
        plan: how long, and by what steps.
        run: seed, device, folder, callbacks.
        identity: what a checkpoint must agree on.
        n_users: training users with items, of all processes.
        neighbourhoods: of a sample of the training users.
        reducer: sums over the processes that share the users; by default there is only one.
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
        run.history.clear()
        self.epoch = self.pass_in_epoch = self.step_in_pass = self.steps_before = 0
        self.means = Means(run.torch_device)
        self.information = Information(network.n_latent).to(run.torch_device)
        self.neighbourhoods = neighbourhoods
        self.reducer = reducer or LocalReducer()
        self.seconds = 0.0
        self.last_checkpoint = time.monotonic()
        self.best: dict[str, Tensor] = {}
        self.best_score = float("-inf")

    @property
    def history(self) -> History:
        return self.run.history

    def progress(self) -> Progress:
        scores = tuple(
            next(iter(r.validation.values())) for r in self.history.records if r.validation
        )
        step = self.steps_before + self.step_in_epoch
        return Progress(step, self.epoch, scores, self.n_steps, self.plan.epochs)

    @property
    def n_steps(self) -> int:
        """Steps of this epoch."""
        return len(self.plan.passes(self.epoch)) * self.steps_per_pass

    @property
    def step_in_epoch(self) -> int:
        return self.pass_in_epoch * self.steps_per_pass + self.step_in_pass

    def exhausted(self) -> bool:
        """Whether validation has not improved for longer than patience allows."""
        best = self.history.best_epoch
        waited = self.epoch - 1 - best if best is not None else 0
        done = bool(self.plan.patience) and waited >= self.plan.patience
        self.history.stopped_early = done
        return done

    def take_step(self, phase: Phase, rows: Rows) -> None:
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
        """The weights of the terms that a phase adds up."""
        weights = self.objective.weights(progress)
        return {name: weights[name] for name in phase.terms or weights}

    def end_pass(self, phase: Phase, *, last_of_phase: bool) -> None:
        """End a pass over the users."""
        if last_of_phase and phase.renews_prior and self.objective.prior is not None:
            self.objective.prior.renew(self.network.encoder)
        self.pass_in_epoch += 1
        self.step_in_pass = 0

    def read_terms(self) -> None:
        """Add up what steps since the last reading have left; stop where it is not finite.

        On a CPU that is every step, before the weights are touched. Reading from a GPU waits for
        it, so there it is done seldom: the weights may be spoilt by then, the best ones are not.
        """
        bad = self.means.read_waiting()
        if not bad:
            return
        kept = f"; the best epoch so far is {self.history.best_epoch}" if self.best else ""
        raise DivergedError(
            f"training diverged at step {self.progress().step} (epoch {self.epoch}): "
            f"{', '.join(sorted(bad, key=lambda n: n == 'loss'))} is not finite{kept}. "
            f"Lower learning_rate (it is {self.plan.learning_rate:g}) or the term's weight"
        )

    def end_epoch(self, validate: Validate | None) -> None:
        started = time.perf_counter()
        self.read_terms()  # weights that have diverged are not worth judging
        self.seconds += time.perf_counter() - started  # a GPU may have steps before it still
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
        """Validation scores of the weights as they are, and whether they are the best so far.

        The best are copied, but for the last epoch's: nothing moves them any more. A checkpoint
        needs a copy of these too.
        """
        self.network.eval()
        scores = validate() if validate else {}
        score = next(iter(scores.values())) if scores else float(self.epoch)
        better = score > self.best_score
        if better:
            self.best_score = score
            self.best = {}  # the old copy goes before the new comes
            last = self.epoch + 1 == self.plan.epochs and self.run.folder is None
            keep = Tensor.detach if last else torch.clone
            self.best = {k: keep(v.detach()) for k, v in self.modules.state_dict().items()}
        return scores, better

    def release(self) -> None:
        """Give back the memory that only training needs, whether it ended well or not."""
        self.optimisers.release()
        self.network.decoder.out.workspace.release()

    def keep_best(self) -> None:
        if not self.best:
            raise StoppedError(
                "stopped before the first epoch had ended: there is no model yet; "
                "resume to go on" + ("" if self.run.folder else " (needs a run folder)")
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
            "epoch": self.epoch,
            "pass_in_epoch": self.pass_in_epoch,
            "step_in_pass": self.step_in_pass,
            "steps_before": self.steps_before,
            "means": self.means.state(),
            "informed_users": self.information.n_users,
            "seconds": self.seconds,
            "best_score": self.best_score if self.best else None,
            "records": [r.to_dict() for r in self.history.records],
            "threads": torch.get_num_threads(),
        }
        path = Checkpoint(self.identity, position, tensors).write(self.run.folder)
        self.last_checkpoint = time.monotonic()
        for callback in self.run.callbacks:
            callback.checkpoint(CheckpointReport(path, self.epoch, self.progress().step))

    def resume(self, folder: Path | None) -> None:
        """Take up the checkpoint in the folder, if there is one."""
        found = Checkpoint.read(folder, self.identity) if folder else None
        if found is None:
            return
        self.modules.load_state_dict(found.part("now."))
        self.best = {k: v.to(self.run.torch_device) for k, v in found.part("best.").items()}
        self.optimisers.restore(found.part("adam."))
        position = found.position
        self.epoch, self.steps_before = position["epoch"], position["steps_before"]
        self.pass_in_epoch, self.step_in_pass = position["pass_in_epoch"], position["step_in_pass"]
        self.means.restore(position["means"])
        self.information.sums.copy_(found.tensors["information"])
        self.information.n_users = position["informed_users"]
        near = found.tensors.get("neighbours")
        self.neighbourhoods.last = None if near is None else near.to(self.run.torch_device)
        self.seconds = position["seconds"]
        if position["best_score"] is not None:
            self.best_score = position["best_score"]
        self.history.records[:] = [EpochRecord(**r) for r in position["records"]]

    def start_metrics(self) -> None:
        """Lines that a killed run wrote after its checkpoint are written again by this one."""
        if self.run.folder is not None:
            self.run.folder.mkdir(parents=True, exist_ok=True)
            self.history.write_jsonl(self.run.folder / "metrics.jsonl")
