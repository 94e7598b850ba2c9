"""What the encoder is shown."""

import numpy as np
import pytest
import torch
from scipy.sparse import csr_array

from nearfar.core.errors import SettingsError
from nearfar.kernels.rows import Rows
from nearfar.vae.corruption.corruption import Clean, Dropout, Mask

DENSE = np.array([[1, 1, 0, 1, 1], [0, 0, 0, 0, 0], [0, 0, 1, 0, 0]], np.float32)


def dense(weighted) -> np.ndarray:
    return weighted.product(torch.eye(weighted.rows.n_items)).numpy()


def rows(x: np.ndarray = DENSE) -> Rows:
    return Rows.from_csr(csr_array(x))


def test_clean_and_dropout_present_the_normalised_history() -> None:
    norms = np.maximum(np.linalg.norm(DENSE, axis=1, keepdims=True), 1)
    for corruption in (Clean(), Dropout(0.3)):
        np.testing.assert_allclose(dense(corruption.clean(rows())), DENSE / norms, rtol=1e-6)


def test_mask_presents_the_raw_history() -> None:
    np.testing.assert_array_equal(dense(Mask(0.3).clean(rows())), DENSE)


def test_dropout_normalises_before_it_drops_and_rescales() -> None:
    shown = dense(Dropout(0.25).corrupt(rows(), torch.Generator().manual_seed(0)))
    assert set(np.unique(shown[0]).tolist()) <= {0.0, 0.5 / 0.25}
    assert set(np.unique(shown[2]).tolist()) <= {0.0, 1.0 / 0.25}


@pytest.mark.parametrize("corruption", [Dropout(0.3), Mask(0.3)])
def test_each_positive_is_kept_with_the_same_probability(corruption) -> None:
    x = np.zeros((4000, 10), np.float32)
    x[:, :4] = 1
    shown = dense(corruption.corrupt(rows(x), torch.Generator().manual_seed(1)))
    np.testing.assert_allclose((shown != 0).mean(0)[:4], 0.3, atol=0.03)
    assert (shown[:, 4:] == 0).all()
    if isinstance(corruption, Dropout):
        np.testing.assert_allclose(shown.mean(0)[:4], 0.5, atol=0.05)


def test_keep_prob_one_hides_nothing() -> None:
    rng = torch.Generator().manual_seed(0)
    for corruption in (Dropout(1.0), Mask(1.0)):
        np.testing.assert_array_equal(
            dense(corruption.corrupt(rows(), rng)), dense(corruption.clean(rows()))
        )


@pytest.mark.parametrize("bad", [0.0, -0.1, 1.1])
def test_impossible_probabilities_are_refused(bad: float) -> None:
    for cls in (Dropout, Mask):
        with pytest.raises(SettingsError, match="keep_prob"):
            cls(bad)
