"""Phases of an epoch: what moves in which, when the prior is renewed, exact resume in each."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from torch import Tensor

from nearfar.algorithms.ract import RaCT
from nearfar.algorithms.recvae import RecVAE
from nearfar.core.discovery import name_of
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Interactions
from nearfar.models.autoencoder import Architecture
from nearfar.train.checkpoint import NAME
from nearfar.train.history import StepReport
from nearfar.train.loop import train
from nearfar.train.plan import Phase, TrainingPlan
from nearfar.train.run import Run, Silent
from nearfar.train.state import TrainingState, Validate
from nearfar.vae.encoders.base import Base
from nearfar.vae.encoders.dense import Dense
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.network import VAE
from nearfar.vae.objective import Objective
from nearfar.vae.weights.constant import ConstantWeight

BATCH = 60  # two batches make a pass over the 120 users

RECVAE = RecVAE(
    n_latent=4,
    encoder=Dense(width=8, layers=2),
    epochs=2,
    encoder_passes=2,
    batch_size=BATCH,
    learning_rate=0.01,
    patience=0,
    schedule=ConstantWeight(),
)

RACT = RaCT(
    n_latent=4,
    encoder=Base((8,)),
    decoder_hidden=(8,),
    pretraining_epochs=2,
    critic_epochs=2,
    joint_epochs=2,
    batch_size=BATCH,
    learning_rate=0.01,
    critic_learning_rate=0.01,
    joint_learning_rate=0.01,
)


def test_a_phase_moves_parameters_by_whole_parts_of_their_names() -> None:
    phase = Phase(("network.encoder", "objective.term_modules.critic"))
    assert phase.moves_parameter("network.encoder")
    assert phase.moves_parameter("network.encoder.first.weight")
    assert phase.moves_parameter("objective.term_modules.critic.layers.0.bias")
    assert not phase.moves_parameter("network.encoders.first.weight")
    assert not phase.moves_parameter("network.decoder.out.weight")
    assert not phase.moves_parameter("network")
    assert Phase().moves_parameter("whatever")


def test_a_plan_lists_the_passes_of_every_epoch() -> None:
    one, two, three = Phase(end_epoch=2), Phase(passes=2, first_epoch=1), Phase(first_epoch=3)
    plan = TrainingPlan(4, 1, 1e-3, 0, phases=(one, two, three))
    assert [plan.passes(epoch) for epoch in range(4)] == [
        [one],
        [one, two, two],
        [two, two],
        [two, two, three],
    ]


def test_bad_phases_are_refused() -> None:
    with pytest.raises(SettingsError, match="passes is 0"):
        Phase(passes=0)
    with pytest.raises(SettingsError, match="learning_rate is 0"):
        Phase(learning_rate=0.0)
    with pytest.raises(SettingsError, match="an epoch of the 3 without a phase"):
        TrainingPlan(3, 1, 1e-3, 0, phases=(Phase(end_epoch=1), Phase(first_epoch=2)))


class Watcher(Silent):
    """Keeps the parameters as they are after every step."""

    def __init__(self, modules: torch.nn.ModuleDict) -> None:
        self.modules = modules
        self.states: list[dict[str, Tensor]] = [self.now()]

    def now(self) -> dict[str, Tensor]:
        return {name: p.detach().clone() for name, p in self.modules.named_parameters()}

    def step(self, report: StepReport, /) -> None:
        self.states.append(self.now())


def built(algorithm: RecVAE, n_items: int = 24) -> tuple[VAE, Objective]:
    architecture = Architecture(
        n_items, algorithm.n_latent, algorithm.encoder, (), algorithm.corruption
    )
    network = architecture.build(torch.Generator().manual_seed(0))
    return network, algorithm.objective(TrainingCounts(torch.ones(n_items).long().numpy(), 120), 0)


def steps_of(
    clusters, plan: TrainingPlan, *, validate: Validate | None = None
) -> tuple[list[dict[str, Tensor]], Run]:
    """The parameters before the first step and after each one of a run of RecVAE's network."""
    interactions: Interactions = clusters[0]
    network, objective = built(RECVAE)
    assert objective.prior is not None
    objective.prior.renew(network.encoder)  # so that its parameters have their names already
    watcher = Watcher(torch.nn.ModuleDict({"network": network, "objective": objective}))
    run = Run(device="cpu", reporter=watcher)
    train(network, objective, plan, interactions.x, validate=validate, run=run, identity={})
    return watcher.states, run


