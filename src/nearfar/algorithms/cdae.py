"""CDAE."""

from __future__ import annotations

from dataclasses import dataclass, field

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.train.plan import Plan
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.corruption.dropout import Dropout
from nearfar.vae.encoders.shallow import Shallow, ShallowNetwork, ShallowUnits
from nearfar.vae.likelihoods.bernoulli import Bernoulli
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.network import VAE
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.starts.start import Start
from nearfar.vae.starts.xavier import Xavier
from nearfar.vae.user_nodes import UserNodes
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class CDAE(AutoencoderAlgorithm):
    """The collaborative denoising autoencoder: one hidden layer, with a node of every user.

    f = W h(V' x~ + U_u + b) + b', U_u the node of training user u. Held-out users have none, so
    that the nodes are dropped from the fitted model, which knows no users.

    Source: Wu et al., Collaborative Denoising Auto-Encoders for Top-N Recommender Systems, 2016,
    Eq. 6-9; as it was compared in Liang et al. 2018: 200 hidden units, tanh, batches of users.
    Differs: published are the logistic and the square loss over the user's items and five
    sampled negatives for each; here every item of the catalogue is in the likelihood (`bernoulli`
    and `gaussian`, whose `negative_weight` has the sampling's part), or there is a multinomial
    one. Wu et al. train by AdaGrad and do not normalise histories. Nodes start at zero instead
    of at random. The published penalty, l2 / 2 times the squared length of all parameters beside
    the mean loss of a user, is Adam's weight decay, of matrices and not of biases.

    Args:
        n_latent: hidden units.
        units: h.
        corruption: what the encoder is shown in training.
        likelihood: p(x|z).
        start: what the network's weights start from.
        l2: weight of half the squared length of all weight matrices, the users' nodes among them.
        epochs, batch_size, learning_rate: of Adam.
        schedule: what the learning rate is multiplied by over the course of training.
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    n_latent: PositiveInt = 200
    units: ShallowUnits = "tanh"
    corruption: Corruption = field(default_factory=Dropout)
    likelihood: Likelihood = field(default_factory=Bernoulli)
    start: Start = field(default_factory=Xavier)
    l2: NonNegativeFloat = 1e-4
    epochs: PositiveInt = 200
    batch_size: PositiveInt = 500
    learning_rate: PositiveFloat = 1e-3
    schedule: Weight = field(default_factory=Constant)
    patience: NonNegativeInt = 20

    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""
        return Architecture(n_items, self.n_latent, Shallow(self.units), (), self.corruption)

    def plan(self, catalogue: Catalogue | None = None) -> Plan:
        """How the network is trained."""
        return Plan(
            self.epochs,
            self.batch_size,
            self.learning_rate,
            self.patience,
            self.schedule,
            weight_decay=self.l2,
            noise=False,
        )

    def objective(self, catalogue: Catalogue, seed: int) -> Objective:
        """The reconstruction alone."""
        return Objective({"reconstruction": Addend(self.likelihood.term(catalogue), Constant())})

    def prepare(self, network: VAE, train: Interactions, seed: int) -> None:
        """Give a fresh network its start and nodes for the training users."""
        super().prepare(network, train, seed)
        _encoder(network).users = UserNodes(train.n_users, network.n_latent)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Autoencoder:
        """As of every autoencoder; the nodes of the training users are taken off in the end."""
        model = super().fit(train, validation, run=run)
        _encoder(model.network).users = None
        return model


def _encoder(network: VAE) -> ShallowNetwork:
    assert isinstance(network.encoder, ShallowNetwork)
    return network.encoder
