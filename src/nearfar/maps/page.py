"""Maps as an interactive page: one HTML file that needs no network."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearfar.core.seeding import generator
from nearfar.maps.anchors import item_names
from nearfar.maps.atlas import Atlas, LatentMap
from nearfar.maps.colours import ANCHOR, colour_of
from nearfar.maps.requirements import check_installed
from nearfar.maps.table import distances_table, separability_table
from nearfar.pages import shell
from nearfar.pages.charts import INK, Chart, as_words
from nearfar.pages.markup import bullets, paragraph, table
from nearfar.pages.section import Section

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

N_TITLES = 6
"""Titles of a history that are told on hover, the most popular ones."""

MAX_POINTS = 10_000
"""Points of each map on the page: every one carries its words."""

WITH_WEBGL = 4_000
"""From so many points on WebGL draws them."""

PANEL_PIXELS = 420
ROW_PIXELS = {1: 760, 2: 560, 3: PANEL_PIXELS}
"""Height of a row by the maps beside each other: both axes have one scale, so that a low row would
leave the page's width empty."""

N_NAMED = 12
"""Anchors whose titles stand on the map, those of the most popular items; the others are told on
hover."""


def write_page(atlas: Atlas, path: Path) -> None:
    """Write the maps as one HTML file; pointing at a user tells of their history.

    Everything is inside the file, Plotly's own code too (some 5 MB). User ids are not in it.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    check_installed("plotly", purpose="a map as a page")
    chart = Chart(
        "maps-chart", "Users in the latent space", in_words(atlas), maps_figure(atlas),
        least_width=PANEL_PIXELS * min(3, len(atlas.maps)), wheel_zooms=True,
    )  # fmt: skip
    numbers = number_tables(atlas)
    sections = (Section("maps", "Maps", chart.markup()), Section("numbers", "Numbers", numbers))
    shell.write_page(path, "Latent maps", introduction(atlas), sections)


def maps_figure(atlas: Atlas) -> Figure:
    """The maps as one Plotly figure with one legend, which shows and hides cohorts in all."""
    from plotly.subplots import make_subplots

    n_columns = min(3, len(atlas.maps))
    n_rows = -(-len(atlas.maps) // n_columns)
    titles = [as_words(m.title) for m in atlas.maps]
    figure = make_subplots(
        n_rows, n_columns, subplot_titles=titles, horizontal_spacing=0.02, vertical_spacing=0.2
    )
    shown = _shown(atlas)
    words = _words(atlas, shown)
    for position, one in enumerate(atlas.maps):
        _add_panel(figure, one, atlas, shown, words, position, n_columns)
    figure.update_xaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    figure.update_yaxes(showticklabels=False, showgrid=False, zeroline=False, ticks="")
    figure.update_layout(
        height=(ROW_PIXELS[n_columns] + 60) * n_rows + 60,
        margin={"l": 10, "r": 10, "t": 80, "b": 10},
        paper_bgcolor="rgba(0,0,0,0)",
        plot_bgcolor="rgba(127,127,127,0.06)",
        legend={"orientation": "h", "y": -0.14, "yanchor": "top", "itemsizing": "constant"},
        hoverlabel={"align": "left"},
        dragmode="pan",
    )
    return figure


def _add_panel(figure, one: LatentMap, atlas: Atlas, shown, words, position, n_columns) -> None:
    from plotly import graph_objects as go

    row, column = position // n_columns + 1, position % n_columns + 1
    kind = go.Scattergl if len(shown) > WITH_WEBGL else go.Scatter
    labels = atlas.cohorts.labels[shown]
    xy = one.xy[shown].astype(np.float32)
    for cohort, label in enumerate(atlas.legend()):
        mine = np.flatnonzero(labels == cohort)
        figure.add_trace(
            kind(
                x=xy[mine, 0], y=xy[mine, 1], mode="markers", name=as_words(label),
                legendgroup=f"cohort {cohort}", showlegend=position == 0,
                marker={"color": colour_of(cohort), "size": 5, "opacity": 0.65},
                text=[words[i] for i in mine], hovertemplate="%{text}<extra></extra>",
            ),
            row, column,
        )  # fmt: skip
    if one.anchors is not None:
        before = any(m.anchors is not None for m in atlas.maps[:position])
        figure.add_trace(
            go.Scatter(
                x=one.anchors.xy[:, 0], y=one.anchors.xy[:, 1], mode="markers+text",
                name="item anchor", legendgroup="anchors", showlegend=not before,
                marker={"color": ANCHOR, "size": 6, "symbol": "x-thin-open"}, meta=INK,
                text=[as_words(shortened(t)) for t in one.anchors.titles[:N_NAMED]],
                textposition="top center", textfont={"size": 11},
                customdata=[as_words(t) for t in one.anchors.titles],
                hovertemplate="anchor of %{customdata}<extra></extra>",
            ),
            row, column,
        )  # fmt: skip
    told = {"text": "<br>".join(one.told()), "font": {"size": 13}}
    figure.update_xaxes(title=told, row=row, col=column)
    axis = "" if position == 0 else str(position + 1)
    figure.update_yaxes(scaleanchor=f"x{axis}", row=row, col=column)


def shortened(title: str, most: int = 24) -> str:
    """A title that fits beside a point."""
    return title if len(title) <= most else f"{title[: most - 1].rstrip()}…"


def _shown(atlas: Atlas) -> np.ndarray:
    """Positions of the users on the page, cohort after cohort."""
    n = atlas.cohorts.n_users
    if n <= MAX_POINTS:
        return np.arange(n)
    return np.sort(generator(atlas.seed, "maps", "page").choice(n, MAX_POINTS, replace=False))


def _words(atlas: Atlas, shown: np.ndarray) -> list[str]:
    """What is told of each user: cohort, number of interactions, some titles."""
    names = [as_words(t) for t in item_names(atlas.users.item_ids, np.arange(atlas.users.n_items))]
    popularity = atlas.users.item_counts
    x, result = atlas.users.x, []
    for user in shown:
        items = x.indices[x.indptr[user] : x.indptr[user + 1]]
        first = items[np.argsort(-popularity[items], kind="stable")][:N_TITLES]
        lines = [as_words(atlas.cohorts.names[atlas.cohorts.labels[user]])]
        lines.append(
            f"{len(items):,} interactions" + (", among them" if len(items) > len(first) else "")
        )
        result.append("<br>".join([*lines, *(names[i] for i in first)]))
    return result


def introduction(atlas: Atlas) -> str:
    """What is drawn, of whom, and what became of the cohorts, as markup."""
    n = atlas.cohorts.n_users
    parts = [
        f"{n:,} users, each at the mean of the posterior of the whole history, drawn by "
        f"{atlas.projection.label}. Point at a user to see some of the history, its most popular "
        "items first."
    ]
    if n > MAX_POINTS:
        parts.append(f"{MAX_POINTS:,} of them, drawn at random, are on this page.")
    return paragraph(" ".join(parts)) + bullets(f"{note}." for note in atlas.cohorts.notes)


def in_words(atlas: Atlas) -> str:
    """The maps in words, for readers who cannot see them."""
    maps = [f"{each.title}: {', '.join(each.told())}" for each in atlas.maps]
    return f"Users as points, {'; '.join(atlas.legend())}. {'. '.join(maps)}."


def number_tables(atlas: Atlas) -> str:
    """The numbers beside the maps, as markup."""
    apart = table(separability_table(atlas), "How far the cohorts are apart")
    return apart + table(distances_table(atlas), "Distances between the cohorts' means")
