"""A bundle made a subject: its weights, its users' groups, its items."""

import numpy as np
import pytest

from nearfar.algorithms.ease import EASE
from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.bundle.theory_subject import best_weights, subject_of
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from nearfar.train.run import Run
from tests.conftest import interactions
from tests.theory.cases import MODELS, model, two_tastes

TRAINING = [
    {"epoch": 0, "best": True, "weights": {"kl": 0.1, "alignment": 1.0}},
    {"epoch": 1, "best": True, "weights": {"kl": 0.2, "alignment": 2.0}},
    {"epoch": 2, "best": False, "weights": {"kl": 0.3, "alignment": 3.0}},
]


def bundle_of(name: str = "pia", training: list | None = None) -> Bundle:
    metadata = BundleMetadata(
        algorithm="multvae", training=TRAINING if training is None else training
    )
    return Bundle(model(name), interactions(two_tastes().toarray()).item_ids, metadata)


def test_weights_are_those_of_the_epoch_that_was_kept() -> None:
    users = interactions(two_tastes().toarray())
    found = subject_of(bundle_of(), users, n_sharing=20, n_masks=3, seed=5)
    assert (found.beta, found.align_weight) == (0.2, 2.0)
    assert (found.n_sharing, found.n_masks, found.seed) == (20, 3, 5)
    assert best_weights(bundle_of(training=[]).metadata) == {}


def test_weights_of_a_real_training() -> None:
    run, algorithm = Run(seed=0), MODELS["pia"]
    data = interactions(two_tastes().toarray())
    fitted = algorithm.fit(data, None, run=run)
    bundle = Bundle.of(fitted, algorithm, data, history=run.history)
    found = subject_of(bundle, data)
    assert (found.beta, found.align_weight) == (0.2, 0.5)


def test_users_are_grouped_by_how_many_interactions_they_have() -> None:
    users = interactions(two_tastes().toarray())
    found = subject_of(bundle_of(), users)
    counts = np.diff(users.x.indptr)
    for group, count in zip(found.groups, counts, strict=True):
        name = found.group_names[group]
        assert (name == "0-4") == (count < 5)
        assert (name == "5-10") == (5 <= count <= 10)


def test_histories_are_put_on_the_bundles_items() -> None:
    users = interactions(two_tastes().toarray())
    ids = list(reversed(users.item_ids.ids.to_list()))
    turned = Interactions(users.x[:, ::-1].tocsr(), users.user_ids, Vocabulary(ids))
    found, expected = subject_of(bundle_of(), turned), subject_of(bundle_of(), users)
    assert (found.histories != expected.histories).nnz == 0
    strange = Interactions(users.x, users.user_ids, Vocabulary(range(900, 916)))
    with pytest.raises(EmptyDataError):
        subject_of(bundle_of(), strange)


def test_what_has_no_latent_space_is_refused() -> None:
    data = interactions(two_tastes().toarray())
    bundle = Bundle.of(EASE(l2=1.0).fit(data, None), EASE(l2=1.0), data)
    with pytest.raises(SettingsError, match="ease has no latent space"):
        subject_of(bundle, data)
