"""Parts of an algorithm by name in Python, as on the command line."""

from __future__ import annotations

import pytest

import nearfar as nf
from nearfar.algorithms.algorithm import make_algorithm
from nearfar.core.errors import SettingsError, UnknownNameError


@pytest.mark.parametrize(
    "settings",
    [
        {"prior": "vamp"},
        {"alignment": "pia"},
        {"alignment": {"kind": "pia", "weight": 2.0}},
        {"corruption": "mask", "encoder": "dense"},
    ],
)
def test_names_are_the_parts(settings: dict) -> None:
    assert nf.MultVAE(**settings) == make_algorithm("multvae", settings)


def test_wrong_names_are_told_with_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match="'vampp'; did you mean 'vamp'"):
        nf.MultVAE(prior="vampp")  # pyright: ignore[reportArgumentType]
    with pytest.raises(UnknownNameError, match="'learning_rat'; did you mean 'learning_rate'"):
        nf.MultVAE(learning_rat=1)  # pyright: ignore[reportCallIssue]
    with pytest.raises(SettingsError, match="prior is 3"):
        nf.MultVAE(prior=3)  # pyright: ignore[reportArgumentType]


def test_absurd_widths_are_refused_when_they_are_set() -> None:
    with pytest.raises(SettingsError, match=r"n_latent is 5000000; it must be .* at most 65536"):
        nf.MultVAE(n_latent=5_000_000)
    with pytest.raises(SettingsError, match=r"width is 70000; it must be .* at most 65536"):
        nf.RecVAE(encoder={"kind": "dense", "width": 70_000})
    assert nf.MultVAE(n_latent=65_536).n_latent == 65_536
