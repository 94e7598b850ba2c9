"""One optimiser a phase: what moves, what rests, and that Adam's memories are kept apart."""

import copy

import pytest
import torch
from scipy.sparse import csr_array
from torch import Tensor

from nearfar.kernels.gradients import DenseGradient, ParameterTable, gradient_of, tables
from nearfar.kernels.rows import Rows
from nearfar.kernels.softmax import Workspace, linear_multinomial_nll
from nearfar.train.optimiser import Optimisers
from nearfar.train.plan import OptimiserName, Phase, TrainingPlan
from nearfar.vae.priors.composite import Composite
from nearfar.vae.weights.weight import Progress
from tests.train.test_optimiser import setting

ENCODER = Phase(("network.encoder", "objective"), learning_rate=0.01)
DECODER = Phase(("network.decoder",), ("reconstruction",), corrupt=False, learning_rate=0.003)
TURNS = (ENCODER, ENCODER, DECODER, ENCODER, DECODER, DECODER)

NAMES: list[OptimiserName] = ["adam", "lazy_adam", "row_adam"]


def plan(name: OptimiserName = "adam", weight_decay: float = 0.0) -> TrainingPlan:
    return TrainingPlan(
        3, 6, 0.02, 0, optimiser=name, weight_decay=weight_decay, phases=(ENCODER, DECODER)
    )


def loss(modules: torch.nn.ModuleDict, phase: Phase, rows: Rows, number: int) -> Tensor:
    rng = torch.Generator().manual_seed(number)
    step = modules["network"].training_step(rows, rng, corrupt=phase.corrupt)
    weights = modules["objective"].weights(Progress(number))
    return modules["objective"](step, {n: weights[n] for n in phase.terms or weights})[0]


def take(optimisers: Optimisers, modules: torch.nn.ModuleDict, rows: Rows, number: int) -> None:
    phase = TURNS[number]
    optimiser = optimisers.of(phase)
    optimiser.zero()
    loss(modules, phase, rows, number).backward()
    optimiser.step(phase.learning_rate or 0.0)


@pytest.mark.parametrize("weight_decay", [0.0, 0.3])
def test_two_phases_are_two_adams(weight_decay: float) -> None:
    """Weight decay is of matrices alone; each Adam sees the gradients of its own phase alone."""
    modules, batches = setting()
    plain = copy.deepcopy(modules)
    adams = {}
    for phase in (ENCODER, DECODER):
        moving = [p for n, p in plain.named_parameters() if phase.moves_parameter(n)]
        groups = [
            {"params": [p for p in moving if p.ndim == 2], "weight_decay": weight_decay},
            {"params": [p for p in moving if p.ndim == 1], "weight_decay": 0.0},
        ]
        assert all(group["params"] for group in groups)
        adams[phase] = torch.optim.Adam(groups, lr=phase.learning_rate)
    optimisers = Optimisers(modules, plan(weight_decay=weight_decay))
    for number, phase in enumerate(TURNS):
        take(optimisers, modules, batches[number], number)
        plain.zero_grad()
        loss(plain, phase, batches[number], number).backward()
        adams[phase].step()
        for (name, a), b in zip(modules.named_parameters(), plain.parameters(), strict=True):
            torch.testing.assert_close(a, b, rtol=1e-5, atol=1e-6, msg=f"{name}, turn {number}")


@pytest.mark.parametrize("name", NAMES)
def test_what_a_phase_does_not_move_rests(name: OptimiserName) -> None:
    """No gradient, not even one of the phase before, and not a bit of a change."""
    modules, batches = setting()
    optimisers = Optimisers(modules, plan(name))
    for number, phase in enumerate(TURNS):
        before = {n: p.detach().clone() for n, p in modules.named_parameters()}
        take(optimisers, modules, batches[number], number)
        moved = set()
        for parameter_name, parameter in modules.named_parameters():
            moves = phase.moves_parameter(parameter_name)
            assert parameter.requires_grad == moves
            if not moves:
                assert parameter.grad is None, parameter_name
                assert gradient_of(parameter) is None, parameter_name
            if not torch.equal(parameter, before[parameter_name]):
                moved.add(parameter_name)
        assert moved == {n for n in before if phase.moves_parameter(n)}


