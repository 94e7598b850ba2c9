"""The check that an alignment leaves something of the users in their posteriors."""

from __future__ import annotations

from jaxtyping import Int
from numpy import ndarray

from nearfar.core.errors import CollapsedError
from nearfar.data.interactions import FoldIn
from nearfar.evaluation.evaluate import evaluate
from nearfar.metrics.ndcg import NDCG
from nearfar.models.constant import Constant
from nearfar.train.plan import TrainingPlan
from nearfar.train.run import Run
from nearfar.train.state import Validate
from nearfar.vae.objective import Objective

LEAST_GAIN = 1.05
"""A model must be better than popularity by this factor at the middle of its training."""

LEAST_STEPS = 200
"""After fewer steps nothing is concluded."""


def refusing_collapse(
    validate: Validate,
    validation: FoldIn,
    item_counts: Int[ndarray, " items"],
    n_users: int,
    *,
    objective: Objective,
    plan: TrainingPlan,
    run: Run,
) -> Validate:
    """Return `validate`, which also refuses to go on with a model that PIA has collapsed.

    An alignment that is too strong pulls all users to one place, and the decoder answers with
    what is popular. From the middle of a training with an alignment on, the best validation
    score so far is compared with that of popularity. Without an alignment nothing is checked.

    Args:
        validate: scores the network; NDCG@100 comes first.
        validation: the users that it scores.
        item_counts, n_users: of the training users, for popularity's score.
        objective: what is minimised.
        plan: how long training takes.
        run: its history tells where training stands.
    """
    if "alignment" not in objective.addends:
        return validate

    def checked() -> dict[str, float]:
        scores = validate()
        records = run.history.records
        if 2 * (len(records) + 1) < plan.epochs or not records or records[-1].step < LEAST_STEPS:
            return scores
        name, score = next(iter(scores.items()))
        best = max(score, *(r.validation[name] for r in records if r.validation))
        popular = evaluate(Constant(item_counts, n_users), validation, (NDCG(100),)).mean(NDCG(100))
        if best < LEAST_GAIN * popular:
            weight = records[-1].weights["alignment"]
            raise CollapsedError(
                f"the alignment has collapsed the model: after {len(records) + 1} of {plan.epochs} "
                f"epochs the best validation {name} is {best:.4f}, and popularity alone has "
                f"{popular:.4f}. alignment.weight is {weight:g}; leave it out for the algorithm's "
                f"default, try {weight / 10:g}, or train without alignment"
            )
        return scores

    return checked
