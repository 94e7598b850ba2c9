"""Optimisers: fused Adam, and updates of only those rows of large tables that a batch touched."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from jaxtyping import Float, Int64
from torch import Tensor, nn

from nearfar.kernels.gradients import DenseGradient, Gradient, ParameterTable, RowGradient, tables
from nearfar.kernels.memory import zeros_like
from nearfar.train.plan import OptimiserName, Phase, TrainingPlan

BETA1, BETA2, EPS = 0.9, 0.999, 1e-8
"""Adam's usual constants."""


class RowUpdate(ABC):
    """The optimiser of one table, which updates single rows, and its state."""

    @abstractmethod
    def move(
        self,
        table: Float[Tensor, "items columns"],
        rows: Int64[Tensor, " touched"],
        gradient: Float[Tensor, "touched columns"],
        learning_rate: float,
    ) -> None:
        """Update rows of the table in place.

        Args:
            table: the table.
            rows: positions of the rows, each once.
            gradient: their gradients.
            learning_rate: of this step.
        """

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Return the complete state: the tensors themselves, not copies."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """Restore what `state` returned."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])


class LazyAdam(RowUpdate):
    """Adam that updates a row only when a batch touches it.

    Differs: unlike in Adam, the moments of rows that a batch does not touch do not decay, and
    momentum does not change these rows. Bias is corrected by the number of all steps. The same as
    `torch.optim.SparseAdam`.
    """

    def __init__(self, table: Tensor) -> None:
        self.mean = zeros_like(table)
        self.square = zeros_like(table)
        self.steps = torch.zeros((), dtype=torch.int64)

    def move(self, table: Tensor, rows: Tensor, gradient: Tensor, learning_rate: float) -> None:
        self.steps += 1
        n = int(self.steps)
        mean = self.mean[rows].lerp_(gradient, 1 - BETA1)
        square = self.square[rows].mul_(BETA2).addcmul_(gradient, gradient, value=1 - BETA2)
        self.mean.index_copy_(0, rows, mean)
        self.square.index_copy_(0, rows, square)
        step_size = learning_rate * (1 - BETA2**n) ** 0.5 / (1 - BETA1**n)
        table.index_add_(0, rows, mean.div_(square.sqrt_().add_(EPS)), alpha=-step_size)

    def state(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "square": self.square, "steps": self.steps}


class RowAdam(RowUpdate):
    """Adam without momentum, with one second moment per row and so almost no state.

    A row changes by learning_rate * g / sqrt(v). v is the running mean of the row's mean squared
    gradient over the row's own updates, and its bias is corrected by their number. A table and its
    optimiser take a third of the memory that they take with `LazyAdam`.
    """

    def __init__(self, table: Tensor) -> None:
        self.square = table.new_zeros(len(table))
        self.steps = torch.zeros(len(table), dtype=torch.int32, device=table.device)

    def move(self, table: Tensor, rows: Tensor, gradient: Tensor, learning_rate: float) -> None:
        steps = self.steps[rows] + 1
        square = self.square[rows].lerp_(gradient.square().mean(1), 1 - BETA2)
        self.steps.index_copy_(0, rows, steps)
        self.square.index_copy_(0, rows, square)
        unbiased = square / (1 - BETA2 ** steps.to(square.dtype))
        scale = unbiased.sqrt_().add_(EPS)
        table.index_add_(0, rows, gradient / scale[:, None], alpha=-learning_rate)

    def state(self) -> dict[str, Tensor]:
        return {"square": self.square, "steps": self.steps}


ROW_UPDATES: dict[str, Callable[[Tensor], RowUpdate]] = {"lazy_adam": LazyAdam, "row_adam": RowAdam}


