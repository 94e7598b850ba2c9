"""RecVAE against its published training, written out on dense tensors."""

import copy
import math
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor

from nearfar.algorithms.pia import PIA
from nearfar.algorithms.recvae import RecVAE
from nearfar.train.run import Run
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.initialisers.xavier import Xavier
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.network import VAE
from nearfar.vae.weights.constant import ConstantWeight
from nearfar.vae.weights.per_interaction import PerInteraction
from tests.paper.recording import Taken, recording
from tests.vae.networks import dense_of

N_LATENT, BATCH, EPOCHS, GAMMA, RATE = 4, 50, 2, 0.02, 0.01

ALGORITHM = RecVAE(
    n_latent=N_LATENT,
    encoder=Dense(10, 3),
    beta=PerInteraction(GAMMA),
    epochs=EPOCHS,
    batch_size=BATCH,
    learning_rate=RATE,
    schedule=ConstantWeight(),
    likelihood=None,
    initialiser=Xavier(),
)


def log_normal(z: Tensor, mu: Tensor, logvar: Tensor) -> Tensor:
    return -0.5 * (logvar + math.log(2 * math.pi) + (z - mu) ** 2 / logvar.exp())


def published_loss(vae: VAE, old, taken: Taken) -> Tensor:
    """Of one batch, dense: dropout of x / |x|, one sample, gamma |x| times the estimated KL."""
    x, rng = taken.dense, taken.rng
    shown = x / x.sum(1, keepdim=True).sqrt()
    if taken.corrupt:
        shown = dense_of(vae.corruption.corrupt(taken.rows, rng))
    q = vae.encoder.of_dense(shown)
    z = q.mu + torch.exp(q.logvar / 2) * torch.randn(q.mu.shape, generator=rng)
    with torch.no_grad():
        before = old.of_dense(x / x.sum(1, keepdim=True).sqrt())
    zero = torch.zeros(1, N_LATENT)
    parts = [
        log_normal(z, zero, zero) + math.log(3 / 20),
        log_normal(z, before.mu, before.logvar) + math.log(3 / 4),
        log_normal(z, zero, zero + 10) + math.log(1 / 10),
    ]
    kl = (log_normal(z, q.mu, q.logvar) - torch.logsumexp(torch.stack(parts), 0)).sum(1)
    nll = -(torch.log_softmax(vae.decoder(z), 1) * x).sum(1)
    return nll.mean() + (kl * GAMMA * x.sum(1)).mean()


def test_training_is_the_published_one(clusters) -> None:
    """Three passes of the encoder, the prior renewed, one clean pass of the decoder; two Adams."""
    train, _ = clusters
    with recording() as steps:
        model = ALGORITHM.fit(train, run=Run(seed=3))
    per_pass = -(-train.n_users // BATCH)
    passes = np.array([s.corrupt for s in steps]).reshape(EPOCHS, 4, per_pass)
    assert passes[:, :3].all()
    assert not passes[:, 3:].any()
    assert all(s.noise for s in steps)

    vae = model.architecture.build(torch.Generator())
    vae.load_state_dict(steps[0].weights)
    old = copy.deepcopy(vae.encoder)
    adams = {
        True: torch.optim.Adam(vae.encoder.parameters(), lr=RATE),
        False: torch.optim.Adam(vae.decoder.parameters(), lr=RATE),
    }
    for number, taken in enumerate(steps):
        if number % (4 * per_pass) == 3 * per_pass:
            old.load_state_dict(vae.encoder.state_dict())
        vae.zero_grad()
        published_loss(vae, old, taken).backward()
        adams[taken.corrupt].step()

    fitted = dict(model.network.named_parameters())
    for name, expected in vae.named_parameters():
        torch.testing.assert_close(fitted[name], expected, atol=2e-4, rtol=2e-3, msg=name)
        assert (expected - steps[0].weights[name]).abs().max() > 1e-3, name


def test_every_user_has_one_turn_in_every_pass(clusters) -> None:
    train, _ = clusters
    with recording() as steps:
        ALGORITHM.fit(train, run=Run(seed=3))
    per_pass = -(-train.n_users // BATCH)
    for start in range(0, len(steps), per_pass):
        users = torch.cat([s.rows.positions for s in steps[start : start + per_pass]])
        assert sorted(users.tolist()) == list(range(train.n_users))


def test_anchors_of_alignment_move_with_the_encoder_alone(clusters) -> None:
    train, _ = clusters
    aligned = replace(ALGORITHM, alignment=PIA(weight=0.5), epochs=1)
    catalogue = TrainingCounts(train.item_counts, train.n_users)
    start = aligned.objective(catalogue, 3).terms["alignment"].term.anchors
    model = aligned.fit(train, run=Run(seed=3))
    assert model.anchors is not None
    assert np.abs(model.anchors - start.detach().numpy()).max() > 1e-3
    encoder, decoder = aligned.plan().phases
    assert encoder.moves_parameter("objective.term_modules.alignment.anchors")
    assert not decoder.moves_parameter("objective.term_modules.alignment.anchors")
