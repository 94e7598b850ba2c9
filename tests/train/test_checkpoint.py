"""A checkpoint is what was written, or is refused."""

from pathlib import Path

import pytest
import torch

from nearfar.core.errors import ArtefactError
from nearfar.train.checkpoint import NAME, Checkpoint

IDENTITY = {"seed": 3}


def written(folder: Path) -> bytearray:
    tensors = {
        "now.weight": torch.arange(12.0).reshape(3, 4), "best.bias": torch.tensor([1.5, -2.0]),
        "step": torch.tensor(7), "half": torch.ones(3, dtype=torch.bfloat16),
        "none": torch.zeros(0, 4),
    }  # fmt: skip
    Checkpoint(IDENTITY, {"epoch": 2}, tensors).write(folder)
    return bytearray((folder / NAME).read_bytes())


def test_what_is_written_is_read(tmp_path: Path) -> None:
    written(tmp_path)
    found = Checkpoint.read(tmp_path, IDENTITY)
    assert found is not None
    assert found.position == {"epoch": 2}
    assert found.tensors["now.weight"].tolist() == torch.arange(12.0).reshape(3, 4).tolist()
    assert found.tensors["half"].dtype == torch.bfloat16


def test_every_flipped_bit_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path)
    for at in range(len(whole)):
        damaged = whole.copy()
        damaged[at] ^= 1 << at % 8
        (tmp_path / NAME).write_bytes(damaged)
        try:
            found = Checkpoint.read(tmp_path, IDENTITY)
        except ArtefactError:
            continue
        # A space after the header's JSON, or the like: nothing that is read has changed.
        assert found is not None
        assert found.position == {"epoch": 2}
        assert found.tensors["now.weight"].tolist() == torch.arange(12.0).reshape(3, 4).tolist()


def test_every_length_is_refused(tmp_path: Path) -> None:
    whole = written(tmp_path)
    for length in range(0, len(whole), 7):
        (tmp_path / NAME).write_bytes(whole[:length])
        with pytest.raises(ArtefactError, match="is damaged"):
            Checkpoint.read(tmp_path, IDENTITY)
