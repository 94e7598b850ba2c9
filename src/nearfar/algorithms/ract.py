"""RaCT."""

from __future__ import annotations

from dataclasses import dataclass, field

import torch

from nearfar.algorithms.recipe import Network
from nearfar.core.ranges import NonNegativeInt, PositiveFloat, PositiveInt
from nearfar.core.seeding import derive
from nearfar.train.plan import Phase, TrainingPlan
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.objective import Objective, WeightedTerm
from nearfar.vae.priors.normal import Normal
from nearfar.vae.terms.critic import Critic, CriticValue, WatchedReconstruction
from nearfar.vae.terms.kl import KL
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal
from nearfar.vae.weights.weight import Weight


@dataclass(frozen=True)
class RaCT(Network):
    """Ranking-critical training: Mult-VAE, then a critic of its rankings, then both.

    First the network (the actor) is trained as Mult-VAE. Then it is frozen, and the critic learns
    to predict, from three features, a user's NDCG@100 on the masked items. Last, the network is
    trained to raise the critic's prediction while the critic continues to learn. The fitted model
    is the network alone.

    Source: Lobel et al., RaCT: Toward Amortized Ranking-Critical Training for Collaborative
    Filtering, 2020, and its published code, which has no KL term in the last stage.
    Differs: in the last stage network and critic alternate after a pass over the users, not after
    a step. Users without an item are left out of the batches. As in the published code, with
    validation users the second stage starts from the best epoch of the first, and the best epoch
    of all stages is kept.

    Args:
        corruption: how the encoder's input is corrupted; the masked items are to be ranked.
        beta: weight of the KL term in pre-training.
        pretraining_epochs: epochs of the network alone, on its likelihood.
        critic_epochs: epochs of the critic alone.
        joint_epochs: epochs of both, each with a pass for the critic and one for the network.
        learning_rate: learning rate of the network's Adam in pre-training.
        critic_learning_rate: learning rate of the critic's Adam.
        joint_learning_rate: learning rate of the network's Adam in the last stage.

    Examples:
        >>> algorithm = nf.RaCT(pretraining_epochs=1, critic_epochs=1, joint_epochs=1, **small)
        >>> algorithm.fit(split.train, split.validation).n_items
        20
    """

    beta: Weight = field(default_factory=LinearAnneal)
    pretraining_epochs: PositiveInt = 100
    critic_epochs: NonNegativeInt = 50
    joint_epochs: NonNegativeInt = 50
    learning_rate: PositiveFloat = 1e-3
    critic_learning_rate: PositiveFloat = 1e-4
    joint_learning_rate: PositiveFloat = 2e-6

    def plan(self, catalogue: TrainingCounts | None = None) -> TrainingPlan:
        first_critic_epoch = self.pretraining_epochs
        first_joint_epoch = first_critic_epoch + self.critic_epochs
        pretraining = Phase(("network",), ("reconstruction", "kl"), end_epoch=first_critic_epoch)
        critic = Phase(
            ("objective.term_modules.critic",),
            ("critic",),
            learning_rate=self.critic_learning_rate,
            first_epoch=first_critic_epoch,
            from_best=True,
        )
        actor = Phase(
            ("network",),
            ("ranking",),
            learning_rate=self.joint_learning_rate,
            first_epoch=first_joint_epoch,
        )
        return TrainingPlan(
            first_joint_epoch + self.joint_epochs,
            self.batch_size,
            self.learning_rate,
            patience=0,
            phases=(pretraining, critic, actor),
        )

    def objective(self, catalogue: TrainingCounts, seed: int) -> Objective:
        rng = torch.Generator().manual_seed(derive(seed, "critic"))
        prior, critic = Normal().build(catalogue.n_items, self.n_latent, rng), Critic(rng)
        terms = {
            "reconstruction": WeightedTerm(WatchedReconstruction(critic), ConstantWeight()),
            "kl": WeightedTerm(KL(prior), self.beta),
            "critic": WeightedTerm(critic, ConstantWeight()),
            "ranking": WeightedTerm(CriticValue(critic), ConstantWeight()),
        }
        return Objective(terms, prior)
