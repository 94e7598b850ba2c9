"""`nearfar demo`."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Annotated

import polars as pl
import typer

from nearfar.bundle.match_items import match_items
from nearfar.bundle.recommend import recommend, recommendations_frame
from nearfar.cli.options import DeviceOption, Seed, with_options
from nearfar.cli.output import Output, table
from nearfar.cli.progress import TrainingProgress
from nearfar.data.fetch import fetch
from nearfar.evaluation.table import comparison_table
from nearfar.experiments.demo import ALIGNED, PLAIN, Demo, run_demo, taste
from nearfar.train.run import Run


@with_options()
def demo(
    out: Annotated[Path, typer.Option("--out", help="The output folder.")] = Path("demo"),
    like: Annotated[
        list[str] | None,
        typer.Option("--like", help="Title of a film you like; may be given several times."),
    ] = None,
    data: Annotated[
        Path | None, typer.Option("--data", help="Path of MovieLens-100K, if you already have it.")
    ] = None,
    seed: Seed = 0,
    device: DeviceOption = "auto",
    *,
    output: Output,
) -> None:
    """Compare four algorithms, with their defaults, on MovieLens-100K and recommend ten films.

    Downloads the data (once), holds out users, fits Popularity, EASE, Mult-VAE and Mult-VAE + PIA,
    and writes bundles, the split, results.json and training.png to the folder OUT.
    """
    output.remark("MovieLens-100K ...")
    source = data if data is not None else fetch("ml-100k")
    with contextlib.ExitStack() as stack:

        def make_run(name: str) -> Run:
            output.remark(f"fitting {name} ...")
            progress = stack.enter_context(TrainingProgress(output, name))
            return Run(seed=seed, device=device, callbacks=(progress,))

        result = run_demo(source, out, seed=seed, make_run=make_run)
    matches = match_items(result.bundle, taste(like))
    for problem in matches.problems:
        output.warning(problem)
    titles = [str(item.title) for item in matches.found]
    ranking = recommend(result.bundle, matches.history(), k=10)
    frame = recommendations_frame(result.bundle, pl.Series("user", [0]), ranking).drop("user")
    value = {**result.to_dict(), "taste": titles, "recommended": frame.to_dicts()}
    output.result(value, *_tables(result, titles, frame["title"].to_list()))


def _tables(result: Demo, liked: list[str], titles: list[str]) -> list:
    counts = result.split.train
    results = {trial.name: trial.test for trial in result.trials}
    compared = comparison_table(results)
    seconds = {trial.name: trial.fit_seconds for trial in result.trials}
    main = table(
        f"\n{counts.n_users} training users, {counts.n_items:,} films; measured on "
        f"{result.split.test.n_users} test users never seen in training",
        [*compared.header, "fit"],
        [[*row, f"{seconds[row[0]]:.1f} s"] for row in compared.rows],
    )
    main.caption, main.caption_justify = "\n".join(compared.notes), "left"
    differences = [
        [
            d["metric"], f"{d['difference']:+.4f}",
            f"{d['low']:+.4f} to {d['high']:+.4f}", f"{d['p']:.3g}",
        ]
        for d in result.differences
    ]  # fmt: skip
    rows = [[f"{rank}.", title] for rank, title in enumerate(titles, 1)]
    return [
        main,
        table(
            f"\n{ALIGNED} minus {PLAIN}, user by user",
            ["metric", "difference", "95% interval", "p"],
            differences,
        ),
        table(f"\nWho likes {'; '.join(liked)} may like", ["", "film"], rows, left=2),
        f"\nFitting took {result.fit_seconds:.0f} s in all. {result.folder}/ holds bundle-pia, "
        "bundle-plain, split, results.json and training.png; try:\n"
        f'  nearfar recommend {result.folder}/bundle-pia --items "Toy Story; Alien"\n'
        f"  nearfar compare {result.folder}/bundle-plain {result.folder}/bundle-pia "
        f"--data {result.folder}/split\n"
        f"  nearfar serve --bundle {result.folder}/bundle-plain "
        f"--bundle {result.folder}/bundle-pia --data {result.folder}/split\n"
        "The last shows both models side by side at http://127.0.0.1:8000 (Ctrl-C stops it).",
    ]
