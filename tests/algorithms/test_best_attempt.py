"""Networks tried in turn: which are, which is kept, and what a stopped run holds."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nearfar.algorithms.algorithm import Algorithm, make_algorithm, names, presets
from nearfar.algorithms.best_attempt import best_attempt
from nearfar.algorithms.multvae import MultVAE
from nearfar.algorithms.pia import PIA
from nearfar.core.errors import CollapsedError, DivergedError, StoppedError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.data.splits.hold_out import hold_out_users
from nearfar.data.synthetic import synthetic_interactions
from nearfar.experiments.autopilot.families import select_families
from nearfar.experiments.reproduction.row_settings import row_algorithm
from nearfar.experiments.reproduction.rows import MULTI_VAE
from nearfar.experiments.tuning.tune import TuningSearch
from nearfar.models.constant import Constant
from nearfar.train.callback import Callback
from nearfar.train.history import EpochRecord
from nearfar.train.run import Run
from nearfar.vae.corruption.corruption import Dropout
from nearfar.vae.likelihoods.by_size import EXACT_ITEMS
from nearfar.vae.likelihoods.gaussian import Gaussian
from nearfar.vae.likelihoods.likelihood import TrainingCounts
from nearfar.vae.weights.constant import ConstantWeight

SHORT = MultVAE(epochs=2, batch_size=100)


@pytest.fixture(scope="module")
def data() -> tuple[Interactions, FoldIn]:
    return hold_out_users(synthetic_interactions("200x60x2000", seed=3), 0.25, target_share=0.4)


def record(epoch: int, score: float) -> EpochRecord:
    return EpochRecord(epoch, epoch, 0.0, {}, {}, 0, {"NDCG@100": score}, True, 0.0, 0.0, 0.0)


def scored(run: Run, *scores: float) -> Constant:
    """What a fit with these validation scores leaves."""
    run.history.records.extend(record(i, score) for i, score in enumerate(scores))
    return Constant(np.ones(3, np.int64), 2)


SCORES = {"a": (0.1, 0.3, 0.2), "b": (0.4,), "c": (0.4, 0.1)}


@pytest.mark.parametrize(
    ("attempts", "kept"), [("abc", "b"), ("ba", "b"), ("ac", "c"), ("cb", "c")]
)
def test_the_best_validation_score_is_kept_and_equals_keep_the_earlier(attempts, kept) -> None:
    made, run = {}, Run(device="cpu")

    def fit(name: str, own: Run) -> Constant:
        made[name] = scored(own, *SCORES[name])
        return made[name]

    assert best_attempt(list(attempts), fit, run) is made[kept]
    assert run.history.records == [record(i, s) for i, s in enumerate(SCORES[kept])]
    assert [(a.label, a.score, a.epochs) for a in run.history.attempts] == [
        (name, max(SCORES[name]), len(SCORES[name])) for name in attempts
    ]


def test_one_attempt_is_the_fit_itself() -> None:
    run = Run(device="cpu")
    best_attempt(["a"], lambda _, own: scored(own, 0.2) if own is run else None, run)
    assert run.history.attempts == []
    assert run.history.best_score == 0.2


def test_after_a_stop_by_hand_no_other_attempt_is_begun() -> None:
    run = Run(device="cpu")

    def fit(name: str, own: Run) -> Constant:
        own.history.interrupted = True
        return scored(own, 0.2)

    best_attempt(["a", "b"], fit, run)
    assert run.history.interrupted
    assert len(run.history.attempts) == 1


class Failing(Callback):
    """Notes warnings."""

    def __init__(self) -> None:
        self.warnings: list[str] = []

    def warn(self, text: str, /) -> None:
        self.warnings.append(text)


@pytest.mark.parametrize("error", [CollapsedError, DivergedError])
@pytest.mark.parametrize("failing", [0, 1])
def test_a_failed_attempt_is_told_and_the_other_is_kept(error, failing) -> None:
    notes = Failing()
    run = Run(device="cpu", callbacks=(notes,))
    fails = "ab"[failing]

    def fit(name: str, own: Run) -> Constant:
        model = scored(own, *SCORES[name])
        if name == fails:
            raise error("weights are nan")
        return model

    best_attempt(["a", "b"], fit, run)
    assert notes.warnings == [f"network {failing + 1} of 2 failed and is left out: weights are nan"]
    lost, kept = run.history.attempts[failing], run.history.attempts[1 - failing]
    assert (lost.label, lost.score, lost.error) == (fails, None, "weights are nan")
    assert kept.error is None
    assert run.history.best_score == kept.score
    assert not run.history.interrupted


def test_where_all_attempts_fail_the_first_error_is_raised() -> None:
    def fit(name: str, own: Run) -> Constant:
        raise DivergedError(name)

    with pytest.raises(DivergedError, match="a"), pytest.warns(UserWarning, match="left out"):
        best_attempt(["a", "b"], fit, Run(device="cpu"))


def test_stopped_before_the_second_has_an_epoch_the_first_is_kept() -> None:
    run = Run(device="cpu")

    def fit(name: str, own: Run) -> Constant:
        if name == "b":
            raise StoppedError("stopped")
        return scored(own, 0.2)

    best_attempt(["a", "b", "c"], fit, run)
    assert run.history.interrupted
    assert [a.score for a in run.history.attempts] == [0.2, None]


def test_only_the_default_network_has_a_richer_one() -> None:
    plain, richer = MultVAE(epochs=3, alignment=PIA()).alternatives()
    assert (plain.n_latent, richer.n_latent) == (200, 600)
    assert richer.alignment == plain.alignment == PIA()
    assert richer.epochs == plain.epochs == 3
    for one in (plain, richer):
        assert one.alternatives() == (one,)
    for changed in (
        {"n_latent": 100}, {"corruption": Dropout(0.6)}, {"likelihood": None}, {"richer": False},
    ):  # fmt: skip
        assert len(MultVAE(**changed).alternatives()) == 1
    assert len(MultVAE(n_latent=100, richer=True).alternatives()) == 2


def test_the_gaussian_network_has_a_beta_and_a_rate_for_its_data() -> None:
    """1,000 interactions of 100 users with 50 items: beta is .7 * 1,000 / 100^2."""
    catalogue = TrainingCounts(np.full(50, 20), 100)
    plain, _, gaussian = MultVAE(alignment=PIA()).alternatives(catalogue)
    assert gaussian.beta == ConstantWeight(0.07)
    assert gaussian.likelihood == Gaussian(1.0)
    assert (gaussian.n_latent, gaussian.decoder_hidden, gaussian.alignment) == (700, (), PIA())
    assert gaussian.plan(catalogue).learning_rate == plain.plan(catalogue).learning_rate / 2
    train = synthetic_interactions("100x50x1000", seed=3)
    counts = TrainingCounts(train.item_counts, train.n_users)
    short = MultVAE(epochs=1, richer=True)
    fitted = short.alternatives(counts)[2].fit(train, run=Run(device="cpu"))
    assert short.as_fitted(fitted) == short.alternatives(counts)[2]
    own_rate = MultVAE(learning_rate=0.01, richer=True).alternatives(catalogue)[2]
    assert own_rate.learning_rate == 0.01
    large = TrainingCounts(np.ones(EXACT_ITEMS + 1, np.int64), 100)
    assert len(MultVAE().alternatives(large)) == 2


def test_no_preset_and_no_other_algorithm_tries_several() -> None:
    for name in presets("multvae"):
        if "+" not in name:
            assert len(make_algorithm("multvae", presets("multvae")[name]).alternatives()) == 1
    several = [n for n in names() if len(make_algorithm(n, {}).alternatives()) > 1]
    assert several == ["multvae"]


def test_searches_and_reproductions_fit_a_single_network(tmp_path, data) -> None:
    family = next(f for f in select_families(("multvae",)) if not f.variants)
    made: list[Algorithm] = [
        TuningSearch("multvae", tmp_path).base(),
        row_algorithm(MULTI_VAE[0], ["another-set"]),
        family.start_on(data[0]),
    ]
    for algorithm in made:
        assert isinstance(algorithm, MultVAE)
        assert algorithm.richer is False


def test_fit_keeps_the_better_network_and_tells_which(data) -> None:
    train, users = data
    run = Run(device="cpu")
    model = SHORT.fit(train, users, run=run)
    alternatives = SHORT.alternatives(TrainingCounts(train.item_counts, train.n_users))
    apart = [one.fit(train, users, run=Run(device="cpu")) for one in alternatives]
    scores = [attempt.score for attempt in run.history.attempts]
    assert len(set(scores)) == 3
    better = int(np.argmax(scores))
    assert SHORT.as_fitted(model) == alternatives[better]
    histories = users.fold_in.x
    assert np.array_equal(model.score(histories), apart[better].score(histories))
    assert run.history.best_score == max(scores)
    assert make_algorithm("multvae", {}).as_fitted(model).n_latent == model.architecture.n_latent


def test_without_validation_users_the_network_is_the_plain_one(data) -> None:
    run = Run(device="cpu")
    model = SHORT.fit(data[0], run=run)
    assert SHORT.as_fitted(model) == replace(SHORT, richer=False)
    assert run.history.attempts == []


class Stops(Callback):
    """Ends the process, as far as the fit can tell, in the second network."""

    def __init__(self) -> None:
        self.parts = 0

    def part(self, name: str, /) -> None:
        self.parts += 1

    def epoch(self, record: EpochRecord, /) -> None:
        if self.parts == 2:
            raise InterruptedError


def test_a_run_killed_in_the_second_network_goes_on_to_the_same_model(data, tmp_path) -> None:
    train, users = data
    alone = SHORT.fit(train, users, run=Run(device="cpu"))
    options = {"device": "cpu", "folder": tmp_path, "checkpoint_epochs": 1}
    with pytest.raises(InterruptedError):
        SHORT.fit(train, users, run=Run(**options, callbacks=(Stops(),)))
    first = (tmp_path / "part-0" / "metrics.jsonl").stat()
    run = Run(**options, resume=True)
    resumed = SHORT.fit(train, users, run=run)
    assert (tmp_path / "part-0" / "metrics.jsonl").stat().st_size == first.st_size
    assert [a.epochs for a in run.history.attempts] == [2, 2, 2]
    histories = users.fold_in.x
    assert np.array_equal(resumed.score(histories), alone.score(histories))
