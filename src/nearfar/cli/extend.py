"""`nearfar extend`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.bundle.folder import check_destination, load_bundle, save_bundle
from nearfar.bundle.history_file import read_histories
from nearfar.cli.options import BundleOrRegistry, Seed, with_options
from nearfar.cli.output import Output
from nearfar.core.errors import DataError
from nearfar.data.item_features import read_item_features


@with_options()
def extend(
    bundle: BundleOrRegistry,
    items: Annotated[
        Path,
        typer.Option(
            "--items",
            help="Item features (.csv, .tsv, .parquet): either columns item, feature[, value], "
            "or a row per item with columns such as genres (split at | and ;), price, "
            "embedding.",
        ),
    ],
    out: Annotated[Path, typer.Option("--out", help="Folder of the bundle with the new items.")],
    exposure: Annotated[
        float,
        typer.Option(
            "--exposure",
            help="How often new items are recommended, relative to known items with similar "
            "features: above 1 more often, below 1 less often.",
        ),
    ] = 1.0,
    histories: Annotated[
        Path | None,
        typer.Option(
            "--histories",
            help="A file of users' histories, as for nearfar recommend, on which --exposure is "
            "measured. By default synthetic histories are used, which is less exact.",
        ),
    ] = None,
    seed: Seed = 0,
    *,
    output: Output,
) -> None:
    """Add items without interactions to a bundle, from their features.

    nearfar extend BUNDLE --items new.csv --out EXTENDED

    Items in the file that are not in the bundle are added. The other items, and the genres in
    the bundle, are used to learn what the features mean. The model is not retrained.
    """
    check_destination(out)
    loaded = load_bundle(bundle)
    users = None
    if histories is not None:
        users = next(read_histories(loaded, histories)).histories
        if not users.nnz:
            raise DataError(f"{histories} has no history with an item that the bundle knows")
    features = read_item_features(items)
    for remark in features.remarks:
        output.remark(remark)
    extended = loaded.with_new_items(features, exposure=exposure, histories=users, seed=seed)
    summary = extended.metadata.data["new_items"]
    if summary["n_left_out"]:
        examples = ", ".join(map(str, summary["left_out"][:3]))
        output.warning(
            f"{summary['n_left_out']:,} new items are left out, because no known items share their "
            f"features: {examples}{' ...' if summary['n_left_out'] > 3 else ''}"
        )
    save_bundle(extended, out)
    value = {"bundle": str(bundle), "out": str(out), "n_items": extended.n_items, **summary}
    explained = ", ".join(f"{name} {share:.0%}" for name, share in summary["explained"].items())
    output.result(
        value,
        f"added {summary['n_new']:,} items to {extended.n_items - summary['n_new']:,}, by "
        f"{summary['n_features']:,} features of {summary['n_known']:,} known items",
        f"of what tells known items apart, features explain for items left out: {explained}"
        if explained else "this model recommends what is popular; new items come last",
        f"new items are to take {summary['share']:.1%} of the first places of lists",
        f"saved {out}",
    )  # fmt: skip
