"""Do expressive priors weaken the contraction of the KL (section 2.4)? One network, several priors.

    python -m benchmarks.experiments.priors LOG [--seeds 3] [--betas 0.2,1] [--out priors.json]

Mult-VAE with masked input, the same network, split, seed and number of steps for each prior and
beta, and the last epoch of each: nothing is chosen. Distances are told in units of the posteriors'
own width too, because a learned prior leaves the scale of the latent space free. docs/theory.md
tells what was found.
"""

from __future__ import annotations

import argparse
import math
import time
from pathlib import Path
from typing import Any

import numpy as np
import torch

import nearfar as nf
from benchmarks.machine import provenance
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.bundle.bundle import jsonable
from nearfar.bundle.theory_subject import common_sample, subject_of
from nearfar.core.files import read_json, write_json
from nearfar.data.interactions import Split, whole_histories
from nearfar.evaluation.intervals import mean_interval
from nearfar.experiments.reproduction.datasets import data_set
from nearfar.experiments.reproduction.study_splits import Splits
from nearfar.metrics.ndcg import NDCG
from nearfar.models.autoencoder import Autoencoder
from nearfar.theory.instrument import Instrument
from nearfar.theory.instruments.collaboration import LocalAndGlobal
from nearfar.theory.instruments.distances import Distances
from nearfar.theory.instruments.health import HealthInstrument
from nearfar.theory.instruments.information import KLParts
from nearfar.theory.instruments.overlap_cost import OverlapCost
from nearfar.theory.instruments.sharing import Sharing
from nearfar.theory.subject import Subject
from nearfar.theory.transport import pairwise_distance
from nearfar.vae.posterior import log_normal
from nearfar.vae.priors.mixture import MixtureNetwork
from nearfar.vae.priors.vamp import VampNetwork

SETTINGS: dict[str, Any] = {
    "epochs": 30, "batch_size": 200, "learning_rate": 0.003, "n_latent": 64,
    "decoder_hidden": [200], "encoder": {"kind": "base", "hidden": [200]}, "likelihood": None,
    "start": "xavier", "schedule": "constant",
}  # fmt: skip
BETA_STEPS = 200
PRIORS: dict[str, dict[str, Any]] = {
    "normal": {"kind": "normal"},
    "vamp": {"kind": "vamp", "pseudo_inputs": 200},
    "composite": {"kind": "composite"},
}
"""The first is what the others are compared with; the last is RecVAE's."""

N_USERS = 500
INSTRUMENTS: dict[str, Instrument] = {
    "distances": Distances(n_transported=2, n_samples=8),
    "information": KLParts(),
    "overlap_cost": OverlapCost(n_pairs=500),
    "health": HealthInstrument(),
    "sharing": Sharing(n_pairs=16),
    "collaboration": LocalAndGlobal(n_users=200),
}
NUMBERS: dict[str, tuple[str, ...]] = {
    "distances": ("w2", "related", "unrelated"),
    "information": ("clean_kl", "clean_low", "clean_high", "clean_mismatch_low", "clean_mismatch",
                    "clean_standard", "clean_bound"),
    "overlap_cost": ("share",),
    "health": ("collapsed", "active"),
    "sharing": ("hit", "positive", "helps"),
    "collaboration": ("related", "local_taste"),
}  # fmt: skip


def examined(split: Split, prior: dict[str, Any], beta: float, seed: int) -> tuple[Subject, float]:
    """A fitted model with a sample of users, and its NDCG@100 on the test users."""
    anneal = {"kind": "linear_anneal", "end": beta, "steps": BETA_STEPS}
    algorithm = make_algorithm("multvae", {**SETTINGS, "prior": prior, "beta": anneal})
    model = algorithm.fit(split.train, None, run=nf.Run(seed=seed, device="cpu"))
    assert isinstance(model, Autoencoder)
    bundle = nf.Bundle.of(model, algorithm, split.train, seed=seed)
    users = common_sample(whole_histories(split), [bundle], N_USERS, seed)
    ndcg = nf.evaluate(model, split.test, [NDCG(100)]).mean(NDCG(100))
    return subject_of(bundle, users, seed=seed), ndcg


def numbers(subject: Subject) -> dict[str, float]:
    """What the instruments say, and distances in units of the posteriors' width."""
    found: dict[str, float] = {}
    for name, keys in NUMBERS.items():
        measured = INSTRUMENTS[name].measure(subject)
        if measured.absent is not None:
            raise RuntimeError(f"{name}: {measured.absent}")
        values = {number.key: number.value for number in measured.numbers}
        found |= {f"{name}.{key}": values[key] for key in keys}
    width = float(subject.posterior.variance.double().sum(1).mean().sqrt())
    apart = pairwise_distance(subject.centres)
    rows = np.triu_indices(len(apart), 1)
    found["width"] = width
    found["separation"] = float(apart[rows].mean()) / width
    found["related / least alike"] = found["distances.related"] / found["distances.unrelated"]
    return found


