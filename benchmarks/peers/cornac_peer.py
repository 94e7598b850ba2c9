"""Cornac's VAECF.

Training calls the library's `learn` for one epoch at a time, over the `user_iter` of its data set,
which is timed. `learn` makes an optimiser on every call; here it gets the same Adam each time, as
if all epochs were one call.

It differs from the published Mult-VAE: the input is neither normalised nor dropped out (`dropout`
is ignored); the KL weight is 1 from the first step; batches are the same in every epoch; the
logarithm is of the softmax plus 1e-10; weights have PyTorch's defaults.

The library ranks only users of its data set, so `rank` calls `encode` and `decode` of the network
on the histories, as `score` does for a known user.

`recommend` calls the model's `recommend` per user, the library's only function for VAECF.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any
from unittest import mock

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class Cornac(protocol.Adapter):
    """Cornac's VAECF; see the module."""

    distributions = ("cornac", "torch", "numpy", "scipy")

    def check(self) -> None:
        """Import the model, and PyTorch with it."""
        from cornac.models import VAECF  # noqa: F401
        from cornac.models.vaecf import vaecf  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Fit for zero epochs, which builds the network and stores the data."""
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
        """Run one epoch of `learn` over timed batches."""
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
        """Return the network's output for binary rows; columns without users come last."""
        import numpy as np
        import torch

        x = torch.from_numpy((histories[:, self.column_of].toarray() > 0).astype("float32"))
        scores = np.full((histories.shape[0], self.n_columns), -1, np.float32)
        with torch.no_grad():
            scores[:, self.column_of] = self.model.vae.decode(self.model.vae.encode(x)[0]).numpy()
        return scores

    def recommend(self, k: int, n_users: int) -> Any:
        """Return a list of item ids per user."""
        return [
            self.model.recommend(user, k=k, remove_seen=True, train_set=self.data)
            for user in range(n_users)
        ]

    def columns(self, recommended: Any) -> Any:
        """Return the item ids, which are the columns."""
        return recommended


if __name__ == "__main__":
    protocol.serve(Cornac())
