"""Do expressive priors weaken the contraction of the KL (section 2.4)? One network, several priors.

    python -m benchmarks.experiments.priors LOG [--seeds 3] [--betas 0.2,1] [--out priors.json]

Mult-VAE with masked input, with the same network, split, seed and number of steps for each prior
and beta. The last epoch is measured; nothing is chosen. Distances are also given in units of the
posteriors' width, because a learned prior leaves the scale of the latent space free. The results
are in docs/theory.md.
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
    "initialiser": "xavier", "schedule": "constant",
}  # fmt: skip
BETA_STEPS = 200
PRIORS: dict[str, dict[str, Any]] = {
    "normal": {"kind": "normal"},
    "vamp": {"kind": "vamp", "pseudo_inputs": 200},
    "composite": {"kind": "composite"},
}
"""The others are compared with the first; the last is RecVAE's."""

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


def fit_subject(
    split: Split, prior: dict[str, Any], beta: float, seed: int
) -> tuple[Subject, float]:
    """Return a fitted model with a sample of users, and its NDCG@100 on the test users."""
    anneal = {"kind": "linear_anneal", "end": beta, "steps": BETA_STEPS}
    algorithm = make_algorithm("multvae", {**SETTINGS, "prior": prior, "beta": anneal})
    model = algorithm.fit(split.train, None, run=nf.Run(seed=seed, device="cpu"))
    assert isinstance(model, Autoencoder)
    bundle = nf.Bundle.of(model, algorithm, split.train, seed=seed)
    users = common_sample(whole_histories(split), [bundle], N_USERS, seed)
    ndcg = nf.evaluate(model, split.test, [NDCG(100)]).mean(NDCG(100))
    return subject_of(bundle, users, seed=seed), ndcg


def numbers(subject: Subject) -> dict[str, float]:
    """Return the instruments' numbers, and distances in units of the posteriors' width."""
    result: dict[str, float] = {}
    for name, keys in NUMBERS.items():
        finding = INSTRUMENTS[name].measure(subject)
        if finding.absent is not None:
            raise RuntimeError(f"{name}: {finding.absent}")
        values = {number.key: number.value for number in finding.numbers}
        result |= {f"{name}.{key}": values[key] for key in keys}
    width = float(subject.posterior.variance.double().sum(1).mean().sqrt())
    distances = pairwise_distance(subject.centres)
    pairs = np.triu_indices(len(distances), 1)
    result["width"] = width
    result["separation"] = float(distances[pairs].mean()) / width
    result["related / least alike"] = result["distances.related"] / result["distances.unrelated"]
    return result


@torch.no_grad()
def modes(subject: Subject) -> np.ndarray | None:
    """Return the responsibilities of a mixture prior's components at users' means, or None.

    Returns:
        users x components; None for other priors.
    """
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
        log_normal(point, mu.double(), logvar.double()).sum(1) + weights for point in z
    ])  # fmt: skip
    return torch.softmax(log_density, 1).numpy()


def mode_numbers(
    responsibilities: np.ndarray, subject: Subject, normal: Subject
) -> dict[str, float]:
    """Return the distances between users of different modes over those within modes.

    Args:
        responsibilities: users x components.
        subject: the model with the mixture prior.
        normal: the model with N(0, I), for the same users.
    """
    mean = responsibilities.mean(0)
    mode = responsibilities.argmax(1)
    same = (mode[:, None] == mode) & ~np.eye(len(mode), dtype=bool)
    across = mode[:, None] != mode
    result = {"modes": math.exp(-float(np.sum(mean * np.log(np.maximum(mean, 1e-300))))),
             "surest": float(responsibilities.max(1).mean())}  # fmt: skip
    defined = same.any() and across.any()
    for name, model in (("across / within", subject), ("across / within, normal", normal)):
        distances = pairwise_distance(model.points)
        ratio = distances[across].mean() / distances[same].mean() if defined else math.nan
        result[name] = float(ratio)
    return result


def summary(runs: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Return means over seeds, and differences from the first prior by seed, with 95% intervals."""
    rows = []
    for beta in dict.fromkeys(run["beta"] for run in runs):
        by_seed = {run["seed"]: run["priors"] for run in runs if run["beta"] == beta}
        for prior in PRIORS:
            row: dict[str, Any] = {"prior": prior, "beta": beta, "seeds": len(by_seed)}
            for key in next(iter(by_seed.values()))[prior]:
                values = [results[prior][key] for results in by_seed.values()]
                row[key] = _interval(values)
                normal = [results["normal"].get(key) for results in by_seed.values()]
                if None not in (*values, *normal):
                    row[key]["against normal"] = _interval(np.subtract(values, normal).tolist())
            rows.append(row)
    return rows


def _interval(values: list[Any]) -> dict[str, Any]:
    numbers = np.array([math.nan if v is None else v for v in values], dtype=np.float64)
    if not np.isfinite(numbers).all():
        return {"mean": None, "half_width": None}
    interval = mean_interval(numbers) if len(numbers) > 1 else None
    return {"mean": float(numbers.mean()), "half_width": interval and interval.half_width}


def measure(split: Split, beta: float, seed: int) -> dict[str, dict[str, float]]:
    """Return the numbers of each prior on one split, by the prior's name."""
    results: dict[str, dict[str, float]] = {}
    normal: Subject | None = None
    for name, prior in PRIORS.items():
        started = time.perf_counter()
        subject, ndcg = fit_subject(split, prior, beta, seed)
        normal = normal or subject
        fit_seconds = time.perf_counter() - started
        results[name] = {"NDCG@100": ndcg, **numbers(subject)}
        responsibilities = modes(subject)
        if responsibilities is not None:
            results[name] |= mode_numbers(responsibilities, subject, normal)
        measure_seconds = time.perf_counter() - started - fit_seconds
        print(f"beta {beta:g}, seed {seed}, {name}: NDCG@100 {ndcg:.4f}, "
              f"{fit_seconds:.0f} s to fit, {measure_seconds:.0f} s to measure",
              flush=True)  # fmt: skip
    return results


def main() -> None:
    """Measure the splits and betas that the record lacks, and write it after each of them."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("log", help="a log, or the name of a data set")
    parser.add_argument("--data", type=Path, help="the named data set's raw file")
    parser.add_argument("--seeds", type=int, default=3, help="number of seeds")
    parser.add_argument(
        "--betas", default="0.2,1", help="comma-separated final weights of the KL term"
    )
    parser.add_argument(
        "--splits", type=Path, default=Path("reproduction/splits"), help="folder of splits"
    )
    parser.add_argument("--out", type=Path, default=Path(__file__).with_name("priors.json"))
    arguments = parser.parse_args()
    splits = Splits(data_set(arguments.log, data=arguments.data), arguments.splits, print)
    splits.prepare(range(arguments.seeds))
    record = read_json(arguments.out) if arguments.out.exists() else {"runs": []}
    for seed in range(arguments.seeds):
        split = splits.load(seed)
        for beta in map(float, arguments.betas.split(",")):
            if any((run["seed"], run["beta"]) == (seed, beta) for run in record["runs"]):
                continue
            results = measure(split, beta, seed)
            record["runs"].append({
                "seed": seed, "beta": beta, "settings": SETTINGS, "prior_settings": PRIORS,
                "n_users": N_USERS, "training_users": split.train.fingerprint,
                "priors": jsonable(results), "provenance": provenance(),
            })  # fmt: skip
            record["summary"] = summary(record["runs"])
            write_json(arguments.out, record)


if __name__ == "__main__":
    main()
