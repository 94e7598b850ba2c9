"""CDAE."""

from __future__ import annotations

from dataclasses import dataclass, field

from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.autoencoding import fit_autoencoder
from nearfar.core.errors import SettingsError
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
class CDAE(Algorithm):
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

    n_latent: int = 200
    units: ShallowUnits = "tanh"
    corruption: Corruption = field(default_factory=Dropout)
    likelihood: Likelihood = field(default_factory=Bernoulli)
    start: Start = field(default_factory=Xavier)
    l2: float = 1e-4
    epochs: int = 200
    batch_size: int = 500
    learning_rate: float = 1e-3
    schedule: Weight = field(default_factory=Constant)
    patience: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_latent < 1 or self.l2 < 0:
            raise SettingsError(
                f"n_latent {self.n_latent} must be above 0, l2 {self.l2} not negative"
            )
        self.plan()

    def plan(self) -> Plan:
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

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Autoencoder:
        """Fit; the epoch with the best validation NDCG@100 is kept, without validation the last.

        Raises:
            DivergedError: a term or a weight is no longer finite.
        """
        check_not_empty(train)
        term = self.likelihood.term(Catalogue(train.item_counts, train.n_users))
        objective = Objective({"reconstruction": Addend(term, Constant(1.0))})
        architecture = Architecture(
            train.n_items, self.n_latent, Shallow(self.units), (), self.corruption
        )
        model = fit_autoencoder(
            self,
            architecture,
            objective,
            self.plan(),
            train,
            validation,
            run or Run(),
            _WithUserNodes(self.start),
        )
        _encoder(model.network).users = None
        return model


@dataclass(frozen=True)
class _WithUserNodes(Start):
    """Another start, and nodes for the training users."""

    before: Start

    def apply(self, network: VAE, x: csr_array, seed: int) -> None:
        self.before.apply(network, x, seed)
        _encoder(network).users = UserNodes(x.shape[0], network.n_latent)


def _encoder(network: VAE) -> ShallowNetwork:
    assert isinstance(network.encoder, ShallowNetwork)
    return network.encoder
