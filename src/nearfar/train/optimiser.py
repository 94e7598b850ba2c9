"""Optimisers: fused Adam, and updates of large tables in the rows that a batch touched."""

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
"""Adam's, as everywhere."""


class RowUpdate(ABC):
    """The state of one table's optimiser."""

    @abstractmethod
    def move(
        self,
        table: Float[Tensor, "items columns"],
        rows: Int64[Tensor, " touched"],
        gradient: Float[Tensor, "touched columns"],
        learning_rate: float,
    ) -> None:
        """Move these rows of the table in place; each row comes once."""

    @abstractmethod
    def state(self) -> dict[str, Tensor]:
        """Everything to go on from; the tensors themselves, not copies."""

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])


class LazyAdam(RowUpdate):
    """Adam that updates a row only when a batch touches it.

    Differs from Adam: the moments of rows that a batch does not touch do not decay, and the rows
    do not move on by their momentum; bias is corrected by the number of all steps. The same as
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
        size = learning_rate * (1 - BETA2**n) ** 0.5 / (1 - BETA1**n)
        table.index_add_(0, rows, mean.div_(square.sqrt_().add_(EPS)), alpha=-size)

    def state(self) -> dict[str, Tensor]:
        return {"mean": self.mean, "square": self.square, "steps": self.steps}


class RowAdam(RowUpdate):
    """Adam without momentum whose second moment is one number per row: no state to speak of.

    A row moves by learning_rate * g / sqrt(v), v the running mean over the row's own updates of
    its mean squared gradient, its bias corrected by their number. A table then takes its own
    memory and no more, a third of `LazyAdam`'s.
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

    "adam" gives the result of `torch.optim.Adam` on dense gradients: rows that a batch does not
    touch move by their momentum as they do there, and only the gradients' memory is kept from
    step to step. With the others, rows that a batch does not touch stay as they are.

    Args:
        module: whose parameters are trained.
        name: how tables are updated.
        learning_rate: Adam's.
        moving: the parameters of the module that are trained; None for all.
        weight_decay: of matrices, as in `torch.optim.Adam`: added to the gradient.
    """

    def __init__(
        self,
        module: nn.Module,
        name: OptimiserName,
        learning_rate: float,
        moving: Collection[nn.Parameter] | None = None,
        weight_decay: float = 0.0,
    ) -> None:
        chosen = list(module.parameters())
        if moving is not None:
            identities = {id(p) for p in moving}
            chosen = [p for p in chosen if id(p) in identities]
        self.dense: dict[ParameterTable, DenseGradient] = {}
        self.by_row: dict[ParameterTable, tuple[RowGradient, RowUpdate]] = {}
        self.parameters = chosen
        among = {id(p) for p in chosen}
        for table in tables(module):
            if id(table) not in among:
                continue
            if name == "adam":
                self.dense[table] = DenseGradient(table)
            else:
                update = ROW_UPDATES[name](table.detach())
                self.by_row[table] = (RowGradient(table), update)
        rest = [p for p in chosen if p not in self.by_row]
        groups: list[dict[str, Any]] = [{"params": rest}]
        if weight_decay:
            matrices = [p for p in rest if p.ndim > 1]
            vectors = [p for p in rest if p.ndim < 2]
            groups = [{"params": matrices, "weight_decay": weight_decay}, {"params": vectors}]
        self.adam = torch.optim.Adam(groups, lr=learning_rate, fused=True)
        for parameter in self.dense:  # moments in memory of our choice
            self.adam.state[parameter] = {
                "step": torch.zeros((), device=parameter.device),
                "exp_avg": zeros_like(parameter.detach()),
                "exp_avg_sq": zeros_like(parameter.detach()),
            }
        self.hold()

    def hold(self) -> None:
        """Let the gradients of tables come here; the inverse of `release`."""
        for table, gradient in self.dense.items():
            table.gradient = gradient
        for table, (gradient, _) in self.by_row.items():
            table.gradient = gradient

    def table_gradients(self) -> list[Gradient]:
        """Return where the gradients of the tables are gathered."""
        return [*self.dense.values(), *(gradient for gradient, _ in self.by_row.values())]

    def zero(self) -> None:
        """Forget all gradients."""
        self.adam.zero_grad()
        for gradient in self.dense.values():
            gradient.clear()
        for parameter, (gradient, _) in self.by_row.items():
            parameter.grad = None
            gradient.clear()

    @torch.no_grad()
    def step(self, learning_rate: float) -> None:
        """Move the parameters by the gradients gathered since `zero`."""
        for parameter, gradient in self.dense.items():
            gathered = gradient.gathered()
            if gathered is None:
                continue
            if parameter.grad is None:
                parameter.grad = gathered
            else:  # autograd's share, where a term took the dense way, is not for us to clear
                parameter.grad += gathered
        for group in self.adam.param_groups:
            group["lr"] = learning_rate
        self.adam.step()
        for parameter, (gradient, update) in self.by_row.items():
            if parameter.grad is not None:
                everything = torch.arange(len(parameter), device=parameter.device)
                gradient.add_rows(everything, parameter.grad)
            gathered = gradient.gathered()
            if gathered is not None:
                update.move(parameter, *gathered, learning_rate)

    def release(self) -> None:
        """Give the parameters back to plain autograd, without gradients."""
        self.adam.zero_grad()
        for table in (*self.dense, *self.by_row):
            table.grad = table.gradient = None

    def state(self) -> dict[str, Tensor]:
        """Everything to go on from, as named tensors."""
        state = self.adam.state_dict()["state"]
        named = {f"{i}.{k}": v for i, values in state.items() for k, v in values.items()}
        for i, (_, update) in enumerate(self.by_row.values()):
            named |= {f"row{i}.{k}": v for k, v in update.state().items()}
        return named

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        saved = self.adam.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        by_row: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, _, name = key.partition(".")
            into, number = (by_row, index[3:]) if index.startswith("row") else (state, index)
            into.setdefault(int(number), {})[name] = value
        saved["state"] = state
        self.adam.load_state_dict(saved)
        for i, (_, update) in enumerate(self.by_row.values()):
            update.restore(by_row[i])


class Optimisers:
    """The optimisers of a plan's phases, each over the parameters that its phase trains.

    Parameters that the active phase does not train are frozen.
    """

    def __init__(self, modules: nn.ModuleDict, plan: TrainingPlan) -> None:
        self._modules = modules
        self._plan = plan
        self._named = {n: p for n, p in modules.named_parameters() if p.requires_grad}
        self._by_phase: dict[Phase, Optimiser] = {}
        self._at_work: Phase | None = None

    def of(self, phase: Phase) -> Optimiser:
        """The phase's optimiser, with gradients going to it from now on."""
        if phase == self._at_work:
            return self._by_phase[phase]
        if self._at_work is not None:
            self._by_phase[self._at_work].release()
        for name, parameter in self._named.items():
            parameter.requires_grad_(phase.moves_parameter(name))
        if phase in self._by_phase:
            self._by_phase[phase].hold()
        else:
            self._by_phase[phase] = self._made(phase)
        self._at_work = phase
        return self._by_phase[phase]

    def _made(self, phase: Phase) -> Optimiser:
        plan = self._plan
        moving = [p for n, p in self._named.items() if phase.moves_parameter(n)]
        rate = phase.learning_rate or plan.learning_rate
        return Optimiser(self._modules, plan.optimiser, rate, moving, plan.weight_decay)

    def release(self) -> None:
        """Give all parameters back to plain autograd."""
        if self._at_work is not None:
            self._by_phase[self._at_work].release()
            self._at_work = None
        for parameter in self._named.values():
            parameter.requires_grad_(True)

    def state(self) -> dict[str, Tensor]:
        """Everything to go on from, as named tensors."""
        return {
            f"phase{self._plan.phases.index(phase)}.{name}": value
            for phase, optimiser in self._by_phase.items()
            for name, value in optimiser.state().items()
        }

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        by_phase: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            phase, _, name = key.partition(".")
            by_phase.setdefault(int(phase.removeprefix("phase")), {})[name] = value
        for number, found in by_phase.items():
            phase = self._plan.phases[number]
            self.of(phase).restore(found)
