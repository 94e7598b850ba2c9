"""Maps as an interactive page: one HTML file that needs no network."""

from __future__ import annotations

from html import escape
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from nearfar.core.files import atomic_file
from nearfar.core.seeding import generator
from nearfar.evaluation.table import Table
from nearfar.maps.anchors import item_names
from nearfar.maps.atlas import Atlas, LatentMap
from nearfar.maps.colours import colour_of
from nearfar.maps.requirements import check_installed
from nearfar.maps.table import distances_table, separability_table

if TYPE_CHECKING:
    from plotly.graph_objects import Figure

N_TITLES = 6
"""Titles of a history that are told on hover, the most popular ones."""

MAX_POINTS = 10_000
"""Points of each map on the page: every one carries its words."""

WITH_WEBGL = 4_000
"""From so many points on WebGL draws them."""

PANEL_PIXELS = 420

CONFIG = {
    "displaylogo": False,
    "modeBarButtonsToRemove": ["select2d", "lasso2d"],
    "responsive": True,
    "scrollZoom": True,
    "showSendToCloud": False,  # a button that would upload the users shown, there by default
}

STYLE = """
:root { color-scheme: light dark; }
body { font-family: system-ui, sans-serif; margin: 1rem auto; max-width: 90rem; padding: 0 1rem;
  background: #ffffff; color: #222222; }
.wide { overflow-x: auto; }
table { border-collapse: collapse; font-size: .9rem; }
ul { font-size: .9rem; padding-left: 1.2rem; }
th, td { text-align: left; padding: .25rem .8rem .25rem 0; vertical-align: top;
  border-bottom: 1px solid #99999955; }
@media (prefers-color-scheme: dark) { body { background: #16181c; color: #e4e4e4; } }
"""

FOLLOW_THEME = """
var dark = window.matchMedia("(prefers-color-scheme: dark)");
var plot = document.getElementById("{plot_id}");
function follow() {
  var ink = dark.matches ? "#e4e4e4" : "#222222";
  var title = {"font.color": ink};
  Plotly.relayout(plot, title);
  plot.data.forEach(function (trace, i) {
    if (trace.name === "item anchor") {
      Plotly.restyle(plot, {"marker.color": ink, "textfont.color": ink}, [i]);
    }
  });
}
follow();
dark.addEventListener("change", follow);
"""


def write_page(atlas: Atlas, path: Path) -> None:
    """Write the maps as one HTML file; pointing at a user tells of their history.

    Everything is inside the file, Plotly's own code too (some 5 MB). User ids are not in it.

    Raises:
        MissingExtraError: plotly is not installed.
    """
    check_installed("plotly", purpose="a map as a page")
    figure = maps_figure(atlas)
    plot = figure.to_html(
        full_html=False,
        include_plotlyjs=True,
        include_mathjax=False,
        div_id="maps",
        default_width="100%",
        config=CONFIG,
        post_script=FOLLOW_THEME.replace("{plot_id}", "maps"),
    )
    least = PANEL_PIXELS * min(3, len(atlas.maps))
    text = (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Latent maps</title><style>{STYLE}</style></head><body>\n"
        f"<h1>Latent maps</h1>\n{_introduction(atlas)}\n"
        f'<div class="wide"><div style="min-width:{least}px">{plot}</div></div>\n'
        f"{_table(separability_table(atlas))}\n{_table(distances_table(atlas))}\n"
        "</body></html>\n"
    )
    with atomic_file(path, text=True) as file:
        file.write(text)


def maps_figure(atlas: Atlas) -> Figure:
    """The maps as one Plotly figure with one legend, which shows and hides cohorts in all."""
    from plotly.subplots import make_subplots

    n_columns = min(3, len(atlas.maps))
    n_rows = -(-len(atlas.maps) // n_columns)
    titles = [escape(m.title) for m in atlas.maps]
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
        height=(PANEL_PIXELS + 60) * n_rows + 60,
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
                x=xy[mine, 0], y=xy[mine, 1], mode="markers", name=escape(label),
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
                x=one.anchors.xy[:, 0], y=one.anchors.xy[:, 1], mode="markers",
                name="item anchor", legendgroup="anchors", showlegend=not before,
                marker={"color": "#222222", "size": 6, "symbol": "x-thin-open"},
                text=[escape(t) for t in one.anchors.titles],
                hovertemplate="anchor of %{text}<extra></extra>",
            ),
            row, column,
        )  # fmt: skip
    told = {"text": "<br>".join(one.told()), "font": {"size": 13}}
    figure.update_xaxes(title=told, row=row, col=column)
    axis = "" if position == 0 else str(position + 1)
    figure.update_yaxes(scaleanchor=f"x{axis}", row=row, col=column)


def _shown(atlas: Atlas) -> np.ndarray:
    """Positions of the users on the page, cohort after cohort."""
    n = atlas.cohorts.n_users
    if n <= MAX_POINTS:
        return np.arange(n)
    return np.sort(generator(atlas.seed, "maps", "page").choice(n, MAX_POINTS, replace=False))


def _words(atlas: Atlas, shown: np.ndarray) -> list[str]:
    """What is told of each user: cohort, number of interactions, some titles."""
    names = [escape(t) for t in item_names(atlas.users.item_ids, np.arange(atlas.users.n_items))]
    popularity = atlas.users.item_counts
    x, result = atlas.users.x, []
    for user in shown:
        items = x.indices[x.indptr[user] : x.indptr[user + 1]]
        first = items[np.argsort(-popularity[items], kind="stable")][:N_TITLES]
        lines = [escape(atlas.cohorts.names[atlas.cohorts.labels[user]])]
        lines.append(
            f"{len(items):,} interactions" + (", among them" if len(items) > len(first) else "")
        )
        result.append("<br>".join([*lines, *(names[i] for i in first)]))
    return result


def _introduction(atlas: Atlas) -> str:
    n = atlas.cohorts.n_users
    parts = [
        f"{n:,} users, each at the mean of the posterior of the whole history, drawn by "
        f"{atlas.projection.label}. Point at a user to see some of the history, its most popular "
        "items first."
    ]
    if n > MAX_POINTS:
        parts.append(f"{MAX_POINTS:,} of them, drawn at random, are on this page.")
    parts += [f"{note}." for note in atlas.cohorts.notes]
    return f"<p>{escape(' '.join(parts))}</p>"


def _table(table: Table) -> str:
    head = "".join(f"<th>{escape(h)}</th>" for h in table.header)
    rows = "".join(
        "<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in table.rows
    )
    notes = "".join(f"<li>{escape(note)}</li>" for note in table.notes)
    return f'<div class="wide"><table><tr>{head}</tr>{rows}</table></div><ul>{notes}</ul>'
