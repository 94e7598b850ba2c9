"""Exported embeddings in indices for inner products: recall@100 and milliseconds per user.

    python -m benchmarks.embeddings [--items 100000] [--dimensions 201] [--only flat,ivf]

The vectors are synthetic, in the form that `nearfar export --format embeddings` writes. Items form
1,000 clusters, and dimension j is scaled by j^-1/2, as in fitted factors. The last column is a bias
for popularities that fall as 1 / rank. Each user is near an item and has a one in the last column.
A query is one user, in one thread. Recall is the share of the exact best 100 in an index's 100.
`shifted` adds a column that gives all items the same length, so that the nearest items have the
largest inner product (Bachrach et al. 2014). `centred` first subtracts the mean of all items.
pgvector is measured if a PostgreSQL with the extension can be started. Times are CPU seconds, which
exclude other work on the machine, except for pgvector, which runs in another process and is timed
by the clock.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
from rich.console import Console
from rich.table import Table

from benchmarks import postgres
from benchmarks.machine import provenance
from nearfar.core.files import write_json

K = 100
N_QUERIES = 300
Search = Callable[[np.ndarray], np.ndarray]
"""Returns the positions of the best items of each user, best first."""


def vectors(n_items: int, d: int, n_users: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray]:
    """Return synthetic vectors of items and users, float32, with the bias column last."""
    rng = np.random.default_rng(seed)
    scale = (np.arange(1, d) ** -0.5).astype(np.float32)
    centres = rng.standard_normal((1000, d - 1), np.float32) * scale
    clusters = rng.integers(len(centres), size=n_items)
    items = centres[clusters] + 0.7 * scale * rng.standard_normal((n_items, d - 1), np.float32)
    rank = rng.permutation(n_items) + 1
    bias = -0.5 * np.log(rank).astype(np.float32)
    near = items[rng.integers(n_items, size=n_users)]
    users = near + 0.5 * scale * rng.standard_normal((n_users, d - 1), np.float32)
    ones = np.ones((n_users, 1), np.float32)
    return np.column_stack([items, bias]), np.column_stack([users, ones])


def shifted(items: np.ndarray) -> np.ndarray:
    """Return the items with a further column that gives all of them the same length."""
    squares = np.einsum("ij,ij->i", items, items)
    return np.column_stack([items, np.sqrt(squares.max() - squares)]).astype(np.float32)


def with_zero(users: np.ndarray) -> np.ndarray:
    """Return the users with a column of zeros, as queries for `shifted` items."""
    return np.column_stack([users, np.zeros((len(users), 1), np.float32)])


def flat(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Yield faiss's exact search."""
    import faiss

    index = faiss.IndexFlatIP(items.shape[1])
    index.add(items)
    yield "faiss, exact", lambda users: index.search(users, K)[1]


