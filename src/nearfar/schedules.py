"""Schedules of loss weights and learning rates: `nf.schedules.LinearAnneal(end=0.2)`."""

from __future__ import annotations

from nearfar.vae.weights.constant import ConstantWeight as ConstantWeight
from nearfar.vae.weights.cosine import Cosine as Cosine
from nearfar.vae.weights.cyclic import Cyclic as Cyclic
from nearfar.vae.weights.exponential import Exponential as Exponential
from nearfar.vae.weights.linear_anneal import LinearAnneal as LinearAnneal
from nearfar.vae.weights.per_interaction import PerInteraction as PerInteraction
from nearfar.vae.weights.plateau_growth import PlateauGrowth as PlateauGrowth
from nearfar.vae.weights.weight import Progress as Progress
from nearfar.vae.weights.weight import Weight as Weight
