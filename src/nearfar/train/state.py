"""Where a training run stands: a step, an epoch's end, a checkpoint, taking one up."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import asdict
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn

from nearfar.core.errors import DivergedError, NearfarError
from nearfar.core.seeding import derive
from nearfar.train.checkpoint import Checkpoint
from nearfar.train.history import EpochRecord, History, StepReport
from nearfar.train.optimiser import Optimiser
from nearfar.train.plan import Plan
from nearfar.train.run import Run
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective
from nearfar.vae.rows import Rows
from nearfar.vae.weights.weight import Progress

COLLAPSED_NATS = 0.01

UNREAD_STEPS = {"cpu": 1, "cuda": 50}
"""How many steps' terms may wait on the device before they are read."""

Validate = Callable[[], dict[str, float]]


class State:
    """Where a run stands: weights, optimiser, sums of the epoch, best weights so far."""

    def __init__(
        self,
        network: VAE,
        objective: Objective,
        plan: Plan,
        run: Run,
        identity: dict[str, Any],
        n_users: int,
    ) -> None:
        self.network = network.to(run.torch_device)
        self.objective = objective.to(run.torch_device)
        self.plan = plan
        self.run = run
        self.identity = {
            **identity, "plan": asdict(plan), "seed": run.seed, "precision": run.precision,
        }  # fmt: skip
        workspace = self.network.decoder.out.workspace
        workspace.limit_bytes = run.scores_bytes
        workspace.dtype = torch.bfloat16 if run.precision == "bfloat16" else None
        self.n_users = n_users
        self.n_steps = -(-n_users // plan.batch_size)
        self.modules = nn.ModuleDict({"network": self.network, "objective": self.objective})
        self.optimiser = Optimiser(self.modules, plan.optimiser, plan.learning_rate)
        run.history.clear()
        self.epoch = 0
        self.step_in_epoch = 0
        self.sums: dict[str, float] = {}
        self.unread: list[Tensor] = []
        self.kl_sums = torch.zeros(network.n_latent, dtype=torch.float64, device=run.torch_device)
        self.users_done = self.users_read = 0
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
        step = self.epoch * self.n_steps + self.step_in_epoch
        return Progress(step, self.epoch, scores, self.n_steps)

    def exhausted(self) -> bool:
        """Whether validation has not improved for longer than patience allows."""
        best = self.history.best_epoch
        waited = self.epoch - 1 - best if best is not None else 0
        done = bool(self.plan.patience) and waited >= self.plan.patience
        self.history.stopped_early = done
        return done

    def take_step(self, rows: Rows) -> None:
        started = time.perf_counter()
        progress = self.progress()
        rng = torch.Generator(self.run.torch_device)
        rng.manual_seed(derive(self.run.seed, "step", progress.step))
        weights = self.objective.weights(progress)
        self.network.train()
        step = self.network.training_step(rows, rng)
        loss, terms = self.objective(step, weights)
        self.unread.append(torch.stack([loss.detach(), *terms.values()]).double() * rows.n_users)
        self.users_done += rows.n_users
        if len(self.unread) >= UNREAD_STEPS[self.run.torch_device.type]:
            self.read_terms(progress)
        self.optimiser.zero()
        loss.backward()
        self.optimiser.step(self.plan.learning_rate * self.plan.schedule(progress))
        self.kl_sums += self.objective.kl_per_dimension(step).sum(0)
        self.step_in_epoch += 1
        self.seconds += time.perf_counter() - started
        self.run.reporter.step(
            StepReport(
                epoch=self.epoch,
                n_epochs=self.plan.epochs,
                step=self.step_in_epoch,
                n_steps=self.n_steps,
                terms=self.means(),
                users_per_second=self.users_done / max(self.seconds, 1e-9),
            )
        )

    def means(self) -> dict[str, float]:
        return {name: value / max(1, self.users_read) for name, value in self.sums.items()}

    def read_terms(self, progress: Progress) -> None:
        """Add up what steps since the last reading have left; stop where it is not finite.

        On a CPU that is every step, before the weights are touched. Reading from a GPU waits for
        it, so there it is done seldom: the weights may be spoilt by then, the best ones are not.
        """
        if not self.unread:
            return
        names = ("loss", *self.objective.addends)
        found = torch.stack(self.unread).sum(0).tolist()
        self.unread.clear()
        self.users_read = self.users_done
        for name, value in zip(names, found, strict=True):
            self.sums[name] = self.sums.get(name, 0.0) + value
        bad = [name for name in names if not np.isfinite(self.sums[name])]
        if not bad:
            return
        kept = f"; the best epoch so far is {self.history.best_epoch}" if self.best else ""
        raise DivergedError(
            f"training diverged at step {progress.step} (epoch {self.epoch}): "
            f"{', '.join(sorted(bad, key=lambda n: n == 'loss'))} is not finite{kept}. "
            f"Lower learning_rate (it is {self.plan.learning_rate:g}) or the term's weight"
        )

    def end_epoch(self, validate: Validate | None) -> None:
        started = time.perf_counter()
        self.read_terms(self.progress())  # weights that have diverged are not worth judging
        scores, better = self.judge(validate)
        means = self.means()
        record = EpochRecord(
            epoch=self.epoch,
            step=(self.epoch + 1) * self.n_steps,
            loss=means.pop("loss"),
            terms=means,
            weights=self.objective.weights(self.progress()),
            collapsed_dimensions=int((self.kl_sums / self.users_done < COLLAPSED_NATS).sum()),
            validation=scores,
            best=better,
            seconds=self.seconds,
            validation_seconds=time.perf_counter() - started,
            users_per_second=self.users_done / max(self.seconds, 1e-9),
        )
        self.history.records.append(record)
        if self.run.folder is not None:
            History.append_jsonl(self.run.folder / "metrics.jsonl", record)
        self.epoch += 1
        self.step_in_epoch = 0
        self.sums, self.users_done, self.users_read, self.seconds = {}, 0, 0, 0.0
        self.kl_sums.zero_()
        self.run.reporter.epoch(record)
        every = self.run.checkpoint_epochs
        if every and self.epoch % every == 0:
            self.write_checkpoint()

    def judge(self, validate: Validate | None) -> tuple[dict[str, float], bool]:
        """Validation scores of the weights as they are, and whether they are the best so far.

        The best are copied.
        """
        self.network.eval()
        scores = validate() if validate else {}
        score = next(iter(scores.values())) if scores else float(self.epoch)
        better = score > self.best_score
        if better:
            self.best_score = score
            self.best = {}  # the old copy goes before the new comes
            self.best = {k: v.detach().clone() for k, v in self.modules.state_dict().items()}
        return scores, better

    def release(self) -> None:
        """Give back the memory that only training needs, whether it ended well or not."""
        self.optimiser.release()
        self.network.decoder.out.workspace.release()

    def keep_best(self) -> None:
        if not self.best:
            raise NearfarError(
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
        self.read_terms(self.progress())
        tensors = {f"now.{k}": v for k, v in self.modules.state_dict().items()}
        tensors |= {f"best.{k}": v for k, v in self.best.items()}
        tensors |= {f"adam.{k}": v for k, v in self.optimiser.state().items()}
        tensors["kl_sums"] = self.kl_sums
        position = {
            "epoch": self.epoch,
            "step_in_epoch": self.step_in_epoch,
            "sums": self.sums,
            "users_done": self.users_done,
            "seconds": self.seconds,
            "best_score": self.best_score if self.best else None,
            "records": [r.to_dict() for r in self.history.records],
        }
        Checkpoint(self.identity, position, tensors).write(self.run.folder)
        self.last_checkpoint = time.monotonic()

    def resume(self) -> None:
        """Take up the run's checkpoint, if there is one."""
        found = Checkpoint.read(self.run.folder, self.identity) if self.run.folder else None
        if found is None:
            return

        def part(prefix: str) -> dict[str, Tensor]:
            return {
                k.removeprefix(prefix): v for k, v in found.tensors.items() if k.startswith(prefix)
            }

        self.modules.load_state_dict(part("now."))
        self.best = {k: v.to(self.run.torch_device) for k, v in part("best.").items()}
        self.optimiser.restore(part("adam."))
        self.kl_sums = found.tensors["kl_sums"].to(self.run.torch_device)
        position = found.position
        self.epoch = position["epoch"]
        self.step_in_epoch = position["step_in_epoch"]
        self.sums = position["sums"]
        self.users_done = self.users_read = position["users_done"]
        self.seconds = position["seconds"]
        if position["best_score"] is not None:
            self.best_score = position["best_score"]
        self.history.records[:] = [EpochRecord(**r) for r in position["records"]]

    def start_metrics(self) -> None:
        """Lines that a killed run wrote after its checkpoint are written again by this one."""
        if self.run.folder is not None:
            self.run.folder.mkdir(parents=True, exist_ok=True)
            self.history.write_jsonl(self.run.folder / "metrics.jsonl")
