"""Draw latent maps as charts, in a picture or on an interactive page that needs no network."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from jaxtyping import Float, Int

from nearfar.core.errors import SettingsError
from nearfar.core.seeding import generator
from nearfar.maps.anchors import Anchors, item_names
from nearfar.maps.atlas import Atlas
from nearfar.maps.table import distances_table, separability_table
from nearfar.pages import matplotlib
from nearfar.pages.chart import Label, Points, ScatterChart, shortened
from nearfar.pages.page import (
    SUFFIXES,
    Block,
    Bullets,
    Captioned,
    Charts,
    Section,
    check_page,
    write_page,
)

N_TITLES = 6
"""Number of item titles shown on hover over a user, the most popular ones of the history."""

MAX_POINTS = 10_000
"""Most points of a map on a page, since each has its text."""

N_LABELS = 8
LABEL_LENGTH = 32
LABEL_WIDTH, LABEL_HEIGHT = 0.4, 0.06
"""Size of an anchor's label, as shares of the map."""


def check_drawable(path: Path) -> None:
    """Check that maps can be drawn to this file, before the work begins.

    Raises:
        SettingsError: the suffix is not of a supported format.
        MissingExtraError: the library for the format is missing.
    """
    suffix = path.suffix.lower()
    if suffix in SUFFIXES:
        check_page(path, "a map as a page")
    elif suffix in matplotlib.SUFFIXES:
        matplotlib.check_picture(path, extra="maps", purpose="a map as a picture")
    else:
        raise SettingsError(
            f"{path} ends in {suffix or 'nothing'}; maps are drawn as "
            f"{', '.join((*matplotlib.SUFFIXES, SUFFIXES[0]))}"
        )


def draw(atlas: Atlas, path: Path) -> None:
    """Draw the maps into one file: a picture, or for .html an interactive page.

    The page is self-contained and includes Plotly (about 5 MB). It has no user ids.

    Raises:
        SettingsError: the suffix is not of a supported format.
        MissingExtraError: the library for the format is missing.
    """
    check_drawable(path)
    if path.suffix.lower() not in SUFFIXES:
        matplotlib.write_picture(map_charts(atlas), path)
        return
    maps = Section("maps", "Maps", [Charts(map_charts(atlas, histories=True), zoom=True)])
    numbers = Section("numbers", "Numbers", number_tables(atlas))
    write_page(path, "Latent maps", introduction(atlas), (maps, numbers))


def map_charts(atlas: Atlas, *, histories: bool = False) -> list[ScatterChart]:
    """Return one chart per map, with the users by cohort and the item anchors if any.

    Args:
        atlas: the maps.
        histories: add a text on each user's history, for at most `MAX_POINTS` users.
    """
    users = np.arange(atlas.cohorts.n_users)
    if histories and len(users) > MAX_POINTS:
        users = np.sort(
            generator(atlas.seed, "maps", "page").choice(len(users), MAX_POINTS, replace=False)
        )
    hover_texts = _hover_texts(atlas, users) if histories else []
    labels = atlas.cohorts.labels[users]
    charts = []
    for latent_map in atlas.maps:
        points = []
        for cohort, name in enumerate(atlas.legend()):
            members = np.flatnonzero(labels == cohort)
            texts = [hover_texts[member] for member in members] if histories else ()
            points.append(Points(name, latent_map.xy[users[members]], cohort, texts))
        anchors = latent_map.anchors
        if anchors is not None:
            texts = [f"anchor of {title}" for title in anchors.titles]
            anchor_labels = _labels(anchors, latent_map.xy[users])
            points.append(Points("item anchor", anchors.xy, None, texts, anchor_labels))
        charts.append(ScatterChart(latent_map.title, points, latent_map.caption_lines()))
    return charts


def _labels(anchors: Anchors, users: Float[np.ndarray, "users 2"]) -> list[Label]:
    """Return labels of the first anchors with room for one, on the side towards the middle."""
    all_points = np.concatenate([users, anchors.xy])
    low, size = all_points.min(axis=0), np.ptp(all_points, axis=0)
    width, height = LABEL_WIDTH * size[0], LABEL_HEIGHT * size[1]
    labels: list[Label] = []
    starts: list[tuple[float, float]] = []
    for place, (x, y) in enumerate(anchors.xy):
        left = bool(x > low[0] + size[0] / 2)
        start = x - width if left else x
        if not any(abs(start - a) < width and abs(y - b) < height for a, b in starts):
            labels.append(Label(place, shortened(anchors.titles[place], LABEL_LENGTH), left))
            starts.append((start, y))
    return labels[:N_LABELS]


def _hover_texts(atlas: Atlas, users: Int[np.ndarray, " users"]) -> list[str]:
    """Return the hover text of each user: cohort, number of interactions, some titles."""
    names = item_names(atlas.users.item_ids, np.arange(atlas.users.n_items))
    popularity, x = atlas.users.item_counts, atlas.users.x
    texts = []
    for user in users:
        items = x.indices[x.indptr[user] : x.indptr[user + 1]]
        first = items[np.argsort(-popularity[items], kind="stable")][:N_TITLES]
        more = ", among them" if len(items) > len(first) else ""
        cohort = atlas.cohorts.names[atlas.cohorts.labels[user]]
        lines = [cohort, f"{len(items):,} interactions{more}", *(names[i] for i in first)]
        texts.append("\n".join(lines))
    return texts


def introduction(atlas: Atlas) -> list[Block]:
    """Return the text above the maps: users, projection, and how the cohorts were chosen."""
    n = atlas.cohorts.n_users
    text = (
        f"{n:,} users, each at the mean of the posterior of the whole history (through the flow, "
        f"if any), drawn by {atlas.projection.label}. Point at a user to see some of the history, "
        "its most popular items first."
    )
    if n > MAX_POINTS:
        text += f" {MAX_POINTS:,} of them, drawn at random, are on this page."
    return [text, Bullets([f"{note}." for note in atlas.cohorts.notes])]


def number_tables(atlas: Atlas) -> list[Block]:
    """Return the tables of separability and distances."""
    return [
        Captioned(separability_table(atlas), "How far the cohorts are apart"),
        Captioned(distances_table(atlas), "Distances between the cohorts' means"),
    ]
