"""A linear model of nearfar as a side: its fit is one epoch.

python closed_form.py [edlae|ease]
"""

from __future__ import annotations

import sys
import time
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parents[1] / "peers"))

import protocol


class ClosedForm(protocol.Adapter):
    """An algorithm of nearfar that is fitted at once, with its default settings.

    Args:
        algorithm: its name.
    """

    distributions = ("nearfar", "numpy", "scipy")

    def __init__(self, algorithm: str) -> None:
        self.name = algorithm

    def check(self) -> None:
        """Import nearfar."""
        import nearfar

        assert nearfar.EASE

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Make the algorithm and keep the training interactions."""
        import nearfar as nf
        from nearfar.algorithms.algorithm import make_algorithm

        self.algorithm = make_algorithm(self.name, {})
        users, items = (nf.Vocabulary(range(n)) for n in train.shape)
        self.interactions = nf.Interactions(train, users, items)

    def train(self, n_steps: int | None) -> list[float]:
        """Fit the model."""
        started = time.perf_counter()
        self.model = self.algorithm.fit(self.interactions)
        return [time.perf_counter() - started]

    def scores(self, histories: Any) -> Any:
        """Return the model's scores."""
        from scipy.sparse import csr_array

        return self.model.score(csr_array(histories))

    def recommend(self, k: int, n_users: int) -> Any:
        """Return the model's `top_k` for the first training users."""
        return self.model.top_k(self.interactions.x[:n_users], k)

    def columns(self, recommended: Any) -> Any:
        """Return the items of the ranking, which are columns."""
        return recommended.items


if __name__ == "__main__":
    protocol.serve(ClosedForm(*sys.argv[1:2] or ["edlae"]))
