"""The floor: the products that nobody can do without, and nothing else.

A step is the three products of the output layer (scores, gradient of the hidden layer, gradient
of the weights), in float32 by `torch.mm` into memory that is there. Recommending is the network's
products in batches of 512, the largest of them without a ranking.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import protocol

SCORED = 512


class Floor(protocol.Adapter):
    """See the module."""

    distributions = ("torch",)

    def check(self) -> None:
        """Import what is measured."""
        import torch

        assert torch.mm

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Random matrices of the sizes that a step multiplies."""
        import torch

        torch.set_num_threads(settings.threads)
        self.settings, (self.n_users, n_items) = settings, train.shape
        b, h = settings.batch_size, settings.hidden
        self.hidden, self.weight = torch.randn(b, h), torch.randn(n_items, h)
        self.gradient, self.scored = torch.randn(b, n_items), torch.empty(b, n_items)
        self.to_hidden, self.to_weight = torch.empty(b, h), torch.empty(n_items, h)

    def train(self, n_steps: int | None) -> list[float]:
        """The three products, as often as an epoch has steps or n times."""
        import torch

        seconds = []
        for _ in range(n_steps or -(-self.n_users // self.settings.batch_size)):
            started = time.perf_counter()
            torch.mm(self.hidden, self.weight.T, out=self.scored)
            torch.mm(self.gradient, self.weight, out=self.to_hidden)
            torch.mm(self.gradient.T, self.hidden, out=self.to_weight)
            seconds.append(time.perf_counter() - started)
        return seconds

    def recommend(self, k: int, n_users: int) -> Any:
        """The products of encoder, decoder and output layer for as many users."""
        import torch

        h, latent = self.settings.hidden, self.settings.latent
        x, head, body = torch.randn(SCORED, h), torch.randn(h, 2 * latent), torch.randn(latent, h)
        scored = torch.empty(SCORED, self.weight.shape[0])
        for start in range(0, n_users, SCORED):
            n = min(SCORED, n_users - start)
            hidden = (x[:n] @ head)[:, :latent] @ body
            torch.mm(hidden, self.weight.T, out=scored[:n])

    def columns(self, recommended: Any) -> Any:
        """It recommends nothing."""
        raise NotImplementedError


if __name__ == "__main__":
    protocol.serve(Floor())
