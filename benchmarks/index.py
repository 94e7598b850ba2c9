"""`recommend` with and without an index of items: recall@100, milliseconds per user, build time.

    python -m benchmarks.index [--items 100000] [--recall 0.99]

The model is a factor model of 200 dimensions with the made-up item vectors of
`benchmarks.embeddings`; a user's factors are the mean of those of the history. A history is 20 of
the 200 items with the largest product with an item drawn by popularity, which falls as 1 / rank.
`nf.build_index` measures recall, its interval and the effort on 500 histories. Then `nf.recommend`
is timed end to end on other histories, for one user and for 32 users per call, with and without the
index in turn. The medians and the recall on these other histories are written. One thread; times
are processor times, which other work on the machine does not change.
"""

from __future__ import annotations

import argparse
import resource
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch
from rich.console import Console
from rich.table import Table
from scipy.sparse import csr_array

import nearfar as nf
from benchmarks.embeddings import vectors
from benchmarks.machine import provenance
from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.bundle.index_building import format_recall, recalls
from nearfar.core.files import write_json
from nearfar.models.factors import Factors, LinearFolding

K, LENGTH, POOL = 100, 20, 200
N_MEASURED, N_ROUNDS = 500, 30


def make_bundle(n_items: int, n_dimensions: int) -> Bundle:
    """Make a bundle of a factor model with made-up item vectors."""
    items, _ = vectors(n_items, n_dimensions + 1, 1)
    factors, bias = np.ascontiguousarray(items[:, :-1]), np.ascontiguousarray(items[:, -1])
    offset = np.zeros(n_dimensions, np.float32)
    popularity = np.rint(1e6 * np.exp(2 * bias.astype(np.float64))).astype(np.int64)
    model = Factors(factors, bias, LinearFolding(factors / LENGTH, offset), popularity, 1_000_000)
    return Bundle(model, nf.Vocabulary(range(n_items)), BundleMetadata("mf", created="made up"))


def histories(model: Factors, n_users: int, seed: int = 0) -> csr_array:
    """Make histories, each of items near one item drawn by popularity."""
    rng = np.random.default_rng(seed)
    probabilities = model.popularity / model.popularity.sum()
    centres = rng.choice(model.n_items, n_users, p=probabilities)
    rows = []
    for start in range(0, n_users, 16):
        block = centres[start : start + 16]
        scores = model.item_factors[block] @ model.item_factors.T + model.item_bias
        pools = np.argpartition(-scores, POOL, axis=1)[:, :POOL]
        rows += [rng.choice(pool, LENGTH, replace=False) for pool in pools]
    columns = np.concatenate(rows)
    shape = (n_users, model.n_items)
    x = csr_array((np.ones(len(columns), np.float32), columns,
                   np.arange(0, len(columns) + 1, LENGTH)), shape=shape)  # fmt: skip
    x.sort_indices()
    return x


def time_recommend(bundle: Bundle, index: nf.ItemIndex, x: csr_array, size: int) -> dict[str, Any]:
    """Return the milliseconds per user with the index and without, and the index's recall."""
    elapsed: dict[str, list[float]] = {"exact": [], "index": []}
    shares = []
    for number in range(N_ROUNDS + 1):
        rows = x[np.arange(number * size, (number + 1) * size) % x.shape[0]]
        rankings = {}
        for way, used_index in (("exact", None), ("index", index)):
            started = time.process_time()
            rankings[way] = nf.recommend(bundle, rows, k=K, index=used_index)
            elapsed[way].append(1000 * (time.process_time() - started) / size)
        assert rankings["index"].n_by_index == size
        shares.append(recalls(rankings["index"], rankings["exact"]).mean())
    # The first round warms up.
    exact, by_index = (np.array(elapsed[way][1:]) for way in ("exact", "index"))
    return {
        "exact": float(np.median(exact)), "index": float(np.median(by_index)),
        "exact/index": [float(q) for q in np.quantile(exact / by_index, [0.25, 0.5, 0.75])],
        "recall": float(np.mean(shares)),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=200)
    parser.add_argument("--recall", type=float, default=0.99)
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import faiss

    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    bundle = make_bundle(arguments.items, arguments.dimensions)
    x = histories(bundle.model, N_MEASURED + 320)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    index = nf.build_index(
        bundle, x[:N_MEASURED], k=K, recall=arguments.recall, force=True,
        progress=lambda line: print(line, flush=True),
    )  # fmt: skip
    build_seconds = time.process_time() - started
    for name in ("build_seconds", "milliseconds"):
        del index.metadata[name]  # wall-clock times, which other work on the machine changes
    out = arguments.out or Path(__file__).with_name(f"index_{arguments.items}.json")
    rows = {f"{n} per call": time_recommend(bundle, index, x[N_MEASURED:], n) for n in (1, 32)}
    table = Table(title=f"{arguments.items:,} items, effort {index.effort}, {format_recall(index)}")
    for column in ("", "exact ms", "index ms", "exact/index (quarters)", "recall"):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        ratio = "{1:.1f} ({0:.1f} to {2:.1f})".format(*row["exact/index"])
        table.add_row(name, f"{row['exact']:.2f}", f"{row['index']:.2f}", ratio,
                      f"{row['recall']:.4f}")  # fmt: skip
    Console().print(table)
    write_json(out, {
        "items": arguments.items, "dimensions": arguments.dimensions, "k": K,
        "effort": index.effort, **index.metadata, "recommend": rows,
        "processor_seconds_to_build_and_measure": build_seconds,
        "peak_mebibytes": {
            "before": before / 1024,
            "after": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
        "faiss": faiss.__version__, "provenance": provenance(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
