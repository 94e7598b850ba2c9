"""The optimiser: fused Adam, with the gradients of large parameters gathered by rows."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

import torch
from torch import Tensor, nn

from nearfar.kernels.gradients import DenseGradient, Gradient, ParameterTable, RowGradient, tables
from nearfar.kernels.memory import zeros_like
from nearfar.train.plan import OptimiserName, Phase, TrainingPlan
from nearfar.train.row_updates import LazyAdam, RowAdam, RowUpdate

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
