"""Executors: run the computations of the jobs in this process, or on workers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

import polars as pl

from nearfar.algorithms.algorithm import Algorithm
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.recommend import recommend, recommendations_frame
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.jobs.pipeline import Pipeline
from nearfar.models.model import Model
from nearfar.reranking.reranking import Reranking
from nearfar.store.sinks.sink import DayWriter
from nearfar.train.run import Run


class Executor(Protocol):
    """Runs the long computations of the jobs: fitting and scoring."""

    def fit(
        self, algorithm: Algorithm, train: Interactions, validation: FoldIn | None, run: Run
    ) -> Model:
        """Fit the algorithm, with the arguments of `Algorithm.fit`."""
        ...

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
        """Write the recommendations of all users, except the parts that `writer` already holds.

        Part n starts at user n * part_users.

        Args:
            pipeline: its `score` section sets the recommendations per user and the users per part.
            bundle: the model.
            histories: histories of all users, over the bundle's items.
            deny: ids of items that are never recommended.
            rerank: how lists are re-ranked; None for no re-ranking.
            writer: writer of the day.
            on_part: called with the number of each part written and its number of rows.
        """
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """Fits and scores in this process."""

    def fit(
        self, algorithm: Algorithm, train: Interactions, validation: FoldIn | None, run: Run
    ) -> Model:
        return algorithm.fit(train, validation, run=run)

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
        score = pipeline.score
        finished_parts = set(writer.parts)
        for part, start in enumerate(range(0, histories.n_users, score.part_users)):
            if part in finished_parts:
                continue
            ranking = recommend(
                bundle, histories.x[start : start + score.part_users], k=score.k,
                exclude_seen=score.exclude_seen, deny=deny if len(deny) else None,
                rerank=rerank,
            )  # fmt: skip
            users = histories.user_ids.ids.slice(start, score.part_users)
            rows = recommendations_frame(bundle, users, ranking)
            writer.write(rows, part)
            on_part(part, rows.height)


LOCAL = LocalExecutor()
