"""The cost of training and scoring by users, items and k, in one process and on workers.

    python -m benchmarks.scale [--repeats 3] [--workers 1,2] [--out scale.json]

The data are synthetic. Costs are CPU seconds of one thread, which exclude other work on the
machine. Workers are timed by the clock, because they wait for each other.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from datetime import date
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

import numpy as np
import torch
import torch.distributed as dist
import torch.multiprocessing as mp

import nearfar as nf
from benchmarks.machine import provenance
from nearfar.bundle.bundle import Bundle
from nearfar.cluster.fit import fit_histories
from nearfar.cluster.histories import write_histories
from nearfar.cluster.score import ScoreRequest, score_histories
from nearfar.cluster.workers import Workers
from nearfar.core.files import read_json, write_json
from nearfar.data.interactions import Interactions
from nearfar.store.sinks.parquet import ParquetRecommendations
from nearfar.vae.encoders.base import Base
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.likelihoods.sampled import Sampled
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal

INTERACTIONS_PER_USER = 20
SIZES = {
    "users": [(n, 5_000, 20) for n in (5_000, 10_000, 20_000, 40_000)],
    "items": [(5_000, n, 20) for n in (2_500, 5_000, 10_000, 20_000, 40_000)],
    "k": [(10_000, 10_000, k) for k in (10, 20, 50, 100, 200)],
}
SAMPLED_ITEMS = (10_000, 20_000, 40_000, 80_000)


def published_settings() -> dict[str, Any]:
    """Return the published settings that differ from the defaults."""
    return {
        "learning_rate": 1e-3, "patience": 0, "initialiser": Xavier(), "schedule": ConstantWeight(),
        "beta": LinearAnneal(), "likelihood": None,
    }  # fmt: skip


def algorithm(epochs: int = 1, batch_size: int = 500, **settings: Any) -> nf.MultVAE:
    """Return Mult-VAE with the published sizes."""
    return nf.MultVAE(
        n_latent=200, encoder=Base((600,)), decoder_hidden=(600,), epochs=epochs,
        batch_size=batch_size, **{**published_settings(), **settings},
    )  # fmt: skip


def interactions(users: int, items: int) -> Interactions:
    """Return synthetic data with `INTERACTIONS_PER_USER`."""
    log = nf.read_log(f"synthetic:{users}x{items}x{users * INTERACTIONS_PER_USER}")
    return log.interactions()


class Clock(nf.Callback):
    """Record the CPU seconds at the end of each step."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def step(self, report) -> None:
        """Record the CPU seconds after a step."""
        self.marks.append(time.process_time())

    def per_step(self) -> float:
        """Return the median CPU seconds per step.

        The first steps are left out because they touch new memory, the last because it may have
        fewer users.
        """
        return median(np.diff(self.marks[2:-1]))


def training(data: Interactions, repeats: int, **settings: Any) -> list[float]:
    """Return the CPU seconds per million users of each repeat of a training."""
    costs = []
    for seed in range(repeats):
        clock = Clock()
        algorithm(**settings).fit(data, run=nf.Run(seed=seed, device="cpu", callbacks=(clock,)))
        costs.append(clock.per_step() / 500 * 1e6)
    return costs


def scoring(bundle: Bundle, data: Interactions, k: int, repeats: int) -> list[float]:
    """Return the CPU seconds per million users of each repeat of scoring, after a warm-up."""
    costs = []
    for _ in range(repeats + 1):
        started = time.process_time()
        nf.recommend(bundle, data.x, k=k)
        costs.append((time.process_time() - started) / data.n_users * 1e6)
    return costs[1:]


def slope(rows: list[dict[str, Any]], size: str, cost: str, per_user: bool) -> float:
    """Return the exponent of a cost in a size: 1 is proportional, 0 independent.

    Args:
        rows: measurements, whose costs are per million users.
        size: key of the size.
        cost: key of the cost.
        per_user: whether to take the cost per user, or that of all users.
    """
    sizes = np.log([row[size] for row in rows])
    costs = np.array([median(row[cost]) * (1 if per_user else row["users"]) for row in rows])
    return float(np.polyfit(sizes, np.log(costs), 1)[0])


