"""Gradients gathered by rows."""

import torch

from nearfar.kernels.gradients import DenseGradient, RowGradient

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
