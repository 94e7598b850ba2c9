"""Checkpoints: one safetensors file from which a run resumes and ends with the same bits."""

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
    """The complete state of a run, from which it can be resumed.

    Args:
        identity: settings, data and seed of the run, JSON-able.
        position: epoch, step, records and the like, JSON-able.
        tensors: weights, optimiser state and sums.
    """

    identity: dict[str, Any]
    position: dict[str, Any]
    tensors: dict[str, Tensor]

    def write(self, folder: Path) -> Path:
        """Write the checkpoint atomically and return its file."""
        header = {"format": FORMAT, "identity": self.identity, "position": self.position}
        tensors = {k: v.detach().cpu().contiguous() for k, v in self.tensors.items()}
        text = json.dumps(header)
        metadata = {"nearfar": text, "sha256": _digest(text, tensors)}
        with atomic_file(folder / NAME) as file:
            file.write(save(tensors, metadata=metadata))
        return folder / NAME

    @classmethod
    def read(cls, folder: Path, identity: Mapping[str, Any]) -> Checkpoint | None:
        """Return the checkpoint in `folder`, or None if there is none.

        Raises:
            ArtefactError: the checkpoint is damaged, has a newer format, or is of another run.
        """
        path = folder / NAME
        if not path.exists():
            return None
        try:
            with safe_open(path, framework="pt") as file:
                metadata = file.metadata() or {}
                header = json.loads(metadata["nearfar"])
                tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
            if header["format"] <= FORMAT and metadata.get("sha256") != _digest(
                metadata["nearfar"], tensors
            ):
                raise ValueError("its checksum differs")
        except OSError as error:
            raise ArtefactError(f"checkpoint {path} cannot be read ({error.strerror})") from None
        except (SafetensorError, KeyError, TypeError, ValueError, RecursionError) as error:
            raise ArtefactError(
                f"checkpoint {path} is damaged ({error}); delete it to start over"
            ) from None
        if header["format"] > FORMAT:
            raise ArtefactError(
                f"checkpoint {path} was written by a newer nearfar (format {header['format']}; "
                f"this one reads {FORMAT}); upgrade"
            )
        different = _differences(header["identity"], identity)
        if different:
            raise ArtefactError(
                f"checkpoint {path} is of another run: {'; '.join(different)}. "
                "Give the same settings, data and seed, or delete it to start over"
            )
        _warn_if_threads_differ(header["position"].get("threads"))
        return cls(header["identity"], header["position"], tensors)

    def part(self, prefix: str) -> dict[str, Tensor]:
        """Return the tensors whose names begin with the prefix, without it."""
        return {
            name.removeprefix(prefix): tensor
            for name, tensor in self.tensors.items()
            if name.startswith(prefix)
        }


def _warn_if_threads_differ(threads: int | None) -> None:
    """Warn if another number of threads will round sums differently than before the checkpoint."""
    if threads not in (None, torch.get_num_threads()):
        LOGGER.warning(
            "this run began with %s threads and continues with %s, so its results will differ by "
            "rounding; set OMP_NUM_THREADS=%s for the same bits",
            threads, torch.get_num_threads(), threads,
        )  # fmt: skip


def _digest(header: str, tensors: Mapping[str, Tensor]) -> str:
    """Return the SHA-256 of a checkpoint's header and of each tensor's name, type and bytes."""
    sha = hashlib.sha256(header.encode())
    for name in sorted(tensors):
        tensor = tensors[name].contiguous()
        sha.update(f"{name} {tensor.dtype} {tuple(tensor.shape)} ".encode())
        sha.update(tensor.reshape(-1).view(torch.uint8).numpy().data if tensor.numel() else b"")
    return sha.hexdigest()


def _differences(
    saved: Mapping[str, Any], current: Mapping[str, Any], prefix: str = ""
) -> list[str]:
    """Return one message per setting whose value differs from the saved one."""
    messages = []
    current = json.loads(json.dumps(current))
    for key in sorted(set(saved) | set(current)):
        before, after, name = saved.get(key), current.get(key), f"{prefix}{key}"
        if isinstance(before, dict) and isinstance(after, dict):
            messages += _differences(before, after, f"{name}.")
        elif before != after:
            messages.append(f"{name} was {before!r}, is {after!r}")
    return messages
