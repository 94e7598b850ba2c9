"""WARP."""

from __future__ import annotations

from dataclasses import dataclass, field

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.models.autoencoder import Architecture
from nearfar.train.plan import Plan
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.corruption.dropout import Dropout
from nearfar.vae.encoders.shallow import Shallow
from nearfar.vae.likelihoods.likelihood import Catalogue
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.starts.start import Start
from nearfar.vae.starts.xavier import Xavier
from nearfar.vae.terms.warp import WARPLoss
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class WARP(AutoencoderAlgorithm):
    """A linear autoencoder trained by the Weighted Approximate-Rank Pairwise loss.

    Source: the loss is that of Weston, Bengio and Usunier, WSABIE, 2011; the network that of
    Lobel et al., RaCT, 2020, and its published code: I-200-I without hidden units, dropout of the
    L2-normalised history, l2 1e-5.
    Differs: Lobel et al. do not sample, have no margin, and weigh every violation by L of the
    positive's rank without dividing by their number; see `WARPLoss` for what is done here.

    Args:
        n_latent: latent dimensions K.
        tries: negatives that are drawn for every positive; the more, the smaller the ranks that
            are still told from 0, and the longer a step takes.
        margin: by how much a positive shall be above the negatives.
        corruption: what the encoder is shown in training.
        start: what the network's weights start from.
        l2: weight of the squared length of all weight matrices.
        epochs, batch_size, learning_rate: of Adam.
        schedule: what the learning rate is multiplied by over the course of training.
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    n_latent: PositiveInt = 200
    tries: PositiveInt = 100
    margin: NonNegativeFloat = 1.0
    corruption: Corruption = field(default_factory=Dropout)
    start: Start = field(default_factory=Xavier)
    l2: NonNegativeFloat = 1e-5
    epochs: PositiveInt = 200
    batch_size: PositiveInt = 500
    learning_rate: PositiveFloat = 1e-3
    schedule: Weight = field(default_factory=Constant)
    patience: NonNegativeInt = 20

    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""
        return Architecture(n_items, self.n_latent, Shallow("linear"), (), self.corruption)

    def plan(self, catalogue: Catalogue | None = None) -> Plan:
        """How the network is trained."""
        return Plan(
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.schedule,
            weight_decay=2 * self.l2,
            noise=False,
        )

    def objective(self, catalogue: Catalogue, seed: int) -> Objective:
        """The ranking loss alone."""
        term = WARPLoss(catalogue.n_items, self.tries, self.margin)
        return Objective({"ranking": Addend(term, Constant())})
