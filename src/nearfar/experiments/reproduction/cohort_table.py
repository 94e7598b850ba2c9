"""Which cohort is near which: the distances behind Figure 2, over seeds."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np

from nearfar.bundle.folder import load_bundle
from nearfar.evaluation.table import Table
from nearfar.experiments.reproduction.study import Study
from nearfar.experiments.reproduction.summary import RowSummary, mean_and_half_width, spelled
from nearfar.maps.atlas import encoded
from nearfar.maps.cohorts import SIZES, cohorts_by_interactions
from nearfar.maps.figure2 import N_USERS
from nearfar.maps.separability import cohort_distances
from nearfar.maps.users import whole_histories
from nearfar.models.model import LatentModel


def cohort_table(study: Study, summaries: Sequence[RowSummary], level: float) -> Table:
    """Measure how far the cohorts of Figure 2 are apart under each setting, on every seed.

    A distance is that of two cohorts' means over the root mean squared distance of users from
    their cohort's mean, all cohorts together: settings whose latent units differ can be compared.

    Args:
        study: holds the models and the splits.
        summaries: the three settings, measured on every seed.
        level: of the intervals, Student's over seeds.
    """
    found = {s.row.label: [_distances(study, s, seed) for seed in s.measured] for s in summaries}
    rows, data = [], []
    pairs = list(combinations(SIZES, 2))
    for label, of_seeds in found.items():
        cells: list[str] = []
        numbers: dict[str, Any] = {}
        for pair in pairs:
            values = [d[pair] for d in of_seeds if pair in d]
            mean, half = mean_and_half_width(values, level)
            cells.append(spelled(mean, half))
            numbers[f"{pair[0]}-{pair[1]}"] = {"mean": mean, "half_width": half, "values": values}
        whole = [d for d in of_seeds if len(d) == len(pairs)]
        small, middle, large = SIZES
        nearer = sum(d[small, large] < d[middle, large] for d in whole)
        cells.append(f"{nearer} of {len(whole)}")
        rows.append((label, *cells))
        data.append({"row": label, **numbers, "large_nearer_to_small": nearer, "seeds": len(whole)})
    notes = (
        "Distance of two cohorts' means, over the root mean squared distance of users from the "
        f"mean of their own; ± half the {level:.0%} interval over seeds, none for one seed.",
        f"Last column: seeds on which the cohort of {SIZES[2]} is nearer to that of {SIZES[0]} "
        f"than to that of {SIZES[1]}, as section 4.2 says of clean input.",
    )
    header = ("setting", *(f"{a} and {b}" for a, b in pairs), "largest nearer to smallest")
    return Table(header, tuple(rows), notes, tuple(data))


def _distances(study: Study, summary: RowSummary, seed: int) -> dict[tuple[int, int], float]:
    """By the sizes of two cohorts, for those that the seed's users have."""
    entry = next(e for e in summary.entries if e.seed == seed)
    assert entry.cell is not None
    bundle = load_bundle(study.store.model_folder(entry.cell), device=study.plan.device)
    assert isinstance(bundle.model, LatentModel)
    everyone = whole_histories(study.splits.load(seed))
    cohorts = cohorts_by_interactions(
        np.diff(everyone.x.indptr), SIZES, tolerance=0.1, max_users=N_USERS, seed=seed
    )
    users = everyone.take_users(cohorts.rows)
    seen = users if users.item_ids == bundle.items else users.on_items(bundle.items)
    points = encoded(bundle.model, seen.x)
    found = cohort_distances(points, cohorts.labels, users.x, cohorts.names)
    sizes = {name: about["size"] for name, about in zip(cohorts.names, cohorts.about, strict=True)}
    n = np.bincount(cohorts.labels)
    squared = [found["spreads"][name] ** 2 for name in cohorts.names]
    spread = float(np.sqrt(np.average(squared, weights=n)))
    return {
        (sizes[pair["between"][0]], sizes[pair["between"][1]]): pair["latent"] / spread
        for pair in found["pairs"]
    }
