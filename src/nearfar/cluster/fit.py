"""Train on several workers with Ray Train."""

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
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.algorithms.best_attempt import best_attempt
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

NO_FOLDER = "the run has no folder; name one that all workers see"
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
    """Fit an algorithm on several workers, each of which reads only its range of the users.

    Batches, noise and masks are those of one process with the same settings; `batch_size` is the
    size of the whole batch. So weights and losses differ from `algorithm.fit` only by the rounding
    of sums.

    Lost workers are replaced, and training resumes from the last checkpoint, with the same result.
    Gradients are summed by NCCL on GPUs and gloo on CPUs.

    Args:
        algorithm: algorithm that trains an autoencoder.
        histories: histories of the training users.
        validation: held-out users to choose the best epoch by; the first worker scores them.
        run: options of the run. It needs a folder that all workers see; its device is ignored.
        workers: the workers.

    Raises:
        MissingExtraError: Ray is not installed.
        SettingsError: several workers cannot train the algorithm, or there is no folder.
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
        raise SettingsError(NO_FOLDER)

    def fit_one(algorithm: AutoencoderAlgorithm, run: Run) -> Autoencoder:
        return _fit_one(algorithm, histories, validation, run, workers)

    start = start_report(shareable, histories.n_users, len(histories.items), run)
    with reported(run.callbacks, run.history, start):
        catalogue = TrainingCounts(histories.item_counts, histories.n_users)
        return best_attempt(shareable.candidates(catalogue, validation), fit_one, run)


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
    checkpoint = Checkpoint.read(folder / FITTED, identity)
    if checkpoint is None:
        with workers.connected(), follow_metrics(folder / "metrics.jsonl", run.callbacks):
            _train(task, workers)
        checkpoint = Checkpoint.read(folder / FITTED, identity)
    if checkpoint is None:
        raise ArtefactError(
            f"training ended without weights in {folder}; it must be one folder for all workers"
        )
    return _load_model(task, checkpoint, run)


def fit(
    algorithm: Algorithm,
    train: Interactions,
    validation: FoldIn | None = None,
    *,
    run: Run,
    workers: Workers,
) -> Autoencoder:
    """Write interactions to the run's folder as histories, and fit on them by `fit_histories`."""
    require("ray", extra="cluster", purpose="work on several machines")
    check_not_empty(train)
    check_shareable(algorithm)
    if train.weights is not None:
        raise SettingsError(
            "interactions have weights, which training on several machines does not support; train "
            "on one machine, or leave the weights out (--weights none)"
        )
    if run.folder is None:
        raise SettingsError(NO_FOLDER)
    part_users = max(1, min(PART_USERS, -(-train.n_users // workers.count)))
    histories = write_histories(train, run.folder / "histories", part_users=part_users)
    return fit_histories(algorithm, histories, validation, run=run, workers=workers)


def _train(task: Task, workers: Workers) -> None:
    """Run the task with Ray Train, which replaces lost workers."""
    import ray
    from ray.exceptions import RayError
    from ray.train import FailureConfig, RunConfig, ScalingConfig, TrainingFailedError
    from ray.train.torch import TorchConfig, TorchTrainer

    ray_folder = task.folder / "ray"  # files of Ray only; removed after the training
    trainer = TorchTrainer(
        run_worker,
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
            storage_path=str(ray_folder),
            failure_config=FailureConfig(max_failures=workers.max_failures),
        ),
    )
    try:
        trainer.fit()
    except (TrainingFailedError, RayError) as error:
        _raise_worker_error(task.folder)
        reason = str(error).strip().rpartition("\n")[2]
        raise NearfarError(
            f"training failed after {workers.max_failures} more attempts ({reason}); its last "
            f"checkpoint is in {task.folder}, and the same call with resume continues from it"
        ) from error
    _raise_worker_error(task.folder)
    shutil.rmtree(ray_folder, ignore_errors=True)


def run_worker(settings: dict[str, Any]) -> None:
    """Run a worker; a `NearfarError` is written to a file, and the training is not retried."""
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


def _raise_worker_error(folder: Path) -> None:
    """Raise the error that a worker has written, if any."""
    if (folder / FAILED).exists():
        failure = read_json(folder / FAILED)
        raise error_of(failure["error"], failure["text"])


def _load_model(task: Task, checkpoint: Checkpoint, run: Run) -> Autoencoder:
    """Return the model of the first worker's weights, and fill in the run's history."""
    algorithm, histories = task.algorithm, task.histories
    architecture = algorithm.architecture(len(histories.items))
    network = architecture.build(torch.Generator().manual_seed(0))
    prefix = "network."
    network.load_state_dict(
        {k.removeprefix(prefix): v for k, v in checkpoint.tensors.items() if k.startswith(prefix)}
    )
    run.history.clear()
    run.history.records.extend(EpochRecord(**r) for r in checkpoint.position["records"])
    run.history.stopped_early = checkpoint.position["stopped_early"]
    anchors = checkpoint.tensors.get(ANCHORS)
    prior = algorithm.objective(
        TrainingCounts(histories.item_counts, histories.n_users), run.seed
    ).prior
    names = [] if prior is None else list(prior.learned())
    return Autoencoder(
        architecture, network, histories.item_counts, histories.n_users,
        None if anchors is None else anchors.numpy(),
        {name: checkpoint.tensors[f"{PRIOR}{name}"].numpy() for name in names},
    )  # fmt: skip


POLL_SECONDS = 0.5


@contextmanager
def follow_metrics(path: Path, callbacks: Sequence[Callback]) -> Iterator[None]:
    """Report every epoch that is written to a file of metrics while the block runs.

    A training that resumes from a checkpoint writes some epochs again; they are reported once.
    """
    stopped = threading.Event()

    def follow() -> None:
        last_epoch = -1
        while True:
            is_last = stopped.wait(POLL_SECONDS)
            for record in _read_records(path):
                if record.epoch > last_epoch:
                    last_epoch = record.epoch
                    for callback in callbacks:
                        callback.epoch(record)
            if is_last:
                return

    thread = threading.Thread(target=follow, name="nearfar-follow", daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopped.set()
        thread.join()


def _read_records(path: Path) -> list[EpochRecord]:
    try:
        text = path.read_text(encoding="utf-8")
    except OSError:
        return []
    complete = text[: text.rfind("\n") + 1]  # the last line may be half written
    return [EpochRecord(**json.loads(line)) for line in complete.splitlines()]
