"""Options of a run that are not hyper-parameters: device, seed, folder, callbacks."""

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

    Only `seed` changes what is learned; `precision` and `scores_mib` change it only by rounding.

    Args:
        seed: random seed; runs on one CPU with the same number of threads are equal to the bit.
        device: "auto" uses CUDA if available.
        precision: precision of the output layer's products, which are most of the work of a step.
            Parameters, sums, softmax and optimiser are always float32. "bfloat16" is two to three
            times faster on GPUs and on processors that multiply bfloat16, and slower on others.
            "float32" rounds the factors of all layers' products on a GPU to TF32 (10 bits after
            the point); "ieee" does not, at several times the cost. On a CPU these two are the same.
        scores_mib: largest size of the scores (users x items) held at once, in MiB; a larger
            batch is processed in parts, at the cost of four products instead of three. By default
            512 on a CPU and a quarter of the free memory on a GPU.
        fused: on a GPU, compute the multinomial likelihood by Triton kernels that store no scores:
            four products instead of three, but no passes over users x items.
        folder: folder of the checkpoint and of metrics.jsonl; None writes nothing.
        resume: continue from the checkpoint in `folder`, if there is one.
        checkpoint_seconds: longest time between checkpoints.
        checkpoint_epochs: epochs between additional checkpoints; 0 for none.
        keep_on_interrupt: whether Ctrl-C, after writing a checkpoint, ends this fit with the best
            model so far and sets `history.interrupted`, or raises KeyboardInterrupt. SIGTERM ends
            the process after a checkpoint.
        callbacks: receive the events of the fit, in this order; see `Callback`.
        history: filled while training: one record per epoch.
        progress: whether `fit` shows its progress on standard error (`nf.Progress`). By default
            it does in Python if that is a terminal or a notebook; commands show their own.

    Raises:
        SettingsError: `device` is "cuda" and CUDA is not available, or a value is out of range.

    Examples:
        >>> run = nf.Run(seed=1, device="cpu")
        >>> model = nf.MultVAE(epochs=2, **small).fit(split.train, split.validation, run=run)
        >>> len(run.history.records)
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
            raise SettingsError("fused is true; it needs a CUDA device and Triton; set it to false")

    def part(self, number: int) -> Run:
        """Return the run of one of several models, with its own history and folder."""
        return replace(
            self, folder=self.folder and self.folder / f"part-{number}", history=History()
        )

    @property
    def scores_bytes(self) -> int:
        """`scores_mib` or its default, in bytes."""
        if self.scores_mib is not None:
            return self.scores_mib << 20
        if self.torch_device.type == "cuda":
            return torch.cuda.mem_get_info(self.torch_device)[0] // 4
        return 512 << 20

    @property
    def torch_device(self) -> torch.device:
        """`device`, with "auto" resolved."""
        if self.device == "auto":
            return torch.device("cuda" if torch.cuda.is_available() else "cpu")
        return torch.device(self.device)


@contextmanager
def matrix_products(run: Run) -> Iterator[None]:
    """Set the precision of float32 products on a GPU to the run's, until the block ends."""
    if run.torch_device.type == "cpu":
        yield
        return
    before = torch.get_float32_matmul_precision()
    torch.set_float32_matmul_precision("highest" if run.precision == "ieee" else "high")
    try:
        yield
    finally:
        torch.set_float32_matmul_precision(before)
