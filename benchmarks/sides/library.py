"""nearfar as a side: a process that answers the commands of the peers' protocol.

    python library.py [float32|bfloat16] [PRESET]

Training uses the library's `Feed` and `TrainingState`, with their checks, records and progress
reports. The time of the first epoch includes an initialisation from the data.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import protocol


class NearFar(protocol.Adapter):
    """nearfar's Mult-VAE; see the module.

    Args:
        precision: a precision of `Run`.
        preset: a preset of Mult-VAE, or "defaults" for those computed from the data; "" is the
            published preset with the sizes of the benchmark.
    """

    distributions = ("nearfar", "torch", "numpy", "scipy")

    def __init__(self, precision: str, preset: str) -> None:
        self.precision, self.preset = precision, preset

    def check(self) -> None:
        """Import nearfar."""
        import nearfar

        assert nearfar.MultVAE

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Build the network, and the objective, plan and feed of its training."""
        import numpy as np
        import torch
        from scipy.sparse import csr_array

        from nearfar.algorithms.algorithm import make_algorithm, preset
        from nearfar.algorithms.multvae import MultVAE
        from nearfar.models.autoencoder import Autoencoder
        from nearfar.train.feed import Feed
        from nearfar.train.run import Run
        from nearfar.train.state import TrainingState
        from nearfar.vae.likelihoods.likelihood import TrainingCounts
        from nearfar.vae.neighbours import Neighbourhoods

        torch.set_num_threads(settings.threads)
        self.x = csr_array(train)
        values = {} if self.preset == "defaults" else preset("multvae", self.preset or "published")
        algorithm = make_algorithm("multvae", values)
        assert isinstance(algorithm, MultVAE)
        if not self.preset:
            options = {"batch_size": settings.batch_size, "learning_rate": settings.learning_rate}
            algorithm = replace(algorithm, **options)
        n_users, n_items = train.shape
        counts = np.bincount(train.indices, minlength=n_items)
        architecture = algorithm.architecture(n_items)
        network = architecture.build(torch.Generator().manual_seed(settings.seed))
        catalogue = TrainingCounts(counts, n_users)
        objective = algorithm.objective(catalogue, settings.seed)
        plan = algorithm.plan(catalogue)
        run = Run(seed=settings.seed, device="cpu", precision=self.precision)
        near = Neighbourhoods.of(self.x, np.flatnonzero(np.diff(self.x.indptr)), 0, "cpu")
        self.state = TrainingState(network, objective, plan, run, {}, n_users, near)
        self.model = Autoencoder(architecture, network, counts, n_users)
        self.algorithm, self.initialised = algorithm, False
        self.feed = Feed(self.x, torch.device("cpu"))

    def train(self, n_steps: int | None) -> list[float]:
        """Take the steps of an epoch, or the first n of them."""
        from nearfar.core.seeding import generator

        if not self.initialised:
            self.algorithm.initialiser.apply(self.model.network, self.x, self.state.run.seed)
            self.initialised = True
        ticker = protocol.Ticker(n_steps)
        order = generator(0, "order", self.state.epoch).permutation(self.x.shape[0])
        batches = self.feed.batches(order, self.algorithm.batch_size)
        (phase,) = self.algorithm.plan().passes(0)
        for rows in ticker(batches):
            self.state.take_step(phase, rows)
        self.state.end_epoch(None)
        return ticker.seconds

    def scores(self, histories: Any) -> Any:
        """Return the model's scores."""
        from scipy.sparse import csr_array

        self.model.network.eval()
        return self.model.score(csr_array(histories))

    def recommend(self, k: int, n_users: int) -> Any:
        """Return the model's `top_k` for the first training users."""
        self.model.network.eval()
        return self.model.top_k(self.x[:n_users], k)

    def columns(self, recommended: Any) -> Any:
        """Return the items of the ranking, which are columns."""
        return recommended.items


if __name__ == "__main__":
    precision, preset = (*sys.argv[1:3], *("float32", "")[len(sys.argv[1:3]) :])
    protocol.serve(NearFar(precision, preset))
