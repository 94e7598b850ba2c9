"""Bundles are measured as models are, on the items that they know."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import nearfar as nf
from nearfar.core.errors import DataError, SettingsError


@pytest.fixture(scope="module")
def split() -> nf.Split:
    return nf.split_strong(nf.read_log("synthetic:400x40x5000"), 60)


@pytest.fixture(scope="module")
def bundle(split) -> nf.Bundle:
    return nf.Bundle.of(nf.EASE(l2=50).fit(split.train), nf.EASE(l2=50), split.train)


def test_a_bundle_is_measured_as_its_model(split, bundle) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = nf.evaluate(bundle, split.test, "ndcg@10")
    expected = nf.evaluate(bundle.model, split.test, ["ndcg@10"])
    assert found.name == "EASE(l2=50)"
    np.testing.assert_array_equal(found.values("NDCG@10"), expected.values("NDCG@10"))


def test_what_a_bundle_does_not_know_is_left_out_and_counted(split, bundle) -> None:
    fewer = split.train.on_items(split.train.item_ids.take(np.arange(30)))
    other = nf.Bundle.of(nf.EASE(l2=50).fit(fewer), nf.EASE(l2=50), fewer)
    n = split.test.held_out.n_interactions
    lost = n - split.test.on_items(other.items).held_out.n_interactions
    assert lost > 0
    with pytest.warns(UserWarning, match=f"{lost:,} of {n:,} held-out interactions are of items"):
        found = nf.evaluate(other, split.test, ["recall@5"])
    assert found.n_users <= nf.evaluate(bundle, split.test, ["recall@5"]).n_users


def test_bundles_and_models_stand_in_one_table(split, bundle) -> None:
    model = nf.Popularity().fit(split.train)
    table = nf.compare([bundle, model], split.test, "Recall@5")
    assert table.models == ["EASE(l2=50)", "Popularity"]


def test_what_is_no_list_of_models_or_no_model_is_told(split, bundle) -> None:
    with pytest.raises(SettingsError, match="expected a list or a mapping of several"):
        nf.compare(bundle, split.test)  # pyright: ignore[reportCallIssue, reportArgumentType]
    with pytest.raises(DataError, match=r"an EASE does not rank; give a fitted model"):
        nf.evaluate(nf.EASE(), split.test)  # pyright: ignore[reportArgumentType]
