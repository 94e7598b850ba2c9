"""Several workers against one process, without Ray: processes that speak gloo.

Tolerance: gradients are sums of float32 numbers in another order, and Adam makes of each a step
of about the learning rate. Losses of an epoch are held to 2e-5 of their size, weights to 2e-4.
"""

from __future__ import annotations

import faulthandler
import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.distributed as dist
import torch.multiprocessing as mp
from safetensors.torch import load_file
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.cluster.histories import Histories, open_histories, write_histories
from nearfar.cluster.team import Team
from nearfar.cluster.training import FITTED, Task, check_shareable, train_part
from nearfar.core.errors import DivergedError, EmptyDataError, NearfarError, SettingsError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.models.autoencoder import Autoencoder
from nearfar.train.checkpoint import NAME as CHECKPOINT
from nearfar.train.history import History
from nearfar.train.run import Run
from nearfar.vae.initialisers.initialiser import AddUp, Initialiser
from nearfar.vae.initialisers.initialiser import alone as alone_
from nearfar.vae.network import VAE

N_WORKERS = 3
SIZES = {"n_latent": 6, "epochs": 2, "batch_size": 23}
"""Of 120 users a batch of 23 leaves one of 5 at the end of an epoch."""

CASES = {
    "multvae": {**SIZES, "decoder_hidden": [8], "encoder": {"kind": "base", "hidden": [8]}},
    "multvae pia": {**SIZES, "alignment": {"kind": "pia", "weight": 0.5}},
    "multvae sampled": {**SIZES, "likelihood": {"kind": "sampled", "negatives": 5}},
    "multvae soft": {**SIZES, "likelihood": {"kind": "multinomial", "background": 1.0}},
    "multvae sampled soft": {
        **SIZES,
        "likelihood": {"kind": "sampled", "negatives": 5, "background": 1.0},
    },
    "multvae spectral": {**SIZES, "decoder_hidden": [8], "initialiser": "spectral"},
    "multvae rows": {**SIZES, "optimiser": "row_adam"},
    "multvae lonely": {**SIZES, "batch_size": 1, "epochs": 1},
    "multdae decay": {**SIZES, "l2": 0.01},
    "recvae": {**SIZES, "encoder_passes": 2},
    "hvamp": {**SIZES, "n_latent": 8},
    "multvae diverging": {**SIZES, "learning_rate": 1e30, "decoder_hidden": []},
}


def algorithm_of(case: str) -> AutoencoderAlgorithm:
    found = make_algorithm(case.partition(" ")[0], CASES[case])
    assert isinstance(found, AutoencoderAlgorithm)
    return found


def task_of(case: str, histories: Histories, validation: FoldIn, folder: Path) -> Task:
    return Task(algorithm_of(case), histories, validation, folder / case, 7, "float32", "cpu",
                1e9, 1)  # fmt: skip


def work(rank: int, folder: Path, validation: FoldIn) -> None:
    """All cases, as one of the workers."""
    faulthandler.enable()
    torch.set_num_threads(1)
    dist.init_process_group(
        "gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=N_WORKERS
    )
    told = {}
    for case in CASES:
        histories = open_histories(folder / "histories")
        try:
            history = train_part(
                task_of(case, histories, validation, folder), Team(torch.device("cpu"))
            )
            told[case] = [r.loss for r in history.records]
        except NearfarError as error:
            told[case] = type(error).__name__
    (folder / f"told{rank}.json").write_text(json.dumps(told))
    dist.barrier()
    dist.destroy_process_group()
    # Not by the interpreter's own end: a thread of gloo that frees a tensor then asks for the
    # interpreter, and the process aborts (pytorch/pytorch#179291).
    os._exit(0)


@pytest.fixture(scope="module")
def together(
    clusters: tuple[Interactions, FoldIn], tmp_path_factory: pytest.TempPathFactory
) -> Path:
    folder = tmp_path_factory.mktemp("team")
    train, validation = clusters
    write_histories(train, folder / "histories", part_users=50)
    mp.spawn(work, (folder, validation), nprocs=N_WORKERS)
    return folder