@torch.no_grad()
def modes(subject: Subject) -> np.ndarray | None:
    """The share of each component of a mixture prior at each user's mean, "users components"."""
    prior, z = subject.prior, subject.posterior.mu.double()
    if isinstance(prior, VampNetwork):
        inputs = prior.inputs.clamp(0, 1)
        components = subject.network.encoder.of_dense(inputs)
        mu, logvar, weights = components.mu, components.logvar, torch.zeros(len(inputs))
    elif isinstance(prior, MixtureNetwork):
        mu, logvar, weights = prior.mu, prior.logvar, torch.log_softmax(prior.score, 0)
    else:
        return None
    log_density = torch.stack([
        log_normal(each, mu.double(), logvar.double()).sum(1) + weights for each in z
    ])  # fmt: skip
    return torch.softmax(log_density, 1).numpy()


def of_modes(share: np.ndarray, own: Subject, normal: Subject) -> dict[str, float]:
    """How far users of different modes are apart, here and under N(0, I) for the same users."""
    mean = share.mean(0)
    mode = share.argmax(1)
    same = (mode[:, None] == mode) & ~np.eye(len(mode), dtype=bool)
    across = mode[:, None] != mode
    found = {"modes": math.exp(-float(np.sum(mean * np.log(np.maximum(mean, 1e-300))))),
             "surest": float(share.max(1).mean())}  # fmt: skip
    for name, subject in (("across / within", own), ("across / within, normal", normal)):
        apart = pairwise_distance(subject.points)
        known = same.any() and across.any()
        found[name] = float(apart[across].mean() / apart[same].mean()) if known else math.nan
    return found


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Means over seeds and differences from the first prior within seeds, with 95% intervals."""
    rows = []
    for beta in dict.fromkeys(run["beta"] for run in runs):
        of_beta = {run["seed"]: run["priors"] for run in runs if run["beta"] == beta}
        for prior in PRIORS:
            row: dict[str, Any] = {"prior": prior, "beta": beta, "seeds": len(of_beta)}
            for key in next(iter(of_beta.values()))[prior]:
                values = [found[prior][key] for found in of_beta.values()]
                row[key] = _interval(values)
                first = [found["normal"].get(key) for found in of_beta.values()]
                if None not in (*values, *first):
                    row[key]["against normal"] = _interval(np.subtract(values, first).tolist())
            rows.append(row)
    return rows


def _interval(values: list[Any]) -> dict[str, Any]:
    known = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    if not np.isfinite(known).all():
        return {"mean": None, "half_width": None}
    interval = mean_interval(known) if len(known) > 1 else None
    return {"mean": float(known.mean()), "half_width": interval and interval.half_width}


def measure(split: Split, beta: float, seed: int) -> dict[str, dict[str, float]]:
    """All priors on one split: the numbers of each, by the prior's name."""
    found: dict[str, dict[str, float]] = {}
    normal: Subject | None = None
    for name, prior in PRIORS.items():
        started = time.perf_counter()
        subject, ndcg = examined(split, prior, beta, seed)
        normal = normal or subject
        fit = time.perf_counter() - started
        found[name] = {"NDCG@100": ndcg, **numbers(subject)}
        share = modes(subject)
        if share is not None:
            found[name] |= of_modes(share, subject, normal)
        print(f"beta {beta:g}, seed {seed}, {name}: NDCG@100 {ndcg:.4f}, "
              f"{fit:.0f} s to fit, {time.perf_counter() - started - fit:.0f} s to measure",
              flush=True)  # fmt: skip
    return found


def main() -> None:
    """Measure what is missing, and write what was found after each split and beta."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", help="a log, or the name of a data set")
    parser.add_argument("--data", type=Path, help="the named data set's raw file")
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--betas", default="0.2,1", help="ends of the KL weight")
    parser.add_argument("--splits", type=Path, default=Path("reproduction/splits"))
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("priors.json"))
    arguments = parser.parse_args()
    splits = Splits(data_set(arguments.log, data=arguments.data), arguments.splits, print)
    splits.prepare(range(arguments.seeds))
    content = read_json(arguments.out) if arguments.out.exists() else {"runs": []}
    for seed in range(arguments.seeds):
        split = splits.load(seed)
        for beta in map(float, arguments.betas.split(",")):
            if any((run["seed"], run["beta"]) == (seed, beta) for run in content["runs"]):
                continue
            found = measure(split, beta, seed)
            content["runs"].append({
                "seed": seed, "beta": beta, "settings": SETTINGS, "prior_settings": PRIORS,
                "n_users": N_USERS, "training_users": split.train.fingerprint,
                "priors": jsonable(found), "provenance": provenance(),
            })  # fmt: skip
            content["summary"] = summary(content["runs"])
            write_json(arguments.out, content)


if __name__ == "__main__":
    main()
