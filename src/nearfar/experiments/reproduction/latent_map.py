"""The latent map of figure2, from the study's kept models."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from nearfar.bundle.folder import load_bundle
from nearfar.core.errors import SettingsError
from nearfar.experiments.reproduction.report import ReproductionReport
from nearfar.experiments.reproduction.study import Study
from nearfar.maps.drawing import check_drawable
from nearfar.maps.figure2 import figure2
from nearfar.maps.projections.projection import find_projection
from nearfar.metrics.ndcg import NDCG
from nearfar.models.model import LatentModel


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
        entry = next(e for e in summary.entries if e.seed == seed)
        assert entry.cell is not None
        assert entry.measured is not None
        model = load_bundle(study.store.model_folder(entry.cell), device=study.plan.device).model
        if not isinstance(model, LatentModel):
            raise SettingsError(f"{summary.row.algorithm} has no latent space to draw")
        fitted[summary.row.label] = model
        if NDCG(100) in study.plan.measured:
            ndcg[summary.row.label] = entry.measured.test.mean(NDCG(100))
    return figure2(
        study.splits.load(seed), fitted, found.path(".png"), seed=seed, ndcg=ndcg or None
    )
