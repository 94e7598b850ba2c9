"""Blend."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Self

from nearfar.algorithms.algorithm import Algorithm, check_not_empty
from nearfar.algorithms.blend_weights import chosen_weights
from nearfar.algorithms.edlae import EDLAE
from nearfar.algorithms.label import label_of
from nearfar.algorithms.multvae import MultVAE
from nearfar.core.errors import DataError, SettingsError, StoppedError
from nearfar.core.ranges import NonNegativeFloat
from nearfar.core.seeding import derive
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.ensemble import Ensemble, check_weights
from nearfar.models.model import Model
from nearfar.train.run import Run


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
