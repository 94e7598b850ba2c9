"""Where a shared training stands: the same on all workers, written by the first."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from nearfar.cluster.feed import SharedFeed
from nearfar.cluster.gradients import SharedOptimisers
from nearfar.cluster.sums import SharedInformation, SharedMeans, SharedNeighbourhoods
from nearfar.core.errors import ArtefactError
from nearfar.kernels.rows import Rows
from nearfar.train.phase import Phase
from nearfar.train.plan import Plan
from nearfar.train.run import Run
from nearfar.train.state import State
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective


class SharedState(State):
    """`State` whose sums and gradients are those of all workers.

    A step is `State`'s own; what it adds to and steps by is shared. Weights, optimiser and sums
    are the same on all workers after every step, so that the first one's checkpoint is
    everybody's, for any number of workers.

    Args:
        run: with a folder on the first worker alone.
        feed: whose users they are.
    """

    def __init__(
        self,
        network: VAE,
        objective: Objective,
        plan: Plan,
        run: Run,
        identity: dict[str, Any],
        feed: SharedFeed,
    ) -> None:
        team = feed.team
        near = SharedNeighbourhoods(feed.x, feed.first_user, feed.n_users, run.seed, team)
        super().__init__(network, objective, plan, run, identity, feed.n_users, near)
        self.team = team
        self.optimisers = SharedOptimisers(self.modules, plan, team)
        self.means = SharedMeans(run.torch_device, team)
        self.information = SharedInformation(network.n_latent, team).to(run.torch_device)

    def take_step(self, phase: Phase, rows: Rows) -> None:
        if rows.n_users:
            super().take_step(phase, rows)
        else:
            self._stand_by(phase)

    def _stand_by(self, phase: Phase) -> None:
        """A step in which only other workers have users."""
        progress = self.progress()
        nothing = torch.zeros((), device=self.run.torch_device)
        self.means.add(dict.fromkeys(("loss", *self.weights(progress, phase)), nothing), 0)
        self.read_terms()
        optimiser = self.optimisers.of(phase)
        optimiser.zero()
        rate = phase.learning_rate or self.plan.learning_rate
        optimiser.step(rate * self.plan.schedule(progress))
        self.information.add(None)
        self.step_in_pass += 1

    def resume_from(self, folder: Path) -> None:
        """Take up the checkpoint of the first worker, if there is one.

        Raises:
            ArtefactError: workers do not see the same checkpoint.
        """
        run = self.run
        self.run = replace(run, folder=folder)
        try:
            self.resume()
        finally:
            self.run = run
        step = self.steps_before + self.step_in_epoch
        found = self.team.gather(np.array([self.epoch, step]))
        if (found != found[0]).any():
            raise ArtefactError(
                f"workers found checkpoints of steps {sorted(set(found[:, 1].tolist()))} in "
                f"{folder}; it must be one folder for all, as on a network file system"
            )
