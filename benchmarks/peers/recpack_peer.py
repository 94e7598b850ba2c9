"""RecPack's MultVAE.

Training goes through the algorithm's `_train_epoch`, which `fit` calls, without the validation
that follows each epoch there; the `get_batches` it draws from is timed. Where it differs from the
published Mult-VAE: the weight of the divergence rises by 1/200,000 a step towards 1, and falls to
0.2 only once all 200,000 steps are done. The learning rate is set, its default being 1e-4.

`rank` is `predict` on the histories, which need not be those of training users.

`recommend` does what the library's pipeline does: `predict` on the matrix of users, history taken
out by multiplication, then `get_top_K_ranks`. `predict_topK` stays off, as by default: it cuts
before the history is out. `predict` fills a list-of-lists matrix with a score for every item,
tens of bytes for each of users x items.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class RecPack(protocol.Adapter):
    """See the module."""

    distributions = ("recpack", "torch", "numpy", "scipy", "pandas")

    def check(self) -> None:
        """Import the model."""
        from recpack.algorithms import MultVAE  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """The library's matrix and an algorithm with fresh weights."""
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
        """The algorithm's epoch over batches that are timed."""
        from recpack.algorithms import mult_vae

        ticker, get_batches = protocol.Ticker(n_steps), mult_vae.get_batches

        def timed(*args: Any, **kwargs: Any) -> Any:
            return ticker(get_batches(*args, **kwargs))

        self.model.model_.train()
        with mock.patch.object(mult_vae, "get_batches", timed):
            self.model._train_epoch(self.data)
        return ticker.seconds

    def scores(self, histories: Any) -> Any:
        """`predict`, dense."""
        return self.model.predict(histories).toarray()

    def recommend(self, k: int, n_users: int) -> Any:
        """The pipeline's ranks."""
        from recpack.util import get_top_K_ranks

        histories = self.data[:n_users]
        predicted = self.model.predict(histories)
        return get_top_K_ranks(predicted - predicted.multiply(histories), k)

    def columns(self, recommended: Any) -> Any:
        """Columns of the ranks 1 to k."""
        import numpy as np

        ranks = recommended.tocoo()
        columns = np.full((ranks.shape[0], int(ranks.data.max())), -1, np.int32)
        columns[ranks.row, ranks.data.astype(int) - 1] = ranks.col
        return columns


if __name__ == "__main__":
    protocol.serve(RecPack())
