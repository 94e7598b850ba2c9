"""A running mean of the weights."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch import Tensor, nn

from nearfar.vae.memory import zeros_like


class Averaging:
    """The exponential moving average of a module's parameters, of which a step keeps `share`.

    The mean starts from nothing and is corrected for that, as Adam's moments are.
    Source: Polyak and Juditsky 1992; as an exponential mean in Izmailov et al. 2018 and after.
    """

    def __init__(self, module: nn.Module, share: float) -> None:
        self.share = share
        self.weight = torch.zeros((), dtype=torch.float64)
        self.parameters = dict(module.named_parameters())
        self.means = {k: zeros_like(v.detach()) for k, v in self.parameters.items()}

    @torch.no_grad()
    def update(self) -> None:
        """Take in the weights as they are."""
        self.weight.lerp_(torch.ones((), dtype=torch.float64), 1 - self.share)
        for name, mean in self.means.items():
            mean.lerp_(self.parameters[name], 1 - self.share)

    @contextmanager
    def applied(self) -> Iterator[None]:
        """Within, the module has the mean for its weights."""
        with torch.no_grad():
            own = {k: v.detach().clone() for k, v in self.parameters.items()}
            if self.weight > 0:
                for name, parameter in self.parameters.items():
                    parameter.copy_(self.means[name] / float(self.weight))
            yield
            for name, parameter in self.parameters.items():
                parameter.copy_(own[name])

    def state(self) -> dict[str, Tensor]:
        """Everything to go on from."""
        return {"weight": self.weight, **{f"mean.{k}": v for k, v in self.means.items()}}

    def restore(self, tensors: dict[str, Tensor]) -> None:
        """The inverse of `state`."""
        for name, tensor in self.state().items():
            tensor.copy_(tensors[name])
