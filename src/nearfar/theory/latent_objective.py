"""A user's objective as a function of the posterior's mean: the J_b(mu) of Proposition 3.2."""

from __future__ import annotations

import copy
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from torch import Tensor

from nearfar.core.errors import DataError, SettingsError
from nearfar.theory.losses import MULTINOMIAL, Loss
from nearfar.vae.decoder import Decoder
from nearfar.vae.priors.prior import Density

MOST_STEPS = 500
MEMORY = 20


@dataclass(frozen=True, eq=False)
class LatentOptimum:
    """The result of the search for minima.

    Args:
        mu: the means at the minima.
        slope: the remaining norm of the objective's gradient at each, in nats per latent unit.
    """

    mu: Float64[Tensor, "rows latent"]
    slope: Float64[Tensor, " rows"]


@dataclass(frozen=True, eq=False)
class LatentObjective:
    """J(mu) = E_eps[-log p(x|z) - beta log p(z)] + lambda ||mu - c||^2, z = mu + sigma eps.

    A row is a user under one mask. The target x is the user's full history; the mask enters only
    through sigma = sigma(x~). J is Eq. 1 (with lambda, Eq. 8) up to terms that do not depend on
    mu: the entropy of q, tr Sigma and V(S). The mean over eps is over given draws, the same for
    all rows, so J is a deterministic function. All is computed in float64.

    Source: Proposition 3.2 and its proof, which hold sigma(x~) and the decoder fixed.

    Args:
        decoder: f; a copy in float64 is used.
        x: full histories of ones.
        sigma: standard deviations of the posteriors of the masked histories.
        noise: draws of eps, best in pairs of eps and -eps, whose mean is 0.
        beta: weight of each row's KL term.
        loss: -log p(x|z).
        log_prior: log p(z) of the model's prior for these rows; by default N(0, I).

    Raises:
        SettingsError: a weight is negative.
        DataError: rows, items or dimensions do not match.
    """

    decoder: Decoder
    x: Float[Tensor, "rows items"]
    sigma: Float[Tensor, "rows latent"]
    noise: Float[Tensor, "draws latent"]
    beta: Float[Tensor, " rows"]
    loss: Loss = MULTINOMIAL
    log_prior: Density | None = None

    def __post_init__(self) -> None:
        n_items, n_hidden = self.decoder.out.weight.shape
        n_latent = self.decoder.hidden[0].in_features if len(self.decoder.hidden) else n_hidden
        n_rows = len(self.x)
        shapes = (self.sigma.shape, self.noise.shape[1:], self.beta.shape, self.x.shape)
        if shapes != ((n_rows, n_latent), (n_latent,), (n_rows,), (n_rows, n_items)):
            raise DataError(
                f"targets have shape {tuple(self.x.shape)}, sigma {tuple(self.sigma.shape)}, noise "
                f"{tuple(self.noise.shape)} and weights {tuple(self.beta.shape)}, for a decoder "
                f"from {n_latent} dimensions to {n_items} items; give one row of targets, sigma "
                "and weight per row"
            )
        if bool((self.beta < 0).any()):
            raise SettingsError(f"beta is {float(self.beta.min())}; it must not be negative")
        exact = copy.deepcopy(self.decoder).double().requires_grad_(False)
        object.__setattr__(self, "decoder", exact)
        for name in ("x", "sigma", "noise", "beta"):
            object.__setattr__(self, name, getattr(self, name).detach().double())
        object.__setattr__(self, "x", self.loss.targets(self.x))

    def value(self, mu: Float64[Tensor, "rows latent"]) -> Float64[Tensor, " rows"]:
        """Return J without alignment, in nats, up to a constant per row."""
        total = torch.zeros_like(self.beta)
        for eps in self.noise:
            z = mu + self.sigma * eps
            log_prior = -0.5 * z.square().sum(1) if self.log_prior is None else self.log_prior(z)
            total = total + self.loss.value(self.decoder(z), self.x) - self.beta * log_prior
        return total / len(self.noise)

    def minimum(
        self,
        start: Float[Tensor, "rows latent"],
        align_weight: float = 0.0,
        centroid: Float[Tensor, "rows latent"] | None = None,
    ) -> LatentOptimum:
        """Find a minimum over mu for each row, by L-BFGS on all rows together.

        With hidden layers there may be several minima; the result is the one that the descent
        from `start` reaches.

        Args:
            start: where the search begins.
            align_weight: lambda_A.
            centroid: c; needed if lambda_A is above 0.

        Raises:
            SettingsError: the weight is negative, or is above 0 without a centroid.
        """
        if align_weight < 0 or (align_weight > 0 and centroid is None):
            raise SettingsError(
                f"align_weight is {align_weight}; it must not be negative, and alignment needs "
                "centroids"
            )
        target = torch.zeros_like(start) if centroid is None else centroid
        target = target.double().to(start.device)
        mu = start.detach().double().clone().requires_grad_()

        def objective() -> Tensor:
            return (self.value(mu) + align_weight * (mu - target).square().sum(1)).sum()

        optimiser = torch.optim.LBFGS(
            [mu], max_iter=MOST_STEPS, history_size=MEMORY, line_search_fn="strong_wolfe",
            tolerance_grad=1e-7, tolerance_change=1e-14,
        )  # fmt: skip

        def closure() -> Tensor:
            optimiser.zero_grad()
            value = objective()
            value.backward()
            return value

        with torch.enable_grad():
            optimiser.step(closure)
            (slope,) = torch.autograd.grad(objective(), mu)
        return LatentOptimum(mu.detach(), slope.norm(dim=1))

    def hessian(self, mu: Float64[Tensor, "rows latent"]) -> Float64[Tensor, "rows latent latent"]:
        """Compute the Hessian of J without alignment for each row, in nats per unit squared.

        With one linear layer, N(0, I) and no noise it is N W'(diag p - p p')W + beta I, which has
        no negative eigenvalue. Deeper decoders and other priors may have some; `Contraction`
        refuses these. Time is that of one backward pass per latent dimension.
        """
        mu = mu.detach().double().requires_grad_()
        with torch.enable_grad():
            (slope,) = torch.autograd.grad(self.value(mu).sum(), mu, create_graph=True)
            columns = [
                torch.autograd.grad(part.sum(), mu, retain_graph=True)[0]
                for part in slope.unbind(1)
            ]
        hessian = torch.stack(columns, 1)
        return 0.5 * (hessian + hessian.transpose(1, 2))  # rounding breaks the symmetry
