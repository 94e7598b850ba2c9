"""Mult-VAE, with or without Personalized Item Alignment."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.autoencoding import fit_autoencoder
from nearfar.algorithms.pia import PIA
from nearfar.core.errors import SettingsError
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.train.plan import Plan
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Corruption
from nearfar.vae.corruption.dropout import Dropout
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.priors.normal import Normal
from nearfar.vae.priors.prior import Prior
from nearfar.vae.terms.alignment import Alignment
from nearfar.vae.terms.kl import KL
from nearfar.vae.terms.reconstruction import reconstruction
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class MultVAE(Algorithm):
    """The variational autoencoder with a multinomial likelihood; PIA is one of its settings.

    Source: Liang et al., Variational Autoencoders for Collaborative Filtering, 2018; with
    `alignment`, Eq. 8-9 and Algorithm 1 of "On the Mechanisms of Collaborative Learning in VAE
    Recommenders".
    Differs: users without an item are left out of the training batches.

    Args:
        n_latent: latent dimensions K.
        encoder: from history to posterior.
        decoder_hidden: sizes of the decoder's hidden layers.
        corruption: what the encoder is shown in training.
        prior: p(z).
        beta: weight of the KL term.
        alignment: Personalized Item Alignment, or none.
        epochs, batch_size, learning_rate: of Adam.
        patience: epochs without a better validation score before training stops; 0 for never.
    """

    n_latent: int = 200
    encoder: Encoder = field(default_factory=Base)
    decoder_hidden: tuple[int, ...] = (600,)
    corruption: Corruption = field(default_factory=Dropout)
    prior: Prior = field(default_factory=Normal)
    beta: Weight = field(default_factory=LinearAnneal)
    alignment: PIA | None = None
    epochs: int = 200
    batch_size: int = 500
    learning_rate: float = 1e-3
    patience: int = 20

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.n_latent < 1 or any(n < 1 for n in self.decoder_hidden):
            raise SettingsError(
                f"n_latent is {self.n_latent} and decoder_hidden {list(self.decoder_hidden)}; "
                "sizes must be above 0"
            )
        self.plan()

    def plan(self) -> Plan:
        return Plan(self.epochs, self.batch_size, self.learning_rate, self.patience)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Autoencoder:
        """Fit; the epoch with the best validation NDCG@100 is kept, without validation the last.

        Raises:
            DivergedError: a term or a weight is no longer finite.
        """
        check_not_empty(train)
        run = run or Run()
        architecture = Architecture(
            train.n_items, self.n_latent, self.encoder, self.decoder_hidden, self.corruption
        )
        network = architecture.build(torch.Generator().manual_seed(derive(run.seed, "weights")))
        objective = self.objective(train.n_items, run.seed)
        model = Autoencoder(architecture, network, train.item_counts, train.n_users)
        fit_autoencoder(self, model, objective, self.plan(), train, validation, run)
        alignment = objective.addends.get("alignment")
        if alignment is not None and isinstance(alignment.term, Alignment):
            model.anchors = alignment.term.anchors.detach().cpu().numpy()
        return model

    def objective(self, n_items: int, seed: int) -> Objective:
        """Eq. 1, or Eq. 8 with alignment."""
        addends = {
            "reconstruction": Addend(reconstruction, Constant(1.0)),
            "kl": Addend(KL(self.prior), self.beta),
        }
        if self.alignment is not None:
            rng = torch.Generator().manual_seed(derive(seed, "anchors"))
            term = Alignment(n_items, self.n_latent, self.alignment.anchor_std, rng)
            addends["alignment"] = Addend(term, self.alignment.schedule())
        return Objective(addends, self.prior)
