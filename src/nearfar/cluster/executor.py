"""An executor of jobs that computes on Ray workers."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import polars as pl

from nearfar.algorithms.algorithm import Algorithm
from nearfar.bundle.bundle import Bundle
from nearfar.cluster.fit import fit
from nearfar.cluster.histories import write_histories
from nearfar.cluster.score import ScoreRequest, score_histories
from nearfar.cluster.workers import Workers
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.jobs.pipeline import Pipeline
from nearfar.models.model import Model
from nearfar.reranking.reranking import Reranking
from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.store.sinks.sink import DayWriter
from nearfar.train.run import Run


@dataclass(frozen=True)
class RayExecutor:
    """Fits and scores on several workers; see `nearfar.jobs.executor`.

    Histories are written to a folder in the registry, from which the workers read. All workers must
    see the registry, and the folder of a Parquet sink.

    Args:
        workers: the workers.
    """

    workers: Workers

    def fit(
        self, algorithm: Algorithm, train: Interactions, validation: FoldIn | None, run: Run
    ) -> Model:
        """Fit as `algorithm.fit` does, up to the rounding of sums."""
        return fit(algorithm, train, validation, run=run, workers=self.workers)

    def score(
        self,
        pipeline: Pipeline,
        bundle: Bundle,
        histories: Interactions,
        deny: pl.Series,
        rerank: Reranking | None,
        writer: DayWriter,
        on_part: Callable[[int, int], object],
    ) -> None:
        """Write the same rows as one process; workers write to a Parquet sink directly."""
        section = pipeline.score
        pipeline.registry.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="scoring.", dir=pipeline.registry.absolute()))
        folder.chmod(0o755)  # workers may run as other users
        is_direct = isinstance(pipeline.sink, ParquetRecommendations)
        try:
            score_histories(
                bundle,
                write_histories(histories, folder / "histories", part_users=section.part_users),
                writer,
                request=ScoreRequest(section.k, section.exclude_seen, deny, rerank=rerank),
                workers=self.workers,
                staging=None if is_direct else folder / "staging",
                on_part=lambda part: on_part(part.part, part.n_rows),
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
