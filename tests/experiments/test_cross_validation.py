"""Folds of users and rolling windows: who is trained on, who is tested, and the joint result."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

import nearfar as nf
from nearfar.core.errors import EmptyDataError, SettingsError
from nearfar.data.interactions import FoldIn, Interactions
from nearfar.evaluation.evaluate import evaluate
from nearfar.train.callback import StartReport
from tests.conftest import interactions

N_DAYS = 30


@pytest.fixture(scope="module")
def everyone() -> Interactions:
    rng = np.random.default_rng(1)
    dense = (rng.random((83, 30)) < 0.35).astype(float)
    dense[:4, 3:] = 0  # too few items to be tested
    dense[:, 29] = 0
    dense[5, 29] = 1  # an item of one user only
    return interactions(dense)


@pytest.fixture(scope="module")
def log(tmp_path_factory) -> nf.Log:
    """Forty users who choose an item each day of June 2026."""
    rng = np.random.default_rng(2)
    path: Path = tmp_path_factory.mktemp("log") / "events.csv"
    rows = [
        f"u{user},i{int(20 * rng.random() ** 2)},2026-06-{day + 1:02d}T12:00:00"
        for day in range(N_DAYS)
        for user in range(40)
        if rng.random() < 0.6
    ]
    path.write_text("user,item,timestamp\n" + "\n".join(rows) + "\n")
    return nf.read_log(path)


def test_every_user_is_tested_in_one_fold_and_trained_on_in_no_fold_of_his(everyone) -> None:
    tested: list[str] = []
    for number, split in enumerate(nf.split_k_fold(everyone, 4, seed=3), start=1):
        assert split.protocol["fold"] == number
        parts = [split.train, split.validation.fold_in, split.test.fold_in]
        users = [part.user_ids.ids.to_list() for part in parts]
        assert len({u for part in users for u in part}) == sum(map(len, users)) == 83
        assert 20 <= split.test.n_users <= 21
        outside = everyone.take_users(everyone.user_ids.index(users[0] + users[1]))
        assert split.validation.n_users == int(0.1 * (np.diff(outside.x.indptr) >= 2).sum())
        assert (split.train.item_counts > 0).all()
        fold_in, held_out = split.test.fold_in.x.toarray(), split.test.held_out.x.toarray()
        assert not (fold_in * held_out).any()
        whole = everyone.take_users(everyone.user_ids.index(users[2]))
        np.testing.assert_array_equal(
            fold_in + held_out, whole.on_items(split.train.item_ids).x.toarray()
        )
        n, targets = (fold_in + held_out).sum(1), held_out.sum(1)
        np.testing.assert_array_equal(targets, np.where(n >= 2, np.maximum(1, n // 5), 0))
        tested += users[2]
    assert sorted(tested) == sorted(everyone.user_ids.ids.to_list())


def test_the_seed_decides_the_folds(everyone) -> None:
    marks = [[s.fingerprint for s in nf.split_k_fold(everyone, 3, seed=s)] for s in (1, 1, 2)]
    assert marks[0] == marks[1]
    assert not set(marks[0]) & set(marks[2])


def test_windows_follow_each_other(log: nf.Log) -> None:
    splits = list(nf.split_rolling(log, "2026-06-15", window_days=5, n_windows=3))
    bounds = [
        (s.protocol["validation_from"], s.protocol["test_from"], s.protocol["until"])
        for s in splits
    ]
    day, first = 86_400, 1_781_481_600  # 2026-06-15
    assert bounds == [
        (start - 5 * day, start, start + 5 * day)
        for start in (first, first + 5 * day, first + 10 * day)
    ]
    trained = [s.train.n_interactions for s in splits]
    assert trained == sorted(set(trained))
    alone = nf.split_by_time(log, "2026-06-15", "2026-06-20", "2026-06-25")
    assert splits[1].fingerprint == alone.fingerprint


def test_folds_are_measured_apart_and_together(everyone) -> None:
    metrics = ["NDCG@10", "Coverage@10"]
    found = nf.cross_validate(nf.EASE(l2=20.0), nf.split_k_fold(everyone, 3, seed=1), metrics)
    for split, each in zip(nf.split_k_fold(everyone, 3, seed=1), found.evaluations, strict=True):
        alone = evaluate(nf.EASE(l2=20.0).fit(split.train), split.test, metrics)
        np.testing.assert_array_equal(each.values("NDCG@10"), alone.values("NDCG@10"))
    together = np.concatenate([each.values("NDCG@10") for each in found.evaluations])
    assert found.pooled.n_users == len(together) == 80
    assert found.pooled.n_dropped == 3
    assert found.pooled.mean("NDCG@10") == pytest.approx(together.mean())
    assert found.pooled.standard_error("NDCG@10") == pytest.approx(
        together.std(ddof=1) / np.sqrt(80)
    )
    assert [line.split()[0] for line in str(found).splitlines()][:5] == [
        "model", "split", "split", "split", "all",
    ]  # fmt: skip
    other = nf.cross_validate(nf.Popularity(), nf.split_k_fold(everyone, 3, seed=1), metrics)
    assert nf.compare(other.pooled, found.pooled, "NDCG@10").n_users == 80


def test_windows_count_a_user_once(log: nf.Log) -> None:
    windows = nf.split_rolling(log, "2026-06-15", window_days=5, n_windows=2)
    found = nf.cross_validate(nf.Popularity(), windows, ["Recall@5"])
    first, second = found.evaluations
    users = set(first.user_ids.ids) | set(second.user_ids.ids)
    assert found.pooled.n_users == len(users) < first.n_users + second.n_users


def test_each_split_has_a_folder_and_callbacks(everyone, tmp_path: Path) -> None:
    class Folders(nf.Callback):
        seen: list[str]

        def __init__(self) -> None:
            self.seen = []

        def start(self, report: StartReport, /) -> None:
            self.seen.append(str(report.folder))

    folders = Folders()
    run = nf.Run(device="cpu", folder=tmp_path, callbacks=(folders,))
    nf.cross_validate(nf.EASE(l2=1.0), nf.split_k_fold(everyone, 2), run=run)
    assert folders.seen == [str(tmp_path / "split-1"), str(tmp_path / "split-2")]


def test_what_cannot_be_split_is_refused(everyone, log: nf.Log) -> None:
    with pytest.raises(SettingsError, match="n_folds is 1; at least 2"):
        nf.split_k_fold(everyone, 1)
    with pytest.raises(EmptyDataError, match="83 users cannot be divided into 84 folds"):
        nf.split_k_fold(everyone, 84)
    with pytest.raises(SettingsError, match="target_share is 1"):
        nf.split_k_fold(everyone, target_share=1)
    with pytest.raises(SettingsError, match="window_days is 0"):
        nf.split_rolling(log, "2026-06-15", window_days=0)
    with pytest.raises(SettingsError, match="n_windows is 0"):
        nf.split_rolling(log, "2026-06-15", 5, 0)
    with pytest.raises(EmptyDataError, match="no events before"):
        list(nf.split_rolling(log, "2026-06-02", 5))
    with pytest.raises(EmptyDataError, match="no splits"):
        nf.cross_validate(nf.Popularity(), [])


def test_default_metrics(clusters: tuple[Interactions, FoldIn]) -> None:
    train, held_out = clusters
    model = nf.Popularity().fit(train)
    assert list(map(str, evaluate(model, held_out, metrics=None).metrics)) == [
        "Recall@20", "Recall@50", "NDCG@100",
    ]  # fmt: skip
