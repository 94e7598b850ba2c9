"""Latent maps as charts: in a picture, or on an interactive page that needs no network."""

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
"""Titles of a history that are shown when pointing at a user, the most popular ones."""

MAX_POINTS = 10_000
"""Points of each map on a page, each of which has its words."""

N_LABELS = 8
LABEL_LENGTH = 32
LABEL_WIDTH, LABEL_HEIGHT = 0.4, 0.06
"""Room of an anchor's label, in shares of the map."""


def check_drawable(path: Path) -> None:
    """Refuse a file that cannot be drawn, before the work begins.

    Raises:
        SettingsError: its suffix is of no known format.
        MissingExtraError: the library that draws it is missing.
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
    """Draw the maps into one file: a picture, or by .html an interactive page.

    Everything is inside the page, Plotly's own code too (some 5 MB). User ids are not in it.

    Raises:
        SettingsError: the suffix is of no known format.
        MissingExtraError: the library that draws it is missing.
    """
    check_drawable(path)
    if path.suffix.lower() not in SUFFIXES:
        matplotlib.write_picture(map_charts(atlas), path)
        return
    maps = Section("maps", "Maps", [Charts(map_charts(atlas, histories=True), zoom=True)])
    numbers = Section("numbers", "Numbers", number_tables(atlas))
    write_page(path, "Latent maps", introduction(atlas), (maps, numbers))


def map_charts(atlas: Atlas, *, histories: bool = False) -> list[ScatterChart]:
    """Return one chart per map: the users by cohort, and item anchors where there are any.

    Args:
        atlas: the maps.
        histories: each user has words on the history, and no more than `MAX_POINTS` are drawn.
    """
    users = np.arange(atlas.cohorts.n_users)
    if histories and len(users) > MAX_POINTS:
        users = np.sort(
            generator(atlas.seed, "maps", "page").choice(len(users), MAX_POINTS, replace=False)
        )
    words = _words(atlas, users) if histories else []
    labels = atlas.cohorts.labels[users]
    charts = []
    for one in atlas.maps:
        points = []
        for cohort, name in enumerate(atlas.legend()):
            own = np.flatnonzero(labels == cohort)
            texts = [words[place] for place in own] if histories else ()
            points.append(Points(name, one.xy[users[own]], cohort, texts))
        if one.anchors is not None:
            texts = [f"anchor of {title}" for title in one.anchors.titles]
            labelled = _labels(one.anchors, one.xy[users])
            points.append(Points("item anchor", one.anchors.xy, None, texts, labelled))
        charts.append(ScatterChart(one.title, points, one.told()))
    return charts


def _labels(anchors: Anchors, users: Float[np.ndarray, "users 2"]) -> list[Label]:
    """Return labels of the first anchors that have room for one, on the side of the middle."""
    everything = np.concatenate([users, anchors.xy])
    low, size = everything.min(axis=0), np.ptp(everything, axis=0)
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


def _words(atlas: Atlas, users: Int[np.ndarray, " users"]) -> list[str]:
    """Return what is shown of each user: cohort, number of interactions, some titles."""
    names = item_names(atlas.users.item_ids, np.arange(atlas.users.n_items))
    popularity, x = atlas.users.item_counts, atlas.users.x
    result = []
    for user in users:
        items = x.indices[x.indptr[user] : x.indptr[user + 1]]
        first = items[np.argsort(-popularity[items], kind="stable")][:N_TITLES]
        more = ", among them" if len(items) > len(first) else ""
        cohort = atlas.cohorts.names[atlas.cohorts.labels[user]]
        lines = [cohort, f"{len(items):,} interactions{more}", *(names[i] for i in first)]
        result.append("\n".join(lines))
    return result


def introduction(atlas: Atlas) -> list[Block]:
    """Return what is drawn, of whom, and how the cohorts were chosen."""
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
    """Return the numbers beside the maps."""
    return [
        Captioned(separability_table(atlas), "How far the cohorts are apart"),
        Captioned(distances_table(atlas), "Distances between the cohorts' means"),
    ]
