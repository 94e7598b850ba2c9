"""irspack's MultVAE, which is made of JAX, Haiku and Optax.

Training goes through the recommender's own `start_learning` and `run_epoch`, which is all that its
`learn` calls when nothing is validated. Its step function is a plain attribute of the trainer and
is wrapped to time steps; each waits for its result there, since JAX would return before it is
computed. The first step, and the first of every other batch size, compiles. Where it differs from
the published Mult-VAE: the weight of the divergence reaches 0.2 after 50 epochs rather than after
40,000 steps; Haiku's default weights; PRNG keys start from 42 whatever the seed, which decides
on the order of users alone.

`rank` is `get_score_cold_user`, made for users that are not trained on.

`recommend` is `IDMapper.recommend_for_known_user_batch`, the library's scores without seen items
and their top k, in one call for all users as the library would have it. The first call for any
number of users compiles each operation for the sizes it meets; the second one tells its speed.
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class _EnoughError(Exception):
    pass


class IRSPack(protocol.Adapter):
    """See the module."""

    distributions = ("irspack", "jax", "jaxlib", "dm-haiku", "optax", "numpy", "scipy")

    def check(self) -> None:
        """Import the model; the package itself would hide why it cannot be."""
        from irspack.recommenders.multvae import MultVAERecommender  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """A recommender that has begun to learn."""
        # JAX sizes its pools by NPROC, set with the other counts; the rest is the library's own.
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
        """`run_epoch`, left when the next step after the last would begin."""
        import jax

        trainer, update = self.model.trainer, self.model.trainer.update_function
        seconds: list[float] = []
        started = time.perf_counter()

        def timed(*args: Any) -> Any:
            nonlocal started
            if len(seconds) == n_steps:
                raise _EnoughError
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
        except _EnoughError:
            pass
        finally:
            trainer.update_function = update
        return seconds

    def scores(self, histories: Any) -> Any:
        """Scores of users that are not trained on."""
        return self.model.get_score_cold_user(histories)

    def recommend(self, k: int, n_users: int) -> Any:
        """Pairs of item and score, a list a user."""
        users = list(range(n_users))
        return self.mapper.recommend_for_known_user_batch(self.model, users, cutoff=k)

    def columns(self, recommended: Any) -> Any:
        """The item ids are the columns."""
        return [[item for item, _ in pairs] for pairs in recommended]


if __name__ == "__main__":
    protocol.serve(IRSPack())
