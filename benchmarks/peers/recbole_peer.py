"""RecBole's MultiVAE.

Training calls the library's loop, `Trainer._train_epoch`, over its `UserDataLoader`, whose
iteration is timed. It differs from the published Mult-VAE: the latent noise has 0.01 times the
posterior's standard deviation; a row for the padding user is trained too; weights are Xavier-normal
with zero biases.

`latent_dimension` counts means and log-variances together, so it gets twice the size.

The library ranks only users of its data set, so `rank` calls the network's `forward` in evaluation
mode, which normalises its input.

`recommend` is `full_sort_topk` per batch of users. It masks the history only of users with items in
the test part, so each training user gets one unseen item there, as every user has in the library's
own splits. That item is recommended like any other.
"""

from __future__ import annotations

import sys
from itertools import pairwise
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).parent))

import protocol


class _Timed:
    """A data loader whose batches are timed by a ticker."""

    def __init__(self, loader: Any, ticker: protocol.Ticker) -> None:
        self.loader, self.ticker = loader, ticker

    def __iter__(self) -> Any:
        return self.ticker(self.loader)

    def __len__(self) -> int:
        return len(self.loader)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.loader, name)


class RecBole(protocol.Adapter):
    """RecBole's MultiVAE; see the module."""

    distributions = ("recbole", "torch", "numpy", "scipy", "pandas")

    def check(self) -> None:
        """Import the model and its trainer."""
        from recbole.config import Config  # noqa: F401
        from recbole.model.general_recommender import MultiVAE  # noqa: F401

    def load(self, train: Any, settings: protocol.Settings) -> None:
        """Write the library's atomic files into the working folder, and load them."""
        import numpy as np
        import torch
        from recbole.config import Config
        from recbole.data import create_dataset, data_preparation
        from recbole.utils import get_model, get_trainer, init_logger, init_seed

        torch.set_num_threads(settings.threads)
        self._write(train)
        config = Config(
            model="MultiVAE",
            dataset="peer",
            config_dict={
                "data_path": str(Path.cwd()),
                "benchmark_filename": ["train", "valid", "test"],
                "load_col": {"inter": ["user_id", "item_id"]},
                "mlp_hidden_size": [settings.hidden],
                "latent_dimension": 2 * settings.latent,
                "dropout_prob": settings.dropout,
                "learning_rate": settings.learning_rate,
                "train_batch_size": settings.batch_size,
                "train_neg_sample_args": None,
                "use_gpu": False,
                "seed": settings.seed,
                "show_progress": False,
                "state": "WARNING",
            },
        )
        init_seed(config["seed"], config["reproducibility"])
        init_logger(config)
        dataset = create_dataset(config)
        self.train_data, _, self.test_data = data_preparation(config, dataset)
        self.model = get_model(config["model"])(config, self.train_data._dataset)
        self.model = self.model.to(config["device"])
        self.trainer = get_trainer(config["MODEL_TYPE"], config["model"])(config, self.model)
        self.batch_size, self.epoch = settings.batch_size, 0
        ids = [dataset.token2id(f, [str(i) for i in range(n)])
               for f, n in (("user_id", train.shape[0]), ("item_id", train.shape[1]))]  # fmt: skip
        self.users, self.items = ids
        self.column_of = np.full(dataset.item_num, -1, np.int64)
        self.column_of[self.items] = np.arange(train.shape[1])

    @staticmethod
    def _write(train: Any) -> None:
        import numpy as np

        folder = Path.cwd() / "peer"
        folder.mkdir(exist_ok=True)
        coo = train.tocoo()
        pairs = {"train": np.column_stack([coo.row, coo.col])}
        unseen = [_first_missing(train.indices[a:b]) for a, b in pairwise(train.indptr)]
        held = np.column_stack([np.arange(len(unseen)), unseen])
        held = held[held[:, 1] < train.shape[1]]
        # Items without interactions need a column, so they are in the validation part.
        unused = np.setdiff1d(np.arange(train.shape[1]), coo.col)
        extra = np.column_stack([np.zeros(len(unused), np.int64), unused])
        pairs["valid"], pairs["test"] = np.vstack([held, extra]), held
        for part, rows in pairs.items():
            np.savetxt(folder / f"peer.{part}.inter", rows, "%d", "\t", comments="",
                       header="user_id:token\titem_id:token")  # fmt: skip

    def train(self, n_steps: int | None) -> list[float]:
        """Run the trainer's epoch over timed batches."""
        ticker = protocol.Ticker(n_steps)
        self.trainer._train_epoch(_Timed(self.train_data, ticker), self.epoch)
        self.epoch += 1
        return ticker.seconds

    def scores(self, histories: Any) -> Any:
        """Return the network's output for binary rows."""
        import torch

        self.model.eval()
        x = torch.zeros(histories.shape[0], len(self.column_of))
        x[:, self.items] = torch.from_numpy((histories.toarray() > 0).astype("float32"))
        with torch.no_grad():
            return self.model.forward(x)[0][:, self.items].numpy()

    def recommend(self, k: int, n_users: int) -> Any:
        """Return the result of `full_sort_topk` per batch."""
        from recbole.utils.case_study import full_sort_topk

        return [
            full_sort_topk(self.users[start : min(start + self.batch_size, n_users)],
                           self.model, self.test_data, k)[1]
            for start in range(0, n_users, self.batch_size)
        ]  # fmt: skip

    def columns(self, recommended: Any) -> Any:
        """Return the columns of the library's item ids."""
        import torch

        return self.column_of[torch.cat(recommended).numpy()]


def _first_missing(columns: Any) -> int:
    """Return the first column that is not in a sorted row."""
    for expected, column in enumerate(columns):
        if column != expected:
            return expected
    return len(columns)


if __name__ == "__main__":
    protocol.serve(RecBole())
