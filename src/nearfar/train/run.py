"""How to run, as opposed to what to fit: device, seed, folder, callbacks."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from importlib.util import find_spec
from pathlib import Path
from typing import Literal

import torch

from nearfar.core.device import Device as Device
from nearfar.core.errors import SettingsError
from nearfar.core.ranges import NonNegativeFloat, NonNegativeInt, PositiveInt
from nearfar.core.settings import Settings
from nearfar.train.callback import Callback as Callback
from nearfar.train.history import History

Precision = Literal["float32", "bfloat16", "ieee"]


@dataclass
class Run(Settings):
    """Options of one run; never hyper-parameters.

    Only `seed` changes what is learned; `precision` and `scores_mib` change it by rounding alone.

    Args:
        seed: random seed; on one CPU with one number of threads, every bit.
        device: "auto" takes CUDA where present.
        precision: what the output layer's products, most of a step's work, are computed in.
            Parameters, sums, softmax and optimiser are float32 in all. "bfloat16" is two to
            three times faster on GPUs and on processors made for it, and slower on others.
            "float32" on a GPU rounds what is multiplied to TF32 (10 bits after the point), in all
            layers; "ieee" does not, at several times the cost. On a CPU they are the same.
        scores_mib: no more than so many MiB of scores (users x items) are held at a time; a
            batch that has more is taken in parts, at the cost of four products instead of three.
            By default 512 on a CPU and a quarter of a GPU's free memory.
        fused: on a GPU, compute the multinomial likelihood by Triton kernels that store no scores:
            four products instead of three, but no passes over users x items.
        folder: where checkpoint and metrics.jsonl go; None writes nothing.
        resume: go on from the checkpoint in `folder`, if there is one.
        checkpoint_seconds: the longest time between checkpoints.
        checkpoint_epochs: a checkpoint after every so many epochs too; 0 for none.
        keep_on_interrupt: what Ctrl-C does, after a checkpoint: end this fit with the best model
            so far (`history.interrupted` tells), or raise KeyboardInterrupt. SIGTERM ends the
            process after a checkpoint.
        callbacks: receive the events of the fit, in this order; see `Callback`.
        history: filled while training: one record per epoch.
        progress: whether `fit` shows its progress on standard error (`nf.Progress`). By default
            where that is a terminal or a notebook, in Python; commands show their own.

    Raises:
        SettingsError: CUDA was asked for and is not there, or a value is out of range.

    Examples:
        >>> once = nf.Run(seed=1, device="cpu")
        >>> model = nf.MultVAE(epochs=2, **small).fit(split.train, split.validation, run=once)
        >>> len(once.history.records)
        2
    """

    seed: int = 0
    device: Device = "auto"
    precision: Precision = "float32"
    scores_mib: PositiveInt | None = None
    fused: bool = False
    folder: Path | None = None
    resume: bool = False
    checkpoint_seconds: NonNegativeFloat = 60.0
    checkpoint_epochs: NonNegativeInt = 0
    keep_on_interrupt: bool = False
    callbacks: tuple[Callback, ...] | list[Callback] = ()
    history: History = field(default_factory=History)
    progress: bool | None = None

    def check_together(self) -> None:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise SettingsError("device is cuda, but PyTorch sees no CUDA device; use cpu or auto")
        if self.fused and (self.torch_device.type == "cpu" or find_spec("triton") is None):
            raise SettingsError("fused needs a CUDA device and Triton; leave it out")

    def part(self, number: int) -> Run:
        """Return the run of one of several models, with a history and a folder of its own."""
        return replace(
            self, folder=self.folder and self.folder / f"part-{number}", history=History()
        )

    @property
    def scores_bytes(self) -> int:
        """`scores_mib`, or its default, in bytes."""
        if self.scores_mib is not None:
            return self.scores_mib << 20
        if self.torch_device.type == "cuda":
            return torch.cuda.mem_get_info(self.torch_device)[0] // 4
        return 512 << 20

    @property
    def torch_device(self) -> torch.device:
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


@contextmanager
def matrix_products(run: Run) -> Iterator[None]:
    """Let a GPU multiply float32 matrices in the run's precision, for the time of `with`."""
    if run.torch_device.type == "cpu":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if run.precision == "ieee" else "high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
