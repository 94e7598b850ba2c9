"""The input of instruments: a fitted autoencoder and a sample of users."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np
import torch
from jaxtyping import Float, Float64, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.errors import DataError, EmptyDataError, SettingsError
from nearfar.core.seeding import derive, generator
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Autoencoder
from nearfar.theory.latents import check_gaussian, draw_latents, encode, mean_latents
from nearfar.theory.losses import Loss, loss_of, trained_objective
from nearfar.theory.transport import coupled_points, gaussian_points
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.prior import PriorNetwork
from nearfar.vae.step import Step

MIN_USERS = 20
SHARED_DRAWS = 16
"""Draws per user that distances are estimated from if posteriors are not Gaussian."""


@dataclass(frozen=True, eq=False)
class Subject:
    """A model and the sample of users that it is measured on.

    All random numbers depend on `seed` and a name only, so that several models are measured on
    the same users, pairs and masks.

    Args:
        model: the fitted autoencoder.
        histories: histories of the sample over the model's items, none of them empty.
        groups: each user's cohort, counted from 0.
        group_names: names of the cohorts.
        beta: weight of the KL term at the best epoch of training.
        align_weight: lambda_A at that epoch; 0 without PIA.
        keep_prob: rho of the masks that the instruments draw.
        n_masks: masks per user.
        n_sharing: number of users whose gradients are compared in pairs.
        seed: random seed.
        algorithm: the algorithm that fitted the model. If it is None, instruments that need the
            likelihood or the prior raise an error.

    Raises:
        EmptyDataError: there are fewer than 20 users, or a user has no items.
        DataError: histories or groups do not match the model or the users.
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
    algorithm: AutoencoderAlgorithm | None = None

    def __post_init__(self) -> None:
        if self.n_users < MIN_USERS or not np.diff(self.histories.indptr).all():
            raise EmptyDataError(
                f"the sample has {self.n_users} users; expected {MIN_USERS} or more, each with an "
                "item that the model knows"
            )
        if self.histories.shape[1] != self.model.n_items or len(self.groups) != self.n_users:
            raise DataError(
                f"there are histories of {self.n_users} users over {self.histories.shape[1]} "
                f"items and {len(self.groups)} groups, for a model of {self.model.n_items} items; "
                "give the model's items and one group per user"
            )
        if not 0 < self.keep_prob < 1 or self.n_masks < 2 or self.n_sharing < 2:
            raise SettingsError(
                f"keep_prob is {self.keep_prob}, n_masks {self.n_masks} and n_sharing "
                f"{self.n_sharing}; give a keep_prob between 0 and 1, and at least 2 for the others"
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
        """Return the NumPy random generator of a name."""
        return generator(self.seed, "diagnosis", *names)

    def generator(self, *names: str | int) -> torch.Generator:
        """Return the PyTorch random generator of a name, on the CPU."""
        return torch.Generator().manual_seed(derive(self.seed, "diagnosis", *names))

    @property
    def loss(self) -> Loss:
        """-log p(x|z) of the model's likelihood.

        Raises:
            SettingsError: the likelihood is unknown, or the theory does not cover it.
        """
        weighted = self._objective.terms.get("reconstruction")
        if weighted is None:
            names = ", ".join(self._objective.terms)
            raise SettingsError(
                f"the model is trained by {names}, without a likelihood p(x|z), which the theory "
                "needs"
            )
        return loss_of(weighted.term)

    @property
    def prior(self) -> PriorNetwork:
        """The model's prior.

        Raises:
            SettingsError: the prior is unknown, or there is none.
        """
        if self._objective.prior is None:
            raise SettingsError("the model was trained without a prior; there is no KL term")
        return self._objective.prior

    @cached_property
    def _objective(self) -> Objective:
        if self.algorithm is None:
            raise SettingsError(
                "the algorithm that trained the model is unknown: it belongs to another package or "
                "another version; train the model again"
            )
        return trained_objective(self.algorithm, self.model)

    @cached_property
    def noise(self) -> bool:
        """Whether training draws z; if not, a posterior is a point, its mean."""
        return self.algorithm is None or self.algorithm.plan().noise

    def kl_weights(self, users: Int[np.ndarray, " part"]) -> Float64[np.ndarray, " part"]:
        """Return the weight of each user's KL in training: beta, or gamma |x|."""
        weighted = self._objective.terms.get("kl")
        counts = np.diff(self.histories.indptr)[users]
        by_interactions = weighted is not None and weighted.weight.by_interactions
        return self.beta * (counts if by_interactions else np.ones(len(users)))

    @property
    def gaussian(self) -> bool:
        """Whether the posteriors of the decoder's input are diagonal Gaussians."""
        return self.network.encoder.gaussian_latent

    @property
    def posterior(self) -> DiagonalGaussian:
        """q(z|x) of the clean histories.

        Raises:
            SettingsError: q(z|x) is not a diagonal Gaussian, as behind a flow.
        """
        check_gaussian(self.network.encoder)
        return self._clean_posterior

    @cached_property
    def _clean_posterior(self) -> DiagonalGaussian:
        return self._posterior_of(self.histories)

    def _posterior_of(self, histories: csr_array) -> DiagonalGaussian:
        q = encode(self.model, histories)
        return q if self.noise else DiagonalGaussian(q.mu, torch.full_like(q.mu, -torch.inf))

    @cached_property
    def means(self) -> Float[Tensor, "users latent"]:
        """Each user's latent at test time: the mean, through the flow if there is one."""
        return mean_latents(self.model, self.histories)

    @cached_property
    def masked_means(self) -> tuple[Float[Tensor, "users latent"], ...]:
        """`means` of the masked histories, one array per mask."""
        return tuple(mean_latents(self.model, masked) for masked in self.masked_histories)

    @cached_property
    def points(self) -> Float64[np.ndarray, "users coordinates"]:
        """One point per user, whose Euclidean distance is W2 of the posteriors.

        If posteriors are not diagonal Gaussians, the distance is an estimate of an upper bound of
        W2; see `coupled_points`.
        """
        return self.points_of(self.histories)

    def points_of(self, histories: csr_array) -> Float64[np.ndarray, "users coordinates"]:
        """Return the points of other histories; their distances to `points` are W2 too."""
        if self.gaussian:
            return gaussian_points(self._posterior_of(histories))
        return coupled_points(self.shared_latents(histories, SHARED_DRAWS))

    @cached_property
    def centres(self) -> Float64[np.ndarray, "users latent"]:
        """E z of each user; the distance of two users' is at most W1 of their posteriors.

        If posteriors are not Gaussian, it is the mean of draws that share their noise.
        """
        if self.gaussian:
            return self.posterior.mu.double().numpy()
        return self.shared_latents(self.histories, SHARED_DRAWS).mean(1).double().numpy()

    @property
    def flow_notes(self) -> tuple[str, ...]:
        """Notes for the reader if W2 is not exact."""
        if self.gaussian:
            return ()
        return (
            "Posteriors are not diagonal Gaussians, so W2 is replaced by an upper bound, the root "
            f"mean square distance of {SHARED_DRAWS} draws with shared noise.",
        )

    def latents(
        self, users: Int[np.ndarray, " part"], n_draws: int, name: str
    ) -> Float[Tensor, "part draws latent"]:
        """Draw latents of some users by the encoder, as the decoder gets them.

        Draws of different users are independent, so the inner product of two users' mean gradients
        is unbiased. Noise shared by users would add the covariance of the two gradients over the
        noise, which for wide posteriors is most of the product. The draws of one user come in pairs
        eps and -eps, whose mean varies less than that of independent draws.

        Args:
            users: positions in the sample.
            n_draws: draws per user, an even number.
            name: name of the random generator of the noise.

        Raises:
            SettingsError: `n_draws` is odd or below 2.
        """
        if n_draws < 2 or n_draws % 2:
            raise SettingsError(f"n_draws is {n_draws}; it must be an even number above 0")
        half = torch.randn(
            (len(users), n_draws // 2, self.network.n_latent), generator=self.generator(name)
        )
        return draw_latents(
            self.model, self.histories[users], torch.cat([half, -half], 1) * self.noise
        )

    def shared_latents(self, histories: csr_array, n_draws: int) -> Float[Tensor, "n draws latent"]:
        """Draw latents of histories with the same noise for all of them."""
        noise = torch.randn((n_draws, self.network.n_latent), generator=self.generator("shared"))
        return draw_latents(
            self.model, histories, (noise * self.noise).expand(histories.shape[0], -1, -1)
        )

    @torch.no_grad()
    def step(self, users: Int[np.ndarray, " part"], *names: str, corrupt: bool) -> Step:
        """Return one training step of some users, the input of the objective's terms.

        Args:
            users: positions in the sample.
            names: name of the random generator of masks and noise.
            corrupt: whether histories are corrupted as in training.
        """
        rng = self.generator(*names)
        if self.model.device.type != "cpu":  # masks are drawn on the model's device
            rng = type(rng)(self.model.device).manual_seed(rng.initial_seed())
        rows = self.rows(users)
        return self.network.training_step(rows, rng, corrupt=corrupt, noise=self.noise)

    @cached_property
    def masked_histories(self) -> tuple[csr_array, ...]:
        """x * b for each mask b; a masked history may be empty."""
        all_masked = []
        for number in range(self.n_masks):
            rng = self.rng("mask", number)
            masked = self.histories.copy()
            masked.data = np.where(rng.random(masked.nnz) < self.keep_prob, masked.data, 0)
            masked.eliminate_zeros()
            all_masked.append(masked)
        return tuple(all_masked)

    @cached_property
    def sharing_users(self) -> Int[np.ndarray, " part"]:
        """Positions of the users whose gradients are compared in pairs, in rising order."""
        n = min(self.n_sharing, self.n_users)
        return np.sort(self.rng("sharing").choice(self.n_users, n, replace=False))

    def pairs(self, n: int) -> tuple[Int[np.ndarray, " pairs"], Int[np.ndarray, " pairs"]]:
        """Draw `n` random pairs of different users, as positions of the first and the second."""
        rng = self.rng("pairs")
        first = rng.integers(self.n_users, size=n)
        second = (first + rng.integers(1, self.n_users, size=n)) % self.n_users
        return first, second

    def part(self, users: Int[np.ndarray, " part"]) -> tuple[DiagonalGaussian, csr_array]:
        """Return posteriors and histories of some users."""
        rows = torch.from_numpy(users)
        q = DiagonalGaussian(self.posterior.mu[rows], self.posterior.logvar[rows])
        return q, self.histories[users]

    def rows(self, users: Int[np.ndarray, " part"]) -> Rows:
        """Return histories of some users, on the model's device."""
        return Rows.from_csr(self.histories, users, self.model.device)
