"""Where the models put users: the latent map."""

from __future__ import annotations

from nearfar.maps.drawing import introduction, map_charts, number_tables
from nearfar.models.model import LatentModel
from nearfar.pages.page import Bullets, Charts, Section
from nearfar.report.report import Report


def section(report: Report) -> Section:
    """A map per model with a latent space, and the numbers beside them."""
    atlas = report.atlas
    if isinstance(atlas, str):
        return Section("map", "Latent map", [atlas])
    without = [
        f"{title} is a bundle of {one.bundle.about.algorithm}, which has no latent space."
        for title, one in report.measured.items()
        if not isinstance(one.bundle.model, LatentModel)
    ]
    text = (
        "A map keeps who is near whom; how far groups are apart, and how large they are, is told "
        "by the numbers below and not by the picture."
    )
    charts = Charts(map_charts(atlas, histories=True))
    blocks = [*introduction(atlas), text, charts, *number_tables(atlas), Bullets(without)]
    return Section("map", "Latent map", blocks)
