"""Going on from earlier weights, with other items in another order."""

from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from nearfar.core.errors import ArtefactError, SettingsError
from nearfar.vae.corruption.corruption import Clean
from nearfar.vae.encoders.base import Base
from nearfar.vae.initialisers.saved import COLUMNS, Saved
from nearfar.vae.network import VAE
from tests.theory.cases import two_tastes

HIDDEN = 12
"""As many as the new network has items: only names tell which rows are items."""


def network(n_items: int, seed: int, hidden: int = HIDDEN) -> VAE:
    return VAE(
        n_items=n_items, n_latent=3, encoder=Base((hidden,)), decoder_hidden=(hidden,),
        corruption=Clean(), rng=torch.Generator().manual_seed(seed),
    )  # fmt: skip


def saved(path: Path, old: VAE, columns: list[int]) -> Saved:
    arrays = {k: v.contiguous() for k, v in old.state_dict().items()}
    save_file({**arrays, COLUMNS: torch.tensor(columns)}, path)
    return Saved(str(path))


def test_known_items_keep_their_weights_and_new_ones_are_as_drawn(tmp_path: Path) -> None:
    old, new, drawn = network(10, 0), network(12, 1), network(12, 1)
    columns = [9, -1, 0, 1, 2, 3, 4, 5, 6, 7, 8, -1]
    x = two_tastes(n_items=12)
    saved(tmp_path / "w", old, columns).apply(new, x, seed=0)
    for name, weight in new.state_dict().items():
        before, fresh = old.state_dict()[name], drawn.state_dict()[name]
        if name in ("encoder.first.weight", "decoder.out.weight", "decoder.out.bias"):
            for row, column in enumerate(columns):
                expected = fresh[row] if column < 0 else before[column]
                torch.testing.assert_close(weight[row], expected)
        else:
            torch.testing.assert_close(weight, before)


def test_what_does_not_fit_is_refused(tmp_path: Path) -> None:
    x, path = two_tastes(n_items=12), tmp_path / "w"
    with pytest.raises(ArtefactError, match="of 3 items"):
        saved(path, network(10, 0), [0, 1, 2]).apply(network(12, 1), x, 0)
    with pytest.raises(ArtefactError, match="architecture changed"):
        saved(path, network(10, 0, hidden=7), [*range(10), -1, -1]).apply(network(12, 1), x, 0)
    with pytest.raises(ArtefactError, match="architecture changed"):
        saved(path, network(10, 0), [*range(12)]).apply(network(12, 1), x, 0)
    path.write_bytes(b"nonsense")
    with pytest.raises(ArtefactError, match="cannot be read"):
        Saved(str(path)).apply(network(12, 1), x, 0)
    with pytest.raises(SettingsError, match="path is ''; it must be of length at least 1"):
        Saved("")
