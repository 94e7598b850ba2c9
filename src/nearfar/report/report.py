"""Make a report: evaluate bundles on the test users of a split, draw maps, measure the theory."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Int

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.theory_subject import common_sample, subject_of
from nearfar.core.errors import DataError, EmptyDataError, NearfarError, SettingsError
from nearfar.core.extras import require
from nearfar.data.interactions import FoldIn, Interactions, Split, whole_histories
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, evaluate
from nearfar.maps.atlas import Atlas, ModelToMap, make_atlas
from nearfar.maps.cohorts import SIZES, Cohorts, cohorts_by_interactions
from nearfar.maps.projections.projection import find_projection
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.gini import Gini
from nearfar.metrics.metric import Metric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.novelty import Novelty
from nearfar.models.autoencoder import Autoencoder
from nearfar.models.model import LatentModel
from nearfar.theory.diagnosis import Diagnosis, diagnose, estimated_seconds

N_USERS = 1000
N_ANCHORS = 100
PROJECTION = "tsne"
QUANTILES = (0.05, 0.5, 0.95)

Say = Callable[[str], object]


K = 20
"""Cutoff of coverage, Gini index, novelty and popularity."""

QUALITY = DEFAULT_METRICS
LISTS: tuple[Metric, ...] = (Coverage(K), Gini(K), Novelty(K))


@dataclass(frozen=True, eq=False)
class MeasuredBundle:
    """A bundle and its results on the test users of a split.

    Args:
        bundle: the bundle.
        test: values of `QUALITY` and `LISTS`.
        shown: number of test users with the item in their first `K` recommendations, for each item
            of the split.
        notes: remarks on the measurement, one sentence each.
    """

    bundle: Bundle
    test: Evaluation
    shown: Int[np.ndarray, " items"]
    notes: tuple[str, ...] = ()


def measure(title: str, bundle: Bundle, split: Split) -> MeasuredBundle:
    """Evaluate a bundle on the test users with held-out items.

    Args:
        title: name of the bundle in the report.
        bundle: a bundle of any algorithm; its items that the split lacks can never be hits.
        split: the split with the test users.

    Raises:
        DataError: the bundle knows the items of fewer than half of the held-out interactions.
        EmptyDataError: no test user has a held-out item that the bundle knows.
    """
    test, notes = split.test, []
    if bundle.items != test.fold_in.item_ids:
        test = test.on_items(bundle.items)
        n_lost = split.test.held_out.n_interactions - test.held_out.n_interactions
        if n_lost > 0.5 * split.test.held_out.n_interactions:
            raise DataError(
                f"{title} knows hardly any item of the split: {n_lost:,} of "
                f"{split.test.held_out.n_interactions:,} held-out interactions are of items that "
                "it cannot recommend, so its numbers are not comparable; leave it out"
            )
        notes.append(
            f"{title} knows other items than the split: {n_lost:,} of "
            f"{split.test.held_out.n_interactions:,} held-out interactions are of items that it "
            "cannot recommend and are left out."
        )
    if not bundle.trained_on(split.train):
        notes.append(
            f"{title} was not trained on the training users of this split; it may have seen the "
            "users that it is measured on."
        )
    evaluation = evaluate(bundle.model, test, [*QUALITY, *LISTS], name=title)
    return MeasuredBundle(bundle, evaluation, _shown_counts(bundle, test, split), tuple(notes))


def _shown_counts(bundle: Bundle, test: FoldIn, split: Split) -> Int[np.ndarray, " items"]:
    users = np.flatnonzero(np.diff(test.held_out.x.indptr))
    ranked = bundle.model.top_k(test.fold_in.x[users], K).items
    counts = np.bincount(ranked[ranked >= 0], minlength=bundle.n_items)
    positions = split.train.item_ids.index(bundle.items.ids)
    shown = np.zeros(split.train.n_items, np.int64)
    shown[positions[positions >= 0]] = counts[positions >= 0]
    return shown


@dataclass(frozen=True)
class Options:
    """The options of a report.

    Args:
        users: most users of the map, and of the diagnostics.
        seed: random seed.
        diagnostics: whether to measure the theory.
        latent_map: whether to draw the latent map.

    Raises:
        SettingsError: there are no users.
    """

    users: int = N_USERS
    seed: int = 0
    diagnostics: bool = True
    latent_map: bool = True

    def __post_init__(self) -> None:
        if self.users < 1:
            raise SettingsError(f"users is {self.users}; it must be at least 1")

    def check_installed(self) -> None:
        """Raise MissingExtraError if a library that the report needs is missing."""
        require("plotly", "jinja2", extra="maps", purpose="a report")
        if self.latent_map:
            find_projection(PROJECTION).check_installed()


@dataclass(frozen=True, eq=False)
class Report:
    """A report on some bundles and a split.

    Args:
        split: the data.
        everyone: whole histories of all users of the split.
        measured: title -> bundle with its results; the first is the baseline.
        atlas: the maps, or why there are none.
        diagnosis: the findings of the instruments, or why there are none.
        options: the options of the report.
    """

    split: Split
    everyone: Interactions
    measured: dict[str, MeasuredBundle]
    atlas: Atlas | str
    diagnosis: Diagnosis | str
    options: Options = field(default_factory=Options)

    @property
    def evaluations(self) -> dict[str, Evaluation]:
        return {title: measured.test for title, measured in self.measured.items()}

    @property
    def notes(self) -> list[str]:
        """The remarks on the measurements of all bundles."""
        return [note for measured in self.measured.values() for note in measured.notes]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers as JSON-able values; a missing part is None."""
        atlas, diagnosis = self.atlas, self.diagnosis
        return {
            "split": self.split.fingerprint,
            "evaluations": {title: e.to_dict() for title, e in self.evaluations.items()},
            "map": None if isinstance(atlas, str) else atlas.to_dict(),
            "diagnosis": None if isinstance(diagnosis, str) else diagnosis.to_dict(),
            "notes": self.notes,
        }


