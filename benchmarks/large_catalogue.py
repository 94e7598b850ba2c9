"""A million users and a million items: time, memory and recall of an epoch of sampled softmax.

    python -m benchmarks.large_catalogue [--hidden 128] [--epochs 1] [--out large_catalogue.json]

Synthetic data of 20 million interactions; 2,000 + 2,000 held-out users. Recall@100 is compared with
that of popularity on the validation users.
"""

from __future__ import annotations

import argparse
import time
from pathlib import Path

import nearfar as nf
from benchmarks.machine import provenance
from benchmarks.peers.protocol import peak_mib
from nearfar.core.files import write_json
from nearfar.vae.encoders.base import Base
from nearfar.vae.initialisers.spectral import Spectral
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.linear_anneal import LinearAnneal

METRICS = ("recall@100", "ndcg@100")


class Losses(nf.Callback):
    """Record and print the mean loss of the epoch so far, every hundredth step."""

    def __init__(self) -> None:
        self.values: list[tuple[int, float]] = []

    def step(self, report) -> None:
        """Record the loss after a step."""
        if report.step % 100 == 0 or report.step == 1:
            loss = report.terms["loss"]
            self.values.append((report.epoch * report.n_steps + report.step, loss))
            rate = report.users_per_second
            print(f"step {report.step} of {report.n_steps}: {loss:.2f}, {rate:,.0f} users/s",
                  flush=True)  # fmt: skip

    def epoch(self, record) -> None:
        """Print the record of an epoch."""
        print(record, flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--shape", default="1000000x1000000x20000000")
    parser.add_argument("--hidden", type=int, default=128)
    parser.add_argument("--latent", type=int, default=64)
    parser.add_argument("--batch", type=int, default=1000)
    parser.add_argument("--epochs", type=int, default=1)
    parser.add_argument("--learning-rate", type=float, default=2e-3)
    parser.add_argument("--negatives", type=int, default=8192)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    started = time.perf_counter()
    log = nf.read_log(f"synthetic:{arguments.shape}")
    split = nf.split_strong(log, 2000)
    del log
    prepared, prepared_peak = time.perf_counter() - started, peak_mib()
    algorithm = nf.MultVAE(
        n_latent=arguments.latent,
        encoder=Base((arguments.hidden,)),
        decoder_hidden=(arguments.hidden,),
        batch_size=arguments.batch,
        epochs=arguments.epochs,
        learning_rate=arguments.learning_rate,
        initialiser=Spectral(),
        beta=LinearAnneal(0.2, 1000),
        schedule=ConstantWeight(),
        likelihood=None,
    )
    losses = Losses()
    run = nf.Run(device="cpu", callbacks=(losses,))
    started = time.perf_counter()
    model = algorithm.fit(split.train, run=run)
    seconds = time.perf_counter() - started
    trained_peak = peak_mib()
    popularity = nf.evaluate(nf.Popularity().fit(split.train), split.validation, METRICS)
    multvae = nf.evaluate(model, split.validation, METRICS)
    result = {
        "settings": {k: v for k, v in vars(arguments).items() if k != "out"},
        "users": split.train.n_users, "items": split.train.n_items,
        "interactions": split.train.n_interactions, "prepare_seconds": prepared,
        "prepare_peak_mib": prepared_peak, "fit_seconds": seconds,
        "users_per_second": run.history.records[-1].users_per_second,
        "train_peak_mib": trained_peak, "peak_mib": peak_mib(), "losses": losses.values,
        "multvae": {str(m): multvae.mean(m) for m in multvae.per_user},
        "popularity": {str(m): popularity.mean(m) for m in popularity.per_user},
        "provenance": provenance(),
    }  # fmt: skip
    write_json(arguments.out, result)
    print({k: v for k, v in result.items() if k != "losses"})


if __name__ == "__main__":
    main()
