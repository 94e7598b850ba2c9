"""The objective of a trained model, and the loss of a history as a function of the logits."""

from __future__ import annotations

from abc import ABC, abstractmethod
from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.errors import SettingsError
from nearfar.models.autoencoder import Autoencoder
from nearfar.vae.likelihoods.bernoulli import bernoulli
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.likelihoods.multinomial import SoftReconstruction, reconstruction
from nearfar.vae.likelihoods.sampled import SampledReconstruction
from nearfar.vae.objective import Objective
from nearfar.vae.step import Term
from nearfar.vae.terms.critic import WatchedReconstruction


class Loss(ABC):
    """l = scale A(f) - t . f in nats, with A convex and t the targets of a history.

    Its gradient in the logits is scale A'(f) - t. The difference of two users' losses at the same
    latent has the same form, with the differences of scales and targets.
    """

    @abstractmethod
    def scale(self, targets: Float[Tensor, "users items"]) -> Float[Tensor, " users"]:
        """Return the factor of A for each user."""

    def targets(self, x: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        """Return t for histories of ones: the history itself unless targets are soft."""
        return x

    @abstractmethod
    def potential(self, logits: Float[Tensor, "*rows items"]) -> Float[Tensor, "*rows"]:
        """Return A(f)."""

    @abstractmethod
    def link(self, logits: Float[Tensor, "*rows items"]) -> Float[Tensor, "*rows items"]:
        """Return A'(f)."""

    def value(
        self, logits: Float[Tensor, "*rows items"], targets: Float[Tensor, "*rows items"]
    ) -> Float[Tensor, "*rows"]:
        """Return -log p(x|z) in nats, up to terms that do not depend on z."""
        return self.scale(targets) * self.potential(logits) - (targets * logits).sum(-1)


@dataclass(frozen=True)
class MultinomialLoss(Loss):
    """-sum_i t_i log softmax(f)_i (Eq. 1); A = logsumexp, scale = sum_i t_i.

    Args:
        background: total weight of the items outside a history, as a share of the weight of the
            items in it; see `Multinomial`.
    """

    background: float = 0.0

    def targets(self, x: Float[Tensor, "users items"]) -> Float[Tensor, "users items"]:
        if not self.background:
            return x
        counts = x.sum(-1, keepdim=True)
        others = x.shape[-1] - counts
        alpha = (self.background * counts / others.clamp(min=1)).clamp(max=1)
        return x + alpha * (1 - x)

    def scale(self, targets: Float[Tensor, "users items"]) -> Float[Tensor, " users"]:
        return targets.sum(-1)

    def potential(self, logits: Float[Tensor, "*rows items"]) -> Float[Tensor, "*rows"]:
        return torch.logsumexp(logits, -1)

    def link(self, logits: Float[Tensor, "*rows items"]) -> Float[Tensor, "*rows items"]:
        return torch.softmax(logits, -1)


@dataclass(frozen=True)
class BernoulliLoss(Loss):
    """sum_i softplus(f_i) - x . f; scale = 1."""

    def scale(self, targets: Float[Tensor, "users items"]) -> Float[Tensor, " users"]:
        return torch.ones_like(targets[..., 0])

    def potential(self, logits: Float[Tensor, "*rows items"]) -> Float[Tensor, "*rows"]:
        return torch.nn.functional.softplus(logits).sum(-1)

    def link(self, logits: Float[Tensor, "*rows items"]) -> Float[Tensor, "*rows items"]:
        return torch.sigmoid(logits)


MULTINOMIAL = MultinomialLoss()


def loss_of(term: Term) -> Loss:
    """Return the loss of an objective's reconstruction term.

    For a sampled normaliser it is the multinomial loss, which the normaliser estimates.

    Raises:
        SettingsError: the term's likelihood is neither multinomial nor Bernoulli.
    """
    if term is bernoulli:
        return BernoulliLoss()
    if term is reconstruction or isinstance(term, WatchedReconstruction):
        return MULTINOMIAL
    if isinstance(term, SoftReconstruction):
        return MultinomialLoss(term.share)
    if isinstance(term, SampledReconstruction):
        return MultinomialLoss(term.background)
    raise SettingsError(
        f"the model is trained by {getattr(term, '__name__', type(term).__name__)}; expected a "
        "multinomial or Bernoulli likelihood"
    )


def trained_objective(algorithm: AutoencoderAlgorithm, model: Autoencoder) -> Objective:
    """Return the objective with the trained prior, on the model's device.

    A composite prior copies the encoder, as at the end of every epoch. Other terms with
    parameters, such as a critic or anchors, are newly initialised.

    Args:
        algorithm: the algorithm that fitted the model.
        model: the model, which holds the prior's parameters.

    Raises:
        SettingsError: the model does not hold the parameters of this prior.
    """
    catalogue = TrainingCounts(model.popularity, model.n_train_users)
    objective = algorithm.objective(catalogue, 0).to(model.device)
    if objective.prior is not None:
        objective.prior.load_learned(model.prior, model.network.encoder)
    return objective.requires_grad_(False)
