"""What every metric keeps to, also one whose file was added a minute ago."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given

from nearfar.core import discovery, settings
from nearfar.core.errors import SettingsError
from nearfar.metrics.metric import (
    PACKAGE,
    CatalogueMetric,
    JudgedRanking,
    Metric,
    UserMetric,
    parse_metric,
)
from tests.metrics.cases import judged, judged_rankings

FOUND = discovery.discover(PACKAGE, Metric)
every_metric = pytest.mark.parametrize("cls", FOUND.values(), ids=FOUND)
AT_K = {name: cls for name, cls in FOUND.items() if not cls.whole}
"""The others need the ranking of all candidates: tests/metrics/test_beyond_accuracy.py."""
every_metric_at_k = pytest.mark.parametrize("cls", AT_K.values(), ids=AT_K)


def test_the_metrics_are_found() -> None:
    expected = {"recall", "ndcg", "precision", "hit_rate", "mrr", "map"}
    expected |= {"coverage", "novelty", "gini", "ild", "serendipity", "arp", "tail_share"}
    assert expected | {"miscalibration", "auc", "sampled_ndcg", "sampled_hit_rate"} <= set(FOUND)


@every_metric
def test_is_of_one_kind(cls: type[Metric]) -> None:
    assert issubclass(cls, UserMetric) != issubclass(cls, CatalogueMetric)


@every_metric
def test_prints_what_parses_to_itself(cls: type[Metric]) -> None:
    for metric in [cls(k=7), *(cls(k=7, **chosen) for chosen in cls.variants.values())]:
        assert parse_metric(str(metric)) == metric
        assert parse_metric(str(metric).upper()) == metric
    names = [str(cls(k=7, **chosen)) for chosen in ({}, *cls.variants.values())]
    assert len(set(names)) == len(names)


@every_metric
def test_is_a_value(cls: type[Metric]) -> None:
    assert cls() @ 3 == cls(k=3)
    assert hash(cls() @ 3) == hash(cls(k=3))
    assert cls(k=3) != cls(k=4)


@every_metric
def test_is_built_from_settings_and_back(cls: type[Metric]) -> None:
    plain = settings.to_plain(cls(k=5))
    assert settings.build(cls, {k: v for k, v in plain.items() if k != "kind"}) == cls(k=5)


@every_metric_at_k
def test_refuses_a_cutoff_beyond_the_ranking(cls: type[Metric]) -> None:
    seen = judged([[0, 1, 2]], [[1]])
    assert np.isfinite(cls(k=3).overall(seen))
    with pytest.raises(SettingsError, match="cutoff of 4 on a ranking of 3"):
        cls(k=4).overall(seen)


@every_metric_at_k
@given(seen=judged_rankings())
def test_is_finite_within_its_bounds_and_looks_only_at_the_top(
    cls: type[Metric], seen: JudgedRanking
) -> None:
    k = (seen.ranking.k + 1) // 2
    metric = cls(k=k)
    values = metric.per_user(seen) if isinstance(metric, UserMetric) else [metric.overall(seen)]
    assert len(values) == (seen.n_users if isinstance(metric, UserMetric) else 1)
    assert np.isfinite(values).all()
    assert (np.asarray(values) >= 0).all()
    if metric.unit == "share":
        assert (np.asarray(values) <= 1 + 1e-12).all()
    assert metric.overall(seen) == metric.overall(seen.truncated(k))


@every_metric_at_k
@given(seen=judged_rankings())
def test_leaves_what_it_is_given_alone(cls: type[Metric], seen: JudgedRanking) -> None:
    before = [a.copy() for a in (seen.ranking.items, seen.hits, seen.n_held_out, seen.item_counts)]
    cls(k=1).overall(seen)
    after = [seen.ranking.items, seen.hits, seen.n_held_out, seen.item_counts]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))


@every_metric
def test_says_where_it_comes_from(cls: type[Metric]) -> None:
    assert "Source: " in (cls.__doc__ or "")
