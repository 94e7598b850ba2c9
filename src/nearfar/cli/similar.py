"""`nearfar similar`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.bundle.folder import load_bundle
from nearfar.bundle.match_items import split_items
from nearfar.bundle.similar import BY, Similarity, similar_items, similar_to_file
from nearfar.cli.options import BundleOrRegistry, with_options
from nearfar.cli.output import Output, table


@with_options()
def similar(
    bundle: BundleOrRegistry,
    items: Annotated[
        list[str] | None,
        typer.Option(
            "--items",
            help="Item ids or titles, separated by semicolons, or by commas if no title contains"
            " one; may be given several times.",
        ),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="Write a .csv, .tsv or .parquet file; without --items, for all items."
        ),
    ] = None,
    k: Annotated[int, typer.Option("-k", help="Number of items.", min=1)] = 10,
    *,
    output: Output,
) -> None:
    """List the items most similar to an item, by the model's item representations.

    nearfar similar BUNDLE --items "Toy Story" -k 5
    nearfar similar BUNDLE --out similar.parquet -k 100
    """
    if not items and out is None:
        raise typer.BadParameter("give --items, or --out for all items of the bundle")
    loaded = load_bundle(bundle)
    by = Similarity(loaded.model).by
    value = {"bundle": str(bundle), "by": by, "similarity": BY[by]}
    chosen_items = split_items(loaded, items) if items else None
    if out is not None:
        with output.counting("comparing", "items") as progress:
            n_rows = similar_to_file(loaded, out, items=chosen_items, k=k, progress=progress)
        output.result({**value, "out": str(out), "n_rows": n_rows}, f"{n_rows:,} rows in {out}")
        return
    frame = similar_items(loaded, chosen_items or [], k=k)
    tables = []
    for (item,), part in frame.group_by(["item"], maintain_order=True):
        rows = [
            [f"{r['rank']}.", str(r.get("title") or r["similar"]), str(r["similar"]),
             f"{r['similarity']:.3f}"]
            for r in part.iter_rows(named=True)
        ]  # fmt: skip
        tables.append(table(f"like {item}", ["", "item", "id", "similarity"], rows, left=2))
    output.result({**value, "similar": frame.to_dicts()}, *tables, f"similarity: {BY[by]}")
