"""Training on several workers, by Ray Train."""

from __future__ import annotations

import json
import shutil
import threading
import uuid
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch

from nearfar.algorithms.algorithm import Algorithm, check_not_empty, start_report
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm, best_attempt
from nearfar.cluster.histories import PART_USERS, Histories, write_histories
from nearfar.cluster.team import Team, error_of
from nearfar.cluster.training import FITTED, Task, check_shareable, train_part
from nearfar.cluster.workers import Workers
from nearfar.core.errors import ArtefactError, NearfarError, SettingsError
from nearfar.core.extras import require
from nearfar.core.files import read_json, write_json
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.autoencoder import Autoencoder
from nearfar.train.callback import Callback, reported
from nearfar.train.checkpoint import NAME, Checkpoint
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run
from nearfar.vae.likelihoods.likelihood import TrainingCounts

FAILED = "failed.json"
ANCHORS = "objective.term_modules.alignment.anchors"
PRIOR = "objective.prior."


def fit_histories(
    algorithm: Algorithm,
    histories: Histories,
    validation: FoldIn | None = None,
    *,
    run: Run,
    workers: Workers,
) -> Autoencoder:
    """Fit on histories that no process holds all of; as `algorithm.fit` does, by several workers.

    Every worker reads its stretch of the users. Batches, noise and masks are those of one
    process with the same settings; `batch_size` is of the whole batch. So weights and losses
    differ from `algorithm.fit` by the rounding of sums alone.

    Lost workers are replaced and training goes on from the last checkpoint, to the same result.
    Gradients are added up by NCCL on GPUs and gloo on CPUs.

    Args:
        algorithm: one that trains an autoencoder.
        histories: of the training users.
        validation: held-out users that the best epoch is chosen by; the first worker scores them.
        run: its folder is needed, and must be the same for all workers; its device is not read.
        workers: who does the work.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingsError: the algorithm cannot be shared, or there is no folder.
        DivergedError: a term or a weight is no longer finite.
        NearfarError: workers were lost more often than `workers` allows.

    Examples:
        >>> from nearfar.cluster.histories import describe_histories
        >>> from nearfar.cluster.fit import fit_histories
        >>> from nearfar.cluster.workers import Workers
        >>> histories = describe_histories("/shared/histories")  # doctest: +SKIP
        >>> run = nf.Run(folder=Path("/shared/run"))
        >>> model = fit_histories(
        ...     nf.MultVAE(), histories, run=run, workers=Workers(count=8)
        ... )  # doctest: +SKIP
    """
    require("ray", extra="cluster", purpose="work on several machines")
    shareable = check_shareable(algorithm)
    if run.folder is None:
        raise SettingsError("the run has no folder; name one that all workers see")

    def fit_one(algorithm: AutoencoderAlgorithm, run: Run) -> Autoencoder:
        return _fit_one(algorithm, histories, validation, run, workers)

    start = start_report(shareable, histories.n_users, len(histories.items), run)
    with reported(run.callbacks, run.history, start):
        return best_attempt(shareable.candidates(validation), fit_one, run)


def _fit_one(
    algorithm: AutoencoderAlgorithm,
    histories: Histories,
    validation: FoldIn | None,
    run: Run,
    workers: Workers,
) -> Autoencoder:
    """Fit one network."""
    assert run.folder is not None
    folder = run.folder.absolute()
    folder.mkdir(parents=True, exist_ok=True)
    task = Task(
        algorithm, histories, validation, folder, run.seed, run.precision, workers.device,
        run.checkpoint_seconds, run.checkpoint_epochs,
    )  # fmt: skip
    if not run.resume:
        (folder / NAME).unlink(missing_ok=True)
        shutil.rmtree(folder / FITTED, ignore_errors=True)
    (folder / FAILED).unlink(missing_ok=True)
    identity = {
        **task.identity, "plan": asdict(algorithm.plan(task.catalogue)), "seed": run.seed,
        "precision": run.precision,
    }  # fmt: skip
    found = Checkpoint.read(folder / FITTED, identity)
    if found is None:
        with workers.connected(), followed(folder / "metrics.jsonl", run.callbacks):
            _train(task, workers)
        found = Checkpoint.read(folder / FITTED, identity)
    if found is None:
        raise ArtefactError(
            f"training ended without weights in {folder}; it must be one folder for all workers"
        )
    return _fitted(task, found, run)


