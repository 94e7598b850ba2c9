"""A model asked in another catalogue: other order, items gone, items new."""

import numpy as np
from scipy.sparse import csr_array

from nearfar.algorithms.ease import EASE
from nearfar.bundle.bundle import Bundle
from nearfar.bundle.other_catalogue import ModelOnCatalogue
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import Interactions
from tests.conftest import interactions
from tests.theory.cases import two_tastes


def test_answers_are_the_models_own_in_other_columns() -> None:
    data = interactions(two_tastes().toarray())
    bundle = Bundle.of(EASE(l2=1.0).fit(data, None), EASE(l2=1.0), data)
    # 100..115 in the bundle; of these 100 is gone, 900 and 901 are new, and all stand backwards
    ids = [900, *range(115, 100, -1), 901]
    x = np.zeros((60, len(ids)), np.float32)
    for column, item in enumerate(ids):
        if item < 900:
            x[:, column] = data.x.toarray()[:, item - 100]
    x[:, 0] = 1
    catalogue = Interactions(csr_array(x), data.user_ids, Vocabulary(ids))
    asked = ModelOnCatalogue(bundle, catalogue)
    found = asked.top_k(catalogue.x, 5)
    without = data.x.toarray()
    without[:, 0] = 0
    expected = bundle.model.top_k(csr_array(without), 5, allow=np.arange(1, 16))
    named = np.where(found.items >= 0, np.array(ids)[found.items], -1)
    np.testing.assert_array_equal(named, np.where(expected.items >= 0, expected.items + 100, -1))
    np.testing.assert_array_equal(found.scores, expected.scores)
    assert not np.isin(named, [100, 900, 901]).any()
    assert asked.n_train_users == 60
    np.testing.assert_array_equal(asked.popularity, catalogue.item_counts)
