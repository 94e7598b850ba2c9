"""Figure 2 of a study: the latent map of its models, and which cohort is near which."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float, Int
from scipy.sparse import csr_array

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Interactions, whole_histories
from nearfar.evaluation.table import Table
from nearfar.experiments.reproduction.report import ReproductionReport
from nearfar.experiments.reproduction.study import Study
from nearfar.experiments.reproduction.summary import RowSummary, format_mean, mean_and_half_width
from nearfar.maps.atlas import encode
from nearfar.maps.cohorts import SIZES, cohorts_by_interactions
from nearfar.maps.drawing import check_drawable
from nearfar.maps.figure2 import N_USERS, figure2
from nearfar.maps.projections.projection import find_projection
from nearfar.maps.separability import knn_purity
from nearfar.metrics.ndcg import NDCG
from nearfar.models.model import LatentModel

HISTORIES, SHOWN = "histories x", "histories x / ||x||"
"""Rows of what goes into the encoder: zeros and ones, and as the published encoder is shown it."""

PAIRS = tuple(combinations(SIZES, 2))


@dataclass(frozen=True)
class CohortNumbers:
    """The cohorts of one seed in one space.

    Args:
        distances: by the sizes of two cohorts, the distance of their means over the root mean
            squared distance of users from the mean of their own; those that the users have.
        purity: the share of a user's ten nearest others that are of the same cohort.
        chance: the same for neighbours drawn at random.
    """

    distances: Mapping[tuple[int, int], float]
    purity: float
    chance: float


def check_can_be_drawn(path: Path) -> None:
    """Refuse the figure before hours are spent on fitting.

    Raises:
        MissingExtraError: a library that draws it is missing.
    """
    check_drawable(path)
    find_projection("tsne").check_installed()


def draw_latent_map(study: Study, found: ReproductionReport) -> dict[str, Any]:
    """Draw the first seed's models, one panel a row; returns NDCG@100 and separability of each.

    Raises:
        SettingsError: a row's algorithm has no latent space.
    """
    seed = study.plan.seed
    fitted: dict[str, LatentModel] = {}
    ndcg: dict[str, float] = {}
    for summary in found.summaries:
        model = _bundle_of(study, summary, seed).model
        if not isinstance(model, LatentModel):
            raise SettingsError(f"{summary.row.algorithm} has no latent space to draw")
        fitted[summary.row.label] = model
        if NDCG(100) in study.plan.measured:
            ndcg[summary.row.label] = summary.measured[seed].test.mean(NDCG(100))
    return figure2(
        study.splits.load(seed), fitted, found.path(".png"), seed=seed, ndcg=ndcg or None
    )


def cohort_table(study: Study, summaries: Sequence[RowSummary], level: float) -> Table:
    """Measure how far the cohorts of Figure 2 are apart under each setting, on every seed.

    Distances are relative to the spread of users, so that settings whose latent units differ can
    be compared; two rows of the input stand beside them.

    Args:
        study: holds the models and the splits.
        summaries: the three settings, measured on every seed.
        level: of the intervals, Student's over seeds.
    """
    found: dict[str, list[CohortNumbers]] = {}
    for seed in summaries[0].measured if summaries else ():
        for label, numbers in _numbers(study, summaries, seed).items():
            found.setdefault(label, []).append(numbers)
    rows, data = [], []
    for label, of_seeds in found.items():
        cells: list[str] = []
        record: dict[str, Any] = {}
        values = {
            f"{a}-{b}": [n.distances[a, b] for n in of_seeds if (a, b) in n.distances]
            for a, b in PAIRS
        }
        values["purity"] = [n.purity for n in of_seeds]
        for key, each in values.items():
            mean, half = mean_and_half_width(each, level)
            cells.append(format_mean(mean, half))
            record[key] = {"mean": mean, "half_width": half, "values": each}
        whole = [n.distances for n in of_seeds if len(n.distances) == len(PAIRS)]
        small, middle, large = SIZES
        nearer = sum(d[small, large] < d[middle, large] for d in whole)
        cells.append(f"{nearer} of {len(whole)}")
        rows.append((label, *cells))
        data.append({
            "row": label, **record, "large_nearer_to_small": nearer, "seeds": len(whole),
            "chance": [n.chance for n in of_seeds],
        })  # fmt: skip
    chance = [n.chance for of_seeds in found.values() for n in of_seeds]
    notes = (
        "Distance of two cohorts' means, over the root mean squared distance of users from the "
        f"mean of their own; ± half the {level:.0%} interval over seeds, none for one seed.",
        "Same cohort: of a user's ten nearest others, the share of the same cohort"
        + (f"; by chance {np.mean(chance):.3f}." if chance else "."),
        f"Last column: seeds on which the cohort of {SIZES[2]} is nearer to that of {SIZES[0]} "
        f"than to that of {SIZES[1]}, as section 4.2 says of clean input.",
        f"{HISTORIES}: of zeros and ones, without any model; {SHOWN}: of length one.",
    )
    header = (
        "setting", *(f"{a} and {b}" for a, b in PAIRS), "same cohort", "largest nearer to smallest",
    )  # fmt: skip
    return Table(header, tuple(rows), notes, tuple(data))


def cohort_numbers(
    points: Float[np.ndarray, "users coordinates"] | csr_array,
    labels: Int[np.ndarray, " users"],
    sizes: Sequence[int],
    seed: int,
) -> CohortNumbers:
    """Measure the cohorts in one space.

    Args:
        points: where the users are.
        labels: the cohort of each, counted from 0.
        sizes: what each cohort is called by.
        seed: of the sample, where there are many users.
    """
    counts = np.bincount(labels)
    membership = csr_array((1 / counts[labels], (labels, np.arange(len(labels)))))
    means = membership @ points
    means = means.toarray() if isinstance(means, csr_array) else means
    own = points * points if isinstance(points, csr_array) else np.square(points)
    # the mean squared distance from a mean is the mean square less the square of the mean
    around = membership @ np.asarray(own.sum(1)).ravel() - np.square(means).sum(1)
    spread = float(np.sqrt(np.average(np.maximum(around, 0), weights=counts)))
    near = knn_purity(points, labels, seed=seed)
    return CohortNumbers(
        {
            (sizes[a], sizes[b]): float(np.linalg.norm(means[a] - means[b])) / spread
            for a, b in combinations(range(len(sizes)), 2)
        },
        near["mean"],
        near["chance"],
    )


def _numbers(study: Study, summaries: Sequence[RowSummary], seed: int) -> dict[str, CohortNumbers]:
    """The numbers of a seed by the label of the row: inputs, then settings."""
    everyone = whole_histories(study.splits.load(seed))
    cohorts = cohorts_by_interactions(
        np.diff(everyone.x.indptr), SIZES, tolerance=0.1, max_users=N_USERS, seed=seed
    )
    users = everyone.take_users(cohorts.rows)
    sizes = [about["size"] for about in cohorts.about]
    x = csr_array(users.x, dtype=np.float64)
    lengths = np.sqrt(np.maximum(np.diff(x.indptr), 1))
    shown = csr_array(
        (x.data / np.repeat(lengths, np.diff(x.indptr)), x.indices, x.indptr), x.shape
    )
    spaces = {HISTORIES: x, SHOWN: shown}
    spaces |= {s.row.label: _latents(study, s, seed, users) for s in summaries}
    return {
        label: cohort_numbers(points, cohorts.labels, sizes, seed)
        for label, points in spaces.items()
    }


def _latents(
    study: Study, summary: RowSummary, seed: int, users: Interactions
) -> Float[np.ndarray, "users latent"]:
    bundle = _bundle_of(study, summary, seed)
    assert isinstance(bundle.model, LatentModel)
    return encode(bundle.model, users.on_items(bundle.items).x)


def _bundle_of(study: Study, summary: RowSummary, seed: int) -> Bundle:
    """The model that a study kept of a row and a seed."""
    cell = next(entry.cell for entry in summary.entries if entry.seed == seed)
    assert cell is not None
    return load_bundle(study.store.model_folder(cell), device=study.plan.device)
