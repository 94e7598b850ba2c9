"""The optimiser of a shared training: gradients are added up before every step."""

from __future__ import annotations

from collections.abc import Collection

import torch
from jaxtyping import Bool
from torch import Tensor, nn

from nearfar.cluster.team import Team
from nearfar.kernels.gradients import DenseGradient, RowGradient
from nearfar.train.optimiser import Optimiser
from nearfar.train.optimisers import Optimisers
from nearfar.train.phase import Phase
from nearfar.train.plan import Plan

APART = 1 << 18
"""Parameters of so many numbers travel alone; smaller ones together."""


class SharedDenseGradient(DenseGradient):
    """A gradient kept whole, of which the rows travel that some worker touched."""

    def add_up(self, team: Team) -> None:
        """Make it the mean over the users of the whole batch."""
        values = self._values
        if self._stale:
            values.zero_()
            self._stale = False
        touched = torch.zeros(len(values), dtype=torch.uint8, device=values.device)
        if self._whole:
            touched.fill_(1)
        for items in self._touched:
            touched[items] = 1
        union = team.greatest(touched).bool()
        self._touched.clear()
        if bool(union.all()):
            team.add_up(values.mul_(team.share))
            self._whole = True
        else:
            items = union.nonzero()[:, 0]
            values.index_copy_(0, items, team.add_up(values[items] * team.share))
            self._touched.append(items)
            self._whole = False


class SharedOptimiser(Optimiser):
    """The optimiser of one process, stepping by the gradient of the whole batch.

    Every worker has the gradient of the mean over its own users; weighted by their share of the
    batch the gradients of all add up to that of the mean over the batch, also where shares are
    uneven or a worker has no user in the batch. All then take the same step.

    Differs: not `DistributedDataParallel`, whose hooks see what autograd gathers. The gradients
    of tables (one row an item) do not go through autograd (see `nearfar.kernels.gradients`): of them
    only the rows travel that somebody touched, after a bit an item has told which these are. The
    result is the same; what is lost is that DDP sends while the backward pass still runs.
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
        self._kept: dict[nn.Parameter, SharedDenseGradient] = {}
        for parameter in self.dense:
            self._kept[parameter] = SharedDenseGradient(parameter)
        self.dense = {**self._kept}
        self.hold()

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        self._add_up_plain()
        for gradient in self._kept.values():
            gradient.add_up(self._team)
        for parameter, (gradient, _) in self.by_row.items():
            _add_up_rows(gradient, parameter, self._team)
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


def _add_up_rows(gradient: RowGradient, parameter: Tensor, team: Team) -> None:
    found = gradient.gathered()
    touched = torch.zeros(len(parameter), dtype=torch.uint8, device=parameter.device)
    if found is not None:
        touched[found[0]] = 1
    union: Bool[Tensor, " rows"] = team.greatest(touched).bool()
    items = union.nonzero()[:, 0]
    if not len(items):
        return
    values = parameter.new_zeros(len(items), parameter.shape[1])
    if found is not None:
        values.index_copy_(0, torch.searchsorted(items, found[0]), found[1] * team.share)
    gradient.clear()
    gradient.add_rows(items, team.add_up(values))


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
