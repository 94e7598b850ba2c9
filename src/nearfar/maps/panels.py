"""Maps side by side as one figure; the paper's Figure 2."""

from __future__ import annotations

import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.core.errors import SettingsError
from nearfar.core.files import atomic_file
from nearfar.core.seeding import generator
from nearfar.data.interactions import Split
from nearfar.evaluation.evaluate import evaluate
from nearfar.maps.atlas import Atlas, LatentMap, Mapped, make_atlas
from nearfar.maps.cohorts import SIZES, cohorts_by_interactions
from nearfar.maps.colours import ANCHOR, colour_of
from nearfar.maps.page import write_page
from nearfar.maps.projections.projection import find_projection
from nearfar.maps.requirements import check_installed
from nearfar.maps.users import whole_histories
from nearfar.metrics.ndcg import NDCG
from nearfar.models.latent import LatentModel

DRAWN_AS_PIXELS = 5_000
"""More points than these make a vector file slow to show; they are drawn into it as pixels."""

N_USERS = 3_000
N_TITLED = 8
TITLE_WIDTH, TITLE_HEIGHT = 0.4, 0.05
"""Room of an anchor's title, in shares of a panel."""

COLUMNS = 3
PANEL_INCHES = 4.2
PICTURES = (".png", ".svg", ".pdf")
PAGES = (".html", ".htm")


def check_drawable(path: Path) -> None:
    """Refuse a file that could not be drawn, before the work begins.

    Raises:
        SettingsError: its suffix is of no format known.
        MissingExtraError: the library that draws it is missing.
    """
    suffix = path.suffix.lower()
    if suffix in PAGES:
        check_installed("plotly", purpose="a map as a page")
    elif suffix in PICTURES:
        check_installed("matplotlib", purpose="a map as a picture")
    else:
        raise SettingsError(
            f"{path} ends in {suffix or 'nothing'}; maps are drawn as "
            f"{', '.join((*PICTURES, PAGES[0]))}"
        )


def draw(atlas: Atlas, path: Path) -> None:
    """Draw the maps into one file: a picture, or by .html an interactive page.

    Raises:
        SettingsError: the suffix is of no format known.
        MissingExtraError: the library that draws it is missing.
    """
    check_drawable(path)
    if path.suffix.lower() in PAGES:
        write_page(atlas, path)
    else:
        _write_picture(atlas, path)


def figure2(
    split: Split,
    fitted: Mapping[str, LatentModel],
    path: Path,
    *,
    seed: int = 0,
    cohort_sizes: Sequence[int] = SIZES,
    tolerance: float = 0.1,
    ndcg: Mapping[str, float] | None = None,
    projection: str = "tsne",
    max_users: int = N_USERS,
    n_anchors: int = 0,
    progress: Callable[[str], object] | None = None,
) -> dict[str, Any]:
    """Draw the latents of users with about 5, 50 and 350 interactions, one panel a model.

    Source: Figure 2 and section 4.2.
    Differs: users are those of all parts of the split, with their whole histories; cohorts have
    a tolerance and are widened where they are small (see `cohorts_by_interactions`).

    Args:
        split: whose users are drawn.
        fitted: models over the split's items, by the title of their panel.
        path: the file, its format by the suffix (.png, .svg, .pdf, .html).
        seed: of the drawing of users, the projection and the samples.
        cohort_sizes: interactions of the cohorts.
        tolerance: how far from these a user may be, as a share.
        ndcg: NDCG@100 by title, to stand under the panels; by default measured on the test users.
        projection: "tsne", "pca", "umap" or a dotted path.
        max_users: no more than so many in all, drawn evenly from the cohorts.
        n_anchors: the anchors of so many of the most popular items are drawn too, where a model
            has them.
        progress: called with a title before its panel is made.

    Returns:
        JSON-able: "cohorts" and "notes" on how they were chosen; "panels" with, by title,
        "NDCG@100", "silhouette", "knn_purity", "trustworthiness" and "distances"; "projection",
        "seed", "n_users" and "figure", the file.

    Raises:
        SettingsError: nothing is fitted, or a setting is out of range.
        EmptyDataError: fewer than two cohorts have users.
        MissingExtraError: a library that it needs is missing.
    """
    check_drawable(path)
    chosen = find_projection(projection)
    chosen.check_installed()
    if not fitted:
        raise SettingsError("there is no fitted model to draw")
    everyone = whole_histories(split)
    cohorts = cohorts_by_interactions(
        np.diff(everyone.x.indptr), cohort_sizes, tolerance=tolerance, max_users=max_users,
        seed=seed,
    )  # fmt: skip
    models = {
        title: Mapped(
            model,
            split.train.item_ids,
            ndcg.get(title) if ndcg is not None else measured_ndcg(model, split),
        )
        for title, model in fitted.items()
    }
    atlas = make_atlas(
        models, everyone, cohorts, chosen, seed=seed, n_anchors=n_anchors, on_map=progress
    )
    draw(atlas, path)
    return {**atlas.to_dict(), "figure": path.name}


