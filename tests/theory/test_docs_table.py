"""The table in docs/theory.md says what the record of the measurement holds."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from nearfar.core.files import read_json
from nearfar.experiments.reproduction.summary import format_mean
from nearfar.theory.instrument import Number

ROOT = Path(__file__).parents[2]
RECORD = ROOT / "benchmarks/experiments/theory_ml_1m.json"
MODELS = ("clean", "masked", "masked-pia")
ROWS = {
    "W2 of two users, within cohorts of activity": ("distances", "within"),
    "W2 of two users, across cohorts": ("distances", "across"),
    "across / within": ("distances", "ratio"),
    "W1 of 50 pairs, by optimal transport": ("distances", "w1"),
    "rank correlation of W2 with the items that differ": ("distances", "rank"),
    "of 10 neighbours, kept under a mask": ("mask_drift", "clean"),
    "variance across masks / between users": ("mask_drift", "variance"),
    "help from the nearest tenth, by taste (Jaccard)": ("collaboration", "local_taste"),
    "help from the nearest tenth, by items that differ": ("collaboration", "local"),
    "help from far but related users": ("collaboration", "related"),
    "pairs within the sharing radius, at most": ("sharing", "hit"),
    "pairs whose step helps, to first order": ("sharing", "helps"),
    "KL to N(0, I), nats per user": ("health", "kl"),
    "dimensions collapsed, of 200": ("health", "collapsed"),
}
TRADEOFF = (
    "NDCG@100", "W2, far but related", "W2, least alike", "related / least alike",
    "collapsed dimensions", "neighbours kept, %", "I, at most", "mismatch, at least",
)  # fmt: skip
STEPS = ("lowered", "within", "inside", "outside", "related", "unrelated", "auc", "auc_margin")


def table() -> dict[str, list[str]]:
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    lines = re.findall(r"^\| (.+) \|$", text, flags=re.MULTILINE)
    return {cells[0]: cells[1:] for cells in (line.split(" | ") for line in lines)}


@pytest.mark.parametrize("row", ROWS)
def test_a_row_is_of_the_record(row: str) -> None:
    instrument, key = ROWS[row]
    findings = read_json(RECORD)["findings"][instrument]
    told = []
    for model in MODELS:
        number = next(n for n in findings[model]["numbers"] if n["key"] == key)
        told.append(Number(**number).formatted())
    assert table()[row] == told


def test_the_record_says_what_it_was_measured_on() -> None:
    record = read_json(RECORD)
    assert (record["n_users"], record["n_sharing_users"], record["n_masks"]) == (1000, 100, 8)
    trained_on = {b["trained_on"] for b in record["fingerprints"]["bundles"].values()}
    assert trained_on == {record["fingerprints"]["training_users"]}
    assert f"{record['total_seconds']:.0f} s for the three" in (ROOT / "docs/theory.md").read_text(
        encoding="utf-8"
    )


def test_the_trade_off_is_that_of_its_record() -> None:
    record = read_json(ROOT / "benchmarks/experiments/tradeoff_lastfm.json")
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    for row in record["latents"]["rows"]:
        told = [f"{value:g}" for value in row["point"].values()]
        told += [format_mean(row[name]["mean"], row[name]["half_width"]) for name in TRADEOFF]
        assert f"| {' | '.join(told)} |" in text


def test_the_steps_are_those_of_their_record() -> None:
    record = read_json(ROOT / "benchmarks/experiments/steps_lastfm.json")
    text = (ROOT / "docs/theory.md").read_text(encoding="utf-8")
    for row in record["summary"]:
        told = [row["model"], str(row["epoch"])]
        for key in STEPS:
            mean, half = row[key]["mean"], row[key]["half_width"]
            told.append(format_mean(None if mean is None else 100 * mean, half and 100 * half))
        assert f"| {' | '.join(told)} |" in text
