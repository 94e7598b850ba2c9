"""Score on several workers with Ray Data: parts of histories to parts of recommendations."""

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
    """Options of a scoring, the same for all users.

    Args:
        k: recommendations per user.
        exclude_seen: leave out the items of the history.
        deny: ids of items that are never recommended.
        batch_size: users per batch; by default that of `recommend`.
        rerank: how lists are re-ranked; None for no re-ranking.

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
    """The counts of a scored part.

    Args:
        part: number of the part.
        n_users: number of users.
        n_rows: number of recommendations.
        n_unknown: number of users without an item in the model's catalogue.
    """

    part: int
    n_users: int
    n_rows: int
    n_unknown: int


@dataclass(frozen=True, eq=False)
class _Job:
    """The data that all parts share; they are sent to each machine once.

    Relative paths in `writer` start from `start`, the caller's working directory.
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
    """Score all users of a folder of histories; each part of it becomes a part of the day.

    A worker reads a part, ranks its users as `recommend` does in one process, to the same rows in
    the same order, and writes the part atomically to a file named by the part's number. A part
    that is repeated after a machine was lost gives the same file. The day is published by the
    writer after all parts, so readers never see a user twice or miss one. Parts in `writer.parts`
    are skipped.

    A worker holds one part in memory, and as many parts as workers are in progress. Only a part's
    number and four counts go through Ray's object store, and the model, once per machine.

    Args:
        bundle: the model and its items.
        histories: histories of the users; item ids are matched with the bundle's.
        writer: writer of the day.
        request: options of the scoring.
        workers: the workers.
        staging: a folder that all workers see, for a writer that cannot be sent to workers, such
            as that of a database: workers write parts there, and this process passes them on.
            None sends the writer to the workers.
        on_part: called with every part that is written.

    Raises:
        MissingExtraError: Ray is not installed.
        DataError: a part cannot be read, or rows cannot be stored.

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
    scored = []
    with workers.connected():
        for row in _run(job, todo, workers):
            part = ScoredPart(**row)
            if staging is not None:
                staged = _staged_file(job.staging, part.part)
                writer.write(pl.read_parquet(staged, glob=False), part.part)
                staged.unlink()
            scored.append(part)
            on_part(part)
    return sorted(scored, key=lambda part: part.part)


def _run(job: _Job, todo: Sequence[int], workers: Workers) -> Any:
    """Yield the counts of each part when it is done."""
    import logging

    import ray
    import ray.data
    from ray.exceptions import RayError, RayTaskError

    logging.getLogger("ray.data").setLevel(logging.ERROR)
    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    reference = [ray.put(job)]  # in a list, else Ray would pass the object, not the reference
    parts = ray.data.from_items(
        [{"part": number} for number in todo], override_num_blocks=len(todo)
    )
    results = parts.map_batches(
        score_part,  # pyright: ignore[reportArgumentType]
        fn_kwargs={"reference": reference},
        batch_size=None,
        num_cpus=workers.cpus,
        num_gpus=workers.gpus or None,
        max_calls=0,  # by default Ray ends a process that used a GPU, which would lose the model
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
        raise NearfarError(
            f"scoring failed: {error}; the same call continues from there"
        ) from error


def score_part(batch: Any, reference: list[Any]) -> Any:
    """Score the parts of a batch of numbers on a worker; return the counts of each."""
    bundle, job = _load_job(reference[0])
    counts = [asdict(_score(bundle, job, job.parts[int(number)])) for number in batch["part"]]
    return {name: np.array([c[name] for c in counts]) for name in counts[0]}


@lru_cache(maxsize=1)
def _load_job(reference: Any) -> tuple[Bundle, _Job]:
    """Return the bundle and the job, built once per process around the machine's shared weights."""
    import ray

    job: _Job = ray.get(reference)
    return job.shared.bundle("cuda" if job.device == "cuda" else "cpu"), job


def _score(bundle: Bundle, job: _Job, part: HistoryPart) -> ScoredPart:
    request = job.request
    users, histories = part.read(bundle.items)
    ranking = recommend(
        bundle, histories, k=request.k, exclude_seen=request.exclude_seen,
        deny=request.deny if len(request.deny) else None, batch_size=request.batch_size,
        rerank=request.rerank,
    )  # fmt: skip
    rows = recommendations_frame(bundle, users, ranking)
    if job.writer is not None:
        try:
            with contextlib.chdir(job.start):
                job.writer.write(rows, part.number)
        except DataError:
            with contextlib.chdir(job.start):
                if part.number not in job.writer.parts:
                    raise
            # An attempt on a lost machine has written the same part before.
    else:
        with atomic_file(_staged_file(job.staging, part.number)) as file:
            rows.write_parquet(file)
    n_unknown = int((np.diff(histories.indptr) == 0).sum())
    return ScoredPart(part.number, len(users), rows.height, n_unknown)


def _staged_file(folder: Path, part: int) -> Path:
    return folder / f"part-{part:05d}.parquet"
