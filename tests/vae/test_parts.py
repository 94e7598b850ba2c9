"""Every part of its kind can be named in a configuration of Mult-VAE, and trains."""

import math

import numpy as np
import pytest
import torch

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core import discovery
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Architecture
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Clean, Corruption
from nearfar.vae.encoders.encoder import Encoder
from nearfar.vae.initialisers.initialiser import Initialiser
from nearfar.vae.likelihoods.likelihood import Likelihood
from nearfar.vae.priors.prior import Prior
from nearfar.vae.weights.weight import Weight

KINDS = {
    "encoder": Encoder,
    "prior": Prior,
    "corruption": Corruption,
    "likelihood": Likelihood,
    "initialiser": Initialiser,
    "beta": Weight,
}
FOUND = [
    (field, name)
    for field, base in KINDS.items()
    for name in discovery.discover(base.__module__.rpartition(".")[0], base)
    if (field, name) != ("initialiser", "saved")  # needs a file: test_saved_initialiser.py
]
WITH = {("prior", "hierarchical"): {"encoder": "hierarchical"}}


def test_the_parts_are_found() -> None:
    assert {
        ("encoder", "base"),
        ("encoder", "deeper"),
        ("encoder", "dense"),
        ("encoder", "hierarchical"),
        ("encoder", "iaf"),
        ("prior", "composite"),
        ("prior", "hierarchical"),
        ("prior", "mixture"),
        ("prior", "normal"),
        ("prior", "vamp"),
        ("corruption", "clean"),
        ("corruption", "dropout"),
        ("corruption", "mask"),
        ("likelihood", "bernoulli"),
        ("beta", "constant"),
        ("beta", "cyclic"),
        ("beta", "linear_anneal"),
        ("beta", "per_interaction"),
    } <= set(FOUND)


def has_variance(encoder: Encoder, x) -> bool:
    """A point has none, and no finite KL."""
    network = Architecture(x.shape[1], 4, encoder, (), Clean()).build(torch.Generator())
    return bool(network.encode(Rows.from_csr(x)).logvar.isfinite().all())


@pytest.mark.parametrize(("field", "name"), FOUND)
def test_a_part_that_is_named_trains(field, name, clusters) -> None:
    train, validation = clusters
    settings = {
        "n_latent": 4,
        "decoder_hidden": [6],
        "epochs": 1,
        "batch_size": 60,
        field: name,
        **WITH.get((field, name), {}),
    }
    algorithm = make_algorithm("multvae", settings)
    if not has_variance(algorithm.encoder, validation.fold_in.x):
        pytest.skip(f"{name} is for autoencoders without a KL term")
    run = Run(seed=2)
    model = algorithm.fit(train, validation, run=run)
    assert math.isfinite(run.history.records[0].loss)
    scores = model.score(validation.fold_in.x)
    assert np.isfinite(scores).all()
    assert scores.std() > 0
