"""A job's computing, done by Ray workers."""

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
    """Fit and score by several workers; see `nearfar.jobs.executor`.

    Histories are written to a folder beside the registry's versions for the workers to read, so
    the registry must be where all workers see it, and a sink of Parquet files too.

    Args:
        workers: who does the work.
    """

    workers: Workers

    def fit(
        self, algorithm: Algorithm, train: Interactions, validation: FoldIn | None, run: Run
    ) -> Model:
        """As `algorithm.fit`, but for the rounding of sums."""
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
        """The same rows as in one process; workers write the parts of a Parquet sink themselves."""
        daily = pipeline.score
        pipeline.registry.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix="scoring.", dir=pipeline.registry.absolute()))
        folder.chmod(0o755)  # workers may be other users
        direct = isinstance(pipeline.sink, ParquetRecommendations)
        try:
            score_histories(
                bundle,
                write_histories(histories, folder / "histories", part_users=daily.part_users),
                writer,
                request=ScoreRequest(daily.k, daily.exclude_seen, deny, rerank=rerank),
                workers=self.workers,
                staging=None if direct else folder / "staging",
                on_part=lambda done: on_part(done.part, done.n_rows),
            )
        finally:
            shutil.rmtree(folder, ignore_errors=True)