class Optimiser:
    """Adam over the parameters of a module; tables (one row per item) may be updated by rows.

    "adam" gives the result of `torch.optim.Adam` on dense gradients: momentum also changes rows
    that a batch does not touch. The memory of the gradients is reused from step to step. With the
    other names, rows that a batch does not touch do not change.

    Args:
        module: the module to train.
        name: how tables are updated.
        learning_rate: Adam's.
        moving: the parameters of the module to train; None for all.
        weight_decay: of matrices; added to the gradient as in `torch.optim.Adam`.
    """

    def __init__(
        self,
        module: nn.Module,
        name: OptimiserName,
        learning_rate: float,
        moving: Collection[nn.Parameter] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        parameters = list(module.parameters())
        if moving is not None:
            moving_ids = {id(p) for p in moving}
            parameters = [p for p in parameters if id(p) in moving_ids]
        self.dense: dict[ParameterTable, DenseGradient] = {}
        self.by_row: dict[ParameterTable, tuple[RowGradient, RowUpdate]] = {}
        self.parameters = parameters
        trained_ids = {id(p) for p in parameters}
        for table in tables(module):
            if id(table) not in trained_ids:
                continue
            if name == "adam":
                self.dense[table] = DenseGradient(table)
            else:
                update = ROW_UPDATES[name](table.detach())
                self.by_row[table] = (RowGradient(table), update)
        for_adam = [p for p in parameters if p not in self.by_row]
        groups: list[dict[str, Any]] = [{"params": for_adam}]
        if weight_decay:
            matrices = [p for p in for_adam if p.ndim > 1]
            vectors = [p for p in for_adam if p.ndim < 2]
            groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors}]
        self.adam = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        for parameter in self.dense:  # so that `zeros_like` allocates the moments, not Adam
            self.adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": zeros_like(parameter.detach()),
                "exp_avg_sq": zeros_like(parameter.detach()),
            }
        self.hold()

    def hold(self) -> None:
        """Receive the gradients of tables; undone by `release`."""
        for table, gradient in self.dense.items():
            table.gradient = gradient
        for table, (gradient, _) in self.by_row.items():
            table.gradient = gradient

    def table_gradients(self) -> list[Gradient]:
        """Return the objects that gather the gradients of the tables."""
        return [*self.dense.values(), *(gradient for gradient, _ in self.by_row.values())]

    def zero(self) -> None:
        """Set all gradients to zero."""
        self.adam.zero_grad()
        for gradient in self.dense.values():
            gradient.clear()
        for parameter, (gradient, _) in self.by_row.items():
            parameter.grad = None
            gradient.clear()

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Update the parameters by the gradients gathered since `zero`."""
        for parameter, gradient in self.dense.items():
            gathered = gradient.gathered()
            if gathered is None:
                continue
            if parameter.grad is None:
                parameter.grad = gathered
            else:  # an objective term used the table as a dense tensor
                parameter.grad += gathered
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        self.adam.step()
        for parameter, (gradient, update) in self.by_row.items():
            if parameter.grad is not None:
                all_rows = torch.arange(len(parameter), device=parameter.device)
                gradient.add_rows(all_rows, parameter.grad)
            gathered = gradient.gathered()
            if gathered is not None:
                update.move(parameter, *gathered, learning_rate)

    def release(self) -> None:
        """Let autograd store the gradients of tables again, and delete all gradients."""
        self.adam.zero_grad()
        for table in (*self.dense, *self.by_row):
            table.grad = table.gradient = None

    def state(self) -> dict[str, Tensor]:
        """Return the complete state as named tensors."""
        state = self.adam.state_dict()["state"]
        tensors = {f"{i}.{k}": v for i, values in state.items() for k, v in values.items()}
        for i, (_, update) in enumerate(self.by_row.values()):
            tensors |= {f"row{i}.{k}": v for k, v in update.state().items()}
        return tensors

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        adam: dict[int, dict[str, Tensor]] = {}
        by_row: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, _, name = key.partition(".")
            group, number = (by_row, index[3:]) if index.startswith("row") else (adam, index)
            group.setdefault(int(number), {})[name] = value
        self.adam.load_state_dict({**self.adam.state_dict(), "state": adam})
        for i, (_, update) in enumerate(self.by_row.values()):
            update.restore(by_row[i])


class Optimisers:
    """The optimisers of a plan's phases, each over the parameters that its phase trains.

    Parameters that the active phase does not train are frozen.

    Args:
        modules: the network and the objective.
        plan: the plan with the phases.
    """

    def __init__(self, modules: nn.ModuleDict, plan: TrainingPlan) -> None:
        self._modules = modules
        self._plan = plan
        self._parameters = {n: p for n, p in modules.named_parameters() if p.requires_grad}
        self._by_phase: dict[Phase, Optimiser] = {}
        self._active: Phase | None = None

    def of(self, phase: Phase) -> Optimiser:
        """Return the optimiser of a phase and make it the active one, which receives gradients."""
        if phase == self._active:
            return self._by_phase[phase]
        if self._active is not None:
            self._by_phase[self._active].release()
        for name, parameter in self._parameters.items():
            parameter.requires_grad_(phase.moves_parameter(name))
        if phase in self._by_phase:
            self._by_phase[phase].hold()
        else:
            self._by_phase[phase] = self._make(phase)
        self._active = phase
        return self._by_phase[phase]

    def _make(self, phase: Phase) -> Optimiser:
        plan = self._plan
        moving = [p for n, p in self._parameters.items() if phase.moves_parameter(n)]
        rate = phase.learning_rate or plan.learning_rate
        return Optimiser(self._modules, plan.optimiser, rate, moving, plan.weight_decay)

    def release(self) -> None:
        """Let autograd store all gradients again, and make all parameters trainable."""
        if self._active is not None:
            self._by_phase[self._active].release()
            self._active = None
        for parameter in self._parameters.values():
            parameter.requires_grad_(True)

    def state(self) -> dict[str, Tensor]:
        """Return the complete state as named tensors."""
        return {
            f"phase{self._plan.phases.index(phase)}.{name}": value
            for phase, optimiser in self._by_phase.items()
            for name, value in optimiser.state().items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """Restore what `state` returned."""
        by_phase: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            phase, _, name = key.partition(".")
            by_phase.setdefault(int(phase.removeprefix("phase")), {})[name] = value
        for number, phase_tensors in by_phase.items():
            self.of(self._plan.phases[number]).restore(phase_tensors)
