"""Measure the paper's theory on bundles: `nearfar diagnose` for Python."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.theory_subject import common_sample, subject_of
from nearfar.core.errors import SettingsError
from nearfar.data.interactions import Part, Split, whole_histories
from nearfar.theory import diagnosis
from nearfar.theory.diagnosis import Diagnosis
from nearfar.theory.instrument import all_instruments, instruments_named
from nearfar.theory.subject import Subject


def diagnose(
    bundles: Bundle | Mapping[str, Bundle],
    split: Split,
    *,
    only: Sequence[str] = (),
    users: int = 1000,
    sharing_users: int = 100,
    of: Part = "all",
    keep_prob: float = 0.5,
    masks: int = 8,
    seed: int = 0,
) -> Diagnosis:
    """Measure the paper's theory on fitted autoencoders; printed, it is a table per instrument.

    Args:
        bundles: a bundle, or several by the titles that tables show. For a model just fitted, use
            `Bundle.of(model, algorithm, split.train, history=run.history)`; without the history
            the weights of the objective's terms are unknown and count as 1 and 0.
        split: split whose users are examined.
        only: names of instruments, as ["health", "sharing"]; all by default.
        users: number of users in the random sample.
        sharing_users: number of these users for the sharing radius of pairs.
        of: users to sample from: "all", "train" or "held-out".
        keep_prob: share of a user's items that a mask keeps.
        masks: masks per user.
        seed: random seed.

    Raises:
        UnknownNameError: an instrument is unknown.
        SettingsError: a model is not an autoencoder, or a number is out of range.
        EmptyDataError: the split has too few users.

    Examples:
        >>> diagnosis = nf.diagnose(bundle, split, only=["health"], users=30, sharing_users=4)
        >>> diagnosis.findings["health"]["model"].value("collapsed") <= 4
        True
    """
    by_title = {"model": bundles} if isinstance(bundles, Bundle) else dict(bundles)
    subjects = subjects_of(
        by_title, split, users=users, sharing_users=sharing_users, of=of, keep_prob=keep_prob,
        masks=masks, seed=seed,
    )  # fmt: skip
    return diagnosis.diagnose(subjects, instruments_named(only) if only else all_instruments())


def subjects_of(
    bundles: Mapping[str, Bundle],
    split: Split,
    *,
    users: int,
    sharing_users: int,
    of: Part,
    keep_prob: float,
    masks: int,
    seed: int,
) -> dict[str, Subject]:
    """Return the subject of each bundle, by title; all have the same sample of users.

    For the arguments and errors see `diagnose`.
    """
    for title, bundle in bundles.items():
        if not isinstance(bundle, Bundle):
            raise SettingsError(
                f"{title} is a {type(bundle).__name__}; expected a bundle: "
                "Bundle.of(model, algorithm, split.train, history=run.history)"
            )
    sample = common_sample(whole_histories(split, of), bundles.values(), users, seed)
    options: dict[str, Any] = {"keep_prob": keep_prob, "n_masks": masks, "n_sharing": sharing_users}
    return {
        title: subject_of(bundle, sample, seed=seed, **options) for title, bundle in bundles.items()
    }
