"""Bundles that nearfar 0.1 wrote are read, and their models score as they did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.folder import load_bundle
from tests.bundle.cases import ABOUT, KINDS, make_items, some_histories

WRITTEN = Path(__file__).parent / "bundles_0_1"
"""Written by 0.1.0 (commit 0488958) from `tests.bundle.cases`, with the scores that it gave."""


@pytest.mark.parametrize("kind", KINDS)
def test_an_older_bundle_scores_as_it_did(kind: str) -> None:
    bundle = load_bundle(WRITTEN / kind)
    scores = json.loads((WRITTEN / "scores.json").read_text())[kind]
    np.testing.assert_allclose(bundle.model.score(some_histories()), scores, rtol=1e-6, atol=1e-6)
    assert bundle.items == make_items()
    assert bundle.about == ABOUT
