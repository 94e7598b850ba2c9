"""The optimiser of a shared training: gradients are added up before every step."""

from __future__ import annotations

from collections.abc import Collection

import torch
from torch import nn

from nearfar.cluster.team import Team
from nearfar.kernels.gradients import Gradient
from nearfar.train.optimiser import Optimiser
from nearfar.train.optimisers import Optimisers
from nearfar.train.phase import Phase
from nearfar.train.plan import Plan

APART = 1 << 18
"""Parameters of so many numbers travel alone; smaller ones together."""


def add_up(gradient: Gradient, team: Team) -> None:
    """Make a table's gradient the mean over the users of the whole batch, in place.

    Only the rows travel that some worker touched, after one bit per row has told which.
    """
    items = team.greatest(gradient.touched()).nonzero()[:, 0]
    values = gradient.rows(items).mul_(team.share)
    gradient.replace(items, team.add_up(values) if len(items) else values)


class SharedOptimiser(Optimiser):
    """The optimiser of one process, stepping by the gradient of the whole batch.

    Every worker has the gradient of the mean over its own users; weighted by their share of the
    batch the gradients of all add up to that of the mean over the batch, also where shares are
    uneven or a worker has no user in the batch. All then take the same step.

    Differs: not `DistributedDataParallel`, whose hooks see what autograd gathers. The gradients
    of tables do not go through autograd (see `nearfar.kernels.gradients`), and `add_up` sends only
    their touched rows. The result is the same; what is lost is that DDP sends while the backward
    pass still runs.
    """

    def __init__(
        self,
        module: nn.Module,
        plan: Plan,
        learning_rate: float,
        moving: Collection[nn.Parameter],
        team: Team,
    ) -> None:
        super().__init__(module, plan.optimiser, learning_rate, moving, plan.weight_decay)
        self._team = team
        self._moving = list(moving)
        self._present: list[nn.Parameter] | None = None

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        self._add_up_plain()
        for gradient in (*self.dense.values(), *(g for g, _ in self.by_row.values())):
            add_up(gradient, self._team)
        super().step(learning_rate)

    def _add_up_plain(self) -> None:
        """Add up what autograd gathered, in one message but for large parameters."""
        if self._present is None:  # the same in every step of a phase
            there = [p.grad is not None for p in self._moving]
            flags = torch.tensor(there, dtype=torch.uint8, device=self._team.device)
            known = self._team.greatest(flags).bool().tolist()
            self._present = [p for p, is_there in zip(self._moving, known, strict=True) if is_there]
        small = []
        for parameter in self._present:
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.mul_(self._team.share)
            if parameter.numel() < APART:
                small.append(parameter.grad)
            else:
                self._team.add_up(parameter.grad)
        if small:
            together = self._team.add_up(torch.cat([g.reshape(-1) for g in small]))
            for gradient, part in zip(
                small, together.split([g.numel() for g in small]), strict=True
            ):
                gradient.copy_(part.view_as(gradient))


class SharedOptimisers(Optimisers):
    """One shared optimiser a phase."""

    def __init__(self, modules: nn.ModuleDict, plan: Plan, team: Team) -> None:
        super().__init__(modules, plan)
        self._team = team

    def _made(self, phase: Phase) -> Optimiser:
        plan = self._plan
        moving = [p for n, p in self._named.items() if phase.moves_parameter(n)]
        rate = phase.learning_rate or plan.learning_rate
        return SharedOptimiser(self._modules, plan, rate, moving, self._team)
