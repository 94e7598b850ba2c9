"""What every fitted model is: a map from histories to scores, that knows no user ids."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DataError
from nearfar.core.frames import summary_html, summary_text
from nearfar.core.ranking import Ranking
from nearfar.data.interactions import canonical
from nearfar.models.top_k import Candidates, rank
from nearfar.vae.posterior import DiagonalGaussian

BATCH_BYTES = 32 << 20
"""Scores of a batch on a CPU: they should stay in the last cache."""

GPU_BATCH_BYTES = 256 << 20
"""Scores of a batch on a GPU, which wants large products."""

MIN_BATCH = 64

RankBatch = Callable[[csr_array, csr_array | None], tuple[Tensor, Tensor]]
"""Histories, and each one's items that are no candidates -> positions and scores of the best k."""


class Model(ABC):
    """A fitted recommender.

    Args:
        popularity: how many training users interacted with each item.
        n_train_users: how many training users there were.

    Examples:
        >>> ease.n_items, ease.n_train_users
        (20, 40)
        >>> ease.top_k(split.test.fold_in.x, 3).items.shape
        (10, 3)
    """

    label: str | None = None
    """What tables call it: the algorithm with the settings that are not its defaults."""

    def __init__(self, popularity: Int[np.ndarray, " items"], n_train_users: int) -> None:
        self.popularity = np.asarray(popularity, np.int64)
        self.n_train_users = int(n_train_users)

    @property
    def n_items(self) -> int:
        return len(self.popularity)

    def __repr__(self) -> str:
        return summary_text(self.label or type(self).__name__, self._facts())

    def _repr_html_(self) -> str:
        return summary_html(self.label or type(self).__name__, self._facts())

    def _facts(self) -> dict[str, object]:
        """The kind and the sizes, for people."""
        return {
            "kind": type(self).__name__, "items": self.n_items,
            "training users": self.n_train_users,
        }  # fmt: skip

    def score(self, histories: csr_array) -> Float[np.ndarray, "users items"]:
        """A score for every item, higher is better; any history will do, also an unseen user's.

        An empty history says nothing: it gets the popularity scores, whatever the model.
        The result is dense: mind the number of users, or call `top_k`.

        Raises:
            DataError: the histories have another number of items than the model.
        """
        return self._scores(self._checked(histories), None).cpu().numpy()

    def top_k(
        self,
        histories: csr_array,
        k: int,
        *,
        exclude_seen: bool = True,
        allow: Int[np.ndarray, " allowed"] | None = None,
        deny: Int[np.ndarray, " denied"] | None = None,
        exclude: csr_array | None = None,
        batch_size: int | None = None,
    ) -> Ranking:
        """The best k items of every user, scored batch by batch.

        Args:
            histories: users x items.
            k: how many items; rows are padded with -1 where there are fewer candidates.
            exclude_seen: leave out the items of the history itself.
            allow: only these item positions are candidates.
            deny: these never are.
            exclude: users x items, what is left out for each user, in place of the history's own
                items.
            batch_size: users scored at once; see `batch_size()`.

        Raises:
            DataError: k is below 1, or the histories have another number of items.
        """
        if k < 1:
            raise DataError(f"k is {k}; it must be at least 1")
        histories = self._checked(histories)
        batch_size = batch_size or self.batch_size()
        candidates = Candidates.of(self.n_items, allow, deny)
        own = histories if exclude_seen else None
        excluded = own if exclude is None else self._checked(exclude)
        n_users, n_places = histories.shape[0], min(k, self.n_items)
        items = np.full((n_users, k), -1, np.int64)
        scores = np.full((n_users, k), -np.inf, np.float32)
        rank_batch = self._ranker(n_places, candidates, min(batch_size, n_users))
        for start in range(0, n_users, batch_size):
            rows = slice(start, start + batch_size)
            left_out = None if excluded is None else excluded[rows]
            best, values = rank_batch(histories[rows], left_out)
            items[rows, :n_places] = best.cpu().numpy()
            scores[rows, :n_places] = values.cpu().numpy()
        return Ranking(items, scores)

    def batch_size(self) -> int:
        """Users whose scores fit 32 MiB, on a GPU 256; at least 64."""
        limit = BATCH_BYTES if self.device.type == "cpu" else GPU_BATCH_BYTES
        return max(MIN_BATCH, min(16_384, limit // (4 * max(1, self.n_items))))

    def _ranker(self, k: int, candidates: Candidates, batch_size: int) -> RankBatch:
        """A function that ranks batches of at most `batch_size` users, in memory of its own."""
        memory = torch.empty(batch_size, self.n_items, device=self.device)

        def rank_batch(histories: csr_array, excluded: csr_array | None) -> tuple[Tensor, Tensor]:
            scores = self._scores(histories, memory[: histories.shape[0]])
            candidates.apply(scores, excluded)
            return rank(scores, k)

        return rank_batch

    @property
    def device(self) -> torch.device:
        """Where scores are computed."""
        return torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move what scores to a device: the attribute `network`, where the model has one."""
        network = getattr(self, "network", None)
        if isinstance(network, torch.nn.Module):
            network.to(device)

    @torch.inference_mode()
    def _scores(
        self, histories: csr_array, memory: Float[Tensor, "users items"] | None
    ) -> Float[Tensor, "users items"]:
        """Scores as `score` gives them, on the model's device, in `memory` where it is given."""
        n_users = len(histories.indptr) - 1
        scores = (
            torch.empty(n_users, self.n_items, device=self.device) if memory is None else memory
        )
        self._write_scores(histories, scores)
        empty = torch.from_numpy(np.flatnonzero(np.diff(histories.indptr) == 0))
        if len(empty):
            popularity = torch.from_numpy(self.popularity.astype(np.float32))
            scores[empty.to(scores.device)] = popularity.to(scores.device)
        return scores

    def _checked(self, histories: csr_array) -> csr_array:
        if histories.shape[1] != self.n_items:
            raise DataError(
                f"histories over {histories.shape[1]} items for a model of {self.n_items} items"
            )
        return canonical(histories)

    @abstractmethod
    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        """Write float32 scores into `out`; rows of empty histories will be overwritten."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """What rebuilds the model: a JSON-able description, and arrays by name.

        Popularity and the number of users are not in it; whoever saves adds them.
        """

    @classmethod
    @abstractmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> Model:
        """The inverse of `state`."""


class LatentModel(Model):
    """A model that places every history in a latent space.

    Examples:
        >>> isinstance(vae, nf.LatentModel), isinstance(ease, nf.LatentModel)
        (True, False)
    """

    @abstractmethod
    def encode(self, histories: csr_array) -> DiagonalGaussian:
        """The posteriors of clean histories, on the CPU."""

    def latents(self, histories: csr_array) -> Float[Tensor, "users latent"]:
        """Return what stands for each user at test time, on the CPU.

        The mean of the posterior; a model whose decoder is given something else returns that.
        """
        return self.encode(histories).mu
