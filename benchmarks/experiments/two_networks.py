"""The two networks that Mult-VAE tries by default, with several seeds on validation users.

    python -m benchmarks.experiments.two_networks [--data npm] [--out two_networks.json]

Test users are not used. The results are in docs/defaults.md.
"""

from __future__ import annotations

import time
from typing import Any

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import sets

SEEDS = (1, 2)
"""Seed 0 is that of on_test.json and rates.json, in which the two networks were chosen."""


def measure(name: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """Fit with the defaults and each seed that the record lacks."""
    split = read(name)[0]
    runs = list(before["runs"]) if before else []
    for seed in SEEDS:
        if any(run["seed"] == seed for run in runs):
            continue
        run = nf.Run(seed=seed, device="cpu", precision="bfloat16")
        started = time.process_time()
        nf.MultVAE().fit(split.train, split.validation, run=run)
        seconds = round(time.process_time() - started, 1)
        attempts = [attempt.to_dict() for attempt in run.history.attempts]
        runs.append({"seed": seed, "attempts": attempts, "cpu_seconds": seconds})
        print(name, seed, [f"{a['score']:.4f}, {a['epochs']} epochs" for a in attempts], flush=True)
    return {"runs": runs}


if __name__ == "__main__":
    sets.run(measure, [n for n in DATA if n != "magazine"], __file__, __doc__)
