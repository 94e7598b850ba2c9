"""RecPack's MultVAE.

Training calls the algorithm's `_train_epoch`, as `fit` does, but without the validation after each
epoch; its `get_batches` is timed. It differs from the published Mult-VAE: the KL weight rises by
1/200,000 per step towards 1, and falls to 0.2 only after all 200,000 steps. The learning rate is
set, because its default is 1e-4.

`rank` is `predict` on the histories, also of held-out users.

`recommend` follows the library's pipeline: `predict` on the matrix of users, removal of the history
by multiplication, then `get_top_K_ranks`. `predict_topK` is off, as by default, because it selects
before the history is removed. `predict` fills a list-of-lists matrix with a score for every item,
tens of bytes for each entry of users x items.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class RecPack(protocol.Adapter):
    """RecPack's MultVAE; see the module."""

    distributions = ("recpack", "torch", "numpy", "scipy", "pandas")

    def check(self) -> None:
        """Import the model."""
        from recpack.algorithms import MultVAE  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Build the library's matrix and an algorithm with initial weights."""
        import torch
        from recpack.algorithms import MultVAE
        from recpack.matrix import InteractionMatrix

        torch.set_num_threads(settings.threads)
        self.model = MultVAE(
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
            dim_bottleneck_layer=settings.latent,
            dim_hidden_layer=settings.hidden,
            dropout=settings.dropout,
        )
        matrix = InteractionMatrix.from_csr_matrix(train)
        self.data, _ = self.model._transform_fit_input(matrix, (matrix, matrix))
        self.model._init_model(self.data)

    def train(self, n_steps: int | None) -> list[float]:
        """Run the algorithm's epoch over timed batches."""
        from recpack.algorithms import mult_vae

        ticker, get_batches = protocol.Ticker(n_steps), mult_vae.get_batches

        def timed(*args: Any, **kwargs: Any) -> Any:
            return ticker(get_batches(*args, **kwargs))

        self.model.model_.train()
        with mock.patch.object(mult_vae, "get_batches", timed):
            self.model._train_epoch(self.data)
        return ticker.seconds

    def scores(self, histories: Any) -> Any:
        """Return the result of `predict` as a dense matrix."""
        return self.model.predict(histories).toarray()

    def recommend(self, k: int, n_users: int) -> Any:
        """Return the ranks that the library's pipeline computes."""
        from recpack.util import get_top_K_ranks

        histories = self.data[:n_users]
        predicted = self.model.predict(histories)
        return get_top_K_ranks(predicted - predicted.multiply(histories), k)

    def columns(self, recommended: Any) -> Any:
        """Return the columns of the ranks 1 to k."""
        import numpy as np

        ranks = recommended.tocoo()
        columns = np.full((ranks.shape[0], int(ranks.data.max())), -1, np.int32)
        columns[ranks.row, ranks.data.astype(int) - 1] = ranks.col
        return columns


if __name__ == "__main__":
    protocol.serve(RecPack())
