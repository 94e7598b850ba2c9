"""The floor: only the matrix products that every implementation needs.

    python floor.py [mm|onednn]

A step is the three products of the output layer (scores, gradient of the hidden layer, gradient
of the weights) in float32, by `torch.mm` into allocated memory, or by oneDNN in blocks of 1,024
items. Recommending is the network's products in batches of 512, without a ranking.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import protocol

SCORE_BATCH = 512
WIDTH = 1024


class Floor(protocol.Adapter):
    """The products of the floor; see the module.

    Args:
        library: "mm" or "onednn".
    """

    distributions = ("torch",)

    def __init__(self, library: str) -> None:
        self.onednn = library == "onednn"

    def check(self) -> None:
        """Import PyTorch."""
        import torch

        assert torch.mm

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Allocate random matrices of the sizes that a step multiplies."""
        import torch

        torch.set_num_threads(settings.threads)
        self.settings, (self.n_users, n_items) = settings, train.shape
        b, h = settings.batch_size, settings.hidden
        self.hidden, self.weight = torch.randn(b, h), torch.randn(n_items, h)
        self.gradient, self.score_buffer = torch.randn(b, n_items), torch.empty(b, n_items)
        self.to_hidden, self.to_weight = torch.empty(b, h), torch.empty(n_items, h)

    def multiply(self, a: Any, b: Any, out: Any) -> None:
        """Compute a b into `out`."""
        import torch

        if self.onednn:
            torch.ops.mkldnn._linear_pointwise(a, b.T, None, "none", [], "")
        else:
            torch.mm(a, b, out=out)

    def blocks(self) -> Any:
        """Return the blocks of items; oneDNN is faster in parts."""
        n = len(self.weight)
        width = WIDTH if self.onednn else n
        return [slice(start, min(start + width, n)) for start in range(0, n, width)]

    def train(self, n_steps: int | None) -> list[float]:
        """Compute the three products n times, or as often as an epoch has steps."""
        seconds = []
        for _ in range(n_steps or -(-self.n_users // self.settings.batch_size)):
            started = time.perf_counter()
            for block in self.blocks():
                weight, gradient = self.weight[block], self.gradient[:, block]
                self.multiply(self.hidden, weight.T, self.score_buffer[:, block])
                self.multiply(gradient, weight, self.to_hidden)
                self.multiply(gradient.T, self.hidden, self.to_weight[block])
            seconds.append(time.perf_counter() - started)
        return seconds

    def recommend(self, k: int, n_users: int) -> Any:
        """Compute the products of encoder, decoder and output layer for n_users users."""
        import torch

        h, latent = self.settings.hidden, self.settings.latent
        x, head, body = (
            torch.randn(SCORE_BATCH, h),
            torch.randn(h, 2 * latent),
            torch.randn(latent, h),
        )
        scores = torch.empty(SCORE_BATCH, self.weight.shape[0])
        for start in range(0, n_users, SCORE_BATCH):
            n = min(SCORE_BATCH, n_users - start)
            hidden = (x[:n] @ head)[:, :latent] @ body
            for block in self.blocks():
                self.multiply(hidden, self.weight[block].T, scores[:n, block])

    def columns(self, recommended: Any) -> Any:
        """Raise, because the floor has no recommendations."""
        raise NotImplementedError


if __name__ == "__main__":
    protocol.serve(Floor(sys.argv[1] if len(sys.argv) > 1 else "mm"))
