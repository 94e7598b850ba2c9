"""A small data set and plans of it that take a moment."""

from __future__ import annotations

from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nearfar.experiments.reproduction.datasets import data_set
from nearfar.experiments.reproduction.study import StudyPlan
from nearfar.train.callback import Callback

NAME = "synthetic:200x60x3000"
TINY: dict[str, Any] = {
    "n_latent": 4, "decoder_hidden": [8], "epochs": 4, "batch_size": 40, "patience": 0,
    "beta": {"kind": "constant", "value": 0.1},
}  # fmt: skip
OVERRIDES = {"multvae": TINY}


def plan(folder: Path, **changed: Any) -> StudyPlan:
    """Popularity, EASE and both Mult-VAEs, of one seed."""
    options: dict[str, Any] = {
        "table": "table1",
        "data": data_set(NAME),
        "folder": folder,
        "only": ("popularity", "ease", "Multi-VAE", "Multi-VAE + PIA"),
        "overrides": OVERRIDES,
    }
    return StudyPlan(**options | changed)


class Counting(Callback):
    """Counts trainings and steps, and does something at one step."""

    def __init__(self, at: int | None = None, act=None) -> None:
        self.titles: list[str] = []
        self.steps = 0
        self.at, self.act = at, act

    @contextmanager
    def __call__(self, title: str):
        self.titles.append(title)
        yield (self,)

    def step(self, report) -> None:
        self.steps += 1
        if self.steps == self.at:
            self.act()
