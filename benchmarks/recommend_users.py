"""Recommendations for a million users, from file to file: users per second and peak memory.

    python -m benchmarks.recommend_users [--users 1000000] [--out benchmarks/recommend_users.json]

Histories of 20 random items out of 3,500, a Mult-VAE of the published size (600-200-600) with
random weights, which takes as long as a fitted one, ten items per user, Parquet in and out. The
floors are the dense products of the model alone, in batches of 512, the largest by `torch.mm` or by
oneDNN.
"""

from __future__ import annotations

import argparse
import json
import resource
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl
import torch

import nearfar as nf
from benchmarks.machine import provenance
from nearfar.core.files import write_json
from nearfar.models.autoencoder import Architecture, Autoencoder
from nearfar.vae.corruption.corruption import Dropout
from nearfar.vae.encoders.base import Base

N_ITEMS, N_EVENTS = 3500, 20
BATCH, WIDTH = 512, 1024

Product = Callable[[torch.Tensor, torch.Tensor, torch.Tensor], object]


def random_bundle() -> nf.Bundle:
    """Return a bundle of the published size with random weights."""
    architecture = Architecture(N_ITEMS, 200, Base(), (600,), Dropout())
    network = architecture.build(torch.Generator().manual_seed(0))
    model = Autoencoder(architecture, network, np.arange(N_ITEMS)[::-1], 1000)
    from nearfar.bundle.bundle import BundleMetadata

    return nf.Bundle(model, nf.Vocabulary(range(N_ITEMS)), BundleMetadata("multvae"))


def floor_seconds(n_users: int, product: Product) -> float:
    """Return the seconds of the dense products of encoder head and decoder, after a warm-up."""
    x, scores = torch.randn(BATCH, 600), torch.empty(BATCH, N_ITEMS)
    weights = torch.randn(400, 600), torch.randn(600, 200), torch.randn(N_ITEMS, 600)
    for n_timed in (5, 100):
        started = time.perf_counter()
        for _ in range(n_timed):
            h = (x @ weights[0].T)[:, :200] @ weights[1].T
            product(h, weights[2], scores)
    return (time.perf_counter() - started) / n_timed * n_users / BATCH


def mm(h: torch.Tensor, weight: torch.Tensor, scores: torch.Tensor) -> None:
    """Compute h W' by `torch.mm`."""
    torch.mm(h, weight.T, out=scores)


def onednn(h: torch.Tensor, weight: torch.Tensor, scores: torch.Tensor) -> None:
    """Compute h W' by oneDNN, in blocks of items."""
    for start in range(0, N_ITEMS, WIDTH):
        block = weight[start : start + WIDTH]
        torch.ops.mkldnn._linear_pointwise(h, block, None, "none", [], "")


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--users", type=int, default=1_000_000)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        histories, out = Path(folder) / "histories.parquet", Path(folder) / "out.parquet"
        users = np.repeat(np.arange(arguments.users, dtype=np.int32), N_EVENTS)
        items = rng.integers(0, N_ITEMS, len(users), dtype=np.int32)
        pl.DataFrame({"user": users, "item": items}).write_parquet(histories)
        del users, items
        bundle = random_bundle()
        started = time.perf_counter()
        summary = nf.recommend_to_file(bundle, nf.read_histories(bundle, histories), out, k=10)
        seconds = time.perf_counter() - started
        result = {
            "users": summary.n_users,
            "rows": summary.n_rows,
            "seconds": seconds,
            "users_per_second": summary.n_users / seconds,
            "peak_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
            "floor_mm_seconds": floor_seconds(arguments.users, mm),
            "floor_onednn_seconds": floor_seconds(arguments.users, onednn),
            "provenance": provenance(),
        }
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
