"""Summaries, gains, tables and pages, held to numbers worked out here."""

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from scipy import stats

from nearfar.core.vocabulary import Vocabulary
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.groups import parse_groups
from nearfar.evaluation.pooled import pooled
from nearfar.experiments.reproduction.cells import CellResult
from nearfar.experiments.reproduction.gains import best_autoencoder, gains
from nearfar.experiments.reproduction.report_files import markdown_table
from nearfar.experiments.reproduction.rows import TABLES, Published
from nearfar.experiments.reproduction.study import SeedResult
from nearfar.experiments.reproduction.summary import summarise
from nearfar.experiments.reproduction.tables import gain_table, grouped_table, main_table
from nearfar.metrics.ndcg import NDCG
from nearfar.metrics.recall import Recall

METRICS = (Recall(20), NDCG(100))
N = 40


def row(label: str):
    return next(r for r in TABLES["table1"] if r.label == label)


def measured(
    seed: int, level: float, validation: float | None = None, users: range | None = None
) -> CellResult:
    """Forty users a split, their values about `level`."""
    rng = np.random.default_rng([seed, int(1000 * level)])
    ids = users if users is not None else range(N * seed, N * (seed + 1))
    test = Evaluation(
        name="x",
        per_user={m: level + 0.1 * rng.random(len(ids)) for m in METRICS},
        user_ids=Vocabulary(list(ids)),
        n_fold_in=np.arange(len(ids)) + 4,
        n_held_out=np.arange(len(ids)) + 1,
    )
    scores = {} if validation is None else {str(m): validation for m in METRICS}
    return CellResult(test, scores, {"fit_seconds": 2.0}, {"commit": None})


def entries(by_label: dict[str, list[CellResult | None]]) -> list[SeedResult]:
    return [
        SeedResult(row(label), seed, measured=found and named(found, label))
        for label, all_found in by_label.items()
        for seed, found in enumerate(all_found)
    ]


def named(found: CellResult, label: str) -> CellResult:
    return replace(found, test=replace(found.test, name=label))


PLAIN = [measured(s, 0.30, 0.30) for s in range(3)]
ALIGNED = [measured(s, 0.32, 0.35) for s in range(3)]
EASE = [measured(s, 0.31) for s in range(3)]
KNOWN = Published({"EASE": {"NDCG@100": 0.42, "Recall@20": 0.3765}, "VASP": {"NDCG@100": 0.448}},
                  frozenset({"VASP"}))  # fmt: skip


def test_one_split_has_its_users_interval() -> None:
    (summary,) = summarise(entries({"EASE": EASE[:1]}), METRICS, KNOWN)
    value, users = summary.values[NDCG(100)], EASE[0].test.values(NDCG(100))
    assert value.over == "users"
    assert value.mean == pytest.approx(users.mean())
    assert value.standard_error == pytest.approx(users.std(ddof=1) / math.sqrt(N))
    reach = stats.t.ppf(0.975, N - 1) * value.standard_error
    assert (value.low, value.high) == pytest.approx((value.mean - reach, value.mean + reach))
    assert value.published == 0.42
    assert value.in_standard_errors == pytest.approx((value.mean - 0.42) / value.standard_error)
    known = replace(KNOWN, standard_errors={"NDCG@100": 0.0021})
    (summary,) = summarise(entries({"EASE": EASE[:1]}), METRICS, known)
    both = math.sqrt(value.standard_error**2 + 0.0021**2)
    beside = summary.values[NDCG(100)]
    assert beside.in_standard_errors == pytest.approx((value.mean - 0.42) / both)
    assert summary.values[Recall(20)].published_error is None


def test_several_splits_have_the_interval_of_their_means() -> None:
    (summary,) = summarise(entries({"EASE": EASE}), METRICS, KNOWN)
    value = summary.values[NDCG(100)]
    means = [m.test.mean(NDCG(100)) for m in EASE]
    assert value.over == "splits"
    assert list(value.by_seed.values()) == means
    assert value.mean == pytest.approx(np.mean(means))
    assert value.standard_error == pytest.approx(np.std(means, ddof=1) / math.sqrt(3))
    assert value.high - value.mean == pytest.approx(stats.t.ppf(0.975, 2) * value.standard_error)
    assert value.difference == pytest.approx(value.mean - 0.42)


