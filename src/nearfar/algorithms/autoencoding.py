"""What the algorithms that train autoencoders share: their objective, validation, identity."""

from __future__ import annotations

import math
from abc import abstractmethod
from typing import Any, ClassVar

import torch

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.collapse import refusing_collapse
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.statistics import Statistics
from nearfar.core import discovery, settings
from nearfar.core.errors import EmptyDataError
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import DEFAULT_METRICS, evaluate
from nearfar.metrics.metric import Metric
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.train.loop import train as train_network
from nearfar.train.plan import OptimiserName, Plan
from nearfar.train.run import Run
from nearfar.train.state import Validate
from nearfar.vae.likelihoods.by_size import BySize
from nearfar.vae.likelihoods.likelihood import Catalogue, Likelihood
from nearfar.vae.likelihoods.sampled import Sampled
from nearfar.vae.network import VAE
from nearfar.vae.objective import Addend, Objective
from nearfar.vae.priors.prior import Prior
from nearfar.vae.starts.start import Start
from nearfar.vae.terms.alignment import Alignment
from nearfar.vae.terms.kl import KL
from nearfar.vae.weights.constant import Constant
from nearfar.vae.weights.weight import Weight

STOPPING_METRIC = NDCG(100)

TRAINING_STEPS = 600
FEWEST_EPOCHS, MOST_EPOCHS = 10, 60
EPOCHS = 20
"""Epochs where the training data are not known yet."""


class AutoencoderAlgorithm(Algorithm):
    """An algorithm that trains an autoencoder: it tells what is built, minimised, and how long.

    `start` is a setting of all of them: what a fresh network is given of the data.

    Class attributes:
        ALIGN_WEIGHT: lambda_A of an alignment whose weight is not set.

    Raises:
        SettingsError: a hyper-parameter has the wrong type or is out of range.
    """

    ALIGN_WEIGHT: ClassVar[float] = 1.0

    start: Start

    def __post_init__(self) -> None:
        super().__post_init__()
        self.plan()
        self.architecture(n_items=1)  # sizes are checked where they are made

    def data_defaults(self, data: Statistics) -> dict[str, Any]:
        batch_size = getattr(self, "batch_size", None)
        return {} if batch_size is None else {"epochs": epochs_of(None, data.n_users, batch_size)}

    @abstractmethod
    def architecture(self, n_items: int) -> Architecture:
        """What the network is built from."""

    @abstractmethod
    def objective(self, catalogue: Catalogue, seed: int) -> Objective:
        """What is minimised; its parameters are trained too."""

    @abstractmethod
    def plan(self, catalogue: Catalogue | None = None) -> Plan:
        """How long the network is trained, and by what steps."""

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Autoencoder:
        """Fit; the epoch with the best validation NDCG@100 is kept, without validation the last.

        Raises:
            DivergedError: a term or a weight is no longer finite.
            CollapsedError: an alignment leaves no more than popularity.
        """
        check_not_empty(train)
        run = run or Run()
        catalogue = Catalogue(train.item_counts, train.n_users)
        architecture = self.architecture(train.n_items)
        network = architecture.build(torch.Generator().manual_seed(derive(run.seed, "weights")))
        self.prepare(network, train, run.seed)
        model = Autoencoder(architecture, network, train.item_counts, train.n_users)
        objective = self.objective(catalogue, run.seed)
        plan = self.plan(catalogue)
        train_network(
            network,
            objective,
            plan,
            train.x,
            validate=None
            if validation is None
            else refusing_collapse(
                validator(model, validation), validation, train.item_counts, train.n_users,
                objective=objective, plan=plan, run=run,
            ),
            run=run,
            identity=identity(self, train, validation),
        )  # fmt: skip
        network.eval()
        alignment = objective.addends.get("alignment")
        if alignment is not None and isinstance(alignment.term, Alignment):
            model.anchors = alignment.term.anchors.detach().cpu().numpy()
        return model

    def prepare(self, network: VAE, train: Interactions, seed: int) -> None:
        """Give a fresh network what it is to know of the data."""
        self.start.apply(network, train.x, seed)


