"""Encoders, from a history to a posterior: `nf.encoders.IAF()`."""

from __future__ import annotations

from nearfar.vae.encoders.base import Base as Base
from nearfar.vae.encoders.deeper import Deeper as Deeper
from nearfar.vae.encoders.dense import Dense as Dense
from nearfar.vae.encoders.encoder import Encoder as Encoder
from nearfar.vae.encoders.encoder import EncoderNetwork as EncoderNetwork
from nearfar.vae.encoders.hierarchical import Hierarchical as Hierarchical
from nearfar.vae.encoders.iaf import IAF as IAF
from nearfar.vae.encoders.shallow import Shallow as Shallow