def part(state: dict[str, Tensor], start: str) -> dict[str, Tensor]:
    return {n.removeprefix(start): v for n, v in state.items() if n.startswith(start)}


def same(a: dict[str, Tensor], b: dict[str, Tensor]) -> bool:
    assert a.keys() == b.keys()
    assert a
    return all(torch.equal(v, b[n]) for n, v in a.items())


def test_recvae_takes_turns_and_renews_its_prior_between_them(clusters) -> None:
    """Two passes of two steps each for the encoder, one pass for the decoder, two epochs."""
    states, _ = steps_of(clusters, RECVAE.plan())
    assert len(states) == 1 + 2 * 6
    encoder, decoder = "network.encoder.", "network.decoder."
    prior = "objective.prior.old_encoder."
    for epoch in range(2):
        first = 1 + 6 * epoch
        for number in range(first, first + 6):
            of_encoder = number < first + 4
            assert same(part(states[number], encoder), part(states[number - 1], encoder)) != (
                of_encoder
            )
            assert same(part(states[number], decoder), part(states[number - 1], decoder)) == (
                of_encoder
            )
            taken_over = states[first - 1] if of_encoder else states[first + 3]
            assert same(part(states[number], prior), part(taken_over, encoder)), number


def test_a_phase_without_renewal_leaves_the_prior_alone(clusters) -> None:
    plan = RECVAE.plan()
    phases = tuple(replace(p, renews_prior=False) for p in plan.phases)
    states, _ = steps_of(clusters, replace(plan, phases=phases))
    prior = "objective.prior.old_encoder."
    assert all(same(part(state, prior), part(states[0], prior)) for state in states)


def test_phases_choose_terms_histories_and_learning_rates(clusters, monkeypatch) -> None:
    seen = []
    take_step, step = TrainingState.take_step, VAE.training_step

    def watched(self: TrainingState, phase: Phase, rows) -> None:
        seen.append([phase])
        take_step(self, phase, rows)

    def corrupted(self, rows, rng, *, corrupt: bool, noise: bool):
        seen[-1].append(corrupt)
        return step(self, rows, rng, corrupt=corrupt, noise=noise)

    monkeypatch.setattr(TrainingState, "take_step", watched)
    monkeypatch.setattr(VAE, "training_step", corrupted)
    encoder, decoder = RECVAE.plan().phases
    _, run = steps_of(clusters, RECVAE.plan())
    assert seen == ([[encoder, True]] * 4 + [[decoder, False]] * 2) * 2
    for record in run.history.records:
        assert set(record.terms) == {"reconstruction", "kl"}


@pytest.mark.parametrize("rate", [1e-6, 0.1])
def test_a_phase_has_a_learning_rate_of_its_own(clusters, rate: float) -> None:
    """Adam's first step moves what moves by about the rate."""
    plan = RECVAE.plan()
    phases = (plan.phases[0], replace(plan.phases[1], learning_rate=rate))
    states, _ = steps_of(clusters, replace(plan, phases=phases))
    for first, expected in ((1, RECVAE.learning_rate), (5, rate)):
        start = "network.encoder." if first == 1 else "network.decoder."
        before, after = part(states[first - 1], start), part(states[first], start)
        largest = max(float((after[n] - before[n]).abs().max()) for n in before)
        assert largest == pytest.approx(expected, rel=0.1)


@pytest.mark.parametrize("from_best", [True, False])
def test_a_phase_may_start_from_the_best_epoch(clusters, from_best: bool) -> None:
    """Epoch 1 is the best of three; what comes after starts there, once."""
    scores = iter([0.2, 0.9, 0.3, 0.4, 0.5])
    first = Phase(end_epoch=3)
    second = Phase(("network.decoder",), first_epoch=3, from_best=from_best)
    plan = TrainingPlan(5, BATCH, 0.01, 0, phases=(first, second))
    states, run = steps_of(clusters, plan, validate=lambda: {"made up": next(scores)})
    assert run.history.best_epoch == 1
    best, last, encoder = states[4], states[6], "network.encoder."
    assert not same(part(best, encoder), part(last, encoder))
    started_from = best if from_best else last
    for number in range(7, 11):  # the encoder rests from here on
        assert same(part(states[number], encoder), part(started_from, encoder))

    def moved(number: int) -> float:
        return max(float((states[number][n] - started_from[n]).abs().max()) for n in of_decoder)

    of_decoder = [n for n in best if n.startswith("network.decoder.")]
    assert moved(7) == pytest.approx(0.01, rel=0.1)  # Adam's first step
    assert moved(10) > 0.025  # more than the two steps of one epoch: it did not start again


