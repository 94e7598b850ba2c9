"""What a training saves by starting from an earlier model's weights, on MovieLens-1M by time.

    python -m benchmarks.experiments.incremental [--epochs 24] [--seed 0] [--out incremental.json]

Ratings of at least 4, users with at least five of them, 600 + 600 held-out users (`split_strong`).
The earlier model is trained on the first `--share` of the training users' events by time, the later
models on all of them. Compared on the later data: Mult-VAE with its defaults but without the richer
network, with new or with the earlier weights, for `--epochs` epochs and for a quarter of them, and
the earlier model itself. Validation users choose the epoch; test users are used once per model.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from pathlib import Path
from typing import Any

import numpy as np

import nearfar as nf
from benchmarks.contest import SHARED
from benchmarks.machine import provenance
from nearfar.bundle.other_catalogue import ModelOnCatalogue, warm_started
from nearfar.core.files import write_json
from nearfar.evaluation.paired import compare

METRICS = ["NDCG@100", "Recall@20"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--epochs", type=int, default=24)
    parser.add_argument("--share", type=float, default=0.8, help="events of the earlier model")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, default=Path(__file__).with_suffix(".json"))
    arguments = parser.parse_args()
    log = nf.read_log(SHARED / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
    split = nf.split_strong(log, 600)
    times = log.events["timestamp"].to_numpy()
    in_train = split.train.user_ids.index(log.user_ids.ids)[log.users] >= 0
    moment = int(np.quantile(times[in_train], arguments.share))
    earlier = log.keep(in_train & (times < moment)).interactions()
    models: dict[str, Any] = {}
    rows: dict[str, dict[str, Any]] = {}

    def fit(name: str, algorithm: Any, train: nf.Interactions, validation: nf.FoldIn) -> None:
        run = nf.Run(seed=arguments.seed)
        started = time.process_time()
        models[name] = algorithm.fit(train, validation, run=run)
        rows[name] = {
            "processor_seconds": time.process_time() - started,
            "validation": [r.validation["NDCG@100"] for r in run.history.records],
            "best_epoch": (run.history.best_epoch or 0) + 1,
        }
        print(name, rows[name]["best_epoch"], max(rows[name]["validation"]), flush=True)

    long = nf.MultVAE(epochs=arguments.epochs, richer=False)
    short = nf.MultVAE(epochs=max(1, arguments.epochs // 4), richer=False)
    fit("earlier", long, earlier, split.validation.on_items(earlier.item_ids))
    before = nf.Bundle.of(models["earlier"], long, earlier, seed=arguments.seed)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "warm.safetensors"
        n_known = 0
        for name, algorithm in (("", long), (", a quarter of the epochs", short)):
            fit(f"afresh{name}", algorithm, split.train, split.validation)
            warm, n_known = warm_started(algorithm, before, split.train.item_ids, path)
            fit(f"from the earlier{name}", warm, split.train, split.validation)
    models["earlier"] = ModelOnCatalogue(before, split.train)
    results = {name: nf.evaluate(model, split.test, METRICS) for name, model in models.items()}
    goals = {share: share * max(rows["afresh"]["validation"]) for share in (0.95, 0.99, 1.0)}
    for name, row in rows.items():
        row["test"] = {metric: results[name].mean(metric) for metric in METRICS}
        if name != "earlier":
            row["epochs_to_share_of_afresh"] = {
                str(share): next((n for n, v in enumerate(row["validation"], 1) if v >= goal), None)
                for share, goal in goals.items()
            }
        if name != "afresh":
            pairs = [compare(results["afresh"], results[name], metric) for metric in METRICS]
            row["over_afresh"] = {
                str(pair.metric): {
                    "difference": float(pair.difference),
                    "p": pair.p and float(pair.p),
                    "interval": pair.interval and [pair.interval.low, pair.interval.high],
                }
                for pair in pairs
            }
    print(rows, flush=True)
    write_json(arguments.out, {
        "data": {
            "name": "ml-1m", "share": arguments.share, "moment": moment,
            "earlier": {"users": earlier.n_users, "items": earlier.n_items,
                        "interactions": earlier.n_interactions},
            "later": {"users": split.train.n_users, "items": split.train.n_items,
                      "interactions": split.train.n_interactions, "items_known": n_known},
        },
        "epochs": arguments.epochs, "seed": arguments.seed, "models": rows,
        "provenance": provenance(),
    })  # fmt: skip


if __name__ == "__main__":
    main()