@pytest.mark.parametrize("name", NAMES)
def test_released_parameters_are_plain_again(name: OptimiserName) -> None:
    modules, batches = setting()
    prior = Composite().build(50, 4, torch.Generator())
    prior.renew(modules["network"].encoder)
    modules["prior"] = prior
    frozen = {n for n, p in modules.named_parameters() if not p.requires_grad}
    assert frozen
    optimisers = Optimisers(modules, plan(name))
    take(optimisers, modules, batches[2], 2)
    optimisers.release()
    for parameter_name, parameter in modules.named_parameters():
        assert parameter.requires_grad == (parameter_name not in frozen)
        assert parameter.grad is None
    assert all(p.gradient is None for p in tables(modules))


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("turns", [2, 4])
def test_restored_optimisers_go_on_to_the_same_bits(name: OptimiserName, turns: int) -> None:
    modules, batches = setting()
    ours = Optimisers(modules, plan(name))
    for number in range(turns):
        take(ours, modules, batches[number], number)
    state = {k: v.clone() for k, v in ours.state().items()}
    assert {k.partition(".")[0] for k in state} == (
        {"phase0"} if turns < 3 else {"phase0", "phase1"}
    )
    other, _ = setting()
    other.load_state_dict(modules.state_dict())
    resumed = Optimisers(other, plan(name))
    resumed.restore(state)
    for number in range(turns, len(TURNS)):
        take(ours, modules, batches[number], number)
        take(resumed, other, batches[number], number)
    for (parameter_name, a), b in zip(modules.named_parameters(), other.parameters(), strict=True):
        assert torch.equal(a, b), parameter_name


@pytest.mark.parametrize(
    "rests", ["hidden", "weight", "bias", "hidden and bias", "weight and bias"]
)
@pytest.mark.parametrize("held", [True, False], ids=["gathered", "dense"])
@pytest.mark.parametrize("limit", [1 << 30, 4 * 40 * 4], ids=["all users", "four users"])
def test_the_softmax_gives_those_that_move_the_same(rests: str, held: bool, limit: int) -> None:
    """Gradients of the output layer that are not asked for are left out; the others stay."""
    rng = torch.Generator().manual_seed(0)
    x = csr_array((torch.rand(9, 40, generator=rng) < 0.2).numpy())
    values = {
        "hidden": torch.randn(9, 6, generator=rng),
        "weight": torch.randn(40, 6, generator=rng),
        "bias": torch.randn(40, generator=rng),
    }
    by_user = torch.rand(9, generator=rng)

    def gradients(resting: str) -> dict[str, Tensor]:
        given = {
            n: (ParameterTable if n == "weight" else torch.nn.Parameter)(
                v.clone(), n not in resting.split(" and ")
            )
            for n, v in values.items()
        }
        moving = {n: v for n, v in given.items() if v.requires_grad}
        gradient = DenseGradient(given["weight"])
        if held and "weight" in moving:
            given["weight"].gradient = gradient
        nll = linear_multinomial_nll(**given, rows=Rows.from_csr(x), workspace=Workspace(limit))
        (nll * by_user).sum().backward()
        found = {n: v.grad for n, v in moving.items()}
        if gradient_of(given["weight"]) is not None:
            found["weight"] = gradient.gathered()
        assert all(g is not None for g in found.values())
        assert all(v.grad is None for n, v in given.items() if n not in moving)
        return {n: g for n, g in found.items() if g is not None}

    everything, some = gradients("nothing"), gradients(rests)
    assert set(everything) - set(some) == set(rests.split(" and "))
    for name, gradient in some.items():
        assert torch.equal(gradient, everything[name]), name
