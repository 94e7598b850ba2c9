"""The trainings of `benchmarks.experiments.pia` as one table: gains over plain, user by user.

    python -m benchmarks.experiments.pia_summary --results FILE --out pia.json

A user's value is the mean over the seeds that both variants have; the interval and p are those of a
paired t test over the users of that one split. `last` is the score after the last epoch, which no
validation user has chosen.
"""

from __future__ import annotations

import argparse
import json
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
from scipy import stats

from benchmarks.machine import provenance
from nearfar.core.files import write_json
from nearfar.evaluation.intervals import mean_interval

ABOUT = (
    "What the paper's text allows for PIA: benchmarks/experiments/pia.py. Validation users of "
    "split seed 12345 (a tenth of lastfm and citeulike-a); @test: test users of split seed 98765, "
    "best epoch by that split's validation users. bfloat16, one thread."
)
METRICS = ("NDCG@100", "Recall@20")


def gain(plain: dict[str, Any], other: dict[str, Any], metric: str) -> dict[str, Any]:
    """What a variant gains over plain on the seeds that both have."""
    shared = sorted(plain.keys() & other.keys())
    a, b = (np.mean([runs[s]["users"][metric] for s in shared], 0) for runs in (plain, other))
    interval = mean_interval(b - a)
    assert interval is not None
    return {
        "seeds": shared, "plain": float(a.mean()), "aligned": float(b.mean()),
        "difference": float((b - a).mean()), "low": interval.low,
        "high": interval.high, "p": float(stats.ttest_rel(b, a).pvalue), "n_users": len(a),
        "by_seed": [
            float(np.mean(other[s]["users"][metric]) - np.mean(plain[s]["users"][metric]))
            for s in shared
        ],
    }  # fmt: skip


def thirds(plain: dict[str, Any], other: dict[str, Any]) -> list[dict[str, Any]]:
    """The gain in NDCG@100 by thirds of users, from few interactions to many."""
    shared = sorted(plain.keys() & other.keys())
    a, b = (np.mean([runs[s]["users"]["NDCG@100"] for s in shared], 0) for runs in (plain, other))
    order = np.argsort(np.asarray(plain[shared[0]]["sizes"]), kind="stable")
    return [
        {"n_users": len(part), "gain": float((b - a)[part].mean()),
         "mean_interactions": float(np.asarray(plain[shared[0]]["sizes"])[part].mean())}
        for part in np.array_split(order, 3)
    ]  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--results", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()
    runs: dict[tuple[str, ...], dict[str, Any]] = defaultdict(dict)
    for text in arguments.results.read_text().splitlines():
        run = json.loads(text)
        *variant, seed = run["line"].split()
        runs[tuple(variant)][seed] = run
    rows = []
    for variant, by_seed in sorted(runs.items()):
        plain = runs.get((*variant[:3], "plain"), {})
        row: dict[str, Any] = {
            **dict(zip(("data", "algorithm", "regime", "alignment"), variant, strict=True)),
            "seeds": {
                seed: {k: v for k, v in run.items() if k not in ("line", "users", "sizes")}
                for seed, run in sorted(by_seed.items())
            },
        }
        whole = {s: r for s, r in by_seed.items() if "users" in r}
        if whole:
            row["mean"] = {
                m: float(np.mean([np.mean(r["users"][m]) for r in whole.values()])) for m in METRICS
            }
        if variant[3] != "plain" and plain.keys() & whole.keys():
            row["gains"] = {m: gain(plain, whole, m) for m in METRICS}
            row["thirds"] = thirds(plain, whole)
            shared = plain.keys() & whole.keys()
            row["gain_at_last_epoch"] = float(
                np.mean([whole[s]["last"] - plain[s]["last"] for s in shared])
            )
        rows.append(row)
        told = row.get("gains", {}).get("NDCG@100")
        print(
            *variant, f"{row['mean']['NDCG@100']:.4f}" if whole else "collapsed", len(whole),
            f"{told['difference']:+.4f} ±{(told['high'] - told['low']) / 2:.4f} p {told['p']:.3f} "
            f"last {row['gain_at_last_epoch']:+.4f}" if told else "",
        )  # fmt: skip
    write_json(arguments.out, {"about": ABOUT, "provenance": provenance(), "rows": rows})


if __name__ == "__main__":
    main()
