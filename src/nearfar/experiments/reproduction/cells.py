"""Cells: one row on one split with one seed, measured once and stored under a fingerprint."""

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
"""Version of the cells' files and measures. Increase it if their meaning changes: cells of an older
version are measured again."""


@dataclass(frozen=True)
class Cell:
    """Everything that determines the numbers of a cell.

    Args:
        row: row of the table.
        algorithm: algorithm with all settings.
        seed: random seed of the fit.
        split: fingerprint of the split.
        whole: whether validation users are trained on as well.
        metrics: metrics to measure.
        precision: precision of the fit.
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
        """Everything that determines the numbers, JSON-able; without the row's label."""
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
    """The measured results of a cell.

    Args:
        test: metrics per test user.
        validation: printed metric -> mean over validation users; empty if they were trained on.
        fit: fit_seconds, n_train_users, n_epochs, best_epoch, stopped_early.
        provenance: versions, machine and commit.
        spread: V(S) of each test user's fold-in items under the fitted anchors (Proposition 3.1);
            None for a model without anchors, and for cells of a version without spreads.
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
    """A folder of finished cells, checkpoints of unfinished ones, and models."""

    folder: Path

    def load(self, cell: Cell) -> CellResult | None:
        """Load the results of a cell; None if it is missing.

        Raises:
            ArtefactError: the cell's file is damaged.
        """
        summary, values = self._files(cell)
        if not (summary.exists() and values.exists()):
            return None
        content = read_json(summary)
        if content["identity"] != cell.identity:
            return None
        with np.load(values) as arrays:
            test = Evaluation(
                name=cell.row.label,
                per_user={m: arrays[f"metric.{m}"] for m in cell.metrics},
                user_ids=Vocabulary(pl.Series(arrays["user_ids"])),
                n_fold_in=arrays["n_fold_in"],
                n_held_out=arrays["n_held_out"],
                n_dropped=content["test"]["n_dropped"],
            )
            spread = arrays.get("spread")
        return CellResult(
            test, content["validation"], content["fit"], content["provenance"], spread,
            content.get("latents"),
        )  # fmt: skip

    def save(self, cell: Cell, measured: CellResult) -> None:
        """Save the results of a cell; the summary comes last and marks the cell as complete."""
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
        """Record why a cell failed; the next run tries it again."""
        write_json(self._failure(cell), {"identity": cell.identity, "reason": reason})

    def failure(self, cell: Cell) -> str | None:
        """Return why a cell failed, or None."""
        path = self._failure(cell)
        return read_json(path)["reason"] if path.exists() else None

    def run_folder(self, cell: Cell) -> Path:
        """Return the folder of the checkpoint of a cell's training."""
        return self.folder / "runs" / cell.fingerprint

    def begun(self, cell: Cell) -> bool:
        """Return whether a cell's training was stopped and can resume."""
        return any(self.run_folder(cell).rglob(CHECKPOINT))

    def model_folder(self, cell: Cell) -> Path:
        """Return the folder of a cell's model, which exists only if models are saved."""
        return self.folder / "models" / cell.fingerprint

    def _files(self, cell: Cell) -> tuple[Path, Path]:
        base = self.folder / "cells" / cell.fingerprint
        return base.with_suffix(".json"), base.with_suffix(".npz")

    def _failure(self, cell: Cell) -> Path:
        return self.folder / "cells" / f"{cell.fingerprint}.failed.json"


def is_study(folder: Path) -> bool:
    """Return whether `nearfar reproduce` wrote a folder."""
    return (folder / "cells").is_dir()


def saved_models(folder: Path, split: str) -> dict[str, Path]:
    """Return the bundles of a study that were fitted on one split, by label.

    They are in the order of the rows of the paper's tables. If several have the same label, the
    fingerprint of the cell is appended.

    Args:
        folder: folder of the study.
        split: fingerprint of the split.
    """
    models: list[tuple[str, Path]] = []
    for summary in sorted((folder / "cells").glob("*.json")):
        model = folder / "models" / summary.stem
        content = read_json(summary)
        if content.get("identity", {}).get("split") == split and is_bundle(model):
            models.append((str(content.get("test", {}).get("name", summary.stem)), model))
    order = list(dict.fromkeys(row.label for rows in TABLES.values() for row in rows))
    models.sort(key=lambda pair: order.index(pair[0]) if pair[0] in order else len(order))
    labels = [label for label, _ in models]
    return {
        label if labels.count(label) == 1 else f"{label} {model.name}": model
        for label, model in models
    }
