"""The optimiser: dense Adam, fused, with large parameters' gradients gathered by rows."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor, nn

from nearfar.vae.gradients import DenseGradient, attach, detach, tables


class Optimiser:
    """Adam over all parameters of a module.

    The result is that of `torch.optim.Adam` on dense gradients: rows that a batch does not touch
    move by their momentum as they do there. Only the gradients' memory is kept (`DenseGradient`).
    """

    def __init__(self, module: nn.Module, learning_rate: float) -> None:
        self.tables = {parameter: DenseGradient(parameter) for parameter in tables(module)}
        for parameter, gradient in self.tables.items():
            attach(parameter, gradient)
        self.adam = torch.optim.Adam(module.parameters(), lr=learning_rate, fused=True)

    def zero(self) -> None:
        """Forget all gradients."""
        self.adam.zero_grad()
        for gradient in self.tables.values():
            gradient.clear()

    def step(self) -> None:
        """Move the parameters by the gradients gathered since `zero`."""
        for parameter, gradient in self.tables.items():
            gathered = gradient.gathered()
            if gathered is None:
                continue
            if parameter.grad is not None:  # autograd's share, where a term took the dense way
                gathered += parameter.grad
            parameter.grad = gathered
        self.adam.step()

    def release(self) -> None:
        """Give the parameters back to plain autograd."""
        for parameter in self.tables:
            parameter.grad = None
            detach(parameter)

    def state(self) -> dict[str, Tensor]:
        """Everything to go on from, as named tensors."""
        state = self.adam.state_dict()["state"]
        return {f"{i}.{k}": v for i, values in state.items() for k, v in values.items()}

    def restore(self, tensors: Mapping[str, Tensor]) -> None:
        """The inverse of `state`."""
        saved = self.adam.state_dict()
        state: dict[int, dict[str, Tensor]] = {}
        for key, value in tensors.items():
            index, _, name = key.partition(".")
            state.setdefault(int(index), {})[name] = value
        saved["state"] = state
        self.adam.load_state_dict(saved)
