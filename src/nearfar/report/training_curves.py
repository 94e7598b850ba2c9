"""Training curves as charts, for the report's page and for `plot_training`."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nearfar.core.errors import EmptyDataError, SettingsError, kind_of
from nearfar.pages import matplotlib
from nearfar.pages.chart import Axis, Line, LineChart
from nearfar.train.history import EpochRecord, History
from nearfar.train.run import Run

if TYPE_CHECKING:
    from matplotlib.figure import Figure

TERMS = {
    "reconstruction": ("Reconstruction loss", "nats per user"),
    "kl": ("KL divergence from the prior", "nats per user"),
    "alignment": ("Distance to the item anchors (A)", "squared distance"),
}
WEIGHTS = {
    "kl": "Weight of the KL divergence (beta)",
    "alignment": "Weight of alignment (λ_A)",
}

FIGURE = {"Validation NDCG@100", *(title for title, _ in TERMS.values()), *WEIGHTS.values()}
"""Titles of the charts that `plot_training` draws; if none exists, it draws all charts."""

Training = History | Run | Sequence[EpochRecord]
"""The epochs of a training."""

Record = Mapping[str, Any]
"""An epoch as returned by `EpochRecord.to_dict`; records of other versions may lack any key."""


def plot_training(
    history: Training | Mapping[str, Training], path: str | Path | None = None
) -> Figure:
    """Draw training curves by epoch: validation NDCG@100, loss terms and their weights.

    ```python
    run = nf.Run(seed=1)
    nf.MultVAE().fit(split.train, split.validation, run=run)
    nf.plot_training(run.history)                                  # shown in a notebook
    nf.plot_training({"plain": a.history, "PIA": b.history}, "training.png")
    ```

    A large dot marks the epoch whose weights were kept.

    Args:
        history: a run or its history; or several in a mapping from the names in the legend.
        path: also write this file, in the format of its suffix (.png, .svg, .pdf).

    Returns:
        The matplotlib figure.

    Raises:
        SettingsError: the suffix is not that of a picture, or `history` is not a history or run.
        MissingExtraError: matplotlib is not installed.
        EmptyDataError: no epoch was recorded, as for an algorithm without epochs.

    Examples:
        >>> figure = nf.plot_training({"Mult-VAE": run.history}, "training.png")
    """
    if path is not None:
        matplotlib.check_picture(Path(path), purpose="the figure of the training")
    named = history if isinstance(history, Mapping) else {"": history}
    runs = {name: _records(run) for name, run in named.items()}
    charts = training_charts(
        {name: [r.to_dict() for r in records] for name, records in runs.items()}
    )
    if not charts:
        raise EmptyDataError("the history has no epochs; give that of a run that has trained")
    figure = matplotlib.draw(
        [c for c in charts if c.title in FIGURE] or charts,
        title="large dot: the epoch whose weights were kept",
    )
    if path is not None:
        matplotlib.save(figure, Path(path))
    return figure


def _records(run: Any) -> list[EpochRecord]:
    """Return the epochs of a run or of its history."""
    history = getattr(run, "history", run)
    records = history.records if isinstance(history, History) else history
    if isinstance(records, Sequence) and all(isinstance(r, EpochRecord) for r in records):
        return list(records)
    raise SettingsError(
        f"a run or its history was expected, not {kind_of(run)}; keep the run: "
        "run = nf.Run(seed=1), algorithm.fit(..., run=run), nf.plot_training(run.history)"
    )


def training_charts(runs: Mapping[str, Sequence[Record]]) -> list[LineChart]:
    """Return one chart per quantity that changes over the epochs, with one line per run.

    Args:
        runs: name of the run -> records of its epochs.
    """
    quantities: list[tuple[str, str, Callable[[Record], Any]]] = []
    for name in _names(runs, "validation"):
        quantities.append((f"Validation {name}", name, _reader("validation", name)))
    for name in _names(runs, "terms"):
        title, unit = TERMS.get(name, (f"Term {name}", "mean over users"))
        quantities.append((title, unit, _reader("terms", name)))
    for name in _names(runs, "weights"):
        read = _reader("weights", name)
        if {read(record) for records in runs.values() for record in records} - {1.0, None}:
            quantities.append((WEIGHTS.get(name, f"Weight of {name}"), "weight", read))
    quantities += [
        (
            "Collapsed latent dimensions",
            "dimensions",
            lambda record: record.get("collapsed_dimensions"),
        ),
        (
            "Nearest neighbours kept since the epoch before",
            "share",
            lambda record: record.get("neighbours_kept"),
        ),
    ]
    charts = []
    for title, unit, read in quantities:
        lines = _lines(runs, read)
        if lines:
            charts.append(LineChart(title, lines, Axis("epoch", whole=True), Axis(unit)))
    return charts


def kept_epoch(records: Sequence[Record]) -> int | None:
    """Return the index of the record whose weights were kept: the last that was best so far."""
    best = [index for index, record in enumerate(records) if record.get("best")]
    return best[-1] if best else None


def _lines(runs: Mapping[str, Sequence[Record]], read: Callable[[Record], Any]) -> list[Line]:
    lines = []
    for colour, (title, records) in enumerate(runs.items()):
        y = [read(record) for record in records]
        if any(value is not None for value in y):
            x = [record.get("epoch", index) + 1 for index, record in enumerate(records)]
            best = kept_epoch(records)
            lines.append(Line(title, x, y, colour, marked=None if best is None else x[best]))
    return lines


def _names(runs: Mapping[str, Sequence[Record]], part: str) -> list[str]:
    """Return the names in a part of the records, in the order in which they first appear."""
    names: dict[str, None] = {}
    for records in runs.values():
        for record in records:
            names |= dict.fromkeys(record.get(part) or {})
    return list(names)


def _reader(part: str, name: str) -> Callable[[Record], Any]:
    return lambda record: (record.get(part) or {}).get(name)
