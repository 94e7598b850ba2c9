"""irspack's MultVAE, which uses JAX, Haiku and Optax.

Training calls the recommender's `start_learning` and `run_epoch`, as its `learn` does without
validation. The trainer's step function is an attribute, which is wrapped to time steps; each step
waits for its result, because JAX returns before it is computed. The first step, and the first of
every other batch size, compiles. It differs from the published Mult-VAE: the KL weight reaches 0.2
after 50 epochs, not after 40,000 steps; weights have Haiku's defaults; PRNG keys start from 42 for
any seed, and the seed decides only the order of the users.

`rank` is `get_score_cold_user`, which is for held-out users.

`recommend` is `IDMapper.recommend_for_known_user_batch`, the library's scores without seen items
and their top k, in one call for all users. The first call for a number of users compiles each
operation for its sizes, so time the second one.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class _EpochEndError(Exception):
    """Ends an epoch early."""


class IRSPack(protocol.Adapter):
    """irspack's MultVAE; see the module."""

    distributions = ("irspack", "jax", "jaxlib", "dm-haiku", "optax", "numpy", "scipy")

    def check(self) -> None:
        """Import the model's module, because the package hides the reason of an import error."""
        from irspack.recommenders.multvae import MultVAERecommender  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Build a recommender and start its training."""
        # JAX sizes its pools by NPROC, which `protocol` sets; irspack has its own variable.
        os.environ["JAX_PLATFORMS"] = "cpu"
        os.environ["IRSPACK_NUM_THREADS_DEFAULT"] = str(settings.threads)
        import numpy as np
        from irspack.recommenders.multvae import MultVAERecommender
        from irspack.utils import IDMapper

        np.random.seed(settings.seed)
        self.model = MultVAERecommender(
            train,
            dim_z=settings.latent,
            enc_hidden_dims=settings.hidden,
            dropout_p=settings.dropout,
            minibatch_size=settings.batch_size,
            learning_rate=settings.learning_rate,
        )
        self.model.start_learning()
        self.mapper = IDMapper(list(range(train.shape[0])), list(range(train.shape[1])))

    def train(self, n_steps: int | None) -> list[float]:
        """Run `run_epoch`, and leave it before the step after the last one."""
        import jax

        trainer, update = self.model.trainer, self.model.trainer.update_function
        seconds: list[float] = []
        started = time.perf_counter()

        def timed(*args: Any) -> Any:
            nonlocal started
            if len(seconds) == n_steps:
                raise _EpochEndError
            result = jax.block_until_ready(update(*args))
            now = time.perf_counter()
            seconds.append(now - started)
            started = now
            return result

        if n_steps is None:
            self.model.run_epoch()
            jax.block_until_ready(trainer.params)
            return seconds
        trainer.update_function = timed
        try:
            self.model.run_epoch()
        except _EpochEndError:
            pass
        finally:
            trainer.update_function = update
        return seconds

    def scores(self, histories: Any) -> Any:
        """Return the scores of held-out users."""
        return self.model.get_score_cold_user(histories)

    def recommend(self, k: int, n_users: int) -> Any:
        """Return a list of pairs of item and score per user."""
        users = list(range(n_users))
        return self.mapper.recommend_for_known_user_batch(self.model, users, cutoff=k)

    def columns(self, recommended: Any) -> Any:
        """Return the item ids, which are the columns."""
        return [[item for item, _ in pairs] for pairs in recommended]


if __name__ == "__main__":
    protocol.serve(IRSPack())
