"""Blend, and how the weights of its parts are chosen on validation users."""

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
from nearfar.metrics.judged import judge
from nearfar.metrics.ndcg import NDCG
from nearfar.models.ensemble import Ensemble, check_weights
from nearfar.models.model import Model
from nearfar.models.top_k import Candidates, ranking
from nearfar.train.run import Run

METRIC = NDCG(100)
STEPS = 10

Shares = tuple[int, ...]
"""How many times each part is counted; weights are these divided by their sum."""


@dataclass(frozen=True)
class Blend(Algorithm):
    """Several algorithms, each fitted by itself, and a weighted sum of their scores.

    Scores are standardised over all items, separately for each user and part:
    sum_i w_i (s_i - mean(s_i)) / std(s_i).

    Source: with more than two parts the weights are chosen as in Caruana et al., Ensemble
    Selection from Libraries of Models, 2004: forward selection with replacement.
    Differs: ten selections, and the best of the ensembles after each of them is kept.

    Args:
        parts: two algorithms or more, each by its name, as "ease", or as a table of its settings,
            as {kind = "ease", l2 = 50}. A part is fitted as it would be alone with the same seed;
            one that is set as an earlier part gets another seed.
        weights: one per part. By default chosen by NDCG@100 on the validation users, in steps of
            .1 for two parts; without validation users all are equal.

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
            raise SettingsError(f"parts has {len(self.parts)} algorithms; at least 2 are expected")
        if any(isinstance(part, Blend) for part in self.parts):
            raise SettingsError("a part of parts is a blend itself; give its parts instead")
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
        return [each for part in self.parts for each in part.ignoring_weights()]

    def as_fitted(self, model: Model) -> Self:
        if self.weights is not None or not isinstance(model, Ensemble):
            return self
        return dataclasses.replace(self, weights=model.weights)

    def fit(
        self, train: Interactions, validation: FoldIn | None = None, *, run: Run | None = None
    ) -> Ensemble:
        """Fit the parts one after the other, then choose the weights.

        Each part has its own history; its checkpoint and metrics.jsonl are in `part-0` and so on
        in the run's folder. The run's history stays without records.

        Raises:
            EmptyDataError: the weights are to be chosen, and no validation user has a held-out
                item.
            StoppedError: stopped by hand before the last part.
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
        """Return the ensemble of parts that are fitted already.

        Args:
            models: one per part, in their order, fitted on the same training users.
            validation: users to choose the weights by, where the settings have none.

        Raises:
            DataError: the models are not as many as the parts, or were fitted on different data.
            EmptyDataError: the weights are to be chosen, and no validation user has a held-out
                item.
        """
        if len(models) != len(self.parts):
            raise DataError(f"{len(models)} models for {len(self.parts)} parts")
        if self.weights is not None:
            return Ensemble(models, self.weights)
        ensemble = Ensemble(models, (1 / len(models),) * len(models))
        if validation is None:
            return ensemble
        return Ensemble(models, chosen_weights(ensemble, validation))

    def _runs(self, run: Run) -> Iterator[Run]:
        """Yield the run of each part."""
        for i, part in enumerate(self.parts):
            earlier = self.parts[:i].count(part)
            seed = derive(run.seed, "part", earlier) if earlier else run.seed
            yield dataclasses.replace(run.part(i), seed=seed)


def chosen_weights(ensemble: Ensemble, validation: FoldIn) -> tuple[float, ...]:
    """Return the weights with the best mean NDCG@100 on the validation users.

    For two parts all weights in steps of .1 are tried. For more, parts are selected one at a
    time, ten times, each time the one that helps most; a part may be selected again, and the
    best of the ten ensembles is kept. Of equals the more even weights win. So on these users no
    part alone is better than the result.

    Args:
        ensemble: the parts; its weights are not read.
        validation: users with fold-in and held-out items.

    Raises:
        EmptyDataError: no user has a held-out item.
    """
    n_parts = len(ensemble.parts)
    if n_parts == 2:
        grid = [(i, STEPS - i) for i in range(STEPS + 1)]
        return _weights(_best(dict(zip(grid, judged(ensemble, validation, grid), strict=True))))
    scored: dict[Shares, float] = {}
    shares: Shares = (0,) * n_parts
    for _ in range(STEPS):
        larger = [_with_one_more(shares, part) for part in range(n_parts)]
        step = dict(zip(larger, judged(ensemble, validation, larger), strict=True))
        scored |= step
        shares = _best(step)
    return _weights(_best(scored))


def judged(ensemble: Ensemble, validation: FoldIn, candidates: Sequence[Shares]) -> list[float]:
    """Return the mean NDCG@100 of an ensemble with each of these weights.

    Each part scores a batch once; all candidates are ranked from these scores. No more than one
    block of users x items per part, and one for their sum, is in memory.

    Args:
        ensemble: the parts.
        validation: users; those without held-out items are left out.
        candidates: weights that need not add up to 1.

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
        for number, each in enumerate(rankings):
            found = judge(each, held_out, ensemble.popularity, ensemble.n_train_users)
            sums[number] += METRIC.per_user(found).sum(dtype=np.float64)
    return (sums / len(users)).tolist()


@torch.inference_mode()
def _rankings(
    ensemble: Ensemble, histories: csr_array, candidates: Sequence[Sequence[float]]
) -> Iterator[Ranking]:
    """Yield the ranking of a batch by each of the weights."""
    parts: list[Tensor] = [
        ensemble.standardised(number, histories).to(ensemble.device)
        for number in range(len(ensemble.parts))
    ]
    everything = Candidates.of(ensemble.n_items)
    total = torch.empty_like(parts[0])
    for weights in candidates:
        total.zero_()
        for scores, weight in zip(parts, weights, strict=True):
            total.add_(scores, alpha=weight)
        everything.apply(total, histories)
        yield ranking(total, METRIC.depth)


def _best(scored: dict[Shares, float]) -> Shares:
    """The shares with the highest score; of equals the most even, then the first."""
    return max(scored, key=lambda shares: (scored[shares], -_unevenness(shares)))


def _unevenness(shares: Shares) -> float:
    return sum(weight**2 for weight in _weights(shares))


def _weights(shares: Shares) -> tuple[float, ...]:
    return tuple(share / sum(shares) for share in shares)


def _with_one_more(shares: Shares, part: int) -> Shares:
    return tuple(share + (number == part) for number, share in enumerate(shares))
