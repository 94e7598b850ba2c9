"""The adapter's side: commands in on stdin, replies out on stdout, a JSON object a line each.

Every peer's own Python imports this module by its path, so it needs NumPy and SciPy alone, and
those only after the number of threads is known: their thread pools are made on import.

- check: {} when the library and its Mult-VAE can be imported, else {"error": why}
- versions: {"python": ..., NAME: ...}
- load(train, batch_size, hidden, latent, learning_rate, dropout, threads, seed): the peer's data
  set and model, of the sizes I-hidden-latent-hidden-I, on the CPU
- steps(n): {"seconds": [...]}, n training steps of full batches, timed each; the first one of an
  epoch carries what the library does at the start of an epoch, so compare medians
- epoch: {"seconds": s}, one epoch of training, nothing validated
- rank(histories, k, out): top k columns, without the history's, of users that are not trained on
- recommend(k, n_users[, out]): {"seconds": s, "users": n}, the peer's own way to the top k of the
  first training users without what they have seen; saved to out, if given, when the clock is off
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
    """What `load` is asked for, besides the data; the published sizes otherwise."""

    batch_size: int = 500
    hidden: int = 600
    latent: int = 200
    learning_rate: float = 1e-3
    dropout: float = 0.5
    threads: int = 1
    seed: int = 0


class Ticker:
    """Passes batches on to a loop that cannot be seen into, and times its steps.

    A step lasts from the moment the loop asks for a batch until it asks for the next one.
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
    """A peer. Subclasses import their library inside the methods, after `threads` is set."""

    distributions: tuple[str, ...] = ()

    def check(self) -> None:
        """Import what is measured, so that a broken environment says why."""
        raise NotImplementedError

    def load(self, train: Any, settings: Settings) -> None:
        """Build the peer's data set and model from a CSR matrix of users and items."""
        raise NotImplementedError

    def train(self, n_steps: int | None) -> list[float]:
        """Run the peer's loop over one epoch or its first n steps; seconds of each step."""
        raise NotImplementedError

    def scores(self, histories: Any) -> Any:
        """Dense scores, users x columns of the training matrix, of a batch of histories."""
        raise NotImplementedError

    def recommend(self, k: int, n_users: int) -> Any:
        """The peer's own way to the top k of the first training users, in the peer's own form."""
        raise NotImplementedError

    def columns(self, recommended: Any) -> Any:
        """What `recommend` gave as columns of the training matrix, users x k, -1 for none."""
        raise NotImplementedError


class _Server:
    def __init__(self, adapter: Adapter) -> None:
        self.adapter = adapter
        self.settings = Settings()
        self.n_users = 0

    def check(self) -> dict[str, Any]:
        self.adapter.check()
        return {}

    def versions(self) -> dict[str, Any]:
        found = {name: version(name) for name in self.adapter.distributions}
        return {"python": platform.python_version(), **found}

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
        an_epoch = self.n_users // self.settings.batch_size
        if not an_epoch:
            raise ValueError("fewer users than a batch")
        seconds: list[float] = []
        while len(seconds) < n:
            seconds += self.adapter.train(min(n - len(seconds), an_epoch))
        return {"seconds": seconds}

    def epoch(self) -> dict[str, Any]:
        started = time.perf_counter()
        self.adapter.train(None)
        return {"seconds": time.perf_counter() - started}

    def rank(self, histories: str, k: int, out: str) -> dict[str, Any]:
        import numpy as np

        x = read_csr(histories)
        ranked = np.empty((x.shape[0], k), np.int32)
        for start in range(0, x.shape[0], self.settings.batch_size):
            rows = slice(start, start + self.settings.batch_size)
            ranked[rows] = top_k(self.adapter.scores(x[rows]), x[rows], k)
        np.save(out, ranked)
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
    # What the library prints, from C too, must not come between the replies.
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
    """The CSR matrix of an .npz file, as the older interface that every peer knows."""
    from scipy import sparse

    matrix = sparse.csr_matrix(sparse.load_npz(path))
    matrix.sort_indices()
    return matrix


def top_k(scores: Any, histories: Any, k: int) -> Any:
    """The k best columns of each row, best first, without those of the histories."""
    import numpy as np

    scores = np.array(scores, np.float32)
    scores[histories.nonzero()] = -np.inf
    best = np.argpartition(-scores, k - 1, axis=1)[:, :k]
    order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1, kind="stable")
    return np.take_along_axis(best, order, axis=1)


def peak_mib() -> float:
    """Peak resident memory of this process.

    Linux hands the parent's peak on to `ru_maxrss` of a process it starts, so a large benchmark
    would lend its own size to every small peer; `VmHWM` begins anew.
    """
    with contextlib.suppress(OSError):
        for line in Path("/proc/self/status").read_text().splitlines():
            if line.startswith("VmHWM:"):
                return int(line.split()[1]) / 1024
    unit = 1024**2 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / unit
