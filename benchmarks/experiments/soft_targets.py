"""Soft targets and PIA with the defaults of Mult-VAE and RecVAE, paired on test users.

    python -m benchmarks.experiments.soft_targets --data FOLDER --sets ml-1m,lastfm \
        [--only Mult-VAE] [--out soft_targets.json]

FOLDER has ml-1m.zip and the Parquet files of the other data sets. Each row has the defaults except
for what its name says; these were chosen on the validation users of another split (seed 12345).
There is one split, and one training per row. Test users are used once, and rows of one algorithm
are compared per user. Data sets that the record has are not measured again.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import polars as pl

import nearfar as nf
from benchmarks.machine import provenance
from nearfar.algorithms.recvae import RecVAE
from nearfar.core import settings
from nearfar.core.files import write_json
from nearfar.evaluation.paired import compare

HERE = Path(__file__).parent
SEED = 98765
HELD_OUT = {"ml-1m": 600, "lastfm": 0.15, "citeulike-a": 0.1, "yelp-sparse": 0.05}
ROWS: dict[str, Any] = {
    "Mult-VAE, published loss": nf.MultVAE(likelihood=None),
    "Mult-VAE": nf.MultVAE(richer=False),
    "Mult-VAE + PIA": nf.MultVAE(alignment=nf.PIA(), richer=False),
    "RecVAE, published loss": RecVAE(likelihood=None),
    "RecVAE": RecVAE(),
    "RecVAE + PIA": RecVAE(alignment=nf.PIA()),
}
PAIRS = [(f"{name}, published loss", name) for name in ("Mult-VAE", "RecVAE")] + [
    (name, f"{name} + PIA") for name in ("Mult-VAE", "RecVAE")
]


def read(name: str, folder: Path) -> Any:
    """Return a data set: users with at least five items; of MovieLens, ratings of at least 4."""
    if name == "ml-1m":
        return nf.read_log(folder / "ml-1m.zip", filters=nf.Filters(min_rating=4, min_user=5))
    frame = pl.read_parquet(folder / f"{name}.parquet")
    user, item = frame.columns[:2]
    frame = frame.select(pl.col(user).alias("user"), pl.col(item).alias("item"))
    return nf.read_log(frame, filters=nf.Filters(min_user=5))


def measure(name: str, folder: Path, rows: list[str]) -> dict[str, Any]:
    """Return the record of the rows on a data set, measured once on its test users."""
    split = nf.split_strong(read(name, folder), HELD_OUT[name], seed=SEED)
    result: dict[str, Any] = {
        "split": split.fingerprint, "n_users": split.train.n_users, "n_items": split.train.n_items,
        "n_interactions": split.train.n_interactions, "rows": {}, "gains": [],
    }  # fmt: skip
    tests = {}
    for row in rows:
        run = nf.Run(seed=0, device="cpu", precision="bfloat16")
        started = time.perf_counter()
        model = ROWS[row].fit(split.train, split.validation, run=run)
        seconds = time.perf_counter() - started
        best = max(r.validation["NDCG@100"] for r in run.history.records)
        tests[row] = nf.evaluate(model, split.test)
        result["rows"][row] = {
            "settings": settings.to_plain(ROWS[row]), "epochs": len(run.history.records),
            "best_epoch": run.history.best_epoch, "validation_ndcg_100": best,
            "seconds": seconds, "test": tests[row].to_dict(),
        }  # fmt: skip
        print(f"{name} {row}: validation {best:.4f} in {seconds:.0f} s\n{tests[row]}", flush=True)
    for a, b in PAIRS:
        if a in tests and b in tests:
            result["gains"] += [compare(tests[a], tests[b], m).to_dict() for m in tests[a].per_user]
    return result


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, required=True, help="folder of the data sets")
    parser.add_argument("--sets", default=",".join(HELD_OUT), help="comma-separated data sets")
    parser.add_argument(
        "--only", default="Mult-VAE,RecVAE", help="comma-separated beginnings of rows"
    )
    parser.add_argument("--out", type=Path, default=HERE / "soft_targets.json")
    arguments = parser.parse_args()
    rows = [row for row in ROWS if row.startswith(tuple(arguments.only.split(",")))]
    records = json.loads(arguments.out.read_text()) if arguments.out.exists() else {}
    for name in arguments.sets.split(","):
        key = f"{name}, {arguments.only}"
        if key not in records:
            records[key] = {**measure(name, arguments.data, rows), "provenance": provenance()}
            write_json(arguments.out, records)


if __name__ == "__main__":
    main()
