"""When should a blend be taken instead of the best single model? Small samples of validation users.

    python -m benchmarks.experiments.blend_rule [--data lastfm] [--out blend_rule.json]

EDLAE, WMF and the plain Mult-VAE with their defaults are fitted once. Again and again a sample of
the validation users chooses, as the autopilot does: the best of the three, and the weights of
their blend. Two rules may take the blend in place of the single model: "significant" where the
paired t test on the sample says so (p < .05), "higher" where its mean is higher. What they gain is
measured on the validation users outside of the sample. Test users are not touched.
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
    """Fit the three models, then let samples of each size choose."""
    split = read(name)[0]
    whole = split.validation
    judged = np.flatnonzero(np.diff(whole.held_out.x.indptr))
    users = nf.FoldIn(whole.fold_in.take_users(judged), whole.held_out.take_users(judged))
    parts = {"edlae": nf.EDLAE(), "wmf": nf.WMF(), "multvae": nf.MultVAE(richer=False)}
    models = [
        part.fit(split.train, users, run=nf.Run(seed=0, device="cpu", precision="bfloat16"))
        for part in parts.values()
    ]
    singles = np.stack([nf.evaluate(model, users, [METRIC]).values(METRIC) for model in models])
    print(name, dict(zip(parts, singles.mean(1).round(4), strict=True)), flush=True)
    blends: dict[tuple[float, ...], np.ndarray] = {}

    def blended(weights: tuple[float, ...]) -> np.ndarray:
        if weights not in blends:
            blends[weights] = nf.evaluate(Ensemble(models, weights), users, [METRIC]).values(METRIC)
        return blends[weights]

    even = Ensemble(models, (1 / 3,) * 3)
    found: dict[str, Any] = {}
    for size in SIZES:
        if 2 * size > users.n_users:
            continue
        gains: dict[str, list[float]] = {"significant": [], "higher": []}
        taken = {"significant": 0, "higher": 0}
        for number in range(N_SAMPLES):
            rng = generator(0, "sample", size, number)
            chosen = np.sort(rng.choice(users.n_users, size, replace=False))
            others = np.setdiff1d(np.arange(users.n_users), chosen)
            sample = nf.FoldIn(users.fold_in.take_users(chosen), users.held_out.take_users(chosen))
            single = singles[int(singles[:, chosen].mean(1).argmax())]
            blend = blended(choose_weights(even, sample))
            better = blend[chosen].mean() > single[chosen].mean()
            sure = better and ttest_rel(blend[chosen], single[chosen]).pvalue < LEVEL
            gain = float((blend[others] - single[others]).mean())
            for rule, takes in (("significant", sure), ("higher", better)):
                gains[rule].append(gain if takes else 0.0)
                taken[rule] += bool(takes)
        found[str(size)] = {
            rule: {
                "blends_taken": taken[rule], "of": N_SAMPLES,
                "gain_over_single": float(np.mean(each)), "worst": float(np.min(each)),
                "half_width_over_samples": mean_interval(np.array(each)).half_width,
            }
            for rule, each in gains.items()
        }  # fmt: skip
        print(name, size, found[str(size)], flush=True)
    return {
        "validation_users": users.n_users,
        "single": dict(zip(parts, singles.mean(1).tolist(), strict=True)),
        "sizes": found,
    }


if __name__ == "__main__":
    sets.run(measure, [n for n in DATA if n != "magazine"], __file__, __doc__)
