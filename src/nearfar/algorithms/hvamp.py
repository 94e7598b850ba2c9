"""H+Vamp (gated), with or without Personalized Item Alignment."""

from __future__ import annotations

from dataclasses import dataclass, field

from nearfar.algorithms.recipe import EvidenceBound, Training
from nearfar.core.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import TrainingPlan
from nearfar.vae.encoders.hierarchical import Hierarchical
from nearfar.vae.layers import Units
from nearfar.vae.likelihoods.bernoulli import Bernoulli
from nearfar.vae.likelihoods.likelihood import Likelihood, TrainingCounts
from nearfar.vae.objective import Objective
from nearfar.vae.priors.hierarchical import HierarchicalVamp
from nearfar.vae.priors.vamp import Vamp
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class HVamp(EvidenceBound, Training):
    """A hierarchical variational autoencoder with a VampPrior and gated units.

    The posterior is q(z2|x) q(z1|x, z2), the prior p(z2) p(z1|z2) with p(z2) the VampPrior. The
    decoder's input is (z1, z2).

    Source: Kim and Suh, Enhancing VAEs for Collaborative Filtering: Flexible Priors and Gating
    Mechanisms, 2019, and its published code; with `alignment`, Eq. 8-9 of the paper.
    Differs: q(z2|x) and q(z1|x, z2) get the same corrupted history, and pseudo-inputs are not
    corrupted; the published code applies a separate dropout to each. The decoder's first layer is
    as wide, but all of it gets z1 and z2; there one half gets z1, the other z2. Initial weights
    are from Glorot's distribution, there from He's. Adam is plain; there each parameter's gradient
    is first scaled to length 1. Beta grows with every step and patience counts from the first
    epoch; there beta grows once per epoch, and patience counts from the end of its growth. The
    anchors of the alignment are in the space of (z1, z2); the paper does not say which of the two
    its authors align.

    Args:
        n_latent: dimensions of z1, and of z2.
        hidden: units of each hidden layer in the encoder, the decoder and p(z1|z2); the decoder's
            first layer has twice as many.
        units: kind of hidden units.
        pseudo_inputs: number of pseudo-inputs of the VampPrior.

    Examples:
        >>> algorithm = nf.HVamp(n_latent=4, hidden=8, pseudo_inputs=5, epochs=1)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    hidden: PositiveInt = 600
    units: Units = "gated"
    pseudo_inputs: PositiveInt = 1000
    likelihood: Likelihood = field(default_factory=Bernoulli)
    beta: Weight = field(default_factory=lambda: LinearAnneal(end=0.3, epochs=100))
    batch_size: PositiveInt = 200
    learning_rate: PositiveFloat = 5e-4
    patience: NonNegativeInt = 50

    def architecture(self, n_items: int) -> Architecture:
        encoder = Hierarchical(self.hidden, self.units)
        decoder_hidden = (2 * self.hidden, self.hidden)
        return Architecture(
            n_items, 2 * self.n_latent, encoder, decoder_hidden, self.corruption, self.units
        )

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        return self.training(catalogue)

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        prior = HierarchicalVamp(Vamp(self.pseudo_inputs), self.hidden, self.units)
        return self.evidence_bound(catalogue, seed, prior, 2 * self.n_latent)
