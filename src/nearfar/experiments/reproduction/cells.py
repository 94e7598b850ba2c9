"""Cells: one row on one split with one seed, measured once and kept by fingerprint."""

from __future__ import annotations

import hashlib
import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
from jaxtyping import Float

from nearfar.algorithms.algorithm import Algorithm
from nearfar.core import discovery, settings
from nearfar.core.files import atomic_file, read_json, write_json
from nearfar.core.manifest import is_bundle
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.experiments.reproduction.rows import TABLES, TableRow
from nearfar.metrics.metric import Metric
from nearfar.train.checkpoint import NAME as CHECKPOINT

FORMAT = 1
"""Raised when a cell's files or what is measured change their meaning; older cells are redone."""


@dataclass(frozen=True)
class Cell:
    """What is fitted and measured: everything that decides the numbers.

    `whole` says that the training took users held out for validation too.
    """

    row: TableRow
    algorithm: Algorithm
    seed: int
    split: str
    whole: bool
    metrics: tuple[Metric, ...]
    precision: str

    @property
    def identity(self) -> dict[str, Any]:
        """What decides the numbers, JSON-able; the row's label is not part of it."""
        return {
            "format": FORMAT,
            "algorithm": discovery.name_of(type(self.algorithm)),
            "settings": settings.to_plain(self.algorithm),
            "split": self.split,
            "whole": self.whole,
            "seed": self.seed,
            "metrics": [str(metric) for metric in self.metrics],
            "precision": self.precision,
        }

    @property
    def fingerprint(self) -> str:
        """The name of the cell's files."""
        text = json.dumps(self.identity, sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]


@dataclass(frozen=True, eq=False)
class CellResult:
    """What a cell came to.

    Args:
        test: one value a test user.
        validation: metric as printed -> mean over validation users; empty where training took
            them too.
        fit: fit_seconds, n_epochs, best_epoch, stopped_early.
        provenance: versions, machine, commit.
        spread: V(S) of each test user's fold-in items, by the fitted anchors (Proposition 3.1);
            None where the model has no anchors, or was measured before spreads were.
        latents: numbers of the latent space, for the trade-off; None for other tables.
    """

    test: Evaluation
    validation: dict[str, float]
    fit: dict[str, Any]
    provenance: dict[str, Any]
    spread: Float[np.ndarray, " users"] | None = None
    latents: dict[str, float | None] | None = None


@dataclass(frozen=True)
class CellStore:
    """Finished cells, checkpoints of unfinished ones and models, in one folder."""

    folder: Path

    def load(self, cell: Cell) -> CellResult | None:
        """What a cell came to, or None where it is missing.

        Raises:
            ArtefactError: its file is damaged.
        """
        summary, values = self._files(cell)
        if not (summary.exists() and values.exists()):
            return None
        found = read_json(summary)
        if found["identity"] != cell.identity:
            return None
        with np.load(values) as arrays:
            test = Evaluation(
                name=cell.row.label,
                per_user={m: arrays[f"metric.{m}"] for m in cell.metrics},
                user_ids=Vocabulary(pl.Series(arrays["user_ids"])),
                n_fold_in=arrays["n_fold_in"],
                n_held_out=arrays["n_held_out"],
                n_dropped=found["test"]["n_dropped"],
            )
            spread = arrays.get("spread")
        return CellResult(
            test, found["validation"], found["fit"], found["provenance"], spread,
            found.get("latents"),
        )  # fmt: skip

    def save(self, cell: Cell, measured: CellResult) -> None:
        """Keep what a cell came to; the summary is written last, so that it vouches for both."""
        summary, values = self._files(cell)
        test = measured.test
        ids = test.user_ids.ids.to_numpy()
        arrays: dict[str, Any] = {
            "user_ids": ids if test.user_ids.is_integer else ids.astype(str),
            "n_fold_in": test.n_fold_in,
            "n_held_out": test.n_held_out,
            **{f"metric.{metric}": test.values(metric) for metric in cell.metrics},
        }
        if measured.spread is not None:
            arrays["spread"] = measured.spread
        buffer = io.BytesIO()
        np.savez_compressed(buffer, **arrays)
        with atomic_file(values) as file:
            file.write(buffer.getvalue())
        content = {
            "identity": cell.identity,
            "test": test.to_dict(),
            "validation": measured.validation,
            "fit": measured.fit,
            "provenance": measured.provenance,
            **({} if measured.latents is None else {"latents": measured.latents}),
        }
        write_json(summary, content)
        self._failure(cell).unlink(missing_ok=True)

    def fail(self, cell: Cell, reason: str) -> None:
        """Keep why a cell could not be had; it is tried again when it is next asked for."""
        write_json(self._failure(cell), {"identity": cell.identity, "reason": reason})

    def failure(self, cell: Cell) -> str | None:
        """Why a cell could not be had, or None."""
        path = self._failure(cell)
        return read_json(path)["reason"] if path.exists() else None

    def run_folder(self, cell: Cell) -> Path:
        """Where a cell's training keeps its checkpoint."""
        return self.folder / "runs" / cell.fingerprint

    def begun(self, cell: Cell) -> bool:
        """Whether a cell's training was stopped and can be taken up."""
        return any(self.run_folder(cell).rglob(CHECKPOINT))

    def model_folder(self, cell: Cell) -> Path:
        """Where a cell's model is kept, if it is."""
        return self.folder / "models" / cell.fingerprint

    def _files(self, cell: Cell) -> tuple[Path, Path]:
        base = self.folder / "cells" / cell.fingerprint
        return base.with_suffix(".json"), base.with_suffix(".npz")

    def _failure(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.fingerprint}.failed.json"


def is_study(folder: Path) -> bool:
    """Whether a folder is of `nearfar reproduce`."""
    return (folder / "cells").is_dir()


def kept_models(folder: Path, split: str) -> dict[str, Path]:
    """The bundles of a study that were fitted on one split, by the labels of their rows.

    They come in the order of the rows in the paper's tables.

    A label that several have is followed by the fingerprint of the cell.

    Args:
        folder: of the study.
        split: the fingerprint of the split.
    """
    found: list[tuple[str, Path]] = []
    for summary in sorted((folder / "cells").glob("*.json")):
        model = folder / "models" / summary.stem
        content = read_json(summary)
        if content.get("identity", {}).get("split") == split and is_bundle(model):
            found.append((str(content.get("test", {}).get("name", summary.stem)), model))
    order = list(dict.fromkeys(row.label for rows in TABLES.values() for row in rows))
    found.sort(key=lambda each: order.index(each[0]) if each[0] in order else len(order))
    labels = [label for label, _ in found]
    return {
        label if labels.count(label) == 1 else f"{label} {model.name}": model
        for label, model in found
    }
