"""A figure of training: loss terms, KL, lambda_A and validation NDCG by epoch."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from nearfar.core.errors import EmptyDataError, MissingExtraError
from nearfar.core.files import atomic_file
from nearfar.maps.colours import COLOURS
from nearfar.train.history import EpochRecord, History

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def plot_training(
    history: History | Mapping[str, History | Sequence[EpochRecord]], path: str | Path | None = None
) -> Figure:
    """Draw training curves: loss terms, KL, alignment weight and validation NDCG by epoch.

    ```python
    run = nf.Run(seed=1)
    nf.MultVAE().fit(split.train, split.validation, run=run)
    nf.plot_training(run.history)                                  # shown in a notebook
    nf.plot_training({"plain": a.history, "PIA": b.history}, "training.png")
    ```

    Args:
        history: of a run, or of several by the names that the legend shows.
        path: a file to write too, its format by the suffix (.png, .svg, .pdf).

    Returns:
        The matplotlib figure.

    Raises:
        MissingExtraError: matplotlib is not installed.
        EmptyDataError: no epoch was recorded, as of an algorithm that has none.
    """
    given = {"": history} if isinstance(history, History) else history
    runs = {n: h.records if isinstance(h, History) else list(h) for n, h in given.items()}
    if not any(runs.values()):
        raise EmptyDataError("the history has no epochs; give that of a run that has trained")
    figure = _drawn(runs)
    if path is not None:
        path = Path(path)
        buffer = io.BytesIO()
        figure.savefig(buffer, format=path.suffix.lstrip(".") or "png", dpi=140)
        with atomic_file(path) as file:
            file.write(buffer.getvalue())
    return figure


def _drawn(runs: Mapping[str, Sequence[EpochRecord]]) -> Figure:
    try:
        from matplotlib.backends.backend_agg import FigureCanvasAgg
        from matplotlib.figure import Figure
    except ImportError:
        raise MissingExtraError("matplotlib", "plots", "the figure of the training") from None
    figure = Figure(figsize=(11, 7), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(2, 2, sharex=True)
    panels = (
        (
            axes[0, 0],
            "Reconstruction loss",
            "nats per user",
            lambda r: r.terms.get("reconstruction"),
        ),
        (axes[0, 1], "KL to the prior", "nats per user", lambda r: r.terms.get("kl")),
        (axes[1, 0], "Alignment weight λ_A and term A", "", None),
        (axes[1, 1], "Validation", "NDCG@100", lambda r: r.validation.get("NDCG@100")),
    )
    for axis, title, unit, value in panels:
        axis.set_title(title, fontsize=10, loc="left")
        axis.set_ylabel(unit)
        axis.grid(alpha=0.25)
        axis.spines[["top", "right"]].set_visible(False)
        if value is None:
            continue
        for (name, records), colour in zip(runs.items(), COLOURS, strict=False):
            points = [(r.epoch + 1, value(r)) for r in records if value(r) is not None]
            axis.plot(
                [x for x, _ in points], [y for _, y in points], color=colour, label=name, lw=1.6
            )
            kept = [r for r in records if r.best and value(r) is not None][-1:]
            for r in kept:
                axis.plot(r.epoch + 1, value(r), "o", color=colour, ms=5)
    _alignment_panel(axes[1, 0], runs)
    for axis in axes[1]:
        axis.set_xlabel("epoch")
    if any(runs):
        axes[1, 1].legend(frameon=False, title="dot = epoch kept", title_fontsize=8)
    return figure


def _alignment_panel(axis, runs: Mapping[str, Sequence[EpochRecord]]) -> None:
    lines = []
    right = axis.twinx()
    right.spines[["top"]].set_visible(False)
    for (name, records), colour in zip(runs.items(), COLOURS, strict=False):
        aligned = [r for r in records if "alignment" in r.terms]
        if not aligned:
            continue
        epochs = [r.epoch + 1 for r in aligned]
        lines += axis.plot(
            epochs, [r.weights["alignment"] for r in aligned], color=colour, lw=1.6,
            drawstyle="steps-post", label=f"λ_A ({name})" if name else "λ_A",
        )  # fmt: skip
        lines += right.plot(
            epochs, [r.terms["alignment"] for r in aligned], color=colour, lw=1.2, ls=":",
            label=f"A ({name})" if name else "A",
        )  # fmt: skip
    axis.set_ylabel("λ_A")
    right.set_ylabel("A, squared distance")
    if lines:
        axis.legend(lines, [line.get_label() for line in lines], frameon=False, fontsize=8)
