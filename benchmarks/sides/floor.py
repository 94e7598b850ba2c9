"""The floor: the products that nobody can do without, and nothing else.

    python floor.py [mm|onednn]

A step is the three products of the output layer (scores, gradient of the hidden layer, gradient
of the weights), in float32 by `torch.mm` into memory that is there, or by oneDNN in blocks of 1,024
items. Recommending is the network's products in batches of 512, the largest of them without a
ranking.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import protocol

SCORED = 512
WIDTH = 1024


class Floor(protocol.Adapter):
    """See the module."""

    distributions = ("torch",)

    def __init__(self, by: str) -> None:
        self.onednn = by == "onednn"

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

    def multiply(self, a: Any, b: Any, out: Any) -> None:
        """a b."""
        import torch

        if self.onednn:
            torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")
        else:
            torch.mm(a, b, out=out)

    def blocks(self) -> Any:
        """The items, cut where the products are faster in parts."""
        n = len(self.weight)
        width = WIDTH if self.onednn else n
        return [slice(start, min(start + width, n)) for start in range(0, n, width)]

    def train(self, n_steps: int | None) -> list[float]:
        """The three products, as often as an epoch has steps or n times."""
        seconds = []
        for _ in range(n_steps or -(-self.n_users // self.settings.batch_size)):
            started = time.perf_counter()
            for block in self.blocks():
                weight, gradient = self.weight[block], self.gradient[:, block]
                self.multiply(self.hidden, weight.T, self.scored[:, block])
                self.multiply(gradient, weight, self.to_hidden)
                self.multiply(gradient.T, self.hidden, self.to_weight[block])
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
            for block in self.blocks():
                self.multiply(hidden, self.weight[block].T, scored[:n, block])

    def columns(self, recommended: Any) -> Any:
        """It recommends nothing."""
        raise NotImplementedError


if __name__ == "__main__":
    protocol.serve(Floor(sys.argv[1] if len(sys.argv) > 1 else "mm"))
