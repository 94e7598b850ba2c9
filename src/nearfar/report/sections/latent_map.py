"""Where the models put users: the latent map."""

from __future__ import annotations

from dataclasses import replace

from nearfar.maps.atlas import Atlas
from nearfar.maps.page import in_words, introduction, maps_figure, number_tables
from nearfar.models.latent import LatentModel
from nearfar.pages.charts import Chart
from nearfar.pages.markup import bullets, paragraph, side_by_side
from nearfar.pages.section import Section
from nearfar.report.report import Report


def section(report: Report) -> Section:
    """A map a model with a latent space, and the numbers beside them."""
    atlas = report.atlas
    if isinstance(atlas, str):
        return Section("map", "Latent map", paragraph(atlas))
    without = [
        f"{title} is a bundle of {one.bundle.about.algorithm}, which has no latent space."
        for title, one in report.measured.items()
        if not isinstance(one.bundle.model, LatentModel)
    ]
    text = (
        "A map keeps who is near whom; how far groups are apart, and how large they are, is told "
        "by the numbers below and not by the picture."
    )
    charts = side_by_side(_chart(atlas, number).markup() for number in range(len(atlas.maps)))
    parts = [introduction(atlas), paragraph(text), charts, number_tables(atlas)]
    return Section("map", "Latent map", "\n".join([*parts, bullets(without)]))


def _chart(atlas: Atlas, number: int) -> Chart:
    """One map with a legend of its own, which on a phone stands alone."""
    alone = replace(atlas, maps=(atlas.maps[number],))
    figure = maps_figure(alone)
    figure.layout.annotations = ()
    figure.update_layout(margin_t=28, dragmode=False)
    return Chart(f"map-{number + 1}", atlas.maps[number].title, in_words(alone), figure)
