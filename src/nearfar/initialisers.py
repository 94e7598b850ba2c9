"""Initial weights of a network: `nf.initialisers.Spectral()`."""

from __future__ import annotations

from nearfar.vae.initialisers.initialiser import Initialiser as Initialiser
from nearfar.vae.initialisers.saved import Saved as Saved
from nearfar.vae.initialisers.spectral import Spectral as Spectral
from nearfar.vae.initialisers.xavier import Xavier as Xavier
