"""The autoencoder: the fitted model of every variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.core import settings
from nearfar.core.device import multiplies_bfloat16
from nearfar.core.errors import ArtefactError, NearfarError
from nearfar.core.memory import require
from nearfar.core.ranges import LayerSize, LayerSizes
from nearfar.core.settings import Settings
from nearfar.kernels.rows import Rows
from nearfar.models.model import LatentModel, RankBatch
from nearfar.models.screening import Screen
from nearfar.models.top_k import Candidates
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.layers import Units
from nearfar.vae.network import VAE
from nearfar.vae.posterior import DiagonalGaussian

SCREENED_SCORES = 1 << 20
"""Scores per batch, users times items, below which screening does not make ranking faster."""

SPARE = 40
"""Screening keeps max(k, SPARE) items beyond the best k. With so many, the exact best k are
certain for nearly all users."""


@dataclass(frozen=True)
class Architecture(Settings):
    """Settings from which a network is built.

    Raises:
        SettingsError: a size is out of range.
    """

    n_items: int
    n_latent: LayerSize
    encoder: Encoder
    decoder_hidden: LayerSizes
    corruption: Corruption
    decoder_units: Units = "tanh"

    @property
    def n_decoder_weights(self) -> int:
        """The number of weights in the decoder, without biases."""
        widths = (self.n_latent, *self.decoder_hidden, self.n_items)
        return sum(n_in * n_out for n_in, n_out in pairwise(widths))

    def build(self, rng: torch.Generator) -> VAE:
        """Build a network with fresh weights.

        Raises:
            DoesNotFitError: the decoder alone needs more memory than is available.
        """
        require(
            4 * self.n_decoder_weights,
            f"a decoder of n_latent {self.n_latent} and decoder_hidden {list(self.decoder_hidden)}",
            "choose smaller sizes",
        )
        return VAE(
            n_items=self.n_items,
            n_latent=self.n_latent,
            encoder=self.encoder,
            decoder_hidden=self.decoder_hidden,
            corruption=self.corruption,
            rng=rng,
            decoder_units=self.decoder_units,
        )


class Autoencoder(LatentModel):
    """A model whose scores are the decoder's logits at z = mu of the uncorrupted history.

    An encoder with a flow maps mu through it first.

    Args:
        architecture: what the network is built from.
        network: the fitted network, on the device that computes the scores.
        anchors: the item anchors e_i of a network trained with PIA; scoring does not read them.
        prior: the learned parameters of the prior p(z) by name, none for N(0, I); scoring does not
            read them.

    Examples:
        >>> vae.encode(split.test.fold_in.x).mu.shape
        torch.Size([10, 4])
        >>> vae.score(split.test.fold_in.x).shape
        (10, 20)
    """

    def __init__(
        self,
        architecture: Architecture,
        network: VAE,
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
        anchors: Float[np.ndarray, "items latent"] | None = None,
        prior: dict[str, np.ndarray] | None = None,
    ) -> None:
        super().__init__(popularity, n_train_users)
        self.architecture = architecture
        self.network = network.eval()
        self.anchors = anchors
        self.prior = prior or {}

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    def _write_scores(self, histories: csr_array, out: Float[Tensor, "users items"]) -> None:
        self.network.decoder.out.scores(self.hidden(histories), out)

    def _ranker(self, k: int, candidates: Candidates, batch_size: int) -> RankBatch:
        rank_unscreened = super()._ranker(k, candidates, batch_size)
        keep = k + max(k, SPARE)
        if (
            self.device.type != "cpu"
            or not multiplies_bfloat16()
            or batch_size * self.n_items < SCREENED_SCORES
            or self.n_items < 4 * keep
        ):
            return rank_unscreened
        screen = Screen.of(self.network.decoder.out)
        memory = torch.empty(batch_size, self.n_items, dtype=torch.bfloat16)

        @torch.inference_mode()
        def rank_batch(histories: csr_array, excluded: csr_array | None) -> tuple[Tensor, Tensor]:
            n_users = histories.shape[0]
            items, scores, certain = screen.rank(
                self.hidden(histories),
                k,
                keep,
                lambda rough: candidates.apply(rough, excluded),
                memory[:n_users],
            )
            certain &= torch.from_numpy(np.diff(histories.indptr) > 0)
            uncertain = (~certain).nonzero()[:, 0]
            if len(uncertain):
                rows = uncertain.numpy()
                rows_excluded = None if excluded is None else excluded[rows]
                items[uncertain], scores[uncertain] = rank_unscreened(
                    histories[rows], rows_excluded
                )
            return items, scores

        return rank_batch

    def hidden(self, histories: csr_array) -> Float[Tensor, "users hidden"]:
        """Return what canonical histories become before the last layer, on the model's device."""
        rows = Rows.from_csr(histories, device=self.device)
        return self.network.decoder.body(self.network.latents(rows))

    @torch.inference_mode()
    def encode(self, histories: csr_array) -> DiagonalGaussian:
        rows = Rows.from_csr(self._checked(histories), device=self.device)
        posterior = self.network.encode(rows)
        return DiagonalGaussian(posterior.mu.cpu(), posterior.logvar.cpu())

    @torch.inference_mode()
    def latents(self, histories: csr_array) -> Float[Tensor, "users latent"]:
        """Return the decoder's inputs at test time: mu, mapped through the flow if there is one."""
        rows = Rows.from_csr(self._checked(histories), device=self.device)
        return self.network.latents(rows).cpu()

    @property
    def latent_anchors(self) -> Float[np.ndarray, "items latent"] | None:
        """The item anchors in the space of `latents`; None without PIA or with a flow.

        PIA pulls the means of q(z_0|x) to the anchors, and a flow moves each user by its own map.
        """
        return self.anchors if self.network.encoder.means_are_latents else None

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {f"network.{k}": v.cpu().numpy() for k, v in self.network.state_dict().items()}
        if self.anchors is not None:
            arrays["anchors"] = self.anchors
        arrays |= {f"prior.{name}": values for name, values in self.prior.items()}
        return settings.to_plain(self.architecture), arrays

    @classmethod
    def restore(
        cls,
        description: dict[str, Any],
        arrays: dict[str, np.ndarray],
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
    ) -> Autoencoder:
        try:
            architecture = settings.build(Architecture, description)
            if architecture.n_decoder_weights > sum(array.size for array in arrays.values()):
                raise ArtefactError("the layer sizes need more weights than were saved")
            network = architecture.build(torch.Generator().manual_seed(0))
            prefix = "network."
            weights = {
                k.removeprefix(prefix): torch.from_numpy(np.array(v))
                for k, v in arrays.items()
                if k.startswith(prefix)
            }
            network.load_state_dict(weights)
        except (NearfarError, RuntimeError) as error:
            raise ArtefactError(f"the network cannot be rebuilt: {error}") from None
        prior = {k.removeprefix("prior."): v for k, v in arrays.items() if k.startswith("prior.")}
        return cls(architecture, network, popularity, n_train_users, arrays.get("anchors"), prior)
