"""The section with the latent maps."""

from __future__ import annotations

from nearfar.maps.drawing import introduction, map_charts, number_tables
from nearfar.models.model import LatentModel
from nearfar.pages.page import Bullets, Charts, Section
from nearfar.report.report import Report


def section(report: Report) -> Section:
    """Return the section with one map per model with a latent space, and its numbers."""
    atlas = report.atlas
    if isinstance(atlas, str):
        return Section("map", "Latent map", [atlas])
    without = [
        f"{title} is a bundle of {measured.bundle.metadata.algorithm}, which has no latent space."
        for title, measured in report.measured.items()
        if not isinstance(measured.bundle.model, LatentModel)
    ]
    text = (
        "A map keeps which users are near each other. For the distances between groups, and for "
        "their sizes, see the numbers below and not the picture."
    )
    charts = Charts(map_charts(atlas, histories=True))
    blocks = [*introduction(atlas), text, charts, *number_tables(atlas), Bullets(without)]
    return Section("map", "Latent map", blocks)
