"""What instruments look at: a fitted autoencoder and a sample of users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.seeding import derive, generator
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Autoencoder
from nearfar.vae.network import VAE
from nearfar.vae.posterior import DiagonalGaussian

AT_ONCE = 2048
MIN_USERS = 20


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and the users on whom it is examined.

    Whatever is drawn is a pure function of `seed` and a name, so that several models are
    examined on the same users, pairs and masks.

    Args:
        model: the fitted autoencoder.
        histories: of the sample's users, none of them empty, over the model's items.
        groups: each user's cohort, counted from 0.
        group_names: of the cohorts.
        beta: the weight of the KL term in the model's training, at its best epoch.
        align_weight: lambda_A there; 0 where it was trained without PIA.
        keep_prob: rho of the masks that the model is probed with.
        n_masks: how many masks per user.
        n_sharing: users of the part that instruments of pairs of gradients look at.
        seed: of all that is drawn.

    Raises:
        EmptyDataError: there are fewer than 20 users, or one without items.
        DataError: the histories are not over the model's items, or groups are not theirs.
        SettingsError: a setting is out of range.
    """

    model: Autoencoder
    histories: csr_array
    groups: Int[np.ndarray, " users"]
    group_names: tuple[str, ...]
    beta: float = 1.0
    align_weight: float = 0.0
    keep_prob: float = 0.5
    n_masks: int = 8
    n_sharing: int = 100
    seed: int = 0

    def __post_init__(self) -> None:
        if self.n_users < MIN_USERS or not np.diff(self.histories.indptr).all():
            raise EmptyDataError(
                f"the sample has {self.n_users} users; it takes {MIN_USERS} or more, each with an "
                "item that the model knows"
            )
        if self.histories.shape[1] != self.model.n_items or len(self.groups) != self.n_users:
            raise DataError(
                f"there are histories of {self.n_users} users over {self.histories.shape[1]} "
                f"items and {len(self.groups)} groups, for a model of {self.model.n_items} items"
            )
        if not 0 < self.keep_prob < 1 or self.n_masks < 2 or self.n_sharing < 2:
            raise SettingsError(
                f"keep_prob is {self.keep_prob}, n_masks {self.n_masks} and n_sharing "
                f"{self.n_sharing}; give a share between 0 and 1, and 2 or more of the others"
            )

    @property
    def n_users(self) -> int:
        return self.histories.shape[0]

    @property
    def network(self) -> VAE:
        return self.model.network

    @property
    def n_decoder(self) -> int:
        """Multiplications of the decoder for one latent."""
        return sum(p.numel() for p in self.network.decoder.parameters())

    def rng(self, *names: str | int) -> np.random.Generator:
        """The NumPy stream of a name."""
        return generator(self.seed, "diagnosis", *names)

    def generator(self, *names: str | int) -> torch.Generator:
        """The PyTorch stream of a name, on the CPU."""
        return torch.Generator().manual_seed(derive(self.seed, "diagnosis", *names))

    @cached_property
    def posterior(self) -> DiagonalGaussian:
        """q(z|x) of the clean histories."""
        return self._encoded(self.histories)

    @cached_property
    def masked(self) -> tuple[DiagonalGaussian, ...]:
        """q(z|x * b) under `n_masks` masks of `keep_prob`, presented as at test time.

        The same masks for every model, whatever it was trained with: part of each history is
        hidden, and the rest is all that the model is given.
        """
        return tuple(self._encoded(hidden) for hidden in self.masked_histories)

    @cached_property
    def masked_histories(self) -> tuple[csr_array, ...]:
        """x * b, of which some may be empty."""
        found = []
        for number in range(self.n_masks):
            rng = self.rng("mask", number)
            masked = self.histories.copy()
            masked.data = np.where(rng.random(masked.nnz) < self.keep_prob, masked.data, 0)
            masked.eliminate_zeros()
            found.append(masked)
        return tuple(found)

    @cached_property
    def sharing_users(self) -> Int[np.ndarray, " part"]:
        """Positions of the part of the sample whose gradients are compared, in rising order."""
        n = min(self.n_sharing, self.n_users)
        return np.sort(self.rng("sharing").choice(self.n_users, n, replace=False))

    def pairs(self, n: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """Positions of the two users of `n` random pairs, different ones in each pair."""
        rng = self.rng("pairs")
        first = rng.integers(self.n_users, size=n)
        second = (first + rng.integers(1, self.n_users, size=n)) % self.n_users
        return first, second

    def part(self, users: Int[np.ndarray, " part"]) -> tuple[DiagonalGaussian, csr_array]:
        """Posteriors and histories of some of the users."""
        rows = torch.from_numpy(users)
        q = DiagonalGaussian(self.posterior.mu[rows], self.posterior.logvar[rows])
        return q, self.histories[users]

    def rows(self, users: Int[np.ndarray, " part"]) -> Rows:
        """Histories of some of the users, where the model is."""
        return Rows.from_csr(self.histories, users, self.model.device)

    def _encoded(self, histories: csr_array) -> DiagonalGaussian:
        parts = [
            self.model.encode(histories[start : start + AT_ONCE])
            for start in range(0, self.n_users, AT_ONCE)
        ]
        mu, logvar = (torch.cat([getattr(q, name) for q in parts]) for name in ("mu", "logvar"))
        if not bool(torch.isfinite(mu).all()):
            raise DataError("the model's latents are not finite; it cannot be examined")
        return DiagonalGaussian(mu.clone(), logvar.clone())


def stacked_means(posteriors: tuple[DiagonalGaussian, ...]) -> Tensor:
    """mu under several masks, users x masks x latent, in float64."""
    return torch.stack([q.mu.double() for q in posteriors], 1)
