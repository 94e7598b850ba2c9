"""`nearfar export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from nearfar.bundle.exports.export import export_bundle
from nearfar.bundle.folder import load_bundle
from nearfar.cli.options import with_options
from nearfar.cli.output import Output
from nearfar.core import settings
from nearfar.core.assignments import parse_assignments


@with_options()
def export(
    bundle: Annotated[Path, typer.Argument(help="The folder of a bundle.")],
    out: Annotated[
        Path,
        typer.Option("--out", help="A folder for onnx and embeddings; a .npz file for npz."),
    ],
    form: Annotated[
        str, typer.Option("--format", help="onnx, npz, embeddings, or a dotted path.")
    ] = "onnx",
    assignments: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            help="One setting of the format: input=dense or k=20 for onnx; users=FILE for "
            "embeddings. May be given several times.",
        ),
    ] = None,
    *,
    output: Output,
) -> None:
    """Export a bundle as ONNX graphs, NumPy arrays, or vectors for an index.

    nearfar export BUNDLE --format embeddings --out VECTORS --set users=histories.csv

    An ONNX export recommends without PyTorch: nearfar serve --runtime onnx --bundle OUT. It needs
    the extra onnx.
    """
    loaded = load_bundle(bundle)
    export_format = export_bundle(loaded, out, form, **parse_assignments(assignments or []))
    files = sorted(out.iterdir()) if out.is_dir() else [out]
    sizes = {file.name: file.stat().st_size for file in files}
    value = {
        "bundle": str(bundle), "format": form, "settings": settings.to_plain(export_format),
        "out": str(out), "n_items": loaded.n_items, "files": sizes,
    }  # fmt: skip
    total = sum(sizes.values())
    output.result(value, f"wrote {out}: {loaded.n_items:,} items, {total / 1e6:,.1f} MB")
