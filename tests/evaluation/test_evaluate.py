from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
import pytest

from nearfar.core.errors import DataError, EmptyDataError, SettingsError, UnknownNameError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation import evaluate as module
from nearfar.evaluation.evaluate import DEFAULT_METRICS, Evaluation, evaluate, parse_metrics
from nearfar.metrics.auc import AUC
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.gini import Gini
from nearfar.metrics.hit_rate import HitRate
from nearfar.metrics.ild import ILD
from nearfar.metrics.metric import UserMetric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.novelty import Novelty
from nearfar.metrics.recall import Recall
from nearfar.metrics.sampled import SampledHitRate, SampledNDCG
from tests.conftest import interactions
from tests.evaluation.cases import Fixed


@pytest.fixture
def data() -> FoldIn:
    """Four users and five items; the second user has nothing to find."""
    fold_in = [[1, 0, 0, 0, 0], [0, 1, 0, 0, 0], [0, 0, 0, 1, 1], [1, 1, 1, 0, 0]]
    held_out = [[0, 1, 0, 0, 1], [0, 0, 0, 0, 0], [1, 0, 0, 0, 0], [0, 0, 0, 0, 1]]
    return FoldIn(interactions(np.array(fold_in)), interactions(np.array(held_out)))


POPULARITY = np.array([50, 40, 30, 20, 10])


def test_by_hand(data: FoldIn) -> None:
    """By popularity the users are shown 1 2 3 4, 0 1 2 and 3 4 in this order."""
    found = evaluate(Fixed(POPULARITY), data, [Recall(2), HitRate(1), "coverage@2"])
    assert found.per_user[Recall(2)].tolist() == [1 / 2, 1, 1]
    assert found.per_user[HitRate(1)].tolist() == [1, 1, 0]
    assert found.overall == {Coverage(2): 1.0}
    assert found.user_ids.ids.to_list() == ["u0", "u2", "u3"]
    assert found.n_fold_in.tolist() == [1, 2, 3]
    assert found.n_held_out.tolist() == [2, 1, 1]
    assert (found.n_users, found.n_dropped, found.name) == (3, 1, "Fixed")
    assert found.mean(Recall(2)) == pytest.approx(2.5 / 3)
    assert found.mean(Coverage(2)) == 1
    assert found.metrics == (Recall(2), HitRate(1), Coverage(2))


def test_the_default_is_the_papers_three(data: FoldIn) -> None:
    assert (Recall(20), Recall(50), NDCG(100)) == DEFAULT_METRICS
    model = Fixed(POPULARITY)
    assert tuple(evaluate(model, data).per_user) == DEFAULT_METRICS
    assert model.batches == [(3, 100)]  # once, at the deepest cutoff, without the user dropped


