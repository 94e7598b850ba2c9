"""An alignment that is too strong is told and refused; its default is not too strong."""

import numpy as np
import pytest

from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.collapse import LEAST_GAIN, LEAST_STEPS, list_overlap, refusing_collapse
from nearfar.algorithms.ease import EASE
from nearfar.algorithms.hvamp import HVamp
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.recvae import RecVAE
from nearfar.core.errors import CollapsedError
from nearfar.evaluation.evaluate import evaluate
from nearfar.metrics.ndcg import NDCG
from nearfar.models.constant import Constant
from nearfar.models.model import Model
from nearfar.train.history import EpochRecord
from nearfar.train.plan import TrainingPlan
from nearfar.train.run import Run
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.weights.weight import Progress

SMALL = {"n_latent": 6, "decoder_hidden": (8,), "batch_size": 10, "epochs": 40}


def recvae(alignment: PIA) -> RecVAE:
    return RecVAE(
        n_latent=6, encoder=Dense(width=8, layers=2), batch_size=10, epochs=12,
        learning_rate=0.01, alignment=alignment,
    )  # fmt: skip


def test_too_strong_an_alignment_is_refused_in_the_middle_of_training(clusters) -> None:
    run = Run(seed=0)
    with pytest.raises(CollapsedError, match=r"popularity alone has .*weight is 1000; .*try 100,"):
        recvae(PIA(weight=1000.0, patience=0)).fit(*clusters, run=run)
    assert len(run.history.records) == 5


@pytest.mark.parametrize(
    "algorithm",
    [MultVAE(**SMALL, alignment=PIA()), recvae(PIA())],
    ids=["multvae", "recvae"],
)
def test_the_default_weight_does_not_collapse(algorithm, clusters) -> None:
    run = Run(seed=0)
    algorithm.fit(*clusters, run=run)
    assert len(run.history.records) == algorithm.epochs


@pytest.mark.parametrize(("algorithm", "weight"), [(MultVAE, 0.03), (RecVAE, 0.01), (HVamp, 1.0)])
def test_each_algorithm_has_a_default_weight_of_its_own(algorithm, weight: float) -> None:
    def first_weight(alignment: PIA) -> float:
        objective = algorithm(alignment=alignment).objective(TrainingCounts(np.ones(9, int), 4), 0)
        return objective.weights(Progress())["alignment"]

    assert first_weight(PIA()) == first_weight(PIA(patience=0)) == weight
    assert first_weight(PIA(weight=7.0)) == 7.0
    assert first_weight(PIA(weight=0.0)) == 0.0


def record(epoch: int, score: float, step: int) -> EpochRecord:
    return EpochRecord(
        epoch, step, 1.0, {}, {"alignment": 0.5}, 0, {"NDCG@100": score}, True, 0.0, 0.0, 0.0
    )


def checked(
    clusters,
    algorithm: AutoencoderAlgorithm,
    before: list[float],
    now: float,
    steps: int,
    model: Model | None = None,
) -> dict[str, float]:
    """What the check gives back after these epochs of ten, the last of them now."""
    train, validation = clusters
    run = Run()
    run.history.records += [record(i, score, steps) for i, score in enumerate(before)]
    objective = algorithm.objective(TrainingCounts(train.item_counts, train.n_users), 0)
    return refusing_collapse(
        lambda: {"NDCG@100": now}, model or Constant(train.item_counts, train.n_users), validation,
        objective=objective, plan=TrainingPlan(10, 5, 0.1, 0), run=run,
    )()  # fmt: skip


def test_what_is_refused(clusters) -> None:
    train, validation = clusters
    constant = Constant(train.item_counts, train.n_users)
    popular = evaluate(constant, validation, (NDCG(100),)).mean(NDCG(100))
    low, high = popular * (LEAST_GAIN - 0.01), popular * (LEAST_GAIN + 0.01)
    aligned, plain = MultVAE(alignment=PIA()), MultVAE()
    with pytest.raises(CollapsedError, match="after 5 of 10 epochs"):
        checked(clusters, aligned, [low] * 4, low, LEAST_STEPS)
    for scores in (
        checked(clusters, plain, [low] * 4, low, LEAST_STEPS),  # nothing is aligned
        checked(clusters, aligned, [low] * 3, low, LEAST_STEPS),  # too early
        checked(clusters, aligned, [low] * 4, low, LEAST_STEPS - 1),  # too few steps
        checked(clusters, aligned, [low, high, low, low], low, LEAST_STEPS),  # it was better
    ):
        assert scores == {"NDCG@100": low}
    assert checked(clusters, aligned, [low] * 4, high, LEAST_STEPS) == {"NDCG@100": high}


def test_a_model_that_tells_users_apart_is_not_refused_where_popularity_is_best(clusters) -> None:
    """As on logs of short histories, where nothing may be better than popularity."""
    train, validation = clusters
    personal = EASE(l2=5.0).fit(train)
    constant = Constant(train.item_counts, train.n_users)
    assert list_overlap(personal, constant, validation) < 0.8
    assert list_overlap(constant, constant, validation) == 1.0
    low = evaluate(constant, validation, (NDCG(100),)).mean(NDCG(100))
    aligned = MultVAE(alignment=PIA())
    assert checked(clusters, aligned, [low] * 4, low, LEAST_STEPS, personal) == {"NDCG@100": low}
