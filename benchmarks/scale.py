"""What training and scoring cost by users, items and k, in one process and on workers.

    python -m benchmarks.scale [--repeats 3] [--workers 1,2] [--out scale.json]

Synthetic data. CPU seconds of one thread, so that other work on the machine does not count;
what workers do is timed by the clock, as waiting for each other is a part of it.
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

PER_USER = 20
SIZES = {
    "users": [(n, 5_000, 20) for n in (5_000, 10_000, 20_000, 40_000)],
    "items": [(5_000, n, 20) for n in (2_500, 5_000, 10_000, 20_000, 40_000)],
    "k": [(10_000, 10_000, k) for k in (10, 20, 50, 100, 200)],
}
SAMPLED_ITEMS = (10_000, 20_000, 40_000, 80_000)


def make_published() -> dict[str, Any]:
    """The published settings that differ from the defaults."""
    return {
        "learning_rate": 1e-3, "patience": 0, "start": Xavier(), "schedule": ConstantWeight(),
        "beta": LinearAnneal(), "likelihood": None,
    }  # fmt: skip


def algorithm(epochs: int = 1, batch_size: int = 500, **settings: Any) -> nf.MultVAE:
    """The published sizes."""
    return nf.MultVAE(
        n_latent=200, encoder=Base((600,)), decoder_hidden=(600,), epochs=epochs,
        batch_size=batch_size, **{**make_published(), **settings},
    )  # fmt: skip


def interactions(users: int, items: int) -> Interactions:
    """Synthetic, PER_USER a user."""
    log = nf.read_log(f"synthetic:{users}x{items}x{users * PER_USER}")
    return log.interactions()


class Clock(nf.Callback):
    """CPU seconds a user, from the third step on: the first ones touch fresh memory."""

    def __init__(self) -> None:
        self.marks: list[float] = []

    def step(self, report) -> None:
        """A step ended."""
        self.marks.append(time.process_time())

    def per_step(self) -> float:
        """Median CPU seconds of a whole step; the epoch's last one may be smaller."""
        return median(np.diff(self.marks[2:-1]))


def training(data: Interactions, repeats: int, **settings: Any) -> list[float]:
    """CPU seconds per million users, once a repeat."""
    found = []
    for seed in range(repeats):
        clock = Clock()
        algorithm(**settings).fit(data, run=nf.Run(seed=seed, device="cpu", callbacks=(clock,)))
        found.append(clock.per_step() / 500 * 1e6)
    return found


def scoring(bundle: Bundle, data: Interactions, k: int, repeats: int) -> list[float]:
    """CPU seconds per million users, once a repeat; a first run is not counted."""
    found = []
    for _ in range(repeats + 1):
        started = time.process_time()
        nf.recommend(bundle, data.x, k=k)
        found.append((time.process_time() - started) / data.n_users * 1e6)
    return found[1:]


def slope(rows: list[dict[str, Any]], by: str, what: str, per_user: bool) -> float:
    """The exponent of the whole cost in `by`: 1 is proportional, 0 independent."""
    sizes = np.log([row[by] for row in rows])
    costs = np.array([median(row[what]) * (1 if per_user else row["users"]) for row in rows])
    return float(np.polyfit(sizes, np.log(costs), 1)[0])


def one_process(repeats: int) -> dict[str, Any]:
    """Costs by users, items and k, exact and sampled."""
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
        found = training(data, repeats, likelihood=likelihood, optimiser="lazy_adam")
        rows.append({"users": data.n_users, "items": data.n_items, "training": found})
        print("sampled", rows[-1], flush=True)
    result["sampled"] = {"rows": rows, "training_slope": slope(rows, "items", "training", True)}
    return result


def on_workers(counts: list[int]) -> list[dict[str, Any]]:
    """Users a second by the clock, in training (each epoch but the first) and in scoring."""
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
                fitted = time.perf_counter() - started
                bundle = Bundle.of(model, algorithm(4), data)
                ends: list[float] = []
                with ParquetRecommendations(str(folder / "r")).writing(
                    date(2024, 1, 1), "v"
                ) as writer:
                    done = score_histories(
                        bundle, histories, writer, request=ScoreRequest(k=20), workers=workers,
                        on_part=lambda part, ends=ends: ends.append(time.perf_counter()),
                    )  # fmt: skip
            # the first parts wait for processes to start
            n_later = sum(d.n_users for d in done[count:])
            seconds = [r.seconds for r in run.history.records[1:]]
            rows.append({
                "workers": count, "epoch_seconds": seconds,
                "training_users_per_second": [data.n_users / s for s in seconds],
                "fit_seconds": fitted,
                "scoring_users_per_second": n_later / (ends[-1] - ends[count - 1]),
            })  # fmt: skip
        print(rows[-1], flush=True)
    return rows


def _reduce(rank: int, folder: str, numbers: list[int]) -> None:
    torch.set_num_threads(1)
    dist.init_process_group("gloo", init_method=f"file://{folder}/meeting", rank=rank, world_size=2)
    result = {}
    for n in numbers:
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


def pieces(repeats: int) -> dict[str, Any]:
    """Nanoseconds of a random number, and seconds of a sum over two processes by gloo."""
    rng, n = torch.Generator().manual_seed(0), 4_000_000
    found: dict[str, Any] = {"uniform_ns": [], "normal_ns": []}
    for _ in range(repeats):
        for name, draw in (("uniform_ns", torch.rand), ("normal_ns", torch.randn)):
            started = time.process_time()
            draw(n, generator=rng)
            found[name].append((time.process_time() - started) / n * 1e9)
    with tempfile.TemporaryDirectory() as folder:
        mp.spawn(_reduce, (folder, [250, 250_000, 12_000_000]), nprocs=2)
        found["all_reduce_seconds_by_bytes"] = read_json(Path(folder) / "reduce.json")
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--workers", default="1,2")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    torch.set_num_threads(1)
    result = {
        "seconds_are": "CPU seconds of one thread per million users, but where by the clock",
        "sizes": "I-600-200-600-I, batches of 500, 20 interactions a user",
        "pieces": pieces(arguments.repeats),
        "one_process": one_process(arguments.repeats),
        "workers_by_the_clock": on_workers([int(n) for n in arguments.workers.split(",")]),
        "ray": version("ray"),
        "provenance": provenance(),
    }
    write_json(arguments.out, result)


if __name__ == "__main__":
    main()
