"""Twenty million rows of CSV to CSR: seconds and peak memory, in a process of its own.

    python -m benchmarks.data_prep [--rows 20000263] [--out benchmarks/data_prep.json]

The file is synthetic, in the layout and of the size of MovieLens-20M's ratings.csv (138,493
users, 26,744 items, popularity by a power law), and is deleted afterwards. The floor is reading
the file's bytes.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

from benchmarks.machine import provenance
from nearfar.core.files import write_json

N_USERS, N_ITEMS = 138_493, 26_744
MEASURED = """
import json, resource, sys, time
import nearfar as nf
start = time.perf_counter()
log = nf.read_log(sys.argv[1], filters=nf.Filters(min_rating=4, min_user=5))
read = time.perf_counter()
x = log.interactions().x
end = time.perf_counter()
peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
print(json.dumps({"read_and_filter_seconds": read - start, "csr_seconds": end - read,
                  "peak_mib": peak, "users": x.shape[0], "items": x.shape[1], "nnz": x.nnz}))
"""


def write_ratings(path: Path, n_rows: int) -> None:
    """A ratings.csv of MovieLens-20M's shape, sorted by user."""
    rng = np.random.default_rng(0)
    activity = rng.lognormal(4.2, 1.1, N_USERS)
    users = np.sort(rng.choice(N_USERS, n_rows, p=activity / activity.sum()))
    popularity = 1.0 / np.arange(10, N_ITEMS + 10)
    items = rng.choice(N_ITEMS, n_rows, p=popularity / popularity.sum())
    frame = pl.DataFrame(
        {
            "userId": users + 1,
            "movieId": items + 1,
            "rating": rng.integers(1, 11, n_rows) / 2,
            "timestamp": rng.integers(789_652_009, 1_427_784_002, n_rows),
        }
    )
    frame.write_csv(path)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=20_000_263)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "ratings.csv"
        write_ratings(path, arguments.rows)
        started = time.perf_counter()
        with path.open("rb") as file:
            while file.read(1 << 24):
                pass
        floor = time.perf_counter() - started
        command = [sys.executable, "-c", MEASURED, str(path)]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
        result = {
            "rows": arguments.rows,
            "file_mib": path.stat().st_size / 2**20,
            "floor_read_bytes_seconds": floor,
            **json.loads(done.stdout),
            "provenance": provenance(),
        }
    write_json(arguments.out, result)
    print(json.dumps(result, indent=2))


if __name__ == "__main__":
    main()
