"""The composite prior of RecVAE."""

from __future__ import annotations

import copy
import math
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.posterior import DiagonalGaussian, log_normal
from nearfar.vae.priors.prior import Density, Prior, PriorNetwork
from nearfar.vae.step import Step


@dataclass(frozen=True)
class Composite(Prior):
    """A mixture, per dimension, of N(0, 1), the old posterior of the uncorrupted x and N(0, e^10).

    The old posterior is that of a frozen copy of the encoder, made when the prior was last
    renewed; with a flow, its q(z_0|x).

    Source: Shenbin et al., RecVAE, 2020, and its published code, which mixes per dimension; the
    paper's formula mixes whole vectors.
    Differs: the old encoder starts as a copy of the new one; in the published code it has its own
    random weights until the prior is first renewed.

    Args:
        normal: share of the standard normal.
        old_posterior: share of the old posterior.
        wide: share of the wide normal.
        wide_logvar: log variance of the wide normal.

    Examples:
        >>> nf.RecVAE(prior=nf.priors.Composite(wide_logvar=5.0)).prior.wide_logvar
        5.0
    """

    normal: NonNegativeFloat = 3 / 20
    old_posterior: NonNegativeFloat = 3 / 4
    wide: NonNegativeFloat = 1 / 10
    wide_logvar: float = 10.0

    def check_together(self) -> None:
        if not math.isclose(sum(self.shares), 1, abs_tol=1e-9):
            raise SettingsError(
                f"normal {self.normal}, old_posterior {self.old_posterior}, wide {self.wide}: "
                "the shares must add up to 1"
            )

    @property
    def shares(self) -> tuple[float, float, float]:
        return self.normal, self.old_posterior, self.wide

    def build(self, n_items: int, n_latent: int, rng: torch.Generator) -> PriorNetwork:
        return _CompositeNetwork(self)


class _CompositeNetwork(PriorNetwork):
    def __init__(self, settings: Composite) -> None:
        super().__init__()
        self.settings = settings
        self.old_encoder: EncoderNetwork | None = None

    @property
    def knows_user(self) -> bool:
        return self.settings.old_posterior > 0

    def renew(self, encoder: EncoderNetwork) -> None:
        if self.settings.old_posterior == 0:
            return
        if self.old_encoder is None:
            self.old_encoder = copy.deepcopy(encoder).requires_grad_(False)
        else:
            self.old_encoder.load_state_dict(encoder.state_dict())

    def log_density(self, step: Step) -> Float[Tensor, " users"]:
        return self.density(step)(step.z)

    def density(self, step: Step) -> Density:
        normal, old_posterior, wide = self.settings.shares
        old = self._old_posterior(step) if old_posterior else None

        def log_prior(z: Float[Tensor, "users latent"]) -> Float[Tensor, " users"]:
            zero = torch.zeros_like(z[:1])
            components = []
            if normal:
                components.append(log_normal(z, zero, zero) + math.log(normal))
            if old is not None:
                components.append(log_normal(z, old.mu, old.logvar) + math.log(old_posterior))
            if wide:
                logvar = torch.full_like(zero, self.settings.wide_logvar)
                components.append(log_normal(z, zero, logvar) + math.log(wide))
            return torch.logsumexp(torch.stack(components), 0).sum(1)

        return log_prior

    def _old_posterior(self, step: Step) -> DiagonalGaussian:
        assert self.old_encoder is not None, "a prior is renewed before training"
        with torch.no_grad():
            return self.old_encoder(step.clean_history)
