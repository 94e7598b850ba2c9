"""What instruments look at: a fitted autoencoder and a sample of users."""

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
from nearfar.theory.latents import check_gaussian, drawn, encoded, standing_latents
from nearfar.theory.losses import Loss, loss_of, trained_objective
from nearfar.theory.transport import coupled_points, gaussian_points
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.priors.prior import PriorNetwork
from nearfar.vae.step import Step

MIN_USERS = 20
SHARED_DRAWS = 16
"""Draws that distances are estimated from where posteriors are no Gaussians."""


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
        algorithm: what the model was fitted by. Where it is not known, instruments that need the
            likelihood or the prior refuse.

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
    algorithm: AutoencoderAlgorithm | None = None

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

    @property
    def loss(self) -> Loss:
        """-log p(x|z) of the model's own likelihood.

        Raises: SettingsError where it is not known, or is none that the theory is measured for.
        """
        weighted = self._objective.terms.get("reconstruction")
        if weighted is None:
            names = ", ".join(self._objective.terms)
            raise SettingsError(
                f"the model is trained by {names}, without a likelihood p(x|z) of which the "
                "theory speaks"
            )
        return loss_of(weighted.term)

    @property
    def prior(self) -> PriorNetwork:
        """The model's own prior.

        Raises: SettingsError where it is not known, or there is none.
        """
        if self._objective.prior is None:
            raise SettingsError("the model was trained without a prior; there is no KL term")
        return self._objective.prior

    @cached_property
    def _objective(self) -> Objective:
        if self.algorithm is None:
            raise SettingsError(
                "what the model was trained by is not known: it is of another package's "
                "algorithm, or of another version; train it again"
            )
        return trained_objective(self.algorithm, self.model)

    @cached_property
    def noise(self) -> bool:
        """Whether training draws z; where not, a posterior is the point that its mean is."""
        return self.algorithm is None or self.algorithm.plan().noise

    def kl_weights(self, users: Int[np.ndarray, " part"]) -> Float64[np.ndarray, " part"]:
        """The weight of each user's KL in training: beta, or gamma |x|."""
        weighted = self._objective.terms.get("kl")
        counts = np.diff(self.histories.indptr)[users]
        by_interactions = weighted is not None and weighted.weight.by_interactions
        return self.beta * (counts if by_interactions else np.ones(len(users)))

    @property
    def gaussian(self) -> bool:
        """Whether the posteriors of what the decoder is given are diagonal Gaussians."""
        return self.network.encoder.gaussian_latent

    @property
    def posterior(self) -> DiagonalGaussian:
        """q(z|x) of the clean histories.

        Raises: SettingsError behind a flow, and wherever else q(z|x) is no diagonal Gaussian.
        """
        check_gaussian(self.network.encoder)
        return self._clean

    @cached_property
    def _clean(self) -> DiagonalGaussian:
        return self._encoded(self.histories)

    def _encoded(self, histories: csr_array) -> DiagonalGaussian:
        q = encoded(self.model, histories)
        return q if self.noise else DiagonalGaussian(q.mu, torch.full_like(q.mu, -torch.inf))

    @cached_property
    def means(self) -> Float[Tensor, "users latent"]:
        """What stands for each user at test time: the mean, through the flow if there is one."""
        return standing_latents(self.model, self.histories)

    @cached_property
    def masked_means(self) -> tuple[Float[Tensor, "users latent"], ...]:
        """The same under each mask."""
        return tuple(standing_latents(self.model, hidden) for hidden in self.masked_histories)

    @cached_property
    def points(self) -> Float64[np.ndarray, "users coordinates"]:
        """Of each user, points whose Euclidean distance is W2 of two posteriors.

        Where posteriors are no diagonal Gaussians, the distance is an estimate of an upper bound
        of W2; see `coupled_points`.
        """
        return self.points_of(self.histories)

    def points_of(self, histories: csr_array) -> Float64[np.ndarray, "users coordinates"]:
        """The same of other histories, whose distances to `points` are W2 too."""
        if self.gaussian:
            return gaussian_points(self._encoded(histories))
        return coupled_points(self.shared_latents(histories, SHARED_DRAWS))

    @cached_property
    def centres(self) -> Float64[np.ndarray, "users latent"]:
        """E z of each user: distances of these are at most W1 of two posteriors.

        Where posteriors are no Gaussians it is the mean of draws that share their noise.
        """
        if self.gaussian:
            return self.posterior.mu.double().numpy()
        return self.shared_latents(self.histories, SHARED_DRAWS).mean(1).double().numpy()

    @property
    def flow_notes(self) -> tuple[str, ...]:
        """What a reader must know where W2 is not exact."""
        if self.gaussian:
            return ()
        return (
            "Posteriors are no diagonal Gaussians: for W2 stands an upper bound, the root mean "
            f"square of {SHARED_DRAWS} draws with shared noise.",
        )

    def latents(
        self, users: Int[np.ndarray, " part"], n_draws: int, name: str
    ) -> Float[Tensor, "part draws latent"]:
        """Latents of some users as the decoder is given them, by the encoder's own draw.

        Draws of different users are independent, so that the inner product of two users' mean
        gradients has no bias. With noise that users share, it would have the covariance of the two
        gradients over the noise on top, which for wide posteriors is most of it. The draws of one
        user come in pairs eps and -eps, whose mean varies less than that of independent ones.

        Args:
            users: positions.
            n_draws: of each user, an even number.
            name: of the stream that the noise comes from.

        Raises: SettingsError where n_draws is odd or below 2.
        """
        if n_draws < 2 or n_draws % 2:
            raise SettingsError(f"n_draws is {n_draws}; it must be an even number above 0")
        half = torch.randn(
            (len(users), n_draws // 2, self.network.n_latent), generator=self.generator(name)
        )
        return drawn(self.model, self.histories[users], torch.cat([half, -half], 1) * self.noise)

    def shared_latents(self, histories: csr_array, n_draws: int) -> Float[Tensor, "n draws latent"]:
        """Latents of histories, drawn with the same noise for all of them."""
        noise = torch.randn((n_draws, self.network.n_latent), generator=self.generator("shared"))
        return drawn(self.model, histories, (noise * self.noise).expand(histories.shape[0], -1, -1))

    @torch.no_grad()
    def step(self, users: Int[np.ndarray, " part"], *names: str, corrupt: bool) -> Step:
        """One training step of some users, as the objective's terms see it.

        Args:
            users: positions.
            names: of the stream that masks and noise come from.
            corrupt: whether histories are corrupted as in training.
        """
        rng = self.generator(*names)
        if self.model.device.type != "cpu":  # masks are drawn where the model is
            rng = type(rng)(self.model.device).manual_seed(rng.initial_seed())
        rows = self.rows(users)
        return self.network.training_step(rows, rng, corrupt=corrupt, noise=self.noise)

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
