"""Ensembles of variational autoencoders: the gain of equal blends of seeds and kinds.

    python -m benchmarks.experiments.vae_ensembles [--data npm] [--out vae_ensembles.json]

Only validation users are used; they choose each network's epoch. The weights are equal.
"""

from __future__ import annotations

import time
from typing import Any

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import sets
from nearfar.algorithms.multvae import RICHER
from nearfar.models.ensemble import Ensemble
from nearfar.models.model import Model

METRIC = nf.NDCG(100)
KINDS: dict[str, tuple[nf.Algorithm, tuple[int, ...]]] = {
    "plain": (nf.MultVAE(richer=False), (0, 1, 2)),
    "richer": (nf.MultVAE(**RICHER), (0, 1)),
    "recvae": (nf.RecVAE(), (0, 1)),
}
MIXTURES = (
    ("plain 0", "plain 1"), ("plain 0", "plain 1", "plain 2"), ("richer 0", "richer 1"),
    ("recvae 0", "recvae 1"), ("plain 0", "richer 0"), ("plain 0", "recvae 0"),
    ("richer 0", "recvae 0"), ("plain 0", "richer 0", "recvae 0"),
    ("plain 0", "plain 1", "recvae 0", "recvae 1"),
    ("richer 0", "richer 1", "recvae 0", "recvae 1"),
)  # fmt: skip


def measure(name: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """Fit each kind with each seed, and compare the ensembles with their best parts."""
    split = read(name)[0]
    models: dict[str, Model] = {}
    seconds: dict[str, float] = {}
    evaluations = {}
    for kind, (algorithm, seeds) in KINDS.items():
        for seed in seeds:
            label = f"{kind} {seed}"
            started = time.perf_counter()
            run = nf.Run(seed=seed, device="cpu", precision="bfloat16")
            models[label] = algorithm.fit(split.train, split.validation, run=run)
            seconds[label] = round(time.perf_counter() - started, 1)
            evaluations[label] = nf.evaluate(models[label], split.validation, [METRIC], name=label)
            print(name, label, f"{evaluations[label].mean(METRIC):.4f}", seconds[label], flush=True)
    mixtures = {}
    for parts in MIXTURES:
        label = " + ".join(parts)
        ensemble = Ensemble([models[part] for part in parts], (1 / len(parts),) * len(parts))
        evaluation = nf.evaluate(ensemble, split.validation, [METRIC], name=label)
        best = max(parts, key=lambda part: evaluations[part].mean(METRIC))
        pair = nf.compare(evaluations[best], evaluation, METRIC)
        mixtures[label] = pair.to_dict()
        print(
            name,
            label,
            f"{evaluation.mean(METRIC):.4f} {pair.difference:+.4f} p {pair.p:.3f}",
            flush=True,
        )
    single = {label: e.mean(METRIC) for label, e in evaluations.items()}
    return {"single": single, "mixtures": mixtures, "seconds": seconds}


if __name__ == "__main__":
    sets.run(measure, [n for n in DATA if n != "magazine"], __file__, __doc__)
