"""Measuring: the numbers of the evaluation, and what is shown to whom."""

from dataclasses import replace

import numpy as np
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.core.errors import DataError
from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluate import evaluate
from nearfar.metrics.coverage import Coverage
from nearfar.report.report import LISTS, QUALITY, K, measure
from tests.report.cases import bundle, split


def test_values_are_those_of_the_evaluation() -> None:
    found = measure("some name", bundle("ease"), split())
    expected = evaluate(bundle("ease").model, split().test, [*QUALITY, *LISTS])
    assert found.test.name == "some name"
    assert found.test.metrics == expected.metrics
    for metric in QUALITY:
        assert np.array_equal(found.test.values(metric), expected.values(metric))
    assert found.notes == ()


def test_shown_counts_every_place_of_every_list() -> None:
    found = measure("ease", bundle("ease"), split())
    users = split().test
    ranked = bundle("ease").model.top_k(users.fold_in.x, K).items
    assert found.shown.sum() == (ranked >= 0).sum()
    assert found.shown[7] == (ranked == 7).sum()
    assert (found.shown > 0).mean() == pytest.approx(found.test.mean(Coverage(K)))


def test_items_of_a_bundle_are_matched_by_id() -> None:
    """The same model with its items' ids reversed shows the items of these ids."""
    old = bundle("pop")
    turned = Bundle(old.model, Vocabulary(list(reversed(old.items.ids.to_list()))), old.metadata)
    straight, reversed_ = measure("a", old, split()), measure("b", turned, split())
    assert straight.shown[0] > 0
    assert reversed_.shown[-1] > 0
    assert straight.shown[-1] == 0


def test_unknown_items_and_foreign_training_users_are_told() -> None:
    old = bundle("pop")
    ids = [*range(100, 145), *range(900, 915)]
    metadata = replace(old.metadata, data={**old.metadata.data, "fingerprint": "of other data"})
    found = measure("pop", Bundle(old.model, Vocabulary(ids), metadata), split())
    lost = split().test.held_out.x[:, 45:].nnz
    assert f"{lost} of {split().test.held_out.n_interactions} held-out" in found.notes[0]
    assert "was not trained on the training users" in found.notes[1]
    assert found.shown[45:].sum() == 0


def test_a_bundle_of_other_data_is_refused() -> None:
    old = bundle("pop")
    ids = Vocabulary([*range(100, 110), *range(900, 950)])
    with pytest.raises(DataError, match="hardly any item of the split"):
        measure("pop", Bundle(old.model, ids, old.metadata), split())


def test_where_it_was_trained_is_known_by_fingerprint() -> None:
    old = bundle("pop")
    assert old.trained_on(split().train)
    unknown = Bundle(old.model, old.items, replace(old.metadata, data={}))
    assert unknown.trained_on(split().train)
