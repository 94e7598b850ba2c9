"""LambdaNet."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.ranges import LayerSizes, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.core.seeding import derive
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import Plan
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.corruption.dropout import Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.likelihoods.likelihood import Catalogue
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.priors.normal import Normal
from nearfar.vae.starts.start import Start
from nearfar.vae.starts.xavier import Xavier
from nearfar.vae.terms.kl import KL
from nearfar.vae.terms.lambda_rank import LambdaRank
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class LambdaNet(AutoencoderAlgorithm):
    """The network of Mult-VAE, trained by LambdaRank's gradients in the place of a likelihood.

    Source: Lobel et al., RaCT, 2020, which compares with it, and its published code; LambdaRank
    is Burges, From RankNet to LambdaRank to LambdaMART, 2010.
    Differs: the published code goes through all pairs of a user's items and the others; here all
    pairs with the highest negatives and a sample of the rest, without bias: see `LambdaRank`.

    Args:
        n_latent: latent dimensions K.
        encoder: from history to posterior.
        decoder_hidden: sizes of the decoder's hidden layers.
        corruption: what the encoder is shown in training.
        start: what the network's weights start from.
        sigma: steepness of the logistic function that pairs are judged by.
        top: so many of the highest negatives are in all pairs; all items make it exact.
        sampled: so many of the other negatives stand for the rest. Time and memory of a step
            grow with interactions x (top + sampled).
        beta: weight of the KL term.
        epochs, batch_size, learning_rate: of Adam.
        schedule: what the learning rate is multiplied by over the course of training.
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    n_latent: PositiveInt = 200
    encoder: Encoder = field(default_factory=Base)
    decoder_hidden: LayerSizes = (600,)
    corruption: Corruption = field(default_factory=Dropout)
    start: Start = field(default_factory=Xavier)
    sigma: PositiveFloat = 1.0
    top: NonNegativeInt = 100
    sampled: PositiveInt = 100
    beta: Weight = field(default_factory=LinearAnneal)
    epochs: PositiveInt = 200
    batch_size: PositiveInt = 500
    learning_rate: PositiveFloat = 1e-3
    schedule: Weight = field(default_factory=Constant)
    patience: NonNegativeInt = 20

    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""
        return Architecture(
            n_items, self.n_latent, self.encoder, self.decoder_hidden, self.corruption
        )

    def plan(self, catalogue: Catalogue | None = None) -> Plan:
        """How the network is trained."""
        return Plan(self.epochs, self.batch_size, self.learning_rate, self.patience, self.schedule)

    def objective(self, catalogue: Catalogue, seed: int) -> Objective:
        """LambdaRank's cost plus beta times the KL term."""
        rng = torch.Generator().manual_seed(derive(seed, "prior"))
        prior = Normal().build(catalogue.n_items, self.n_latent, rng)
        ranking = LambdaRank(self.sigma, self.top, self.sampled)
        addends = {
            "ranking": Addend(ranking, Constant(1.0)),
            "kl": Addend(KL(prior), self.beta),
        }
        return Objective(addends, prior)
