"""`nearfar index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.sparse import csr_array, vstack

from nearfar.bundle.folder import load_bundle
from nearfar.bundle.history_file import read_histories
from nearfar.bundle.index_building import build_index, told_recall
from nearfar.bundle.index_folder import KIND, save_index
from nearfar.cli.options import BundleOrRegistry, Seed, with_options
from nearfar.cli.output import Output, table
from nearfar.core.errors import ArtefactError
from nearfar.core.manifest import holds
from nearfar.core.memory import readable


@with_options()
def index(
    bundle: BundleOrRegistry,
    out: Annotated[Path, typer.Option("--out", help="Folder of the index.")],
    recall: Annotated[
        float,
        typer.Option(
            "--recall",
            help="Which share of the exact best -k items the index is to find, above 0 to 1; the "
            "search's effort is raised until the 95% interval lies above it.",
        ),
    ] = 0.99,
    histories: Annotated[
        Path | None,
        typer.Option(
            "--histories",
            help="A file of users' histories, as for nearfar recommend, to measure recall on; by "
            "default histories are made up of items drawn by popularity.",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option("-k", help="The longest list the index is for; longer are exact.", min=1),
    ] = 100,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write the index even if it does not pay: if it is slower than scoring all items, "
            "or misses --recall.",
        ),
    ] = False,
    seed: Seed = 0,
    *,
    output: Output,
) -> None:
    """Build an index of nearest items, which `nearfar recommend` and `nearfar serve` take.

    nearfar index BUNDLE --out INDEX
    nearfar index BUNDLE --out INDEX --recall 0.95 --histories histories.parquet

    For autoencoders and factor models of some hundred thousand items and more. Recall and times are
    measured and told; where ranking all items exactly is as fast, nothing is written.
    """
    if out.exists() and not (out.is_dir() and (holds(out, KIND) or not any(out.iterdir()))):
        raise ArtefactError(f"{out} exists and is not a nearfar index; name another folder")
    loaded = load_bundle(bundle)
    users = None
    if histories is not None:
        nobody = csr_array((0, loaded.n_items), dtype=np.float32)
        chunks = read_histories(loaded, histories)
        users = csr_array(vstack([nobody, *(chunk.histories for chunk in chunks)]))
    found = build_index(
        loaded, users, k=k, recall=recall, force=force, seed=seed, progress=output.remark
    )
    save_index(found, out)
    n_bytes = sum(file.stat().st_size for file in out.iterdir())
    value = {
        "bundle": str(bundle), "out": str(out), "n_bytes": n_bytes, "k": found.k,
        "effort": found.effort, **found.about,
    }  # fmt: skip
    times = found.about["milliseconds"]
    rows = [
        [way, *(f"{of_size[way]:.2f}" for of_size in times.values())] for way in ("exact", "index")
    ]
    columns = ["ms per user", *(f"{size} at once" for size in times)]
    output.result(
        value,
        f"{told_recall(found)}, on {found.about['measured_on']}; effort {found.effort:,}",
        table(None, columns, rows),
        f"built in {found.about['build_seconds']:.0f} s; saved {out} ({readable(n_bytes)})",
    )