class PowerCut(BaseException):
    """What nobody catches."""


class Cutter(Silent):
    """Ends the run at a step, of which nothing is kept."""

    def __init__(self, epoch: int, step: int) -> None:
        self.at = (epoch, step)

    def step(self, report: StepReport, /) -> None:
        if (report.epoch, report.step) == self.at:
            raise PowerCut


def everything(folder: Path) -> tuple[dict[str, Tensor], dict[str, Any]]:
    """The last checkpoint: parameters, buffers, the best ones, Adams' moments; the position."""
    with safe_open(folder / NAME, framework="pt") as file:
        position = json.loads(file.metadata()["nearfar"])["position"]
        tensors = {key: file.get_tensor(key) for key in file.keys()}  # noqa: SIM118
    for record in (position, *position["records"]):
        for name in ("seconds", "validation_seconds", "users_per_second"):
            record.pop(name, None)
    return tensors, position


EVERY_STEP = [
    *((RECVAE, epoch, step) for epoch in (0, 1) for step in range(1, 7)),
    *((RACT, epoch, step) for epoch in (0, 1, 2, 3) for step in (1, 2)),
    *((RACT, epoch, step) for epoch in (4, 5) for step in range(1, 5)),
]

IN_SHORT = {
    *((RECVAE, 1, step) for step in (1, 3, 5, 6)),
    *((RACT, 1, 2), (RACT, 2, 1), (RACT, 2, 2), (RACT, 4, 1), (RACT, 4, 3), (RACT, 5, 2)),
}
"""Within a pass and between two, in a stage and between two: the rest is for the long run."""


def cuts() -> list[Any]:
    found = []
    for algorithm, epoch, step in EVERY_STEP:
        if (epoch, step) == (0, 1):
            continue  # there is no checkpoint yet
        marks = () if (algorithm, epoch, step) in IN_SHORT else pytest.mark.slow
        case = f"{name_of(type(algorithm))}-{epoch}-{step}"
        found.append(pytest.param(algorithm, epoch, step, id=case, marks=marks))
    return found


@pytest.fixture(scope="module")
def left_alone(clusters, tmp_path_factory) -> dict[str, Path]:
    folders = {}
    for algorithm in (RECVAE, RACT):
        folder = tmp_path_factory.mktemp("left_alone")
        run = Run(seed=3, device="cpu", folder=folder, checkpoint_epochs=1)
        algorithm.fit(*clusters, run=run)
        folders[name_of(type(algorithm))] = folder
    return folders


@pytest.mark.parametrize(("algorithm", "epoch", "step"), cuts())
def test_cut_off_at_any_step_and_resumed_ends_in_the_same_bits(
    clusters, left_alone, tmp_path: Path, algorithm: RecVAE | RaCT, epoch: int, step: int
) -> None:
    """In every stage and pass, at its first and last steps too: there is a checkpoint a step."""
    run = Run(
        seed=3, device="cpu", folder=tmp_path, checkpoint_seconds=0, reporter=Cutter(epoch, step)
    )
    with pytest.raises(PowerCut):
        algorithm.fit(*clusters, run=run)
    _, position = everything(tmp_path)
    assert position["epoch"] == (epoch if step > 1 else epoch - 1)
    resumed = Run(seed=3, device="cpu", folder=tmp_path, resume=True, checkpoint_epochs=1)
    algorithm.fit(*clusters, run=resumed)
    expected, found = everything(left_alone[name_of(type(algorithm))]), everything(tmp_path)
    assert found[1] == expected[1]
    assert found[0].keys() == expected[0].keys()
    for name, value in expected[0].items():
        assert torch.equal(found[0][name], value), name
    if isinstance(algorithm, RaCT):
        assert {"now.objective.term_modules.critic.moments.totals"} < found[0].keys()
        assert {key.partition(".")[0] for key in found[0]} == {
            "now",
            "best",
            "adam",
            "information",
            "neighbours",
        }