def test_a_row_says_what_is_missing() -> None:
    found = summarise(
        [
            *entries({"EASE": [EASE[0], None], "Multi-VAE": [None, None], "MF": EASE[:2]}),
            SeedResult(row("WARP"), 0, trouble="no such thing"),
        ],
        METRICS,
        Published(),
    )
    assert [s.status for s in found] == ["partial", "missing", "done", "failed"]
    assert found[3].troubles == ["no such thing"]


def test_users_of_several_splits_count_once_with_their_mean() -> None:
    """As where every split has the same test users: more trainings are not more users."""
    shared = [measured(s, 0.3 + s / 10, users=range(N)) for s in range(2)]
    both = pooled([m.test for m in shared])
    assert both.n_users == N
    values = [m.test.values(NDCG(100)) for m in shared]
    assert both.values(NDCG(100)) == pytest.approx(np.mean(values, axis=0))
    apart = pooled([m.test for m in PLAIN])
    assert apart.n_users == 3 * N
    half = [measured(0, 0.3, users=range(N)), measured(1, 0.3, users=range(N // 2, N + 20))]
    joined = pooled([m.test for m in half])
    first, second = (m.test.values(NDCG(100)) for m in half)
    assert joined.n_users == N + 20
    assert joined.values(NDCG(100))[0] == pytest.approx(first[0])
    assert joined.values(NDCG(100))[N - 1] == pytest.approx((first[-1] + second[19]) / 2)
    assert joined.values(NDCG(100))[-1] == pytest.approx(second[-1])
    first, second = (int(m.test.n_held_out[i]) for m, i in zip(half, (-1, 19), strict=True))
    assert joined.n_held_out[N - 1] == (first + second) / 2


def test_gains_are_paired_user_by_user_and_split_by_split() -> None:
    by_label = {"EASE": EASE, "Multi-VAE": PLAIN, "Multi-VAE + PIA": ALIGNED}
    found = gains(summarise(entries(by_label), METRICS, Published()), METRICS)
    told = [(g.users.b, g.users.a, str(g.users.metric)) for g in found]
    assert told == [
        ("Multi-VAE + PIA", "Multi-VAE", "Recall@20"),
        ("Multi-VAE + PIA", "Multi-VAE", "NDCG@100"),
        ("Multi-VAE + PIA", "EASE", "Recall@20"),
        ("Multi-VAE + PIA", "EASE", "NDCG@100"),
    ]
    differences = np.concatenate(
        [b.test.values(NDCG(100)) - a.test.values(NDCG(100))
         for a, b in zip(PLAIN, ALIGNED, strict=True)]
    )  # fmt: skip
    gain = found[1]
    assert gain.users.difference == pytest.approx(differences.mean())
    assert gain.users.n_users == 3 * N
    assert gain.users.p == pytest.approx(stats.ttest_1samp(differences, 0).pvalue)
    by_split = [d.mean() for d in np.split(differences, 3)]
    assert list(gain.by_seed.values()) == pytest.approx(by_split)
    test = stats.ttest_1samp(by_split, 0)
    assert gain.p_splits == pytest.approx(test.pvalue)
    assert (gain.low, gain.high) == pytest.approx(tuple(test.confidence_interval(0.95)))
    smallest = min(g.users.p for g in found)
    assert next(g.users.p_holm for g in found if g.users.p == smallest) == pytest.approx(
        min(1, 4 * smallest)
    )


def test_rows_are_compared_on_the_splits_that_both_have() -> None:
    by_label = {"Multi-VAE": PLAIN, "Multi-VAE + PIA": [None, ALIGNED[1], None]}
    found = gains(summarise(entries(by_label), METRICS, Published()), METRICS)
    assert [list(g.by_seed) for g in found] == [[1], [1]]
    assert all(g.p_splits is None for g in found)
    apart = {"Multi-VAE": [PLAIN[0], None], "Multi-VAE + PIA": [None, ALIGNED[1]]}
    assert gains(summarise(entries(apart), METRICS, Published()), METRICS) == []


def test_the_best_autoencoder_is_chosen_on_validation_users() -> None:
    high_on_test = [measured(0, 0.9, validation=0.1)]
    high_on_validation = [measured(0, 0.2, validation=0.5)]
    by_label = {"EASE": EASE[:1], "RecVAE": high_on_test, "Multi-VAE": high_on_validation}
    summaries = summarise(entries(by_label), METRICS, Published())
    best = best_autoencoder(summaries, NDCG(100))
    assert best is not None
    assert best.row.label == "Multi-VAE"
    (gain,) = [g for g in gains(summaries, METRICS) if g.users.metric == NDCG(100)]
    assert gain.users.difference == pytest.approx(
        high_on_validation[0].test.mean(NDCG(100)) - EASE[0].test.mean(NDCG(100))
    )


def test_the_table_shows_ours_published_and_the_difference() -> None:
    summaries = summarise(entries({"EASE": EASE[:1], "EDLAE": [None]}), METRICS, KNOWN)
    table = main_table(summaries, METRICS, KNOWN, 1)
    assert table.header == (
        "model", "Recall@20", "published", "diff/se", "NDCG@100", "published", "diff/se", "fit",
        "splits",
    )  # fmt: skip
    ease, edlae, vasp = table.rows
    value = summaries[0].values[NDCG(100)]
    half = (value.high - value.low) / 2
    assert ease[2] == ".3765"
    assert ease[4:7] == (
        f"{value.mean:.4f} ±{half:.4f}".replace("0.", "."), ".4200",
        f"{(value.mean - 0.42) / value.standard_error:+.1f}",
    )  # fmt: skip
    assert ease[7:] == ("2.0 s", "1 of 1")
    assert edlae[:2] == ("EDLAE †", "missing")
    assert (vasp[0], vasp[5]) == ("VASP †", ".4480")
    assert any("not a row of the paper" in note for note in table.notes)
    page = markdown_table(table)
    assert page.splitlines()[0].startswith("| model | Recall@20 | published | diff/se |")
    assert page.splitlines()[1] == "| :-- |" + " --: |" * 8
    assert f"| {ease[4]} | .4200 |" in page
    assert (
        json.loads(json.dumps(table.to_dict(), allow_nan=False))["rows"][0]["metrics"]["NDCG@100"][
            "published"
        ]
        == 0.42
    )


def test_without_published_values_there_are_no_columns_for_them() -> None:
    table = main_table(summarise(entries({"EASE": EASE}), METRICS, Published()), METRICS,
                       Published(), 3)  # fmt: skip
    assert table.header == ("model", "Recall@20", "NDCG@100", "fit", "splits")
    assert "over splits" in table.notes[0]
    assert "†" not in "".join(table.notes)


def test_groups_hold_all_users_and_their_own_gain() -> None:
    plain, aligned = summarise(
        entries({"Multi-VAE": PLAIN[:1], "Multi-VAE + PIA": ALIGNED[:1]}), METRICS, Published()
    )
    known = Published({"5-30 Multi-VAE": {"NDCG@100": 0.317},
                       "5-30 Multi-VAE + PIA": {"NDCG@100": 0.323}})  # fmt: skip
    groups = parse_groups("5-30,31-60,99-")
    table = grouped_table(plain, aligned, METRICS, groups, known)
    activity = PLAIN[0].test.n_fold_in + PLAIN[0].test.n_held_out
    inside = activity <= 30
    gain = (ALIGNED[0].test.values(NDCG(100)) - PLAIN[0].test.values(NDCG(100)))[inside]
    entry = table.data[1]
    assert (entry["group"], entry["n_users"]) == ("5-30", inside.sum())
    assert entry["gain"]["difference"] == pytest.approx(gain.mean())
    assert entry["gain"]["p"] == pytest.approx(stats.ttest_1samp(gain, 0).pvalue)
    assert table.rows[1][-2:] == (".317 → .323", "+.006")
    assert table.rows[0][-2:] == ("", "")
    assert table.rows[4][1] == "0"
    assert table.rows[4][5:7] == ("-", "-")
    assert f"{(activity > 60).sum()} test users are in no group." in table.notes
    assert json.dumps(table.to_dict(), allow_nan=False)


def test_gain_tables_say_in_how_many_splits() -> None:
    by_label = {"Multi-VAE": PLAIN, "Multi-VAE + PIA": ALIGNED}
    found = gains(summarise(entries(by_label), METRICS, Published()), METRICS)
    table = gain_table(found)
    up = sum(v > 0 for v in found[0].by_seed.values())
    assert table.header[-3:] == ("over splits", "p", "splits up")
    assert table.rows[0][-1] == f"{up} of 3"
    one = gain_table([replace(g, by_seed={0: 0.1}) for g in found])
    assert "over splits" not in one.header
