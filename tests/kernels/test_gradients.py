"""Gradients gathered by rows."""

import copy

import pytest
import torch

from nearfar.kernels.gradients import (
    DenseGradient,
    Gradient,
    ParameterTable,
    RowGradient,
    gradient_of,
    tables,
)

ROWS = torch.tensor([1, 3])


def test_dense_gradients_add_up_and_are_cleared() -> None:
    gradient = DenseGradient(torch.zeros(5, 2))
    assert gradient.gathered() is None
    gradient.add_rows(ROWS, torch.ones(2, 2))
    gradient.add_rows(torch.tensor([3, 4]), torch.ones(2, 2))
    assert gradient.gathered().tolist() == [[0, 0], [1, 1], [0, 0], [2, 2], [1, 1]]
    gradient.clear()
    assert gradient.gathered() is None
    gradient.add_rows(ROWS[:1], torch.ones(1, 2))
    assert gradient.gathered().sum() == 2


def test_rows_after_a_gradient_written_in_full_start_from_zero() -> None:
    gradient = DenseGradient(torch.zeros(5, 2))
    gradient.whole().fill_(7)
    gradient.add_rows(ROWS, torch.ones(2, 2))
    assert gradient.gathered().tolist() == [[7, 7], [8, 8], [7, 7], [8, 8], [7, 7]]
    assert gradient.whole() is None  # it holds something
    gradient.clear()
    gradient.add_rows(ROWS, torch.ones(2, 2))
    assert gradient.gathered().sum() == 4


def test_row_gradients_are_coalesced() -> None:
    gradient = RowGradient(torch.zeros(9, 2))
    gradient.add_rows(torch.tensor([4, 7]), torch.ones(2, 2))
    gradient.add_rows(torch.tensor([2, 4]), torch.full((2, 2), 3.0))
    rows, values = gradient.gathered()
    assert rows.tolist() == [2, 4, 7]
    assert values[:, 0].tolist() == [3, 4, 1]
    gradient.clear()
    assert gradient.gathered() is None


@pytest.mark.parametrize("kind", [DenseGradient, RowGradient])
def test_touched_rows_can_be_read_and_replaced(kind: type[Gradient]) -> None:
    gradient = kind(torch.zeros(5, 2))
    gradient.add_rows(ROWS, torch.ones(2, 2))
    assert gradient.touched().tolist() == [0, 1, 0, 1, 0]
    items = torch.tensor([0, 1, 3])  # another process has touched row 0
    assert gradient.rows(items)[:, 0].tolist() == [0, 1, 1]
    gradient.replace(items, torch.full((3, 2), 4.0))
    assert gradient.touched().tolist() == [1, 1, 0, 1, 0]
    assert gradient.rows(torch.arange(5))[:, 0].tolist() == [4, 4, 0, 4, 0]
    gradient.clear()
    assert not gradient.touched().any()
    assert gradient.gathered() is None


def test_a_gradient_written_whole_is_replaced_whole() -> None:
    gradient = DenseGradient(torch.zeros(3, 2))
    memory = gradient.whole()
    assert memory is not None
    memory.fill_(3)
    everything = torch.arange(3)
    assert gradient.touched().tolist() == [1, 1, 1]
    gradient.replace(everything, gradient.rows(everything).mul_(0.5))
    assert gradient.gathered().tolist() == [[1.5, 1.5]] * 3
    gradient.clear()
    gradient.add_rows(ROWS[:1], torch.ones(1, 2))
    assert gradient.gathered().sum() == 2


def test_a_copied_table_gathers_nothing_and_an_assigned_weight_is_plain() -> None:
    layer = torch.nn.Module()
    layer.weight = ParameterTable(torch.ones(4, 2))
    layer.weight.gradient = DenseGradient(layer.weight)
    other = copy.deepcopy(layer)
    assert list(tables(other)) == [other.weight]
    assert gradient_of(other.weight) is None
    assert gradient_of(layer.weight) is layer.weight.gradient
    layer.load_state_dict({"weight": torch.zeros(4, 2)}, assign=True)
    assert gradient_of(layer.weight) is None
