"""The optimiser against PyTorch's own on dense gradients."""

import copy

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.kernels.gradients import tables
from nearfar.kernels.rows import Rows
from nearfar.models.autoencoder import Architecture
from nearfar.train.optimiser import LazyAdam, Optimiser, RowAdam
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.weights.weight import Progress

N_ITEMS = 50


def setting() -> tuple[torch.nn.ModuleDict, list[Rows]]:
    algorithm = MultVAE(n_latent=4, decoder_hidden=(8,), alignment=PIA(weight=0.5, patience=0))
    architecture = Architecture(N_ITEMS, 4, algorithm.encoder, (8,), algorithm.corruption)
    catalogue = TrainingCounts(np.ones(N_ITEMS, np.int64), 30)
    modules = torch.nn.ModuleDict(
        {
            "network": architecture.build(torch.Generator().manual_seed(0)),
            "objective": algorithm.objective(catalogue, 0),
        }
    )
    rng = np.random.default_rng(0)
    batches = [Rows.from_csr(csr_array(rng.random((6, N_ITEMS)) < 0.06)) for _ in range(6)]
    return modules, batches


def loss(modules: torch.nn.ModuleDict, rows: Rows, number: int) -> torch.Tensor:
    step = modules["network"].training_step(rows, torch.Generator().manual_seed(number))
    objective = modules["objective"]
    return objective(step, objective.weights(Progress(number)))[0]


def test_steps_are_those_of_dense_adam() -> None:
    modules, batches = setting()
    plain = copy.deepcopy(modules)
    ours, adam = Optimiser(modules, "adam", 0.01), torch.optim.Adam(plain.parameters(), lr=0.01)
    assert {tuple(p.shape) for p in tables(modules)} == {(50, 600), (50, 8), (50, 4)}
    for number, rows in enumerate(batches):
        rate = 0.01 / (number + 1)
        ours.zero()
        loss(modules, rows, number).backward()
        ours.step(rate)
        adam.zero_grad()
        loss(plain, rows, number).backward()
        adam.param_groups[0]["lr"] = rate
        adam.step()
        for (name, a), b in zip(modules.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=f"{name}, step {number}")
    ours.release()
    assert all(p.gradient is None and p.grad is None for p in tables(modules))


def test_a_term_that_goes_the_dense_way_counts_too() -> None:
    modules, batches = setting()
    plain = copy.deepcopy(modules)
    ours, adam = Optimiser(modules, "adam", 0.01), torch.optim.Adam(plain.parameters(), lr=0.01)
    for number, rows in enumerate(batches[:3]):
        for side in (modules, plain):
            (ours.zero if side is modules else adam.zero_grad)()
            network = side["network"]
            extra = network.decoder.out.weight.square().sum()
            extra += network.encoder.first.weight.square().sum()
            (loss(side, rows, number) + extra).backward()
        ours.step(0.01)
        adam.step()
    for a, b in zip(modules.parameters(), plain.parameters(), strict=True):
        torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6)


def sparse_steps(n: int) -> list[tuple[torch.Tensor, torch.Tensor]]:
    rng = torch.Generator().manual_seed(1)
    picked = [torch.randperm(20, generator=rng)[:5].sort().values for _ in range(n)]
    return [(rows, torch.randn(5, 3, generator=rng)) for rows in picked]


def test_lazy_adam_is_pytorchs_sparse_adam() -> None:
    table = torch.randn(20, 3)
    other = table.clone().requires_grad_()
    reference = torch.optim.SparseAdam([other], lr=0.1)
    update = LazyAdam(table)
    for rows, values in sparse_steps(12):
        other.grad = torch.sparse_coo_tensor(rows[None], values, (20, 3), check_invariants=True)
        reference.step()
        update.move(table, rows, values, 0.1)
    torch.testing.assert_close(table, other.detach())


def test_row_adam_moves_rows_by_their_own_scale() -> None:
    table = torch.zeros(20, 3)
    expected, square, steps = torch.zeros(20, 3), torch.zeros(20), torch.zeros(20)
    update = RowAdam(table)
    for rows, values in sparse_steps(12):
        for row, g in zip(rows.tolist(), values, strict=True):
            steps[row] += 1
            square[row] = 0.999 * square[row] + 0.001 * g.square().mean()
            scale = (square[row] / (1 - 0.999 ** steps[row])).sqrt() + 1e-8
            expected[row] -= 0.1 * g / scale
        update.move(table, rows, values, 0.1)
    torch.testing.assert_close(table, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("name", ["adam", "lazy_adam", "row_adam"])
def test_a_restored_optimiser_goes_on_to_the_same_bits(name) -> None:
    modules, batches = setting()
    ours = Optimiser(modules, name, 0.01)

    def steps(modules, optimiser, numbers) -> None:
        for number in numbers:
            optimiser.zero()
            loss(modules, batches[number], number).backward()
            optimiser.step(0.01)

    steps(modules, ours, range(3))
    state = {k: v.clone() for k, v in ours.state().items()}
    other, _ = setting()
    other.load_state_dict(modules.state_dict())
    resumed = Optimiser(other, name, 0.01)
    resumed.restore(state)
    steps(modules, ours, range(3, 6))
    steps(other, resumed, range(3, 6))
    for a, b in zip(modules.parameters(), other.parameters(), strict=True):
        np.testing.assert_array_equal(a.detach().numpy(), b.detach().numpy())


@pytest.mark.parametrize("name", ["lazy_adam", "row_adam"])
def test_rows_that_a_batch_does_not_touch_rest(name) -> None:
    modules, batches = setting()
    ours = Optimiser(modules, name, 0.01)
    first = modules["network"].encoder.first.weight
    before = first.detach().clone()
    for number in range(2):
        ours.zero()
        loss(modules, batches[0], number).backward()
        ours.step(0.01)
    moved = (first.detach() != before).any(1).nonzero()[:, 0]
    assert set(moved.tolist()) <= set(batches[0].indices.tolist())
    assert len(moved)
