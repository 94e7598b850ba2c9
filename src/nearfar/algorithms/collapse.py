"""The check that an alignment has not collapsed all users' posteriors into one."""

from __future__ import annotations

from functools import cache

import numpy as np

from nearfar.core.errors import CollapsedError
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluate import evaluate
from nearfar.metrics.ndcg import NDCG
from nearfar.models.constant import Constant
from nearfar.models.model import Model
from nearfar.train.plan import TrainingPlan
from nearfar.train.run import Run
from nearfar.train.state import Validate
from nearfar.vae.objective import Objective

LEAST_GAIN = 1.05
"""From the middle of training, a model must be better than popularity by this factor."""

MOST_ALIKE = 0.9
"""A collapsed model shares more than this part of a user's list with the most popular items."""

LIST_LENGTH, LISTS = 100, 200
"""Items per list (or a fifth of a smaller catalogue), and users whose lists are compared."""

LEAST_STEPS = 200
"""With fewer steps nothing is checked."""


def refusing_collapse(
    validate: Validate,
    model: Model,
    validation: FoldIn,
    *,
    objective: Objective,
    plan: TrainingPlan,
    run: Run,
) -> Validate:
    """Return `validate` extended to raise `CollapsedError` when PIA has collapsed the model.

    An alignment that is too strong pulls all users to one point, and the decoder then recommends
    popular items. From the middle of training on, the best validation score so far is compared
    with that of popularity. A model that is no better, and gives each user nearly the most popular
    items, has collapsed. The lists are compared because on some data nothing is better than
    popularity, but a model that has not collapsed still tells users apart. Without an alignment
    nothing is checked.

    Args:
        validate: scores the network; NDCG@100 comes first.
        model: wraps the network.
        validation: the users that `validate` scores.
        objective: the objective of the training.
        plan: the training plan, which has the number of epochs.
        run: its history has the epochs so far.
    """
    if "alignment" not in objective.terms:
        return validate

    constant = Constant(model.popularity, model.n_train_users)

    @cache
    def score_of_popularity() -> float:
        return evaluate(constant, validation, (NDCG(100),)).mean(NDCG(100))

    def validate_and_check() -> dict[str, float]:
        scores = validate()
        records = run.history.records
        if 2 * (len(records) + 1) < plan.epochs or not records or records[-1].step < LEAST_STEPS:
            return scores
        name, score = next(iter(scores.items()))
        best = max(score, *(r.validation[name] for r in records if r.validation))
        popular = score_of_popularity()
        if best < LEAST_GAIN * popular and list_overlap(model, constant, validation) > MOST_ALIKE:
            weight = records[-1].weights["alignment"]
            raise CollapsedError(
                f"the alignment has collapsed the model: after {len(records) + 1} of {plan.epochs} "
                f"epochs the best validation {name} is {best:.4f}, and popularity alone has "
                f"{popular:.4f}. alignment.weight is {weight:g}; leave it out for the algorithm's "
                f"default, try {weight / 10:g}, or train without alignment"
            )
        return scores

    return validate_and_check


def list_overlap(model: Model, other: Model, validation: FoldIn) -> float:
    """Return the mean share of items that two models' lists for a user have in common.

    A list has `LIST_LENGTH` items that the user has not interacted with, or a fifth of the
    catalogue if that is less. The first `LISTS` validation users are compared.
    """
    k = max(1, min(LIST_LENGTH, model.n_items // 5))
    histories = validation.fold_in.x[:LISTS]
    lists = [ranker.top_k(histories, k).items for ranker in (model, other)]
    pairs = zip(*lists, strict=True)
    return float(np.mean([len(np.intersect1d(a[a >= 0], b[b >= 0])) / k for a, b in pairs]))
