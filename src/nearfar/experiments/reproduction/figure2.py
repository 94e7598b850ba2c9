"""Figure 2 of a study: the latent map of its models, and the distances of the cohorts."""

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

HISTORIES, NORMALISED = "histories x", "histories x / ||x||"
"""Rows of the encoder's input: zeros and ones, and of length one as in the published encoder."""

PAIRS = tuple(combinations(SIZES, 2))


@dataclass(frozen=True)
class CohortNumbers:
    """Measures of the cohorts of one seed in one space.

    Args:
        distances: sizes of two cohorts -> distance of their means, divided by the root mean squared
            distance of users from the mean of their cohort; only cohorts that have users.
        purity: share of a user's ten nearest neighbours that are of the same cohort.
        chance: the same for random neighbours.
    """

    distances: Mapping[tuple[int, int], float]
    purity: float
    chance: float


def check_can_be_drawn(path: Path) -> None:
    """Check that the figure can be drawn, before hours of fitting.

    Raises:
        MissingExtraError: a library that draws it is not installed.
    """
    check_drawable(path)
    find_projection("tsne").check_installed()


def draw_latent_map(study: Study, report: ReproductionReport) -> dict[str, Any]:
    """Draw the first seed's models, one panel per row; return NDCG@100 and separability of each.

    Raises:
        SettingsError: a row's algorithm has no latent space.
    """
    seed = study.plan.seed
    models: dict[str, LatentModel] = {}
    ndcg: dict[str, float] = {}
    for summary in report.summaries:
        model = _load_bundle(study, summary, seed).model
        if not isinstance(model, LatentModel):
            raise SettingsError(f"{summary.row.algorithm} has no latent space to draw")
        models[summary.row.label] = model
        if NDCG(100) in study.plan.measured:
            ndcg[summary.row.label] = summary.measured[seed].test.mean(NDCG(100))
    return figure2(
        study.splits.load(seed), models, report.path(".png"), seed=seed, ndcg=ndcg or None
    )


def cohort_table(study: Study, summaries: Sequence[RowSummary], level: float) -> Table:
    """Measure the distances of Figure 2's cohorts under each setting, on every seed.

    Distances are relative to the spread of users, so that settings with different latent units can
    be compared. Two rows show the same for the encoder's input.

    Args:
        study: study with the models and the splits.
        summaries: the three settings, measured on every seed.
        level: confidence level of Student's intervals over seeds.
    """
    by_label: dict[str, list[CohortNumbers]] = {}
    for seed in summaries[0].measured if summaries else ():
        for label, numbers in _measure_cohorts(study, summaries, seed).items():
            by_label.setdefault(label, []).append(numbers)
    rows, data = [], []
    for label, by_seed in by_label.items():
        cells: list[str] = []
        record: dict[str, Any] = {}
        measures = {
            f"{a}-{b}": [n.distances[a, b] for n in by_seed if (a, b) in n.distances]
            for a, b in PAIRS
        }
        measures["purity"] = [n.purity for n in by_seed]
        for key, values in measures.items():
            mean, half_width = mean_and_half_width(values, level)
            cells.append(format_mean(mean, half_width))
            record[key] = {"mean": mean, "half_width": half_width, "values": values}
        complete = [n.distances for n in by_seed if len(n.distances) == len(PAIRS)]
        small, middle, large = SIZES
        n_nearer = sum(d[small, large] < d[middle, large] for d in complete)
        cells.append(f"{n_nearer} of {len(complete)}")
        rows.append((label, *cells))
        data.append({
            "row": label, **record, "large_nearer_to_small": n_nearer, "seeds": len(complete),
            "chance": [n.chance for n in by_seed],
        })  # fmt: skip
    chance = [n.chance for by_seed in by_label.values() for n in by_seed]
    notes = (
        "Distance of two cohorts' means, divided by the root mean squared distance of users from "
        f"their cohort's mean; ± half the {level:.0%} interval over seeds, none for one seed.",
        "Same cohort: share of a user's ten nearest neighbours that are of the same cohort"
        + (f"; by chance {np.mean(chance):.3f}." if chance else "."),
        f"Last column: seeds on which the cohort of {SIZES[2]} is nearer to that of {SIZES[0]} "
        f"than to that of {SIZES[1]}, as section 4.2 says of clean input.",
        f"{HISTORIES}: zeros and ones, without any model; {NORMALISED}: of length one.",
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
        points: position of each user.
        labels: cohort of each user, from 0.
        sizes: history size of each cohort, which names it.
        seed: random seed of the sample, if there are many users.
    """
    counts = np.bincount(labels)
    membership = csr_array((1 / counts[labels], (labels, np.arange(len(labels)))))
    means = membership @ points
    means = means.toarray() if isinstance(means, csr_array) else means
    squares = points * points if isinstance(points, csr_array) else np.square(points)
    # The mean squared distance from a mean is the mean square minus the square of the mean.
    variances = membership @ np.asarray(squares.sum(1)).ravel() - np.square(means).sum(1)
    spread = float(np.sqrt(np.average(np.maximum(variances, 0), weights=counts)))
    purity = knn_purity(points, labels, seed=seed)
    return CohortNumbers(
        {
            (sizes[a], sizes[b]): float(np.linalg.norm(means[a] - means[b])) / spread
            for a, b in combinations(range(len(sizes)), 2)
        },
        purity["mean"],
        purity["chance"],
    )


def _measure_cohorts(
    study: Study, summaries: Sequence[RowSummary], seed: int
) -> dict[str, CohortNumbers]:
    """Measure the cohorts of a seed, by row label: the two inputs, then the settings."""
    everyone = whole_histories(study.splits.load(seed))
    cohorts = cohorts_by_interactions(
        np.diff(everyone.x.indptr), SIZES, tolerance=0.1, max_users=N_USERS, seed=seed
    )
    users = everyone.take_users(cohorts.rows)
    sizes = [metadata["size"] for metadata in cohorts.groups]
    x = csr_array(users.x, dtype=np.float64)
    lengths = np.sqrt(np.maximum(np.diff(x.indptr), 1))
    normalised = csr_array(
        (x.data / np.repeat(lengths, np.diff(x.indptr)), x.indices, x.indptr), x.shape
    )
    spaces = {HISTORIES: x, NORMALISED: normalised}
    spaces |= {s.row.label: _latents(study, s, seed, users) for s in summaries}
    return {
        label: cohort_numbers(points, cohorts.labels, sizes, seed)
        for label, points in spaces.items()
    }


def _latents(
    study: Study, summary: RowSummary, seed: int, users: Interactions
) -> Float[np.ndarray, "users latent"]:
    bundle = _load_bundle(study, summary, seed)
    assert isinstance(bundle.model, LatentModel)
    return encode(bundle.model, users.on_items(bundle.items).x)


def _load_bundle(study: Study, summary: RowSummary, seed: int) -> Bundle:
    """Load the bundle that a study saved for a row and a seed."""
    cell = next(entry.cell for entry in summary.entries if entry.seed == seed)
    assert cell is not None
    return load_bundle(study.store.model_folder(cell), device=study.plan.device)
