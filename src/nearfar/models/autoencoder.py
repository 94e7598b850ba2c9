"""The autoencoder: the fitted form of every variational autoencoder."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.core import settings
from nearfar.core.errors import ArtefactError, NearfarError
from nearfar.models.latent import LatentModel
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.network import VAE
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.rows import Rows


@dataclass(frozen=True)
class Architecture:
    """All that a network is built from, but its weights."""

    n_items: int
    n_latent: int
    encoder: Encoder
    decoder_hidden: tuple[int, ...]
    corruption: Corruption

    def build(self, rng: torch.Generator) -> VAE:
        """A network with fresh weights."""
        return VAE(
            n_items=self.n_items,
            n_latent=self.n_latent,
            encoder=self.encoder,
            decoder_hidden=self.decoder_hidden,
            corruption=self.corruption,
            rng=rng,
        )


class Autoencoder(LatentModel):
    """Scores are the decoder's logits at z = mu of the clean history.

    Args:
        architecture: what the network is built from.
        network: the fitted network, on the device it shall score on.
        anchors: the item anchors e_i of PIA where it was trained with them; scoring does not
            read them.
    """

    def __init__(
        self,
        architecture: Architecture,
        network: VAE,
        popularity: Int[np.ndarray, " items"],
        n_train_users: int,
        anchors: Float[np.ndarray, "items latent"] | None = None,
    ) -> None:
        super().__init__(popularity, n_train_users)
        self.architecture = architecture
        self.network = network.eval()
        self.anchors = anchors

    @property
    def device(self) -> torch.device:
        return next(self.network.parameters()).device

    @torch.inference_mode()
    def _score(self, histories: csr_array) -> Float[np.ndarray, "users items"]:
        return self.network(Rows.from_csr(histories, device=self.device)).cpu().numpy()

    @torch.inference_mode()
    def encode(self, histories: csr_array) -> DiagonalGaussian:
        rows = Rows.from_csr(self._checked(histories), device=self.device)
        posterior = self.network.encode(rows)
        return DiagonalGaussian(posterior.mu.cpu(), posterior.logvar.cpu())

    def state(self) -> tuple[dict[str, Any], dict[str, np.ndarray]]:
        arrays = {f"network.{k}": v.cpu().numpy() for k, v in self.network.state_dict().items()}
        if self.anchors is not None:
            arrays["anchors"] = self.anchors
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
        return cls(architecture, network, popularity, n_train_users, arrays.get("anchors"))