def likelihood_of(chosen: Likelihood | None, catalogue: Catalogue) -> Likelihood:
    """Return the likelihood for a catalogue of this size.

    None is the multinomial likelihood without soft targets, as bundles say that were written
    before there were any.
    """
    likelihood = BySize(background=0.0) if chosen is None else chosen
    return likelihood.of(catalogue) if isinstance(likelihood, BySize) else likelihood


def optimiser_of(
    chosen: OptimiserName | None, likelihood: Likelihood | None, catalogue: Catalogue | None
) -> OptimiserName:
    """The optimiser that was chosen, or the one for this likelihood."""
    if chosen is not None:
        return chosen
    sampled = catalogue is not None and isinstance(likelihood_of(likelihood, catalogue), Sampled)
    return "lazy_adam" if sampled else "adam"


def epochs_of(chosen: int | None, n_users: int | None, batch_size: int) -> int:
    """Return how many epochs were chosen, or as many as make about `TRAINING_STEPS` steps.

    A small log has few steps per epoch and needs more epochs; a large one is passed over at
    least `FEWEST_EPOCHS` times.

    Args:
        chosen: the setting.
        n_users: of the training data, where they are known.
        batch_size: users per step.
    """
    if chosen is not None:
        return chosen
    if n_users is None:
        return EPOCHS
    steps = max(1, math.ceil(n_users / batch_size))
    return min(MOST_EPOCHS, max(FEWEST_EPOCHS, math.ceil(TRAINING_STEPS / steps)))


def evidence_bound(
    catalogue: Catalogue,
    n_latent: int,
    seed: int,
    *,
    likelihood: Likelihood,
    prior: Prior,
    beta: Weight,
    alignment: PIA | None,
    align_weight: float,
) -> Objective:
    """Eq. 1, or Eq. 8 with alignment, of any likelihood and prior.

    `align_weight` is lambda_A where the alignment does not say it.
    """
    rng = torch.Generator().manual_seed(derive(seed, "prior"))
    of_latents = prior.build(catalogue.n_items, n_latent, rng)
    addends = {
        "reconstruction": Addend(likelihood.term(catalogue), Constant(1.0)),
        "kl": Addend(KL(of_latents), beta),
    }
    if alignment is not None:
        rng = torch.Generator().manual_seed(derive(seed, "anchors"))
        term = alignment.term(catalogue, n_latent, rng)
        addends["alignment"] = Addend(term, alignment.schedule(align_weight))
    return Objective(addends, of_latents)


def validator(model: Autoencoder, validation: FoldIn) -> Validate:
    """A function that scores the model as it is; NDCG@100 comes first and decides.

    Raises:
        EmptyDataError: no validation user has anything to find.
    """
    if not validation.held_out.n_interactions:
        raise EmptyDataError("no validation user has a held-out item; hold out more users")
    metrics: tuple[Metric, ...] = (
        STOPPING_METRIC,
        *(m for m in DEFAULT_METRICS if m != STOPPING_METRIC),
    )

    def validate() -> dict[str, float]:
        result = evaluate(model, validation, metrics)
        return {str(metric): result.mean(metric) for metric in metrics}

    return validate


def identity(
    algorithm: Algorithm, interactions: Interactions, validation: FoldIn | None
) -> dict[str, Any]:
    """What a checkpoint must agree on with the run that takes it up."""
    held_out = validation.held_out.fingerprint if validation is not None else None
    fold_in = validation.fold_in.fingerprint if validation is not None else None
    return {
        "algorithm": discovery.name_of(type(algorithm)),
        "settings": settings.to_plain(algorithm),
        "train": interactions.fingerprint,
        "validation": [fold_in, held_out],
    }
