"""One optimiser per phase of training; only one is active at a time."""

from __future__ import annotations

from collections.abc import Mapping

from torch import Tensor, nn

from nearfar.train.optimiser import Optimiser
from nearfar.train.phase import Phase
from nearfar.train.plan import TrainingPlan


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
