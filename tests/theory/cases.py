"""Subjects of small fitted models, made once."""

from __future__ import annotations

from functools import cache

import numpy as np
from scipy.sparse import csr_array

from nearfar.algorithms.algorithm import Algorithm
from nearfar.algorithms.cdae import CDAE
from nearfar.algorithms.hvamp import HVamp
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.algorithms.recvae import RecVAE
from nearfar.models.autoencoder import Autoencoder
from nearfar.theory.subject import Subject
from nearfar.train.run import Run
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.encoders.iaf import IAF
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.weights.constant import ConstantWeight
from tests.conftest import interactions

SMALL = {"n_latent": 4, "epochs": 6, "batch_size": 20, "learning_rate": 0.01}
BASE = {
    **SMALL, "encoder": Base((8,)), "decoder_hidden": (8,), "beta": ConstantWeight(0.2),
    "likelihood": None, "initialiser": Xavier(), "schedule": ConstantWeight(),
}  # fmt: skip
MODELS: dict[str, Algorithm] = {
    "plain": MultVAE(**BASE),
    "pia": MultVAE(**BASE, alignment=PIA(weight=0.5)),
    "linear": MultVAE(**{**BASE, "decoder_hidden": ()}, alignment=PIA(weight=0.5)),
    "flow": MultVAE(**{**BASE, "encoder": IAF(before=Base((8,)), steps=1, hidden=8)}),
    "recvae": RecVAE(**SMALL, encoder=Dense(width=8, layers=2)),
    "hvamp": HVamp(**SMALL, hidden=8, pseudo_inputs=10),
    "point": CDAE(**SMALL),
}


def two_tastes(n_users: int = 60, n_items: int = 16, seed: int = 3) -> csr_array:
    """Users of two tastes that share nothing, each with an item or more."""
    rng = np.random.default_rng(seed)
    dense = np.zeros((n_users, n_items), np.float32)
    half = n_items // 2
    for user in range(n_users):
        taste = half * (user % 2)
        dense[user, taste : taste + half] = rng.random(half) < 0.5
        dense[user, taste + user % half] = 1
    return csr_array(dense)


@cache
def model(name: str) -> Autoencoder:
    found = MODELS[name].fit(interactions(two_tastes().toarray()), None, run=Run(seed=0))
    assert isinstance(found, Autoencoder)
    return found


def subject(name: str = "plain", **settings) -> Subject:
    x = two_tastes()
    counts = np.diff(x.indptr)
    given = {"beta": 0.2, "align_weight": 0.5 if name in ("pia", "linear") else 0.0,
             "n_masks": 4, "n_sharing": 20, "algorithm": MODELS[name]} | settings  # fmt: skip
    return Subject(model(name), x, (counts > np.median(counts)).astype(int), ("few", "many"),
                   **given)  # fmt: skip
