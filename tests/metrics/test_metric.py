from __future__ import annotations

import pytest

from nearfar.core.errors import SettingsError, UnknownNameError
from nearfar.metrics.hit_rate import HitRate
from nearfar.metrics.map import MAP
from nearfar.metrics.metric import Metric, parse_metric
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall
from tests.metrics.cases import judged


def test_a_metric_is_a_value() -> None:
    assert Recall() @ 20 == Recall(20)
    assert hash(Recall() @ 20) == hash(Recall(20))
    assert Recall(20) != Recall(50)
    assert Recall(20) != Recall(20, over="held_out")
    assert Recall(20) != NDCG(20)
    assert Recall(20, over="held_out") @ 50 == Recall(50, over="held_out")
    assert {Recall(20): 1}[Recall() @ 20] == 1


@pytest.mark.parametrize(
    ("metric", "text"),
    [
        (Recall(20), "Recall@20"),
        (Recall(20, over="held_out"), "Recall@20(all)"),
        (NDCG(100), "NDCG@100"),
        (MAP(5, over="held_out"), "MAP@5(all)"),
        (HitRate(1), "HitRate@1"),
        (Recall(), "Recall"),
    ],
)
def test_prints(metric: Metric, text: str) -> None:
    assert str(metric) == text


@pytest.mark.parametrize(
    ("text", "metric"),
    [
        ("ndcg@100", NDCG(100)),
        (" NDCG @ 100 ", NDCG(100)),
        ("recall@20(all)", Recall(20, over="held_out")),
        ("hit_rate@5", HitRate(5)),
        ("Hit-Rate@5", HitRate(5)),
        ("HITRATE@5", HitRate(5)),
        ("nearfar.metrics.ndcg.NDCG@7", NDCG(7)),
    ],
)
def test_parses(text: str, metric: Metric) -> None:
    assert parse_metric(text) == metric


def test_an_unknown_metric_offers_the_nearest() -> None:
    with pytest.raises(UnknownNameError, match=r"unknown metric 'ndgc'; did you mean 'ndcg'\?"):
        parse_metric("NDGC@10")


def test_the_base_is_no_metric() -> None:
    for name in ("metric@5", "judged@5"):
        with pytest.raises(UnknownNameError):
            parse_metric(name)


def test_an_unknown_variant_is_refused() -> None:
    with pytest.raises(UnknownNameError, match="variant of Recall"):
        parse_metric("recall@10(some)")
    with pytest.raises(UnknownNameError, match="variant of NDCG"):
        parse_metric("ndcg@10(all)")


@pytest.mark.parametrize("text", ["recall", "recall@", "recall@many", "recall@2.5", "recall@-3"])
def test_a_missing_cutoff_says_how_to_write_it(text: str) -> None:
    with pytest.raises(SettingsError, match="write recall@20"):
        parse_metric(text)
    with pytest.raises(SettingsError, match=r"write nearfar\.metrics\.ndcg\.NDCG@20"):
        parse_metric("nearfar.metrics.ndcg.NDCG")


@pytest.mark.parametrize("text", ["", "@5", "recall@5@6(all", "recall(all)@5"])
def test_what_is_no_metric_at_all_is_refused(text: str) -> None:
    with pytest.raises(SettingsError):
        parse_metric(text)


@pytest.mark.parametrize("k", [0, -1, True, 2.5])
def test_a_cutoff_is_a_positive_whole_number(k: int) -> None:
    with pytest.raises(SettingsError, match="use 1, 2, 3"):
        Recall(k)


def test_recall_refuses_an_unknown_denominator() -> None:
    with pytest.raises(UnknownNameError, match="held_out"):
        Recall(5, over="heldout")  # pyright: ignore[reportArgumentType]


def test_without_a_cutoff_nothing_is_measured() -> None:
    with pytest.raises(SettingsError, match=r"Recall\(\) @ 20"):
        Recall().per_user(judged([[0]], [[0]]))
