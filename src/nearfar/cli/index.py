"""`nearfar index`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import numpy as np
import typer
from scipy.sparse import csr_array, vstack

from nearfar.bundle.folder import load_bundle
from nearfar.bundle.history_file import read_histories
from nearfar.bundle.index_building import build_index, check_can_index, format_recall
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
            help="Share of the exact best -k items that the index must find, above 0 and at most "
            "1. The search effort is raised until the 95% interval lies above it.",
        ),
    ] = 0.99,
    histories: Annotated[
        Path | None,
        typer.Option(
            "--histories",
            help="File of users' histories, as for nearfar recommend, to measure recall on. By "
            "default histories are made up of items drawn by popularity.",
        ),
    ] = None,
    k: Annotated[
        int,
        typer.Option(
            "-k", help="Longest list, in items, that uses the index; longer are exact.", min=1
        ),
    ] = 100,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Write the index even if it is slower than scoring all items or misses --recall.",
        ),
    ] = False,
    seed: Seed = 0,
    *,
    output: Output,
) -> None:
    """Build an index of nearest items for `nearfar recommend --index` and `nearfar serve --index`.

    nearfar index BUNDLE --out INDEX
    nearfar index BUNDLE --out INDEX --recall 0.95 --histories histories.parquet

    For autoencoders and factor models of about a hundred thousand items and more. Recall and times
    are measured and printed; if ranking all items exactly is as fast, no index is written.
    """
    if out.exists() and not (out.is_dir() and (holds(out, KIND) or not any(out.iterdir()))):
        raise ArtefactError(f"{out} exists and is not a nearfar index; name another folder")
    loaded_bundle = load_bundle(bundle)
    check_can_index(loaded_bundle.model, k, recall)
    users = None
    if histories is not None:
        no_users = csr_array((0, loaded_bundle.n_items), dtype=np.float32)
        chunks = read_histories(loaded_bundle, histories)
        users = csr_array(vstack([no_users, *(chunk.histories for chunk in chunks)]))
    item_index = build_index(
        loaded_bundle, users, k=k, recall=recall, force=force, seed=seed, progress=output.remark
    )
    save_index(item_index, out)
    n_bytes = sum(file.stat().st_size for file in out.iterdir())
    value = {
        "bundle": str(bundle), "out": str(out), "n_bytes": n_bytes, "k": item_index.k,
        "effort": item_index.effort, **item_index.metadata,
    }  # fmt: skip
    times = item_index.metadata["milliseconds"]
    rows = [
        [way, *(f"{by_way[way]:.2f}" for by_way in times.values())] for way in ("exact", "index")
    ]
    columns = ["ms per user", *(f"{size} at once" for size in times)]
    output.result(
        value,
        f"{format_recall(item_index)}, on {item_index.metadata['measured_on']}; "
        f"effort {item_index.effort:,}",
        table(None, columns, rows),
        f"built in {item_index.metadata['build_seconds']:.0f} s; saved {out} ({readable(n_bytes)})",
    )
