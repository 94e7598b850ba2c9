"""Whether users keep their neighbours, epoch by epoch."""

import numpy as np
import torch

from nearfar.algorithms.multvae import MultVAE
from nearfar.train.run import Run
from nearfar.vae.neighbours import Neighbourhoods, nearest, overlap
from tests.conftest import interactions
from tests.theory.cases import BASE, model, two_tastes


def test_the_first_time_there_is_nothing_to_compare() -> None:
    x = two_tastes()
    near = Neighbourhoods.of(x, np.arange(60), 0, "cpu")
    assert near.kept(model("plain").network) is None
    assert near.kept(model("plain").network) == 1
    before = model("plain").encode(x).mu
    after = model("pia").encode(x).mu
    assert near.kept(model("pia").network) == float(
        overlap(nearest(before, 10), nearest(after, 10)).mean()
    )


def test_behind_a_flow_users_are_where_the_flow_takes_them() -> None:
    x, flow = two_tastes(), model("flow")
    near = Neighbourhoods.of(x, np.arange(60), 0, "cpu")
    near.kept(model("plain").network)
    before, after = model("plain").encode(x).mu, flow.network.latents(near.rows)
    wanted = float(overlap(nearest(before, 10), nearest(after, 10)).mean())
    assert near.kept(flow.network) == wanted
    # the means before the flow would say something else
    assert wanted != float(overlap(nearest(before, 10), nearest(flow.encode(x).mu, 10)).mean())


def test_too_few_users_have_no_neighbourhoods() -> None:
    near = Neighbourhoods.of(two_tastes(), np.arange(3), 0, "cpu")
    assert near.kept(model("plain").network) is None
    assert near.kept(model("plain").network) is None


def test_a_training_records_it_and_settles_down() -> None:
    run = Run(seed=0)
    MultVAE(**{**BASE, "epochs": 30, "learning_rate": 0.003}).fit(
        interactions(two_tastes().toarray()), None, run=run
    )
    kept = [record.neighbours_kept for record in run.history.records]
    assert kept[0] is None
    assert all(0 <= k <= 1 for k in kept[1:])
    assert np.mean(kept[-5:]) > np.mean(kept[1:6])


def test_it_changes_nothing_that_is_learned() -> None:
    torch.manual_seed(0)
    before = torch.random.get_rng_state()
    Neighbourhoods.of(two_tastes(), np.arange(60), 0, "cpu").kept(model("plain").network)
    assert torch.equal(torch.random.get_rng_state(), before)
