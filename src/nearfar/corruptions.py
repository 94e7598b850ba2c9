"""Corruption of histories while training: `nf.corruptions.Mask(keep_prob=0.5)`."""

from __future__ import annotations

from nearfar.vae.corruption.corruption import Clean as Clean
from nearfar.vae.corruption.corruption import Corruption as Corruption
from nearfar.vae.corruption.corruption import Dropout as Dropout
from nearfar.vae.corruption.corruption import Mask as Mask
