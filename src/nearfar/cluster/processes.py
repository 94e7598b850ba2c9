"""The reducer of a shared training: sums and gradients are those of all workers."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from nearfar.cluster.team import Team
from nearfar.kernels.gradients import Gradient
from nearfar.kernels.rows import Rows
from nearfar.train.optimiser import Optimiser
from nearfar.train.reducer import Reducer

APART = 1 << 18
"""Parameters of so many numbers travel alone; smaller ones together."""


class Processes(Reducer):
    """The sums over the workers of a team, of which each has a part of every batch.

    Every worker has the gradient of the mean over its own users; weighted by their share of the
    batch the gradients of all add up to that of the mean over the batch, also where shares are
    uneven or a worker has no user in the batch. All then take the same step, so that weights,
    optimiser and sums are the same on all workers.

    Differs: not `DistributedDataParallel`, whose hooks see what autograd gathers. The gradients
    of tables do not go through autograd (see `nearfar.kernels.gradients`), and only their touched
    rows are sent. The result is the same; what is lost is that DDP sends while the backward pass
    still runs.

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
        means = self._team.add_up(sums) / rows.users_of_batch
        return dict(zip(terms, means, strict=True))

    def sums(self, values: Tensor) -> Tensor:
        return self._team.add_up(values)

    @torch.no_grad()
    def reduce_gradients(self, optimiser: Optimiser, rows: Rows) -> None:
        share = rows.n_users / rows.users_of_batch
        self._reduce_dense(optimiser, share)
        for gradient in optimiser.table_gradients():
            self._reduce_rows(gradient, share)

    def _reduce_rows(self, gradient: Gradient, share: float) -> None:
        """Send the rows that some worker touched, after one bit per row has told which."""
        items = self._team.greatest(gradient.touched()).nonzero()[:, 0]
        values = gradient.rows(items).mul_(share)
        gradient.replace(items, self._team.add_up(values) if len(items) else values)

    def _reduce_dense(self, optimiser: Optimiser, share: float) -> None:
        """Send what autograd gathered, in one message but for large parameters."""
        small = []
        for parameter in self._parameters_with_gradient(optimiser):
            if parameter.grad is None:
                parameter.grad = torch.zeros_like(parameter)
            parameter.grad.mul_(share)
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

    def _parameters_with_gradient(self, optimiser: Optimiser) -> list[nn.Parameter]:
        """Return the parameters that have a gradient on some worker: the same in every step."""
        if optimiser not in self._with_gradient:
            here = [p.grad is not None for p in optimiser.parameters]
            flags = torch.tensor(here, dtype=torch.uint8, device=self._team.device)
            anywhere = self._team.greatest(flags).bool().tolist()
            self._with_gradient[optimiser] = [
                p for p, present in zip(optimiser.parameters, anywhere, strict=True) if present
            ]
        return self._with_gradient[optimiser]