def ivf(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Yield faiss's inverted lists of clusters."""
    import faiss

    n_lists = int(4 * np.sqrt(len(items)))
    index = faiss.IndexIVFFlat(
        faiss.IndexFlatIP(items.shape[1]), items.shape[1], n_lists, faiss.METRIC_INNER_PRODUCT
    )
    index.cp.niter = 10
    index.train(items[: 50 * n_lists])
    index.add(items)
    for n_probe in (8, 32, 128):
        index.nprobe = n_probe
        yield f"faiss IVF, {n_lists} lists, nprobe {n_probe}", lambda u: index.search(u, K)[1]


def hnsw(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Yield faiss's HNSW graph by inner products."""
    import faiss

    index = faiss.IndexHNSWFlat(items.shape[1], 16, faiss.METRIC_INNER_PRODUCT)
    yield from _hnsw("faiss HNSW", index, items, lambda users: users)


def hnsw_shifted(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Yield faiss's HNSW graph by distances of shifted vectors."""
    import faiss

    index = faiss.IndexHNSWFlat(items.shape[1] + 1, 16, faiss.METRIC_L2)
    yield from _hnsw("faiss HNSW, shifted", index, shifted(items), with_zero)


def hnsw_centred(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """faiss, a graph, by distances of shifted vectors less their mean: `nearfar index`."""
    import faiss

    index = faiss.IndexHNSWFlat(items.shape[1] + 1, 16, faiss.METRIC_L2)
    yield from _hnsw("faiss HNSW, centred", index, shifted(items - items.mean(0)), with_zero)


def _hnsw(
    name: str, index: Any, items: np.ndarray, to_query: Callable[[np.ndarray], np.ndarray]
) -> Iterator[tuple[str, Search]]:
    index.hnsw.efConstruction = 80
    index.add(items)
    for ef in (100, 400):
        index.hnsw.efSearch = ef
        yield f"{name}, efSearch {ef}", lambda users: index.search(to_query(users), K)[1]


def usearch(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Yield usearch's graph by cosines of shifted vectors in float16."""
    from usearch.index import Index

    index = Index(
        ndim=items.shape[1] + 1, metric="cos", dtype="f16", connectivity=16, expansion_add=80
    )
    index.add(np.arange(len(items)), shifted(items), threads=1)
    for expansion in (100, 400):
        index.expansion_search = expansion
        yield (
            f"usearch, shifted, float16, expansion {expansion}",
            lambda users: np.stack(
                [index.search(row, K, threads=1).keys for row in with_zero(users)]
            ).astype(np.int64),
        )


def pgvector(items: np.ndarray) -> Iterator[tuple[str, Search]]:
    """Yield pgvector's HNSW graph by distances of shifted vectors."""
    import psycopg

    with (
        postgres.running("vector", fsync="off", maintenance_work_mem="1GB") as server,
        psycopg.connect(server.plain_url, autocommit=True) as connection,
    ):
        d = items.shape[1] + 1
        connection.execute("CREATE EXTENSION vector")
        table = f"CREATE TABLE items (item int PRIMARY KEY, vector vector({d}))"
        connection.execute(table.encode())
        with connection.cursor().copy("COPY items FROM STDIN") as copy:
            for position, row in enumerate(shifted(items)):
                copy.write_row((position, str(row.tolist())))
        connection.execute("CREATE INDEX ON items USING hnsw (vector vector_l2_ops)")
        query = "SELECT item FROM items ORDER BY vector <-> %s LIMIT %s"

        def search(users: np.ndarray) -> np.ndarray:
            best = np.full((len(users), K), -1)
            for row, user in zip(best, with_zero(users), strict=True):
                rows = connection.execute(query, (str(user.tolist()), K)).fetchall()
                row[: len(rows)] = [item for (item,) in rows]
            return best

        for ef in (100, 400):
            connection.execute(f"SET hnsw.ef_search = {ef}".encode())
            yield f"pgvector HNSW, shifted, ef_search {ef}", search


def without_pgvector() -> str | None:
    """Return why pgvector is not available, or None if it is."""
    return postgres.why_not("vector")


INDICES: dict[str, Callable[[np.ndarray], Iterator[tuple[str, Search]]]] = {
    "flat": flat, "ivf": ivf, "hnsw": hnsw, "hnsw-shifted": hnsw_shifted,
    "hnsw-centred": hnsw_centred, "usearch": usearch, "pgvector": pgvector,
}  # fmt: skip


def measure(items: np.ndarray, users: np.ndarray, names: list[str]) -> list[dict[str, Any]]:
    """Return recall and times, one row per index and setting."""
    exact = np.stack([np.argpartition(-(items @ user), K)[:K] for user in users])
    rows = []
    for name in names:
        clock = time.perf_counter if name == "pgvector" else time.process_time
        build_start, build_seconds = clock(), None
        for label, search in INDICES[name](items):
            build_seconds = build_seconds or clock() - build_start
            approximate = np.empty_like(exact)
            started = clock()
            for position in range(len(users)):
                approximate[position] = search(users[position : position + 1])[0]
            seconds = clock() - started
            hits = [len(np.intersect1d(a, b)) for a, b in zip(approximate, exact, strict=True)]
            rows.append({
                "index": label, "recall": float(np.mean(hits)) / K,
                "milliseconds": 1000 * seconds / len(users), "build_seconds": build_seconds,
            })  # fmt: skip
            print(rows[-1], flush=True)
    return rows


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--items", type=int, default=100_000)
    parser.add_argument("--dimensions", type=int, default=201)
    parser.add_argument("--only", default=",".join(INDICES))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    import faiss

    faiss.omp_set_num_threads(1)
    names, skipped = arguments.only.split(","), {}
    if "pgvector" in names and (reason := without_pgvector()) is not None:
        names.remove("pgvector")
        skipped["pgvector"] = reason
    items, users = vectors(arguments.items, arguments.dimensions, N_QUERIES)
    rows = measure(items, users, names)
    table = Table(title=f"{arguments.items:,} items, {arguments.dimensions} dimensions")
    for column in ("index", "recall@100", "ms per user", "build s"):
        table.add_column(column, justify="left" if column == "index" else "right")
    for row in rows:
        table.add_row(row["index"], f"{row['recall']:.3f}", f"{row['milliseconds']:.2f}",
                      f"{row['build_seconds']:.0f}")  # fmt: skip
    Console().print(table)
    for name, reason in skipped.items():
        print(f"{name}: {reason}")
    out = arguments.out or Path(__file__).with_name(f"embeddings_{arguments.items}.json")
    write_json(out, {
        "items": arguments.items, "dimensions": arguments.dimensions, "queries": len(users),
        "rows": rows, "skipped": skipped, "provenance": provenance(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