def fit(
    algorithm: Algorithm,
    train: Interactions,
    validation: FoldIn | None = None,
    *,
    run: Run,
    workers: Workers,
) -> Autoencoder:
    """`fit_histories` on interactions in memory, which are written to the run's folder first."""
    require("ray", extra="cluster", purpose="work on several machines")
    check_not_empty(train)
    check_shareable(algorithm)
    if train.weights is not None:
        raise SettingsError(
            "interactions have weights, which training on several machines does not use; train on "
            "one, or leave them out (--weights none)"
        )
    if run.folder is None:
        raise SettingsError("the run has no folder; name one that all workers see")
    part_users = max(1, min(PART_USERS, -(-train.n_users // workers.count)))
    histories = write_histories(train, run.folder / "histories", part_users=part_users)
    return fit_histories(algorithm, histories, validation, run=run, workers=workers)


def _train(task: Task, workers: Workers) -> None:
    """Hand the task to Ray Train, which starts workers anew when some are lost."""
    import ray
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    notes = task.folder / "ray"  # Ray's own notes; what nearfar needs is not among them
    trainer = TorchTrainer(
        work,
        train_loop_config={"task": ray.put(task)},
        torch_config=TorchConfig(backend="nccl" if workers.gpus else "gloo"),
        scaling_config=ScalingConfig(
            num_workers=workers.count,
            use_gpu=bool(workers.gpus),
            resources_per_worker={"CPU": workers.cpus, **({"GPU": 1} if workers.gpus else {})},
            placement_strategy="SPREAD",
        ),
        run_config=RunConfig(
            name=uuid.uuid4().hex,
            storage_path=str(notes),
            failure_config=FailureConfig(max_failures=workers.max_failures),
        ),
    )
    try:
        trainer.fit()
    except (TrainingFailedError, RayError) as error:
        _raise_told(task.folder)
        reason = str(error).strip().rpartition("\n")[2]
        raise NearfarError(
            f"training failed after {workers.max_failures} more attempts ({reason}); what was "
            f"reached is in {task.folder}, the same call goes on from there with resume"
        ) from error
    _raise_told(task.folder)
    shutil.rmtree(notes, ignore_errors=True)


def work(settings: dict[str, Any]) -> None:
    """What every worker does; an error with a reason is written to a file and not retried."""
    import ray

    task: Task = ray.get(settings["task"])
    if (task.folder / FAILED).exists():
        return
    device = torch.device("cuda", torch.cuda.current_device()) if task.device == "cuda" else None
    try:
        train_part(task, Team(device or torch.device("cpu")))
    except NearfarError as error:
        write_json(task.folder / FAILED, {"error": type(error).__name__, "text": str(error)})
        raise


def _raise_told(folder: Path) -> None:
    """Raise the error that a worker left."""
    if (folder / FAILED).exists():
        told = read_json(folder / FAILED)
        raise error_of(told["error"], told["text"])


def _fitted(task: Task, found: Checkpoint, run: Run) -> Autoencoder:
    """The model of the weights that the first worker left."""
    algorithm, histories = task.algorithm, task.histories
    architecture = algorithm.architecture(len(histories.items))
    network = architecture.build(torch.Generator().manual_seed(0))
    prefix = "network."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in found.tensors.items() if k.startswith(prefix)}
    )
    run.history.clear()
    run.history.records.extend(EpochRecord(**r) for r in found.position["records"])
    run.history.stopped_early = found.position["stopped_early"]
    anchors = found.tensors.get(ANCHORS)
    prior = algorithm.objective(
        TrainingCounts(histories.item_counts, histories.n_users), run.seed
    ).prior
    names = [] if prior is None else list(prior.learned())
    return Autoencoder(
        architecture, network, histories.item_counts, histories.n_users,
        None if anchors is None else anchors.numpy(),
        {name: found.tensors[f"{PRIOR}{name}"].numpy() for name in names},
    )  # fmt: skip


SECONDS = 0.5


@contextmanager
def followed(path: Path, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Report every epoch that appears in a file of metrics while the block lasts.

    A training that is taken up from a checkpoint writes some epochs again; they are reported once.
    """
    over = threading.Event()

    def follow() -> None:
        told = -1
        while True:
            last = over.wait(SECONDS)
            for record in _records(path):
                if record.epoch > told:
                    told = record.epoch
                    for callback in callbacks:
                        callback.epoch(record)
            if last:
                return

    thread = threading.Thread(target=follow, name="nearfar-follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _records(path: Path) -> list[EpochRecord]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    whole = text[: text.rfind("\n") + 1]  # the last line may be half written
    return [EpochRecord(**json.loads(line)) for line in whole.splitlines()]
