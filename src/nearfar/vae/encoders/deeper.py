"""The deeper encoder of the paper's Table 6."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Annotated

from annotated_types import MinLen

from nearfar.core.ranges import LayerSizes
from nearfar.vae.encoders.base import Base


@dataclass(frozen=True)
class Deeper(Base):
    """The base encoder with two more hidden layers.

    Source: "deeper" in the paper's Table 6, which does not give their sizes.

    Args:
        hidden: sizes of the hidden layers.
        units: "tanh" as published, or "gated".

    Examples:
        >>> nf.MultVAE(encoder=nf.encoders.Deeper(hidden=(64, 64))).encoder
        Deeper(hidden=(64, 64), units='tanh')
    """

    hidden: Annotated[LayerSizes, MinLen(1)] = (600, 600, 600)
