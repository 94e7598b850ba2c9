"""`nearfar map`."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Literal

import numpy as np
import typer

from nearfar.bundle.folder import load_bundle
from nearfar.cli import inputs
from nearfar.cli.options import DeviceOption, Seed, with_options
from nearfar.cli.output import Output, rich_table
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Interactions, Part, Split, whole_histories
from nearfar.data.splits.folder import load_split
from nearfar.maps.atlas import ModelToMap, make_atlas
from nearfar.maps.cohorts import N_GENRES, SIZES, Cohorts, cohorts_by_genre, cohorts_by_interactions
from nearfar.maps.drawing import check_drawable, draw
from nearfar.maps.figure2 import N_USERS
from nearfar.maps.projections.projection import find_projection
from nearfar.maps.table import distances_table, separability_table

By = Literal["interactions", "genre"]


@with_options()
def draw_map(
    bundles: Annotated[list[Path], typer.Argument(help="Bundles' folders, one map each.")],
    data: Annotated[Path, typer.Option("--data", help="A split folder.")],
    out: Annotated[
        list[Path],
        typer.Option("--out", help="A .png, .svg, .pdf or .html file; may be given several times."),
    ],
    by: Annotated[
        By,
        typer.Option(
            "--by", help="What defines a cohort: the number of interactions, or the genre."
        ),
    ] = "interactions",
    sizes: Annotated[
        str,
        typer.Option("--sizes", help="Numbers of interactions of the cohorts, in rising order."),
    ] = ",".join(map(str, SIZES)),
    tolerance: Annotated[
        float,
        typer.Option(
            "--tolerance", help="Relative deviation from these numbers that is tolerated."
        ),
    ] = 0.1,
    n_genres: Annotated[
        int,
        typer.Option(
            "--genres", help="Number of genres; those with the most users are taken.", min=2
        ),
    ] = N_GENRES,
    projection: Annotated[
        str, typer.Option("--projection", help="tsne, pca, umap, or a dotted path.")
    ] = "tsne",
    users: Annotated[
        int,
        typer.Option(
            "--users", help="Maximum number of users to draw, evenly from the cohorts.", min=1
        ),
    ] = N_USERS,
    of: Annotated[
        Part, typer.Option("--of", help="Which users to take: all, train, or held-out.")
    ] = "all",
    anchors: Annotated[
        int,
        typer.Option("--anchors", help="Number of popular items whose anchors are drawn.", min=0),
    ] = 100,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Draw the latent space of bundles: users by cohort, and the distances of the cohorts.

    One panel per bundle, with its NDCG@100 on the test users below it. In a .html file, pointing
    at a user shows the user's history. By default the cohorts are those of the paper's Figure 2:
    users with about 5, 50 and 350 interactions. Three bundles of 3,000 users take about a minute.
    """
    by_name = inputs.bundles_by_name(bundles)
    cohort_sizes = _parse_numbers(sizes)
    chosen_projection = find_projection(projection)
    chosen_projection.check_installed()
    for path in out:
        check_drawable(path)
    split = load_split(data)
    models = {
        name: _load_model(name, path, split, device, output) for name, path in by_name.items()
    }
    histories = whole_histories(split, of)
    cohorts = _make_cohorts(by, histories, cohort_sizes, tolerance, n_genres, users, seed)
    for note in cohorts.notes:
        output.remark(note)
    started = time.perf_counter()
    atlas = make_atlas(
        models, histories, cohorts, chosen_projection, seed=seed, n_anchors=anchors,
        on_map=lambda title: output.remark(
            f"{title}: {cohorts.n_users:,} users by {chosen_projection.label} ..."
        ),
    )  # fmt: skip
    for path in out:
        draw(atlas, path)
    seconds = time.perf_counter() - started
    files = [str(path) for path in out]
    output.result(
        {"figures": files, "by": by, "seconds": seconds, **atlas.to_dict()},
        rich_table(separability_table(atlas), f"{cohorts.n_users:,} users"),
        rich_table(distances_table(atlas), "\nhow far cohorts are apart"),
        f"\ndrawn in {seconds:.0f} s: {', '.join(files)}",
    )


def _load_model(title: str, path: Path, split: Split, device, output: Output) -> ModelToMap:
    bundle = load_bundle(path, device=device)
    inputs.warn_of_other_data(title, bundle, split, output)
    return ModelToMap.of_bundle(
        title, bundle, inputs.align_to_bundle(split.test, bundle.items, output)
    )


def _make_cohorts(
    by: By,
    histories: Interactions,
    sizes: list[int],
    tolerance: float,
    n_genres: int,
    users: int,
    seed: int,
) -> Cohorts:
    if by == "genre":
        return cohorts_by_genre(histories, n_genres=n_genres, max_users=users, seed=seed)
    counts = np.diff(histories.x.indptr)
    return cohorts_by_interactions(counts, sizes, tolerance=tolerance, max_users=users, seed=seed)


def _parse_numbers(text: str) -> list[int]:
    try:
        return [int(part) for part in text.split(",")]
    except ValueError:
        raise SettingsError(f"--sizes is {text!r}; write numbers such as 5,50,350") from None
