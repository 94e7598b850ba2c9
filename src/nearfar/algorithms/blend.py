"""Blend, and the choice of its weights on validation users."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

import numpy as np
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.edlae import EDLAE
from nearfar.algorithms.label import label_of
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.requirements import Requirements
from nearfar.core.errors import DataError, EmptyDataError, SettingsError, StoppedError
from nearfar.core.ranges import NonNegativeFloat
from nearfar.core.ranking import Ranking
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.metrics.judged_ranking import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.models.ensemble import Ensemble, check_weights
from nearfar.models.model import Model
from nearfar.models.top_k import Candidates, ranking
from nearfar.train.run import Run

METRIC = NDCG(100)
STEPS = 10

Shares = tuple[int, ...]
"""How often each part is counted; the weights are these counts divided by their sum."""


@dataclass(frozen=True)
class Blend(Algorithm):
    """Several algorithms that are fitted separately and scored by a weighted sum.

    Scores are standardised over all items, separately for each user and part:
    sum_i w_i (s_i - mean(s_i)) / std(s_i).

    Source: with more than two parts the weights are chosen as in Caruana et al., Ensemble
    Selection from Libraries of Models, 2004: forward selection with replacement.
    Differs: there are ten selections; the best ensemble after any of them is kept.

    Args:
        parts: two or more algorithms, each by its name, as "ease", or as a table of its settings,
            as {kind = "ease", l2 = 50}. A part is fitted as it would be alone with the same seed;
            a part with the same settings as an earlier one gets another seed.
        weights: one per part. By default the weights with the best NDCG@100 on the validation
            users, in steps of .1 for two parts; equal without validation users.

    Examples:
        >>> blend = nf.Blend(parts=[nf.EASE(l2=50), nf.WMF(n_factors=4)])
        >>> model = blend.fit(split.train, split.validation)
        >>> round(nf.evaluate(model, split.test, ["Recall@5"]).mean("Recall@5"), 2)
        0.93
    """

    parts: tuple[Algorithm, ...] = field(default_factory=lambda: (EDLAE(), MultVAE()))
    weights: tuple[NonNegativeFloat, ...] | None = None

    def check_together(self) -> None:
        if len(self.parts) < 2:
            raise SettingsError(f"parts has {len(self.parts)} algorithms; expected at least 2")
        if any(isinstance(part, Blend) for part in self.parts):
            raise SettingsError("parts contains a blend; list the parts of that blend instead")
        if self.weights is not None:
            try:
                check_weights(self.weights, len(self.parts))
            except DataError as error:
                raise SettingsError(str(error)) from None

    def resolved(self, train: Interactions) -> Self:
        return dataclasses.replace(self, parts=tuple(p.resolved(train) for p in self.parts))

    def requirements(self, train: Interactions) -> Requirements:
        parts = [part.requirements(train) for part in self.parts]
        return Requirements(
            sum(part.n_bytes for part in parts),
            sum(part.n_multiplications for part in parts),
            sum(part.n_pairs for part in parts),
        )

    def ignoring_weights(self) -> list[Algorithm]:
        return [ignoring for part in self.parts for ignoring in part.ignoring_weights()]

    def as_fitted(self, model: Model) -> Self:
        if self.weights is not None or not isinstance(model, Ensemble):
            return self
        return dataclasses.replace(self, weights=model.weights)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Ensemble:
        """Fit the parts one after the other, then choose the weights.

        Each part has its own history, and writes its checkpoint and metrics.jsonl to `part-0` and
        so on in the run's folder. The run's own history has no records.

        Raises:
            EmptyDataError: `weights` is None and no validation user has a held-out item.
            StoppedError: stopped by Ctrl-C before the last part ended.
        """
        check_not_empty(train)
        run = run or Run()
        run.history.clear()
        models: list[Model] = []
        for part, part_run in zip(self.parts, self._runs(run), strict=True):
            for callback in run.callbacks:
                callback.part(label_of(part))
            models.append(part.fit(train, validation, run=part_run))
            if part_run.history.interrupted:
                run.history.interrupted = True
                break
        if len(models) < len(self.parts):
            raise StoppedError(
                f"stopped in part {len(models)} of {len(self.parts)}: the blend needs all parts; "
                "resume to go on" + ("" if run.folder else " (needs a run folder)")
            )
        return self.combined(models, validation)

    def combined(self, models: Sequence[Model], validation: FoldIn | None = None) -> Ensemble:
        """Return the ensemble of parts that are already fitted.

        Args:
            models: one per part, in their order, fitted on the same training users.
            validation: users to choose the weights on, where `weights` is None.

        Raises:
            DataError: the number of models is not that of the parts, or their data differ.
            EmptyDataError: `weights` is None and no validation user has a held-out item.
        """
        if len(models) != len(self.parts):
            raise DataError(
                f"got {len(models)} models for {len(self.parts)} parts; expected one per part"
            )
        if self.weights is not None:
            return Ensemble(models, self.weights)
        ensemble = Ensemble(models, (1 / len(models),) * len(models))
        if validation is None:
            return ensemble
        return Ensemble(models, choose_weights(ensemble, validation))

    def _runs(self, run: Run) -> Iterator[Run]:
        """Yield the run of each part."""
        for i, part in enumerate(self.parts):
            earlier = self.parts[:i].count(part)
            seed = derive(run.seed, "part", earlier) if earlier else run.seed
            yield dataclasses.replace(run.part(i), seed=seed)


def choose_weights(ensemble: Ensemble, validation: FoldIn) -> tuple[float, ...]:
    """Return the weights with the best mean NDCG@100 on the validation users.

    For two parts all weights in steps of .1 are tried. For more, ten times the part that helps
    most is added, a part more than once if need be, and the best of the ten ensembles is kept.
    Of equal scores the more even weights win. No part alone is better on these users.

    Args:
        ensemble: the parts; its weights are ignored.
        validation: users with fold-in and held-out items.

    Raises:
        EmptyDataError: no user has a held-out item.
    """
    n_parts = len(ensemble.parts)
    if n_parts == 2:
        grid = [(i, STEPS - i) for i in range(STEPS + 1)]
        scores = validation_scores(ensemble, validation, grid)
        return _weights(_best(dict(zip(grid, scores, strict=True))))
    all_scores: dict[Shares, float] = {}
    shares: Shares = (0,) * n_parts
    for _ in range(STEPS):
        larger = [_with_one_more(shares, part) for part in range(n_parts)]
        scores = validation_scores(ensemble, validation, larger)
        scores_of_step = dict(zip(larger, scores, strict=True))
        all_scores |= scores_of_step
        shares = _best(scores_of_step)
    return _weights(_best(all_scores))


def validation_scores(
    ensemble: Ensemble, validation: FoldIn, candidates: Sequence[Shares]
) -> list[float]:
    """Return the mean NDCG@100 of an ensemble for each candidate.

    Each part scores a batch once; all candidates are ranked from these scores. Memory holds one
    block of users x items per part, and one for their sum.

    Args:
        ensemble: the parts.
        validation: users; those without held-out items are skipped.
        candidates: shares of the parts.

    Raises:
        EmptyDataError: no user has a held-out item.
    """
    users = np.flatnonzero(np.diff(validation.held_out.x.indptr))
    if not len(users):
        raise EmptyDataError("no validation user has a held-out item; hold out more users")
    sums = np.zeros(len(candidates))
    size = ensemble.batch_size()
    for start in range(0, len(users), size):
        rows = users[start : start + size]
        histories, held_out = validation.fold_in.x[rows], validation.held_out.x[rows]
        rankings = _rankings(ensemble, histories, [_weights(c) for c in candidates])
        for number, candidate_ranking in enumerate(rankings):
            judged = judge(candidate_ranking, held_out, ensemble.popularity, ensemble.n_train_users)
            sums[number] += METRIC.per_user(judged).sum(dtype=np.float64)
    return (sums / len(users)).tolist()


@torch.inference_mode()
def _rankings(
    ensemble: Ensemble, histories: csr_array, candidates: Sequence[Sequence[float]]
) -> Iterator[Ranking]:
    """Yield the ranking of a batch for each candidate's weights."""
    scores_by_part: list[Tensor] = [
        ensemble.standardised(number, histories).to(ensemble.device)
        for number in range(len(ensemble.parts))
    ]
    all_items = Candidates.of(ensemble.n_items)
    total = torch.empty_like(scores_by_part[0])
    for weights in candidates:
        total.zero_()
        for scores, weight in zip(scores_by_part, weights, strict=True):
            total.add_(scores, alpha=weight)
        all_items.apply(total, histories)
        yield ranking(total, METRIC.depth)


def _best(scores: dict[Shares, float]) -> Shares:
    """Return the shares with the highest score; of equals the most even, then the first."""
    return max(scores, key=lambda shares: (scores[shares], -_unevenness(shares)))


def _unevenness(shares: Shares) -> float:
    return sum(weight**2 for weight in _weights(shares))


def _weights(shares: Shares) -> tuple[float, ...]:
    return tuple(share / sum(shares) for share in shares)


def _with_one_more(shares: Shares, part: int) -> Shares:
    return tuple(share + (number == part) for number, share in enumerate(shares))
