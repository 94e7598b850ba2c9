"""The check that an alignment leaves something of the users in their posteriors."""

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
"""A model must be better than popularity by this factor at the middle of its training."""

MOST_ALIKE = 0.9
"""The share of a user's list that a collapsed model has in common with the most popular items."""

LIST_LENGTH, LISTS = 100, 200
"""Items of a list (a fifth of a small catalogue), and users whose lists are compared."""

LEAST_STEPS = 200
"""After fewer steps nothing is concluded."""


def refusing_collapse(
    validate: Validate,
    model: Model,
    validation: FoldIn,
    *,
    objective: Objective,
    plan: TrainingPlan,
    run: Run,
) -> Validate:
    """Return `validate`, which also refuses to go on with a model that PIA has collapsed.

    An alignment that is too strong pulls all users to one place, and the decoder answers with
    what is popular. From the middle of a training with an alignment on, the best validation
    score so far is compared with that of popularity; a model that is no better, and gives each
    user nearly the most popular items, has collapsed. On some data nothing is better than
    popularity, but a model that is not collapsed still tells users apart. Without an alignment
    nothing is checked.

    Args:
        validate: scores the network; NDCG@100 comes first.
        model: around the network.
        validation: the users that it scores.
        objective: what is minimised.
        plan: how long training takes.
        run: its history tells where training stands.
    """
    if "alignment" not in objective.terms:
        return validate

    constant = Constant(model.popularity, model.n_train_users)

    @cache
    def score_of_popularity() -> float:
        return evaluate(constant, validation, (NDCG(100),)).mean(NDCG(100))

    def checked() -> dict[str, float]:
        scores = validate()
        records = run.history.records
        if 2 * (len(records) + 1) < plan.epochs or not records or records[-1].step < LEAST_STEPS:
            return scores
        name, score = next(iter(scores.items()))
        best = max(score, *(r.validation[name] for r in records if r.validation))
        popular = score_of_popularity()
        if best < LEAST_GAIN * popular and alike(model, constant, validation) > MOST_ALIKE:
            weight = records[-1].weights["alignment"]
            raise CollapsedError(
                f"the alignment has collapsed the model: after {len(records) + 1} of {plan.epochs} "
                f"epochs the best validation {name} is {best:.4f}, and popularity alone has "
                f"{popular:.4f}. alignment.weight is {weight:g}; leave it out for the algorithm's "
                f"default, try {weight / 10:g}, or train without alignment"
            )
        return scores

    return checked


def alike(model: Model, other: Model, validation: FoldIn) -> float:
    """Return the mean share that two models' lists for a user have in common.

    Lists are of `LIST_LENGTH` items that the user has not interacted with, or of a fifth of all;
    of the first `LISTS` validation users.
    """
    k = max(1, min(LIST_LENGTH, model.n_items // 5))
    histories = validation.fold_in.x[:LISTS]
    lists = [each.top_k(histories, k).items for each in (model, other)]
    pairs = zip(*lists, strict=True)
    return float(np.mean([len(np.intersect1d(a[a >= 0], b[b >= 0])) / k for a, b in pairs]))
