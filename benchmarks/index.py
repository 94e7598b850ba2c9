"""`recommend` with and without an index of items: recall@100, milliseconds per user, build time.

    python -m benchmarks.index [--items 100000] [--recall 0.99]

A factor model of 200 dimensions with the made-up item vectors of `benchmarks.embeddings`; a
history's factors are the mean of its items'. Histories are 20 of the 200 items of the largest
product with an item drawn by popularity, which falls as 1 / rank. `nf.build_index` measures recall,
its interval and the effort on 500 of them. Then `nf.recommend` is timed on others, end to end, one
user and 32 users per call, both ways in turn; the medians are written, and the recall on these
other histories. One thread; times are of the processor, so that other work on the machine does not
count.
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
from nearfar.bundle.bundle import About, Bundle
from nearfar.bundle.index_building import recalls, told_recall
from nearfar.core.files import write_json
from nearfar.models.factors import Factors, LinearFolding

K, LENGTH, POOL = 100, 20, 200
N_MEASURED, N_ROUNDS = 500, 30


def made_up(n_items: int, n_dimensions: int) -> Bundle:
    """A factor model of made-up item vectors."""
    items, _ = vectors(n_items, n_dimensions + 1, 1)
    factors, bias = np.ascontiguousarray(items[:, :-1]), np.ascontiguousarray(items[:, -1])
    offset = np.zeros(n_dimensions, np.float32)
    popularity = np.rint(1e6 * np.exp(2 * bias.astype(np.float64))).astype(np.int64)
    model = Factors(factors, bias, LinearFolding(factors / LENGTH, offset), popularity, 1_000_000)
    return Bundle(model, nf.Vocabulary(range(n_items)), About("mf", created="made up"))


def histories(model: Factors, n_users: int, seed: int = 0) -> csr_array:
    """Items of one taste each."""
    rng = np.random.default_rng(seed)
    chance = model.popularity / model.popularity.sum()
    seeds = rng.choice(model.n_items, n_users, p=chance)
    rows = []
    for start in range(0, n_users, 16):
        of = seeds[start : start + 16]
        scores = model.item_factors[of] @ model.item_factors.T + model.item_bias
        pools = np.argpartition(-scores, POOL, axis=1)[:, :POOL]
        rows += [rng.choice(pool, LENGTH, replace=False) for pool in pools]
    columns = np.concatenate(rows)
    shape = (n_users, model.n_items)
    x = csr_array((np.ones(len(columns), np.float32), columns,
                   np.arange(0, len(columns) + 1, LENGTH)), shape=shape)  # fmt: skip
    x.sort_indices()
    return x


def timed(bundle: Bundle, index: nf.ItemIndex, x: csr_array, size: int) -> dict[str, Any]:
    """Milliseconds per user of both ways, in turn, and the share of the exact items found."""
    taken: dict[str, list[float]] = {"exact": [], "index": []}
    shares = []
    for number in range(N_ROUNDS + 1):
        rows = x[np.arange(number * size, (number + 1) * size) % x.shape[0]]
        found = {}
        for way, which in (("exact", None), ("index", index)):
            started = time.process_time()
            found[way] = nf.recommend(bundle, rows, k=K, index=which)
            taken[way].append(1000 * (time.process_time() - started) / size)
        assert found["index"].n_by_index == size
        shares.append(recalls(found["index"], found["exact"]).mean())
    exact, by_index = (np.array(taken[way][1:]) for way in ("exact", "index"))  # one to warm up
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
    bundle = made_up(arguments.items, arguments.dimensions)
    x = histories(bundle.model, N_MEASURED + 320)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    started = time.process_time()
    index = nf.build_index(
        bundle, x[:N_MEASURED], k=K, recall=arguments.recall, force=True,
        progress=lambda line: print(line, flush=True),
    )  # fmt: skip
    built = time.process_time() - started
    for of_the_clock in ("build_seconds", "milliseconds"):
        del index.about[of_the_clock]
    out = arguments.out or Path(__file__).with_name(f"index_{arguments.items}.json")
    rows = {f"{n} per call": timed(bundle, index, x[N_MEASURED:], n) for n in (1, 32)}
    table = Table(title=f"{arguments.items:,} items, effort {index.effort}, {told_recall(index)}")
    for column in ("", "exact ms", "index ms", "exact/index (quarters)", "recall"):
        table.add_column(column, justify="right")
    for name, row in rows.items():
        ratio = "{1:.1f} ({0:.1f} to {2:.1f})".format(*row["exact/index"])
        table.add_row(name, f"{row['exact']:.2f}", f"{row['index']:.2f}", ratio,
                      f"{row['recall']:.4f}")  # fmt: skip
    Console().print(table)
    write_json(out, {
        "items": arguments.items, "dimensions": arguments.dimensions, "k": K,
        "effort": index.effort, **index.about, "recommend": rows,
        "processor_seconds_to_build_and_measure": built,
        "peak_mebibytes": {
            "before": before / 1024,
            "after": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
        },
        "faiss": faiss.__version__, "provenance": provenance(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
