"""The protocol of adapters: commands on stdin, replies on stdout, one JSON object per line.

Every peer's Python imports this module by its path, so it needs only NumPy and SciPy. It imports
them after the number of threads is set, because their thread pools are made on import.

- check: {} if the library and its Mult-VAE can be imported, else {"error": reason}
- versions: {"python": ..., NAME: ...}
- load(train, batch_size, hidden, latent, learning_rate, dropout, threads, seed): builds the peer's
  data set and model with the sizes I-hidden-latent-hidden-I on the CPU
- steps(n): {"seconds": [...]} of n training steps of full batches; the first step of an epoch
  includes the library's work at its start, so compare medians
- epoch: {"seconds": s} of one epoch of training without validation
- rank(histories, k, out): saves the top k columns, without the histories', of held-out users
- recommend(k, n_users[, out]): {"seconds": s, "users": n} of the peer's own function for the top k
  of the first training users without seen items; saved to `out`, if given, which is not timed
- memory: {"peak_mib": m} of the process since its start
- quit
"""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import platform
import resource
import sys
import time
import traceback
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

THREADS = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")


@dataclass(frozen=True)
class Settings:
    """The settings of `load`; the defaults are the published ones."""

    batch_size: int = 500
    hidden: int = 600
    latent: int = 200
    learning_rate: float = 1e-3
    dropout: float = 0.5
    threads: int = 1
    seed: int = 0


class Ticker:
    """Times the steps of another library's loop over batches.

    A step lasts from the moment when the loop takes a batch until it takes the next one.

    Args:
        limit: maximum number of batches.
    """

    def __init__(self, limit: int | None = None) -> None:
        self.limit = limit
        self.seconds: list[float] = []

    def __call__(self, batches: Any) -> Any:
        started = time.perf_counter()
        for batch in itertools.islice(batches, self.limit):
            yield batch
            now = time.perf_counter()
            self.seconds.append(now - started)
            started = now


class Adapter:
    """The interface of a peer; subclasses import their library in the methods, after `load`."""

    distributions: tuple[str, ...] = ()

    def check(self) -> None:
        """Import the library, so that a broken environment raises the reason."""
        raise NotImplementedError

    def load(self, train: Any, settings: Settings) -> None:
        """Build the peer's data set and model from a CSR matrix of users and items."""
        raise NotImplementedError

    def train(self, n_steps: int | None) -> list[float]:
        """Run the peer's loop for an epoch or its first n steps; return the seconds per step."""
        raise NotImplementedError

    def scores(self, histories: Any) -> Any:
        """Return dense scores of a batch of histories, users x columns of the training matrix."""
        raise NotImplementedError

    def recommend(self, k: int, n_users: int) -> Any:
        """Return the top k of the first training users by the peer's function, in its format."""
        raise NotImplementedError

    def columns(self, recommended: Any) -> Any:
        """Return the result of `recommend` as training columns, users x k; -1 is none."""
        raise NotImplementedError


class _Server:
    """The commands of the protocol, one method each."""

    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.settings = Settings()
        self.n_users = 0

    def check(self) -> dict[str, Any]:
        self.adapter.check()
        return {}

    def versions(self) -> dict[str, Any]:
        libraries = {name: version(name) for name in self.adapter.distributions}
        return {"python": platform.python_version(), **libraries}

    def load(self, train: str, **settings: Any) -> dict[str, Any]:
        self.settings = Settings(**settings)
        for variable in THREADS:
            os.environ[variable] = str(self.settings.threads)
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
        matrix = read_csr(train)
        self.n_users = matrix.shape[0]
        started = time.perf_counter()
        self.adapter.load(matrix, self.settings)
        return {"seconds": time.perf_counter() - started}

    def steps(self, n: int) -> dict[str, Any]:
        steps_per_epoch = self.n_users // self.settings.batch_size
        if not steps_per_epoch:
            raise ValueError(
                f"{self.n_users} users are fewer than a batch of {self.settings.batch_size}"
            )
        seconds: list[float] = []
        while len(seconds) < n:
            seconds += self.adapter.train(min(n - len(seconds), steps_per_epoch))
        return {"seconds": seconds}

    def epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        self.adapter.train(None)
        return {"seconds": time.perf_counter() - started}

    def rank(self, histories: str, k: int, out: str) -> dict[str, Any]:
        import numpy as np

        x = read_csr(histories)
        ranking = np.empty((x.shape[0], k), np.int32)
        for start in range(0, x.shape[0], self.settings.batch_size):
            rows = slice(start, start + self.settings.batch_size)
            ranking[rows] = top_k(self.adapter.scores(x[rows]), x[rows], k)
        np.save(out, ranking)
        return {"users": x.shape[0]}

    def recommend(self, k: int, n_users: int, out: str | None = None) -> dict[str, Any]:
        n_users = min(n_users, self.n_users)
        started = time.perf_counter()
        recommended = self.adapter.recommend(k, n_users)
        seconds = time.perf_counter() - started
        if out is not None:
            import numpy as np

            np.save(out, np.asarray(self.adapter.columns(recommended), np.int32))
        return {"seconds": seconds, "users": n_users}

    def memory(self) -> dict[str, Any]:
        return {"peak_mib": peak_mib()}


def serve(adapter: Adapter) -> None:
    """Answer commands until `quit` or the end of input."""
    # The library's own output, also from C, goes to stderr, so that stdout has replies only.
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    server = _Server(adapter)
    for line in sys.stdin:
        command = json.loads(line)
        name = command.pop("cmd")
        if name == "quit":
            break
        try:
            if name.startswith("_") or not hasattr(server, name):
                raise ValueError(f"no command {name!r}")
            reply = getattr(server, name)(**command)
        except Exception as error:
            traceback.print_exc()
            reply = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(reply), file=replies, flush=True)


def read_csr(path: str) -> Any:
    """Return the CSR matrix of an .npz file, in SciPy's older interface that every peer accepts."""
    from scipy import sparse

    matrix = sparse.csr_matrix(sparse.load_npz(path))
    matrix.sort_indices()
    return matrix


def top_k(scores: Any, histories: Any, k: int) -> Any:
    """Return the k best columns of each row, best first, without those of the histories."""
    import numpy as np

    scores = np.array(scores, np.float32)
    scores[histories.nonzero()] = -np.inf
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def peak_mib() -> float:
    """Return the peak resident memory of this process in MiB.

    On Linux a process inherits `ru_maxrss` from its parent, so a small peer would get the peak of a
    large benchmark; `VmHWM` is not inherited.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
