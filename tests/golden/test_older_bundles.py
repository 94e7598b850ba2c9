"""Bundles that nearfar 0.1 wrote are read, and their models score as they did."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from nearfar.bundle.bundle import BundleMetadata, label_of_metadata
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
    assert bundle.metadata == ABOUT


def test_settings_that_an_older_version_did_not_have_get_the_values_it_fitted_with() -> None:
    ease = BundleMetadata.from_dict({"algorithm": "ease", "settings": {"l2": 10.0}})
    assert ease.settings == {"l2": 10.0, "user_exponent": 0.0}
    assert label_of_metadata(ease) == "EASE(l2=10, user_exponent=0)"
    parts = [{"kind": "edlae", "l2": 3.0}, {"kind": "popularity"}]
    blend = BundleMetadata.from_dict({"algorithm": "blend", "settings": {"parts": parts}})
    edlae = {"kind": "edlae", "l2": 3.0, "user_exponent": 0.0}
    assert blend.settings == {"parts": [edlae, {"kind": "popularity"}]}
    for name in ("their.Algorithm", "unknown"):
        values = {"l2": 1.0}
        assert BundleMetadata.from_dict({"algorithm": name, "settings": values}).settings == values
    multvae = BundleMetadata.from_dict(
        {"algorithm": "multvae", "settings": {"start": {"kind": "xavier"}}}
    )
    assert multvae.settings == {"initialiser": {"kind": "xavier"}}
    written_now = BundleMetadata.from_dict(
        {"algorithm": "ease", "settings": {"user_exponent": 0.25}}
    )
    assert written_now.settings == {"user_exponent": 0.25}