@pytest.mark.parametrize("batch_size", [1, 2, 7, 1000])
def test_batches_change_nothing(clusters: tuple[Interactions, FoldIn], batch_size: int) -> None:
    train, held_out = clusters
    metrics = [Recall(5), NDCG(8), Novelty(5), Coverage(5), Gini(5)]
    whole = evaluate(Fixed(train.item_counts, train.n_users), held_out, metrics)
    model, told = Fixed(train.item_counts, train.n_users), []
    parts = evaluate(
        model, held_out, metrics, batch_size=batch_size, on_batch=lambda *done: told.append(done)
    )
    assert whole.per_user.keys() == parts.per_user.keys()
    for metric, values in whole.per_user.items():
        np.testing.assert_allclose(parts.per_user[metric], values, rtol=1e-13)
    assert parts.overall == whole.overall
    assert max(n for n, _ in model.batches) <= batch_size
    assert told[-1] == (whole.n_users, whole.n_users)
    assert len(told) == len(model.batches) == -(-whole.n_users // batch_size)


def test_training_counts_can_be_given(data: FoldIn) -> None:
    model = Fixed(POPULARITY, n_train_users=100)
    own = evaluate(model, data, [Novelty(1)])
    halved = evaluate(model, data, [Novelty(1)], n_train_users=200)
    np.testing.assert_allclose(halved.per_user[Novelty(1)] - own.per_user[Novelty(1)], 1)
    even = evaluate(model, data, [Novelty(2)], item_counts=np.full(5, 25.0))
    assert even.per_user[Novelty(2)].tolist() == [2, 2, 2]


def test_nobody_to_evaluate(data: FoldIn) -> None:
    empty = FoldIn(data.fold_in, interactions(np.zeros((4, 5))))
    with pytest.raises(EmptyDataError, match="none of the 4 users"):
        evaluate(Fixed(POPULARITY), empty)


def test_refuses_a_model_of_other_items(data: FoldIn) -> None:
    with pytest.raises(DataError, match="counts 3 items, the data has 5"):
        evaluate(Fixed(POPULARITY[:3]), data)


def test_refuses_what_is_no_model_or_no_held_out_users(data: FoldIn) -> None:
    with pytest.raises(DataError, match=r"a list does not rank; give a fitted model"):
        evaluate([], data)  # pyright: ignore
    with pytest.raises(DataError, match=r"held-out users .* not on an Interactions"):
        evaluate(Fixed(POPULARITY), data.fold_in)  # pyright: ignore


def test_refuses_no_metrics_and_unknown_ones(data: FoldIn) -> None:
    with pytest.raises(SettingsError, match="no metrics"):
        evaluate(Fixed(POPULARITY), data, [])
    with pytest.raises(UnknownNameError, match="did you mean 'recall'"):
        evaluate(Fixed(POPULARITY), data, ["recal@20"])
    with pytest.raises(SettingsError, match="no cutoff"):
        evaluate(Fixed(POPULARITY), data, [Recall()])
    with pytest.raises(SettingsError, match="batch_size is 0"):
        evaluate(Fixed(POPULARITY), data, batch_size=0)


@dataclass(frozen=True)
class OneHit(UserMetric):
    def per_user(self, judged):
        return judged.truncated(1).hits[:, 0].astype(np.float64)


@pytest.mark.parametrize("metrics", [OneHit, [OneHit], ["ndcg@100", OneHit]])
def test_the_class_of_a_metric_is_no_metric(metrics: Any, data: FoldIn) -> None:
    with pytest.raises(SettingsError, match=r"OneHit is a class; give .* as OneHit\(20\)"):
        parse_metrics(metrics)
    with pytest.raises(SettingsError, match="10 is not a metric"):
        parse_metrics(["ndcg@100", 10])  # pyright: ignore[reportArgumentType]


def test_one_metric_named_twice_is_measured_once(data: FoldIn) -> None:
    found = evaluate(Fixed(POPULARITY), data, ["recall@2", Recall(2)])
    assert found.metrics == (Recall(2),)


def test_a_summary_is_json_and_text(data: FoldIn) -> None:
    found = evaluate(Fixed(POPULARITY), data, [Recall(2), Coverage(2)], name="popularity")
    plain = json.loads(json.dumps(found.to_dict(), allow_nan=False))
    assert (plain["name"], plain["n_users"], plain["n_dropped"]) == ("popularity", 3, 1)
    assert plain["metrics"]["Recall@2"]["mean"] == pytest.approx(2.5 / 3)
    interval = found.interval(Recall(2))
    assert interval is not None
    assert plain["metrics"]["Recall@2"]["high"] == interval.high
    assert plain["metrics"]["Coverage@2"] == {
        "mean": 1.0,
        "standard_error": None,
        "low": None,
        "high": None,
    }
    assert str(found).splitlines() == [
        "popularity     mean ±95%",
        "Recall@2    .8333 ±.7171",
        "Coverage@2        1.0000",
        "3 users, 1 dropped with nothing held out",
    ]


def test_asking_for_what_was_not_measured(data: FoldIn) -> None:
    found: Evaluation = evaluate(Fixed(POPULARITY), data, [Recall(2), Coverage(2)])
    for ask in (found.mean, found.values, found.interval, found.standard_error):
        with pytest.raises(UnknownNameError, match="did you mean 'Recall@2'"):
            ask(Recall(3))
    with pytest.raises(SettingsError, match="one value for all users"):
        found.values(Coverage(2))
    assert found.interval(Coverage(2)) is None
    assert found.standard_error(Coverage(2)) is None


def with_genres(data: FoldIn, genres: list[list[str]]) -> FoldIn:
    items = Vocabulary(data.fold_in.item_ids.ids, pl.DataFrame({"genres": genres}))
    return data.on_items(items)


def test_genres_come_from_the_items_of_the_data(data: FoldIn) -> None:
    """The users are shown 1 2, 0 1 and 3 4; they had item 0, 3 and 4, and 0 to 2."""
    known = with_genres(data, [["a"], ["a"], ["b"], ["a", "b"], ["b"]])
    found = evaluate(Fixed(POPULARITY), known, [ILD(2), "miscalibration@2"])
    np.testing.assert_allclose(found.values(ILD(2)), [1, 0, 1 - 0.5**0.5], atol=1e-12)
    first = -np.log(0.99 / 2 + 0.01)
    np.testing.assert_allclose(found.values("miscalibration@2")[0], first)


def test_missing_genres_are_refused_before_anything_is_ranked(data: FoldIn) -> None:
    model = Fixed(POPULARITY)
    with pytest.raises(DataError, match="the items have no genres"):
        evaluate(model, data, ["ild@2", "recall@2"])
    assert model.batches == []


def test_whole_rankings_are_made_a_few_users_at_a_time(data: FoldIn, monkeypatch) -> None:
    monkeypatch.setattr(module, "MAX_PLACES", 10)
    model = Fixed(POPULARITY)
    metrics = [SampledNDCG(3), SampledHitRate(1), Recall(2), Coverage(2), AUC(5)]
    found = evaluate(model, data, metrics)
    assert model.batches == [(2, 5), (1, 5)]
    monkeypatch.undo()
    whole = evaluate(Fixed(POPULARITY), data, metrics)
    for metric in found.per_user:
        np.testing.assert_array_equal(found.values(metric), whole.values(metric))
    # 1 2 3 4 with 1 and 4 wanted; 0 1 2 with 0; 3 4 with 4: fewer than 100 are all of them
    assert found.values(SampledHitRate(1)).tolist() == [0.5, 1, 0]
    assert found.values(AUC(5)).tolist() == [0.5, 1, 0]
    assert found.overall == {Coverage(2): 1.0}