def one_process(repeats: int) -> dict[str, Any]:
    """Measure the costs by users, items and k, with the exact and the sampled likelihood."""
    result: dict[str, Any] = {}
    for by, sizes in SIZES.items():
        rows = []
        for users, items, k in sizes:
            data = interactions(users, items)
            model = algorithm().fit(data, run=nf.Run(device="cpu"))
            bundle = Bundle.of(model, algorithm(), data)
            row = {"users": data.n_users, "items": data.n_items, "k": k}
            row["scoring"] = scoring(bundle, data, k, repeats)
            if by != "k":
                row["training"] = training(data, repeats)
            rows.append(row)
            print(by, row, flush=True)
        result[by] = {"rows": rows, "scoring_slope": slope(rows, by, "scoring", by != "users")}
        if by != "k":
            result[by]["training_slope"] = slope(rows, by, "training", by != "users")
    rows = []
    for items in SAMPLED_ITEMS:
        data = interactions(5_000, items)
        likelihood = Sampled(negatives=4096)
        costs = training(data, repeats, likelihood=likelihood, optimiser="lazy_adam")
        rows.append({"users": data.n_users, "items": data.n_items, "training": costs})
        print("sampled", rows[-1], flush=True)
    result["sampled"] = {"rows": rows, "training_slope": slope(rows, "items", "training", True)}
    return result


def on_workers(counts: list[int]) -> list[dict[str, Any]]:
    """Measure users per second by the clock, in training without the first epoch and in scoring."""
    data = interactions(20_000, 5_000)
    rows = []
    for count in counts:
        with tempfile.TemporaryDirectory() as name:
            folder, workers = Path(name), Workers(count=count)
            histories = write_histories(data, folder / "histories", part_users=2_000)
            run = nf.Run(folder=folder / "run", checkpoint_seconds=1e9)
            with workers.connected():
                started = time.perf_counter()
                model = fit_histories(algorithm(4), histories, run=run, workers=workers)
                fit_seconds = time.perf_counter() - started
                bundle = Bundle.of(model, algorithm(4), data)
                part_ends: list[float] = []
                with ParquetRecommendations(str(folder / "r")).writing(
                    date(2024, 1, 1), "v"
                ) as writer:
                    parts = score_histories(
                        bundle, histories, writer, request=ScoreRequest(k=20), workers=workers,
                        on_part=lambda part, ends=part_ends: ends.append(time.perf_counter()),
                    )  # fmt: skip
            # The first part of each worker includes the start of its process.
            n_users = sum(part.n_users for part in parts[count:])
            seconds = [r.seconds for r in run.history.records[1:]]
            rows.append({
                "workers": count, "epoch_seconds": seconds,
                "training_users_per_second": [data.n_users / s for s in seconds],
                "fit_seconds": fit_seconds,
                "scoring_users_per_second": n_users / (part_ends[-1] - part_ends[count - 1]),
            })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _time_all_reduce(rank: int, folder: str, sizes: list[int]) -> None:
    """Write the seconds of gloo's all-reduce by bytes to reduce.json."""
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    result = {}
    for n in sizes:
        values, seconds = torch.ones(n), []
        for _ in range(8):
            dist.barrier()
            started = time.perf_counter()
            dist.all_reduce(values)
            seconds.append(time.perf_counter() - started)
        result[str(4 * n)] = seconds[1:]
    if rank == 0:
        write_json(Path(folder) / "reduce.json", result)
    dist.destroy_process_group()


def primitives(repeats: int) -> dict[str, Any]:
    """Measure nanoseconds per random number, and seconds of gloo's all-reduce of two processes."""
    rng, n = torch.Generator().manual_seed(0), 4_000_000
    result: dict[str, Any] = {"uniform_ns": [], "normal_ns": []}
    for _ in range(repeats):
        for name, draw in (("uniform_ns", torch.rand), ("normal_ns", torch.randn)):
            started = time.process_time()
            draw(n, generator=rng)
            result[name].append((time.process_time() - started) / n * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_time_all_reduce, (folder, [250, 250_000, 12_000_000]), nprocs=2)
        result["all_reduce_seconds_by_bytes"] = read_json(Path(folder) / "reduce.json")
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3, help="repeats of each measurement")
    parser.add_argument("--workers", default="1,2", help="comma-separated numbers of workers")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "seconds_are": "CPU seconds of one thread per million users, but where by the clock",
        "sizes": "I-600-200-600-I, batches of 500, 20 interactions a user",
        "pieces": primitives(arguments.repeats),
        "one_process": one_process(arguments.repeats),
        "workers_by_the_clock": on_workers([int(n) for n in arguments.workers.split(",")]),
        "ray": version("ray"),
        "provenance": provenance(),
    }
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
