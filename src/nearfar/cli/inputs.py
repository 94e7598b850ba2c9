"""What several commands are given: a split, and bundles to look at on it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from nearfar.cli.output import Output
from nearfar.data.interactions import FoldIn, Interactions, Split
from nearfar.data.splits.folder import load_split
from nearfar.evaluation.evaluate import on_items_of

if TYPE_CHECKING:
    from nearfar.bundle.bundle import Bundle


def say_weights(train: Interactions, output: Output) -> None:
    """Say which weights interactions have, where they have any."""
    if train.weights is not None:
        low, mean, high = (getattr(train.weights, name)() for name in ("min", "mean", "max"))
        output.remark(f"interactions weigh {low:.3g} to {high:.3g}, {mean:.3g} in the mean")


def open_held_out(source: Path, part: str) -> tuple[Split, FoldIn]:
    """The test or the validation users of a split folder."""
    split = load_split(source)
    return split, split.test if part == "test" else split.validation


def aligned(data: FoldIn, items, output: Output) -> FoldIn:
    """The held-out users over a bundle's items; says so if that loses anything."""
    moved, lost = on_items_of(data, items)
    if lost:
        output.warning(lost)
    return moved


def named_bundles(paths: list[Path]) -> dict[str, Path]:
    """Bundles' folders by the shortest end of the path that tells them apart.

    Raises:
        BadParameter: one is named twice.
    """
    if len({path.resolve() for path in paths}) < len(paths):
        raise typer.BadParameter("a bundle is named twice", param_hint="BUNDLES")
    for n_parts in range(1, max((len(path.parts) for path in paths), default=1)):
        named = {"/".join(path.parts[-n_parts:]): path for path in paths}
        if len(named) == len(paths):
            return named
    return {str(path): path for path in paths}


def warn_of_other_data(title: str, bundle: Bundle, split: Split, output: Output) -> None:
    """Say so where a bundle that is to be looked at was trained on other users."""
    if not bundle.trained_on(split.train):
        output.warning(
            f"{title} was not trained on this split's training users; what it does with these "
            "tells little of those that it knows"
        )
