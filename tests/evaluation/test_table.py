from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest

from nearfar.core.errors import EmptyDataError
from nearfar.evaluation.evaluation import Evaluation
from nearfar.evaluation.paired import compare_all
from nearfar.evaluation.table import comparison_table, group_table, paired_table
from nearfar.evaluation.text import aligned, number, p_value, with_half_width
from nearfar.metrics.coverage import Coverage
from nearfar.metrics.novelty import Novelty
from tests.evaluation.cases import RECALL, evaluation


@pytest.fixture
def found() -> dict[str, Evaluation]:
    rng = np.random.default_rng(5)
    old = rng.random(200)
    counts = [4] * 100 + [20] * 99 + [1]
    return {
        "old": replace(evaluation(old, n_fold_in=counts), overall={Coverage(5): 0.5}),
        "same": replace(evaluation(old, n_fold_in=counts), overall={Coverage(5): 0.25}),
        "new": replace(
            evaluation(old + rng.normal(0.1, 0.1, 200), n_fold_in=counts),
            overall={Coverage(5): 0.75},
        ),
    }


def test_numbers() -> None:
    assert number(0.42461, RECALL) == ".4246"
    assert number(1.0, RECALL) == "1.0000"
    assert number(-0.0321, RECALL, 3) == "-.032"
    assert number(0.0321, RECALL, 3, signed=True) == "+.032"
    assert number(0.5, Novelty(5)) == "0.5000"
    assert number(math.nan, RECALL) == number(None, RECALL) == "-"
    assert with_half_width(0.42461, 0.0045, RECALL) == ".4246 ±.0045"
    assert with_half_width(0.42461, None, RECALL) == ".4246"
    assert with_half_width(math.nan, 0.1, RECALL) == "-"
    assert [p_value(p) for p in (None, 0.0, 0.0312, 1.0)] == ["-", "<.001", ".031", "1.000"]
    assert [p_value(p) for p in (0.00099, 0.001)] == ["<.001", ".001"]


def test_columns_line_up() -> None:
    assert aligned(["a", "bb"], [["ccc", "d"]]).splitlines() == ["a    bb", "ccc   d"]


def test_comparison(found: dict[str, Evaluation]) -> None:
    table = comparison_table(found)
    assert table.header == ("model", "users", "Recall@20", "Coverage@5")
    assert [row[0] for row in table.rows] == ["old", "same", "new"]
    interval = found["old"].interval(RECALL)
    assert interval is not None
    plain = with_half_width(found["old"].mean(RECALL), interval.half_width, RECALL)
    assert table.rows[0] == ("old", "200", plain, ".5000")
    assert table.rows[1] == ("same", "200", plain, ".2500")
    assert [note for note in table.notes if "95% interval" in note] == list(table.notes)


def test_comparison_as_json(found: dict[str, Evaluation]) -> None:
    table = comparison_table(found, [RECALL])
    plain = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert [row["model"] for row in plain["rows"]] == ["old", "same", "new"]
    assert plain["rows"][0]["metrics"]["Recall@20"]["mean"] == found["old"].mean(RECALL)
    assert plain["notes"] == list(table.notes)


def test_groups(found: dict[str, Evaluation]) -> None:
    table = group_table(found, "5-10,11-50,51-")
    assert table.header == ("interactions", "users", "model", "Recall@20")
    assert [row[:3] for row in table.rows[:4]] == [
        ("5-10", "100", "old"),
        ("5-10", "100", "same"),
        ("5-10", "100", "new"),
        ("11-50", "99", "old"),
    ]
    mean = found["old"].per_user[RECALL][:100].mean()
    assert table.rows[0][3].startswith(number(float(mean), RECALL))
    assert table.rows[-1] == ("51-", "0", "new", "-")
    assert "all interactions" in table.notes[0]
    assert table.notes[1] == "1 users of old are in no group."
    plain = json.loads(json.dumps(table.to_dict(), allow_nan=False))
    assert plain["rows"][0]["metrics"]["Recall@20"]["mean"] == pytest.approx(mean)
    assert plain["rows"][-1]["metrics"]["Recall@20"]["mean"] is None
    assert "fold-in interactions" in group_table(found, "1-", by="fold_in").notes[0]


def test_pairs(found: dict[str, Evaluation]) -> None:
    table = paired_table(compare_all(found, "old"))
    assert table.rows[0] == (
        "Recall@20",
        "same",
        "old",
        "+.0000 ±.0000",
        "1.000",
        "1.000",
        "0.0%",
        "0.0%",
        "100.0%",
    )
    assert table.rows[1][3].startswith("+.09")
    assert table.rows[1][4:6] == ("<.001", "<.001")
    assert str(table).splitlines()[0].split()[:4] == ["metric", "model", "versus", "gain"]
    assert json.loads(json.dumps(table.to_dict(), allow_nan=False))["rows"][1]["b"] == "new"


def test_refuses_no_evaluations() -> None:
    with pytest.raises(EmptyDataError, match="no evaluations"):
        comparison_table({})
    with pytest.raises(EmptyDataError, match="no evaluations"):
        group_table({}, "5-")
