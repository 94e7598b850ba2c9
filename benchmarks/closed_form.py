"""EASE on data of MovieLens-20M's shape: Gram product and inverse, against LAPACK's inverse.

    python -m benchmarks.closed_form [--shape ml-20m] [--out closed_form.json]

The floor of the inverse is potrf and potri on a positive definite matrix of the same size, timed in
the same run. The record has the number of multiply-adds of the sparse product.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import numpy as np
from scipy.linalg import get_lapack_funcs

import nearfar as nf
from benchmarks.machine import provenance
from benchmarks.peers.protocol import peak_mib
from nearfar.algorithms.ease import weights_from_inverse
from nearfar.algorithms.regularised_gram import gram, invert_in_place
from nearfar.core.files import write_json


def lapack_seconds(n: int) -> float:
    """Return the seconds of LAPACK's Cholesky factor and inverse of an n x n matrix, in place."""
    matrix = np.zeros((n, n), np.float32, order="F")
    matrix[:] = 0.5
    matrix.flat[:: n + 1] = 2.0
    potrf, potri = get_lapack_funcs(("potrf", "potri"), (matrix,))
    started = time.perf_counter()
    potrf(matrix, lower=1, overwrite_a=1, clean=0)
    potri(matrix, lower=1, overwrite_c=1)
    return time.perf_counter() - started


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="ml-20m")
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    x = nf.synthetic_interactions(arguments.shape).x
    n = x.shape[1]
    peak_before = peak_mib()
    started = time.perf_counter()
    matrix = gram(x)
    gram_end = time.perf_counter()
    matrix.flat[:: n + 1] += 500
    invert_in_place(matrix)
    inverse_end = time.perf_counter()
    weights_from_inverse(matrix)
    end = time.perf_counter()
    peak = peak_mib()
    del matrix
    counts = np.diff(x.indptr).astype(np.int64)
    result = {
        "users": x.shape[0], "items": n, "interactions": int(x.nnz),
        "gram_seconds": gram_end - started, "gram_multiply_adds": int((counts**2).sum()),
        "inverse_seconds": inverse_end - gram_end, "weights_seconds": end - inverse_end,
        "lapack_seconds": lapack_seconds(n), "peak_mib": peak, "peak_before_mib": peak_before,
        "matrix_mib": 4 * n * n / 2**20, "provenance": provenance(),
    }  # fmt: skip
    write_json(arguments.out, result)
    print(result)


if __name__ == "__main__":
    main()
