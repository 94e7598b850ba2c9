"""Initial weights of a network: `nf.initialisers.Spectral()`."""

from __future__ import annotations

from nearfar.vae.starts.saved import Saved as Saved
from nearfar.vae.starts.spectral import Spectral as Spectral
from nearfar.vae.starts.start import Start as Start
from nearfar.vae.starts.xavier import Xavier as Xavier