def make_report(
    bundles: Mapping[str, Bundle],
    split: Split,
    options: Options | None = None,
    say: Say = lambda text: None,
) -> Report:
    """Evaluate bundles on a split's test users, and map and measure those with a latent space.

    Args:
        bundles: title -> bundle; the others are compared with the first.
        split: the data.
        options: options of the report.
        say: called with lines of progress.

    Raises:
        SettingsError: there is no bundle.
        EmptyDataError: no test user has a held-out item.
        MissingExtraError: a needed library is missing.
    """
    options = options or Options()
    options.check_installed()
    if not bundles:
        raise SettingsError("there is no bundle to report on; give at least one")
    measured = {}
    for title, bundle in bundles.items():
        say(f"{title}: recommending to {split.test.n_users:,} test users ...")
        measured[title] = measure(title, bundle, split)
    everyone = whole_histories(split)
    return Report(
        split,
        everyone,
        measured,
        _atlas(measured, everyone, options, say),
        _diagnosis(bundles, everyone, options, say),
        options,
    )


def _atlas(
    measured: Mapping[str, MeasuredBundle], everyone: Interactions, options: Options, say: Say
) -> Atlas | str:
    if not options.latent_map:
        return "The map was left out."
    models: dict[str, ModelToMap] = {}
    for title, bundle in measured.items():
        model = bundle.bundle.model
        if isinstance(model, LatentModel):
            ndcg = bundle.test.mean(NDCG(100))
            models[title] = ModelToMap(model, bundle.bundle.items, ndcg)
    if not models:
        return "None of the bundles is of an autoencoder; others have no latent space to draw."
    try:
        cohorts = report_cohorts(np.diff(everyone.x.indptr), options.users, options.seed)
        return make_atlas(
            models, everyone, cohorts, find_projection(PROJECTION), seed=options.seed,
            n_anchors=N_ANCHORS,
            on_map=lambda title: say(f"{title}: a map of {cohorts.n_users:,} users ..."),
        )  # fmt: skip
    except NearfarError as error:
        return f"There is no map: {error}."


def _diagnosis(
    bundles: Mapping[str, Bundle], everyone: Interactions, options: Options, say: Say
) -> Diagnosis | str:
    if not options.diagnostics:
        return "The diagnostics were left out."
    autoencoders = {t: b for t, b in bundles.items() if isinstance(b.model, Autoencoder)}
    if not autoencoders:
        return "None of the bundles is of an autoencoder; the theory covers only autoencoders."
    try:
        users = common_sample(everyone, autoencoders.values(), options.users, options.seed)
        subjects = {t: subject_of(b, users, seed=options.seed) for t, b in autoencoders.items()}
        seconds = estimated_seconds(subjects)
        say(f"the theory on {users.n_users:,} users: about {max(1, round(seconds)):,} s")
        return diagnose(subjects, on_start=lambda what, title: say(f"{title}: {what} ..."))
    except NearfarError as error:
        return f"There are no diagnostics: {error}."


def report_cohorts(counts: Int[np.ndarray, " users"], max_users: int, seed: int) -> Cohorts:
    """Draw the cohorts of the paper's Figure 2, or other sizes if the data lack one of them.

    The other sizes are the 5%, 50% and 95% quantiles of the users' numbers of interactions.

    Args:
        counts: number of interactions of each user.
        max_users: most users in all cohorts together.
        seed: random seed.

    Raises:
        SettingsError: `max_users` is too small, or all users have the same number of interactions.
        EmptyDataError: fewer than two cohorts have two users or more.
    """
    try:
        cohorts = cohorts_by_interactions(counts, max_users=max_users, seed=seed)
        if len(cohorts.names) == len(SIZES):
            return cohorts
    except EmptyDataError:
        pass  # the data lack these sizes; use quantiles
    quantiles = np.quantile(counts[counts > 0], QUANTILES, method="nearest")
    sizes = np.unique(quantiles.astype(int)).tolist()
    return cohorts_by_interactions(counts, sizes, max_users=max_users, seed=seed)
