"""Training steps with a posterior of the test's own choice."""

from __future__ import annotations

import torch
from torch import Tensor

from nearfar.kernels.rows import Rows
from nearfar.vae.corruption.corruption import Clean
from nearfar.vae.decoder import OutputLayer
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.encoder import EncoderNetwork
from nearfar.vae.posterior import DiagonalGaussian
from nearfar.vae.step import Step


def make_step(
    rows: Rows,
    posterior: DiagonalGaussian,
    output: OutputLayer,
    *,
    hidden: Tensor | None = None,
    noise: Tensor | None = None,
    encoder: EncoderNetwork | None = None,
    rng: torch.Generator | None = None,
) -> Step:
    """A step whose decoder has no hidden layer, unless `hidden` is given."""
    draw = posterior.draw(noise)
    own = Base((3,)).build(rows.n_items, draw.z.shape[1], torch.Generator().manual_seed(0))
    return Step(
        histories=rows,
        draw=draw,
        hidden=draw.z if hidden is None else hidden,
        output=output,
        encoder=encoder or own,
        shown=Clean().clean(rows),
        corruption=Clean(),
        rng=rng or torch.Generator(),
    )
