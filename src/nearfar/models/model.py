"""The base class of all fitted models, which map histories to scores and know no user ids."""

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
"""Bytes of scores per batch on a CPU: they should stay in the last-level cache."""

GPU_BATCH_BYTES = 256 << 20
"""Bytes of scores per batch on a GPU, which needs large products to be fast."""

MIN_BATCH = 64

RankBatch = Callable[[csr_array, csr_array | None], tuple[Tensor, Tensor]]
"""Maps histories and the items excluded for each to the positions and scores of the best k."""


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
    """The name in tables: the algorithm and those of its settings that are not the defaults."""

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
        """Return the kind and the sizes, to print."""
        return {
            "kind": type(self).__name__, "items": self.n_items,
            "training users": self.n_train_users,
        }  # fmt: skip

    def score(self, histories: csr_array) -> Float[np.ndarray, "users items"]:
        """Return a score for every item, higher is better, for the histories of any users.

        The users need not be training users. An empty history gets the popularity scores in every
        kind of model. The result is dense; for many users call `top_k`.

        Args:
            histories: users x items.

        Raises:
            DataError: the histories do not have as many items as the model.
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
        """Return the best k items of every user, scored batch by batch.

        Args:
            histories: users x items.
            k: items per user; a row with fewer candidates is padded with -1.
            exclude_seen: leave out the items of the history.
            allow: item positions; only these are candidates.
            deny: item positions that are never candidates.
            exclude: users x items; the items to leave out for each user, instead of those of the
                history.
            batch_size: users per batch; see `batch_size()`.

        Raises:
            DataError: k is below 1, or the histories do not have as many items as the model.
        """
        if k < 1:
            raise DataError(f"k is {k}; it must be at least 1")
        histories = self._checked(histories)
        batch_size = batch_size or self.batch_size()
        candidates = Candidates.of(self.n_items, allow, deny)
        seen = histories if exclude_seen else None
        excluded = seen if exclude is None else self._checked(exclude)
        n_users, n_places = histories.shape[0], min(k, self.n_items)
        items = np.full((n_users, k), -1, np.int64)
        scores = np.full((n_users, k), -np.inf, np.float32)
        rank_batch = self._ranker(n_places, candidates, min(batch_size, n_users))
        for start in range(0, n_users, batch_size):
            rows = slice(start, start + batch_size)
            batch_excluded = None if excluded is None else excluded[rows]
            batch_items, batch_scores = rank_batch(histories[rows], batch_excluded)
            items[rows, :n_places] = batch_items.cpu().numpy()
            scores[rows, :n_places] = batch_scores.cpu().numpy()
        return Ranking(items, scores)

    def batch_size(self) -> int:
        """Return the users whose scores fit in 32 MiB, or 256 MiB on a GPU; at least 64."""
        limit = BATCH_BYTES if self.device.type == "cpu" else GPU_BATCH_BYTES
        return max(MIN_BATCH, min(16_384, limit // (4 * max(1, self.n_items))))

    def _ranker(self, k: int, candidates: Candidates, batch_size: int) -> RankBatch:
        """Return a function that ranks batches of at most `batch_size` users and reuses memory."""
        memory = torch.empty(batch_size, self.n_items, device=self.device)

        def rank_batch(histories: csr_array, excluded: csr_array | None) -> tuple[Tensor, Tensor]:
            scores = self._scores(histories, memory[: histories.shape[0]])
            candidates.apply(scores, excluded)
            return rank(scores, k)

        return rank_batch

    @property
    def device(self) -> torch.device:
        """The device that computes scores."""
        return torch.device("cpu")

    def to(self, device: torch.device) -> None:
        """Move the attribute `network` to a device if the model has one."""
        network = getattr(self, "network", None)
        if isinstance(network, torch.nn.Module):
            network.to(device)

    @torch.inference_mode()
    def _scores(
        self, histories: csr_array, memory: Float[Tensor, "users items"] | None
    ) -> Float[Tensor, "users items"]:
        """Return the scores on the model's device, in `memory` if given; see `score`."""
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
                f"the histories have {histories.shape[1]} items and the model has {self.n_items}; "
                "give one column per item of the model"
            )
        return canonical(histories)

    @abstractmethod
    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        """Write float32 scores to `out`; the caller overwrites the rows of empty histories."""

    @abstractmethod
    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        """Return a JSON-able description and arrays by name, from which `restore` rebuilds it.

        The caller saves the popularity and the number of training users.
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
        """Rebuild a model from what `state` returned."""


class LatentModel(Model):
    """A model that maps every history to a point of a latent space.

    Examples:
        >>> isinstance(vae, nf.LatentModel), isinstance(ease, nf.LatentModel)
        (True, False)
    """

    @abstractmethod
    def encode(self, histories: csr_array) -> DiagonalGaussian:
        """Return the posteriors of uncorrupted histories, on the CPU."""

    def latents(self, histories: csr_array) -> Float[Tensor, "users latent"]:
        """Return the latent point of each user at test time, on the CPU.

        This is what the decoder receives: the mean of the posterior unless a model overrides it.
        """
        return self.encode(histories).mu
