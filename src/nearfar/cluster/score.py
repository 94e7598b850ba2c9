"""Scoring on several workers, by Ray Data: parts of histories to parts of recommendations."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.recommend import Ids, recommend, recommendations_frame
from nearfar.cluster.histories import Histories, HistoryPart
from nearfar.cluster.shared_model import SharedBundle
from nearfar.cluster.workers import Workers
from nearfar.core.errors import DataError, NearfarError
from nearfar.core.extras import require
from nearfar.core.files import atomic_file
from nearfar.reranking.reranking import Reranking
from nearfar.store.sinks.sink import DayWriter


@dataclass(frozen=True)
class ScoreRequest:
    """What every user is to be given.

    Args:
        k: recommendations per user.
        exclude_seen: leave out the items of the history.
        deny: ids of items that are never recommended.
        batch_size: users scored at once; by default as `recommend` has it.
        rerank: how lists are chosen from the best candidates.

    Examples:
        >>> from nearfar.cluster.score import ScoreRequest
        >>> ScoreRequest(k=10, deny=[7]).exclude_seen
        True
    """

    k: int = 20
    exclude_seen: bool = True
    deny: Ids = ()
    batch_size: int | None = None
    rerank: Reranking | None = None


@dataclass(frozen=True)
class ScoredPart:
    """What came of a part.

    Args:
        part: its number.
        n_users: who were given recommendations.
        n_rows: recommendations.
        n_unknown: users of whose history the model knows no item.
    """

    part: int
    n_users: int
    n_rows: int
    n_unknown: int


@dataclass(frozen=True, eq=False)
class _Job:
    """What is the same for all parts; it travels to each machine once.

    Paths in `writer` may be relative; they start from the folder where the call was made.
    """

    shared: SharedBundle
    parts: tuple[HistoryPart, ...]
    request: ScoreRequest
    device: str
    writer: DayWriter | None
    staging: Path
    start: Path = field(default_factory=Path.cwd)


def score_histories(
    bundle: Bundle,
    histories: Histories,
    writer: DayWriter,
    *,
    request: ScoreRequest,
    workers: Workers,
    staging: Path | None = None,
    on_part: Callable[[ScoredPart], object] = lambda done: None,
) -> list[ScoredPart]:
    """Recommend to all users of a folder of histories; a part becomes a part of the day.

    A worker reads a part, ranks as `recommend` does for these users in one process, so that rows
    and their order are the same to the bit, and writes the part: to its own file, named by its
    number, that is written atomically. So a part that is done again because a machine was
    lost gives the same file, and nobody sees a user twice or misses one: the day is published by
    the writer, after all parts. Parts that `writer.parts` has are left out.

    Bounded: of each worker's memory, by one part; of what is under way, by the number of workers;
    through Ray's object store go a part's number and four counts. The model is in the store of
    each machine once.

    Args:
        bundle: the model and its items.
        histories: the users; ids of items are matched with the bundle's.
        writer: of a sink; one of Parquet parts is handed to the workers, others write here.
        request: what every user is to be given.
        workers: who does the work.
        staging: a folder that all workers see, for parts on their way to a writer that cannot be
            handed to workers, as of a database. Without it the writer is handed to them.
        on_part: called with every part that is written.

    Raises:
        MissingExtraError: Ray is not installed.
        DataError: a part cannot be read, or rows cannot be kept.

    Examples:
        >>> from nearfar.cluster.histories import describe_histories
        >>> from nearfar.cluster.score import ScoreRequest, score_histories
        >>> histories = describe_histories("/shared/histories")  # doctest: +SKIP
        >>> score_histories(bundle, histories, writer, request=ScoreRequest(k=20))  # doctest: +SKIP
    """
    require("ray", extra="cluster", purpose="work on several machines")
    written = set(writer.parts)
    todo = [part.number for part in histories.parts if part.number not in written]
    if not todo:
        return []
    job = _Job(
        SharedBundle.of(bundle), histories.parts, request, workers.device,
        writer if staging is None else None, (staging or Path()).absolute(),
    )  # fmt: skip
    done = []
    with workers.connected():
        for row in _rows(job, todo, workers):
            found = ScoredPart(**row)
            if staging is not None:
                staged = _staged(job.staging, found.part)
                writer.write(pl.read_parquet(staged, glob=False), found.part)
                staged.unlink()
            done.append(found)
            on_part(found)
    return sorted(done, key=lambda d: d.part)


def _rows(job: _Job, todo: Sequence[int], workers: Workers) -> Any:
    """The results of the parts, as they come."""
    import logging

    import ray
    import ray.data
    from ray.exceptions import RayError, RayTaskError

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    held = [ray.put(job)]  # in a list: Ray would hand the worker the object, not the reference
    parts = ray.data.from_items(
        [{"part": number} for number in todo], override_num_blocks=len(todo)
    )
    results = parts.map_batches(
        score_part,  # pyright: ignore[reportArgumentType]
        fn_kwargs={"held": held},
        batch_size=None,
        num_cpus=workers.cpus,
        num_gpus=workers.gpus or None,
        max_calls=0,  # by default a process that used a GPU ends, and its model with it
        compute=ray.data.TaskPoolStrategy(size=workers.count),
    )
    try:
        yield from results.iter_rows()
    except RayTaskError as error:
        cause = error.cause
        if isinstance(cause, NearfarError):
            raise cause from None
        raise NearfarError(f"scoring failed on a worker: {error}") from error
    except RayError as error:
        raise NearfarError(f"scoring failed: {error}; the same call goes on from there") from error


def score_part(batch: Any, held: list[Any]) -> Any:
    """What a worker does with the numbers of some parts; counts of each come back."""
    bundle, job = _loaded(held[0])
    done = [asdict(_score(bundle, job, job.parts[int(number)])) for number in batch["part"]]
    return {name: np.array([d[name] for d in done]) for name in done[0]}


@lru_cache(maxsize=1)
def _loaded(reference: Any) -> tuple[Bundle, _Job]:
    """The model, made once per process; its weights are the machine's one copy."""
    import ray

    job: _Job = ray.get(reference)
    return job.shared.bundle("cuda" if job.device == "cuda" else "cpu"), job


def _score(bundle: Bundle, job: _Job, part: HistoryPart) -> ScoredPart:
    request = job.request
    users, histories = part.read(bundle.items)
    found = recommend(
        bundle, histories, k=request.k, exclude_seen=request.exclude_seen,
        deny=request.deny if len(request.deny) else None, batch_size=request.batch_size,
        rerank=request.rerank,
    )  # fmt: skip
    rows = recommendations_frame(bundle, users, found)
    if job.writer is not None:
        try:
            with contextlib.chdir(job.start):
                job.writer.write(rows, part.number)
        except DataError:
            with contextlib.chdir(job.start):
                if part.number not in job.writer.parts:
                    raise
            # an attempt on a machine that was lost had written it, the same to the bit
    else:
        with atomic_file(_staged(job.staging, part.number)) as file:
            rows.write_parquet(file)
    unknown = int((np.diff(histories.indptr) == 0).sum())
    return ScoredPart(part.number, len(users), rows.height, unknown)


def _staged(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.parquet"
