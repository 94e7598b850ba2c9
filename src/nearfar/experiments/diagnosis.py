"""The paper's theory measured on bundles: what `nearfar diagnose` does, for Python."""

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
        bundles: a bundle, or several by the names that tables show. `Bundle.of(model, algorithm,
            split.train, history=run.history)` makes one of a model just fitted; without the
            history the weights of the objective's terms are not known and count as 1 and 0.
        split: whose users are examined.
        only: names of instruments, as ["health", "sharing"]; all of them by default.
        users: size of the random sample of users.
        sharing_users: of these, so many for the sharing radius of pairs.
        of: whose histories: "all", "train" or "held-out".
        keep_prob: which share of the items masks keep.
        masks: how many per user.
        seed: of all that is random.

    Raises:
        UnknownNameError: an instrument is unknown.
        SettingsError: a model is no autoencoder, or a number is out of range.
        EmptyDataError: the split has too few users.

    Examples:
        >>> found = nf.diagnose(bundle, split, only=["health"], users=30, sharing_users=4)
        >>> found.findings["health"]["model"].value("collapsed") <= 4
        True
    """
    named = {"model": bundles} if isinstance(bundles, Bundle) else dict(bundles)
    subjects = subjects_of(
        named, split, users=users, sharing_users=sharing_users, of=of, keep_prob=keep_prob,
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
    """What the instruments examine, by title: each bundle with one sample of users.

    For the arguments and errors see `diagnose`.
    """
    for title, bundle in bundles.items():
        if not isinstance(bundle, Bundle):
            raise SettingsError(
                f"{title} is a {type(bundle).__name__}; a bundle is expected: "
                "Bundle.of(model, algorithm, split.train, history=run.history)"
            )
    sample = common_sample(whole_histories(split, of), bundles.values(), users, seed)
    options: dict[str, Any] = {"keep_prob": keep_prob, "n_masks": masks, "n_sharing": sharing_users}
    return {
        title: subject_of(bundle, sample, seed=seed, **options) for title, bundle in bundles.items()
    }