def measured_ndcg(model: LatentModel, split: Split) -> float:
    """The model's mean NDCG@100 on the split's test users."""
    return evaluate(model, split.test, [NDCG(100)]).mean(NDCG(100))


def _write_picture(atlas: Atlas, path: Path) -> None:
    import matplotlib as mpl
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    n_columns = min(COLUMNS, len(atlas.maps))
    n_rows = -(-len(atlas.maps) // n_columns)
    # Text stays text, and the same maps give the same bytes.
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": "nearfar"}):
        labels = [*atlas.legend(), "item anchor"]
        width = PANEL_INCHES * n_columns
        n_side_by_side = max(1, int(width / (0.6 + 0.075 * max(map(len, labels)))))
        height = (PANEL_INCHES + 0.3) * n_rows + 0.3 * -(-len(labels) // n_side_by_side)
        figure = Figure(figsize=(width, height), layout="constrained")
        FigureCanvasAgg(figure)
        axes = np.atleast_1d(figure.subplots(n_rows, n_columns)).ravel()
        for axis, shown in zip(axes, atlas.maps, strict=False):
            _draw_panel(axis, shown, atlas)
        for axis in axes[len(atlas.maps) :]:
            axis.set_visible(False)
        _draw_legend(figure, atlas, n_side_by_side)
        suffix = path.suffix.lower().lstrip(".")
        undated = {"svg": {"Date": None}, "pdf": {"CreationDate": None}}.get(suffix, {})
        buffer = io.BytesIO()
        figure.savefig(buffer, format=suffix, dpi=150, metadata=undated)
    with atomic_file(path) as file:
        file.write(buffer.getvalue())


def _draw_panel(axis, shown: LatentMap, atlas: Atlas) -> None:
    labels = atlas.cohorts.labels
    # In random order, so that no cohort hides the others.
    order = generator(atlas.seed, "maps", "order").permutation(len(labels))
    colours = [colour_of(c) for c in labels[order]]
    axis.scatter(
        *shown.xy[order].T, c=colours, s=max(2.0, min(12.0, 20_000 / len(labels))), alpha=0.6,
        linewidths=0, rasterized=len(labels) > DRAWN_AS_PIXELS,
    )  # fmt: skip
    if shown.anchors is not None:
        _draw_anchors(axis, shown.anchors.xy, shown.anchors.titles)
    axis.set_title(shown.title, fontsize=11, parse_math=False)
    axis.set_xlabel("\n".join(shown.told()), fontsize=9)
    axis.set_xticks([])
    axis.set_yticks([])
    axis.set_aspect("equal", adjustable="datalim")
    axis.spines[:].set_color("#cccccc")


def _draw_anchors(axis, xy, titles: Sequence[str]) -> None:
    from matplotlib.patheffects import withStroke

    axis.scatter(*xy.T, marker="x", s=14, c=ANCHOR, linewidths=0.8)
    for anchor, on_left in _with_room(axis, xy)[:N_TITLED]:
        title = titles[anchor]
        axis.annotate(
            title if len(title) <= 32 else f"{title[:31]}…", xy[anchor],
            xytext=(-3 if on_left else 3, 3), ha="right" if on_left else "left",
            textcoords="offset points", fontsize=6.5, color=ANCHOR, parse_math=False,
            path_effects=[withStroke(linewidth=2, foreground="white")],
        )  # fmt: skip


def _with_room(axis, xy) -> list[tuple[int, bool]]:
    """The first anchors whose titles have room, and whether these stand on their left.

    Titles are written towards the middle, where they stay inside the panel.
    """
    box = axis.dataLim
    room = TITLE_WIDTH * box.width
    middle = (box.x0 + box.x1) / 2
    chosen: list[tuple[int, bool]] = []
    starts: list[tuple[float, float]] = []
    for i, (x, y) in enumerate(xy):
        on_left = bool(x > middle)
        start = x - room if on_left else x
        taken = (
            abs(start - other) < room and abs(y - height) < TITLE_HEIGHT * box.height
            for other, height in starts
        )
        if not any(taken):
            chosen.append((i, on_left))
            starts.append((start, y))
    return chosen


def _draw_legend(figure, atlas: Atlas, n_columns: int) -> None:
    from matplotlib.lines import Line2D

    handles = [
        Line2D([], [], ls="", marker="o", ms=6, color=colour_of(c), label=label)
        for c, label in enumerate(atlas.legend())
    ]
    if any(m.anchors is not None for m in atlas.maps):
        handles.append(Line2D([], [], ls="", marker="x", ms=5, color=ANCHOR, label="item anchor"))
    legend = figure.legend(
        handles=handles, loc="outside lower center", ncols=min(len(handles), n_columns),
        frameon=False, fontsize=9,
    )  # fmt: skip
    for text in legend.get_texts():
        text.set_parse_math(False)
