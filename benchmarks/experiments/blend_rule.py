"""When is a blend better than the best single model, chosen on few validation users?

    python -m benchmarks.experiments.blend_rule [--data lastfm] [--out blend_rule.json]

EDLAE, WMF and the plain Mult-VAE with their defaults are fitted once. Then, for many samples of the
validation users, the sample chooses as the autopilot does: the best of the three models, and the
weights of their blend. Two rules prefer the blend to the single model: "significant" if the paired
t test on the sample has p < .05, "higher" if its mean is higher. Their gain is measured on the
validation users outside the sample. Test users are not used.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy.stats import ttest_rel

import nearfar as nf
from benchmarks.defaults import DATA, read
from benchmarks.experiments import sets
from nearfar.algorithms.blend import choose_weights
from nearfar.core.seeding import generator
from nearfar.evaluation.intervals import mean_interval
from nearfar.models.ensemble import Ensemble

METRIC = "NDCG@100"
SIZES = (50, 100, 200, 400)
N_SAMPLES = 20
LEVEL = 0.05


def measure(name: str, before: dict[str, Any] | None) -> dict[str, Any]:
    """Return the gain of both rules by sample size, on one data set."""
    split = read(name)[0]
    validation = split.validation
    rows = np.flatnonzero(np.diff(validation.held_out.x.indptr))
    users = nf.FoldIn(validation.fold_in.take_users(rows), validation.held_out.take_users(rows))
    parts = {"edlae": nf.EDLAE(), "wmf": nf.WMF(), "multvae": nf.MultVAE(richer=False)}
    models = [
        part.fit(split.train, users, run=nf.Run(seed=0, device="cpu", precision="bfloat16"))
        for part in parts.values()
    ]
    singles = np.stack([nf.evaluate(model, users, [METRIC]).values(METRIC) for model in models])
    print(name, dict(zip(parts, singles.mean(1).round(4), strict=True)), flush=True)
    blends: dict[tuple[float, ...], np.ndarray] = {}

    def blend_scores(weights: tuple[float, ...]) -> np.ndarray:
        if weights not in blends:
            blends[weights] = nf.evaluate(Ensemble(models, weights), users, [METRIC]).values(METRIC)
        return blends[weights]

    equal_weights = Ensemble(models, (1 / 3,) * 3)
    by_size: dict[str, Any] = {}
    for size in SIZES:
        if 2 * size > users.n_users:
            continue
        gains: dict[str, list[float]] = {"significant": [], "higher": []}
        n_blends = {"significant": 0, "higher": 0}
        for number in range(N_SAMPLES):
            rng = generator(0, "sample", size, number)
            sampled = np.sort(rng.choice(users.n_users, size, replace=False))
            others = np.setdiff1d(np.arange(users.n_users), sampled)
            sample = nf.FoldIn(
                users.fold_in.take_users(sampled), users.held_out.take_users(sampled)
            )
            single = singles[int(singles[:, sampled].mean(1).argmax())]
            blend = blend_scores(choose_weights(equal_weights, sample))
            better = blend[sampled].mean() > single[sampled].mean()
            significant = better and ttest_rel(blend[sampled], single[sampled]).pvalue < LEVEL
            gain = float((blend[others] - single[others]).mean())
            for rule, prefers_blend in (("significant", significant), ("higher", better)):
                gains[rule].append(gain if prefers_blend else 0.0)
                n_blends[rule] += bool(prefers_blend)
        by_size[str(size)] = {
            rule: {
                "blends_taken": n_blends[rule], "of": N_SAMPLES,
                "gain_over_single": float(np.mean(values)), "worst": float(np.min(values)),
                "half_width_over_samples": mean_interval(np.array(values)).half_width,
            }
            for rule, values in gains.items()
        }  # fmt: skip
        print(name, size, by_size[str(size)], flush=True)
    return {
        "validation_users": users.n_users,
        "single": dict(zip(parts, singles.mean(1).tolist(), strict=True)),
        "sizes": by_size,
    }


if __name__ == "__main__":
    sets.run(measure, [n for n in DATA if n != "magazine"], __file__, __doc__)
