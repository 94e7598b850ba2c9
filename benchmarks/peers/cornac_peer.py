"""Cornac's VAECF.

Training goes through the library's `learn`, an epoch at a time, over the `user_iter` of its data
set, which is timed. `learn` makes an optimiser on every call; it is handed the same Adam each
time, as if all epochs were one call.

Where it differs from the published Mult-VAE: input neither normalised nor dropped out (`dropout`
is ignored); the weight of the divergence is 1 from the first step on; batches are the same in
every epoch; softmax and logarithm apart, with 1e-10 between them; PyTorch's default weights.

The library ranks only users of its data set: `rank` puts histories through `encode` and `decode`
of the network, as `score` does for a user that it knows.

`recommend` is the model's `recommend` a user, the only way the library has for VAECF.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class Cornac(protocol.Adapter):
    """See the module."""

    distributions = ("cornac", "torch", "numpy", "scipy")

    def check(self) -> None:
        """Import the model, and PyTorch with it."""
        from cornac.models import VAECF  # noqa: F401
        from cornac.models.vaecf import vaecf  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Fit for no epoch, which makes the network and keeps the data."""
        import numpy as np
        import torch
        from cornac.data import Dataset
        from cornac.models import VAECF

        torch.set_num_threads(settings.threads)
        self.settings = settings
        coo = train.tocoo()
        ones = np.ones(coo.nnz)
        triplets = zip(coo.row.tolist(), coo.col.tolist(), ones.tolist(), strict=True)
        self.data = Dataset.from_uir(list(triplets), seed=settings.seed)
        self.user_iter = self.data.user_iter
        self.model = VAECF(
            k=settings.latent,
            autoencoder_structure=[settings.hidden],
            n_epochs=0,
            batch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
            seed=settings.seed,
        )
        self.model.fit(self.data)
        self.adam = torch.optim.Adam(self.model.vae.parameters(), lr=settings.learning_rate)
        self.n_columns = train.shape[1]
        self.column_of = np.array(list(self.model.iid_map), np.int64)

    def train(self, n_steps: int | None) -> list[float]:
        """One epoch of `learn` over batches that are timed."""
        import torch
        from cornac.models.vaecf.vaecf import learn

        ticker = protocol.Ticker(n_steps)

        def timed(*args: Any, **kwargs: Any) -> Any:
            return ticker(self.user_iter(*args, **kwargs))

        self.data.user_iter = timed
        with mock.patch.object(torch.optim, "Adam", return_value=self.adam):
            learn(
                self.model.vae,
                self.data,
                n_epochs=1,
                batch_size=self.model.batch_size,
                learn_rate=self.model.learning_rate,
                beta=self.model.beta,
                verbose=False,
            )
        return ticker.seconds

    def scores(self, histories: Any) -> Any:
        """The network's output for rows of ones; columns nobody met come last."""
        import numpy as np
        import torch

        x = torch.from_numpy((histories[:, self.column_of].toarray() > 0).astype("float32"))
        scores = np.full((histories.shape[0], self.n_columns), -1, np.float32)
        with torch.no_grad():
            scores[:, self.column_of] = self.model.vae.decode(self.model.vae.encode(x)[0]).numpy()
        return scores

    def recommend(self, k: int, n_users: int) -> Any:
        """A list of item ids a user."""
        return [
            self.model.recommend(user, k=k, remove_seen=True, train_set=self.data)
            for user in range(n_users)
        ]

    def columns(self, recommended: Any) -> Any:
        """The item ids are the columns."""
        return recommended


if __name__ == "__main__":
    protocol.serve(Cornac())
