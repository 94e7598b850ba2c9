"""Mult-VAE, with or without Personalized Item Alignment."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Self

from nearfar.algorithms.recipe import EvidenceBound, Network, Training, optimiser_of
from nearfar.core.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.train.plan import OptimiserName, Phase, TrainingPlan
from nearfar.vae.corruption.corruption import Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.initialisers.initialiser import Initialiser
from nearfar.vae.initialisers.spectral import Spectral
from nearfar.vae.likelihoods.by_size import EXACT_ITEMS
from nearfar.vae.likelihoods.gaussian import Gaussian
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.objective import Objective
from nearfar.vae.priors.normal import Normal
from nearfar.vae.priors.prior import Prior
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.cosine import Cosine
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight

NETWORK_SETTINGS = (
    "n_latent", "corruption", "initialiser", "encoder", "decoder_hidden", "decoder_units",
    "likelihood", "beta",
)  # fmt: skip
"""The settings that define a network and how much of a history it keeps."""

RICHER: Mapping[str, Any] = {
    "n_latent": 600,
    "corruption": Dropout(keep_prob=0.8),
    "beta": LinearAnneal(end=0.02, steps=200),
    "epochs_scale": 2.0,
    "patience": 8,
}
"""The settings of the richer network, which keeps more of a history and has more to learn.

On some data it gains several percent of NDCG@100, on others it loses more (docs/defaults.md), and
no statistic of the data was found to predict which. Where it is too rich, the validation score soon
stalls, so there is patience; it is eight epochs, because on some data the score falls for seven
epochs and is best in the end.
"""

GAUSSIAN: Mapping[str, Any] = {
    "n_latent": 700,
    "encoder": Base(hidden=(700,)),
    "decoder_hidden": (),
    "likelihood": Gaussian(negative_weight=1.0),
    "initialiser": Spectral(damping=0.4, biases="zero"),
}
"""The settings of the Gaussian network: a linear decoder trained by squared errors.

Where linear models rank better than the multinomial likelihood, this network comes near them or is
level with them (docs/defaults.md). Its beta depends on the data (`gaussian_beta`), and its learning
rate is half of the plain network's, if that is not set.
"""

GAUSSIAN_BETA = 0.7


@dataclass(frozen=True)
class MultVAE(Network, EvidenceBound, Training):
    """The variational autoencoder with a multinomial likelihood; PIA is a setting.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, 2018; with
    `alignment`, Eq. 8-9 and Algorithm 1 of "On the Mechanisms of Collaborative Learning in VAE
    Recommenders".
    Differs: users without an item are left out of the training batches. As published, terms are
    means over a batch's users, the KL of each user is summed over the latents, and the noise has
    standard deviation sigma (RecBole scales it by .01). The random numbers of a step depend on the
    run's seed and the step's number, so a resumed run draws the same; the published code keeps a
    running state.

    Args:
        prior: prior p(z); a composite prior copies the encoder after every epoch.
        likelihood: likelihood p(x|z). By default multinomial with soft targets, exact up to 200,000
            items and sampled above; "none" is the same without soft targets, as published.
        epochs: passes over the users. By default as many as make about 600 steps, from 10 to 60,
            times `epochs_scale`.
        batch_size: users per step.
        learning_rate: learning rate of Adam. By default computed from the numbers of interactions
            and steps, from .001 for few interactions to .006.
        noise: whether z is sampled in training, as published, or is the posterior's mean.
        schedule: factor of the learning rate over the course of training. By default it falls
            along half a cosine to a twentieth.
        richer: whether to also train a network that keeps more of each history (`RICHER`) and,
            up to 200,000 items, one with a Gaussian likelihood and a linear decoder (`GAUSSIAN`),
            and return the best of the three on the validation users. By default true if the
            network, its corruption, likelihood and beta all have their defaults.
        optimiser: "adam"; or for tables with one row per item "lazy_adam", which leaves the rows
            that a batch does not touch unchanged, or "row_adam", which also keeps no moments per
            entry (a third of the memory). By default "adam" with the exact likelihood, else
            "lazy_adam".

    Examples:
        >>> algorithm = nf.MultVAE(epochs=1, **small)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    ADDED: ClassVar[Mapping[str, Any]] = {"richer": None, "decoder_units": ...}
    ALIGN_WEIGHT: ClassVar[float] = 0.03

    initialiser: Initialiser = field(default_factory=Spectral)
    prior: Prior = field(default_factory=Normal)
    beta: Weight = field(default_factory=lambda: LinearAnneal(steps=200))
    epochs: PositiveInt | None = None
    batch_size: PositiveInt = 250
    learning_rate: PositiveFloat | None = None
    patience: NonNegativeInt = 0
    noise: bool = True
    schedule: Weight = field(default_factory=lambda: Cosine(epochs=0, warm_up=10))
    optimiser: OptimiserName | None = None
    richer: bool | None = field(default=None, repr=False)

    def alternatives(self, catalogue: TrainingCounts | None = None) -> tuple[Self, ...]:
        richer = self.richer
        if richer is None:
            default = MultVAE()
            richer = all(getattr(self, name) == getattr(default, name) for name in NETWORK_SETTINGS)
        if not richer:
            return (self,)
        plain = replace(self, richer=False)
        others = [replace(plain, **RICHER)]
        if catalogue is not None and catalogue.n_items <= EXACT_ITEMS:
            rate = self.training(catalogue).learning_rate
            others.append(replace(
                plain, **GAUSSIAN, beta=ConstantWeight(gaussian_beta(catalogue)),
                learning_rate=rate / 2 if self.learning_rate is None else rate,
            ))  # fmt: skip
        return (plain, *others)

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        optimiser = optimiser_of(self.optimiser, self.likelihood, catalogue)
        phases = (Phase(renews_prior=True),)
        return self.training(catalogue, optimiser=optimiser, noise=self.noise, phases=phases)

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        return self.evidence_bound(catalogue, seed, self.prior, self.n_latent)


def gaussian_beta(catalogue: TrainingCounts) -> float:
    """Return the weight of the KL term of the Gaussian network.

    A linear autoencoder with a Gaussian likelihood drops the directions of the data whose
    eigenvalue of X'X is below beta times the number of users, so the weight falls with the users,
    as a ridge penalty would (Lucas et al., Don't Blame the ELBO!, 2019, on linear VAEs). The rule
    is ours: .7 interactions / (users max(users, items)).

    Args:
        catalogue: counts of the training data.
    """
    larger = max(catalogue.n_users, catalogue.n_items)
    share = float(catalogue.item_counts.sum()) / (max(catalogue.n_users, 1) * max(larger, 1))
    return float(f"{GAUSSIAN_BETA * share:.2g}")
