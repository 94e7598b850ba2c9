"""The cohorts of a report's map."""

from __future__ import annotations

import numpy as np
from jaxtyping import Int

from nearfar.core.errors import EmptyDataError
from nearfar.maps.cohorts import SIZES, Cohorts, cohorts_by_interactions

QUANTILES = (0.05, 0.5, 0.95)


def report_cohorts(counts: Int[np.ndarray, " users"], max_users: int, seed: int) -> Cohorts:
    """The cohorts of the paper's Figure 2; where the data lack one, sizes that they have.

    These are the 5%, 50% and 95% quantiles of the users' numbers of interactions.

    Args:
        counts: interactions of each user.
        max_users: no more than so many in all.
        seed: of the drawing.

    Raises:
        SettingsError: `max_users` is too small, or all users have as many interactions.
        EmptyDataError: fewer than two cohorts have two users or more.
    """
    try:
        found = cohorts_by_interactions(counts, max_users=max_users, seed=seed)
        if len(found.names) == len(SIZES):
            return found
    except EmptyDataError:
        pass  # such data have cohorts of other sizes
    quantiles = np.quantile(counts[counts > 0], QUANTILES, method="nearest")
    sizes = np.unique(quantiles.astype(int)).tolist()
    return cohorts_by_interactions(counts, sizes, max_users=max_users, seed=seed)