def alone(case: str, clusters: tuple[Interactions, FoldIn]) -> tuple[Autoencoder, History]:
    run = Run(seed=7, device="cpu")
    return algorithm_of(case).fit(*clusters, run=run), run.history


@pytest.mark.slow
@pytest.mark.parametrize("case", [case for case in CASES if "diverging" not in case])
def test_three_workers_train_what_one_process_trains(
    case: str, together: Path, clusters: tuple[Interactions, FoldIn]
) -> None:
    model, history = alone(case, clusters)
    told = [json.loads((together / f"told{rank}.json").read_text())[case] for rank in range(3)]
    assert told[0] == told[1] == told[2]
    lines = (together / case / "metrics.jsonl").read_text().splitlines()
    records = [json.loads(line) for line in lines]
    assert len(records) == len(history.records) == algorithm_of(case).plan().epochs
    for theirs, ours in zip(records, history.records, strict=True):
        assert theirs["loss"] == pytest.approx(ours.loss, rel=2e-5)
        assert theirs["terms"] == pytest.approx(ours.terms, rel=1e-4, abs=1e-6)
        assert theirs["validation"] == pytest.approx(ours.validation, abs=0.02)
        assert theirs["step"] == ours.step
        assert theirs["neighbours_kept"] == pytest.approx(ours.neighbours_kept, abs=0.02)
    fitted = load_file(together / case / FITTED / CHECKPOINT)
    for name, weight in model.network.state_dict().items():
        np.testing.assert_allclose(
            fitted[f"network.{name}"], weight, rtol=0, atol=2e-4, err_msg=name
        )


@pytest.mark.slow
def test_all_workers_learn_that_training_diverged(together: Path) -> None:
    for rank in range(N_WORKERS):
        told = json.loads((together / f"told{rank}.json").read_text())
        assert told["multvae diverging"] == DivergedError.__name__


def test_one_worker_is_a_team_too(clusters: tuple[Interactions, FoldIn], tmp_path: Path) -> None:
    train, validation = clusters
    histories = write_histories(train, tmp_path / "histories", part_users=1000)
    history = train_part(
        task_of("multvae", histories, validation, tmp_path), Team(torch.device("cpu"))
    )
    _, expected = alone("multvae", clusters)
    assert [r.loss for r in history.records] == pytest.approx(
        [r.loss for r in expected.records], rel=1e-6
    )


def test_users_without_items_have_no_step(
    clusters: tuple[Interactions, FoldIn], tmp_path: Path
) -> None:
    train, validation = clusters
    nobody = Interactions(0 * train.x, train.user_ids, train.item_ids)
    histories = write_histories(nobody, tmp_path / "histories")
    with pytest.raises(EmptyDataError, match="no training user"):
        train_part(task_of("multvae", histories, validation, tmp_path), Team(torch.device("cpu")))


class OfAllUsers(Initialiser):
    """A third party's, which may not know of several processes."""

    def apply(self, network: VAE, x: csr_array, seed: int, add_up: AddUp = alone_) -> None:
        raise AssertionError("it must be refused before")


@pytest.mark.parametrize(
    ("algorithm", "reason"),
    [
        (make_algorithm("ease", {}), "fitted on one machine"),
        (make_algorithm("cdae", {}), "parameters of each training user"),
        (make_algorithm("warp", {}), "needs the whole batch"),
        (make_algorithm("lambdanet", {}), "needs the whole batch"),
        (make_algorithm("ract", {}), "needs the whole batch"),
        (
            replace(make_algorithm("multvae", {}), initialiser=OfAllUsers()),
            "reads all users at once",
        ),
    ],
    ids=lambda value: type(value).__name__ if not isinstance(value, str) else "",
)
def test_what_cannot_be_shared_is_refused(algorithm: object, reason: str) -> None:
    with pytest.raises(SettingsError, match=reason):
        check_shareable(algorithm)
