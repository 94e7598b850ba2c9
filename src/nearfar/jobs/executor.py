"""Where a job computes: in this process, or on workers."""

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
    """The long work of the jobs."""

    def fit(
        self, algorithm: Algorithm, train: Interactions, validation: FoldIn | None, run: Run
    ) -> Model:
        """As `algorithm.fit`."""
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
        """Write the recommendations of all users, but for parts that `writer` has.

        Part n are the users from n * part_users on.

        Args:
            pipeline: its `score` tells what every user is to be given, and users per part.
            bundle: the model.
            histories: of all users, over the bundle's items.
            deny: ids of items that are never recommended.
            rerank: how lists are chosen from the best candidates.
            writer: of the day.
            on_part: told the number of every part that is written, and its rows.
        """
        ...


@dataclass(frozen=True)
class LocalExecutor:
    """Compute in this process."""

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
        done = set(writer.parts)
        for part, start in enumerate(range(0, histories.n_users, score.part_users)):
            if part in done:
                continue
            found = recommend(
                bundle, histories.x[start : start + score.part_users], k=score.k,
                exclude_seen=score.exclude_seen, deny=deny if len(deny) else None,
                rerank=rerank,
            )  # fmt: skip
            users = histories.user_ids.ids.slice(start, score.part_users)
            rows = recommendations_frame(bundle, users, found)
            writer.write(rows, part)
            on_part(part, rows.height)


LOCAL = LocalExecutor()
