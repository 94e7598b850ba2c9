"""Prepares what the theory's diagnostics examine: a bundle's model and a sample of users."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from nearfar.algorithms.algorithm import make_algorithm
from nearfar.algorithms.autoencoding import AutoencoderAlgorithm
from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.core.errors import EmptyDataError, NearfarError, SettingsError
from nearfar.core.files import read_json
from nearfar.core.manifest import NAME as MANIFEST
from nearfar.core.seeding import generator
from nearfar.data.interactions import Interactions, Split
from nearfar.evaluation.groups import Group, parse_groups
from nearfar.models.autoencoder import Autoencoder
from nearfar.theory.subject import Subject

ACTIVITY = parse_groups("0-4,5-10,11-50,51-100,101-")
"""The groups of the paper's Table 3, and one of users with fewer interactions."""


def subject_of(
    bundle: Bundle,
    users: Interactions,
    *,
    activity: tuple[Group, ...] = ACTIVITY,
    keep_prob: float = 0.5,
    n_masks: int = 8,
    n_sharing: int = 100,
    seed: int = 0,
) -> Subject:
    """Return the subject of a bundle's model and users, with the loss weights of its best epoch.

    Args:
        bundle: a bundle of an autoencoder.
        users: the sample with full histories; items unknown to the bundle are ignored.
        activity: the cohorts by number of interactions; users of no group form one more cohort.
        keep_prob, n_masks, n_sharing, seed: see `Subject`.

    Raises:
        SettingsError: the model is not an autoencoder.
        EmptyDataError: the users are too few, or one has no item that the bundle knows.
    """
    if not isinstance(bundle.model, Autoencoder):
        raise SettingsError(
            f"{bundle.metadata.algorithm} has no latent space to examine; give a bundle of an "
            "autoencoder, such as multvae"
        )
    histories = users.on_items(bundle.items)
    counts = np.diff(users.x.indptr)
    groups = np.full(len(counts), len(activity))
    for number, group in enumerate(activity):
        groups[group.contains(counts)] = number
    weights = best_weights(bundle.metadata)
    return Subject(
        bundle.model, histories.x, groups, (*map(str, activity), "others"),
        beta=float(weights.get("kl", 1.0)), align_weight=float(weights.get("alignment", 0.0)),
        keep_prob=keep_prob, n_masks=n_masks, n_sharing=n_sharing, seed=seed,
        algorithm=algorithm_of(bundle.metadata),
    )  # fmt: skip


def algorithm_of(metadata: BundleMetadata) -> AutoencoderAlgorithm | None:
    """Return the algorithm of the model; None if it is from another package or version."""
    if "." in metadata.algorithm:
        return None
    try:
        algorithm = make_algorithm(metadata.algorithm, metadata.settings)
    except NearfarError:  # settings of another version
        return None
    return algorithm if isinstance(algorithm, AutoencoderAlgorithm) else None


def best_weights(metadata: BundleMetadata) -> dict[str, Any]:
    """Return the loss weights of the objective's terms at the best epoch."""
    best = [record for record in metadata.training if record.get("best")]
    return dict(best[-1].get("weights", {})) if best else {}


def common_sample(
    everyone: Interactions, bundles: Iterable[Bundle], n_users: int, seed: int
) -> Interactions:
    """Draw random users who have, for every bundle, an item that it knows; their order is kept.

    Raises:
        EmptyDataError: there is no such user.
    """
    eligible = np.ones(everyone.n_users, dtype=bool)
    for bundle in bundles:
        eligible &= np.diff(everyone.on_items(bundle.items).x.indptr) > 0
    rows = np.flatnonzero(eligible)
    if not len(rows):
        raise EmptyDataError(
            "no user of the split has items that all the bundles know; give bundles of this data"
        )
    if len(rows) > n_users:
        rows = np.sort(generator(seed, "diagnose").choice(rows, n_users, replace=False))
    return everyone.take_users(rows)


def fingerprints(
    split: Split, bundles: Mapping[str, Bundle], folders: Mapping[str, Path]
) -> dict[str, Any]:
    """Return checksums that identify the examined data and models, JSON-able.

    Args:
        split: the split whose users are examined.
        bundles: the bundles by title.
        folders: the bundles' folders by title.

    Returns:
        SHA-256 of the split and of its training users, and for each title of the bundle's
        manifest and of the interactions it was trained on.
    """
    return {
        "split": split.fingerprint,
        "training_users": split.train.fingerprint,
        "bundles": {
            title: {
                "bundle": read_json(folder / MANIFEST)["sha256"],
                "trained_on": bundles[title].metadata.data.get("fingerprint"),
            }
            for title, folder in folders.items()
        },
    }
