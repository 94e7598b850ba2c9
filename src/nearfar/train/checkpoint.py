"""Checkpoints: one safetensors file from which a run goes on to the same bits."""

from __future__ import annotations

import hashlib
import json
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save
from torch import Tensor

from nearfar.core.errors import ArtefactError
from nearfar.core.files import atomic_file

LOGGER = logging.getLogger("nearfar")
FORMAT = 2
NAME = "checkpoint.safetensors"


@dataclass(frozen=True)
class Checkpoint:
    """All that a run needs to go on.

    `identity` says what run it is (settings, data, seed); `position` where it stands, JSON-able.
    """

    identity: dict[str, Any]
    position: dict[str, Any]
    tensors: dict[str, Tensor]

    def write(self, folder: Path) -> Path:
        """Write atomically, and return the file: a kill leaves the old checkpoint or the new."""
        header = {"format": FORMAT, "identity": self.identity, "position": self.position}
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.tensors.items()}
        text = json.dumps(header)
        told = {"nearfar": text, "sha256": _digest(text, tensors)}
        with atomic_file(folder / NAME) as file:
            file.write(save(tensors, metadata=told))
        return folder / NAME

    @classmethod
    def read(cls, folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
        """The checkpoint in `folder`, or None where there is none.

        Raises:
            ArtefactError: it is damaged, of a newer format, or of another run.
        """
        path = folder / NAME
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                told = file.metadata() or {}
                header = json.loads(told["nearfar"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if header["format"] <= FORMAT and told.get("sha256") != _digest(
                told["nearfar"], tensors
            ):
                raise ValueError("its checksum differs")
        except OSError as error:
            raise ArtefactError(f"checkpoint {path} cannot be read ({error.strerror})") from None
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtefactError(
                f"checkpoint {path} is damaged ({error}); delete it to start anew"
            ) from None
        if header["format"] > FORMAT:
            raise ArtefactError(f"checkpoint {path} was written by a newer nearfar; upgrade")
        different = _differences(header["identity"], identity)
        if different:
            raise ArtefactError(
                f"checkpoint {path} is of another run: {'; '.join(different)}. "
                "Give the same settings, data and seed, or delete it to start anew"
            )
        _warn_of_other_threads(header["position"].get("threads"))
        return cls(header["identity"], header["position"], tensors)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with the prefix, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def _warn_of_other_threads(threads: int | None) -> None:
    """Warn where sums will be rounded in another order than before the checkpoint."""
    if threads not in (None, torch.get_num_threads()):
        LOGGER.warning(
            "this run began with %s threads and goes on with %s: it is as good, but not the "
            "same to the bit; set OMP_NUM_THREADS=%s for that",
            threads, torch.get_num_threads(), threads,
        )  # fmt: skip


def _digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """The checksum of all that a checkpoint holds: of the header, and of each tensor's bytes."""
    state = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        state.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        state.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return state.hexdigest()


def _differences(saved: Mapping[str, Any], now: Mapping[str, Any], where: str = "") -> list[str]:
    result = []
    now = json.loads(json.dumps(now))
    for key in sorted(set(saved) | set(now)):
        a, b, name = saved.get(key), now.get(key), f"{where}{key}"
        if isinstance(a, dict) and isinstance(b, dict):
            result += _differences(a, b, f"{name}.")
        elif a != b:
            result.append(f"{name} was {a!r}, is {b!r}")
    return result
