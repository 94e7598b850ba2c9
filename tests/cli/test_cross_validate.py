"""`nearfar cross-validate`: the folds and tests of Python, on the command line."""

from __future__ import annotations

import json

import nearfar as nf
from nearfar.cli.main import run

LOG = "synthetic:300x40x3000"


def test_algorithms_are_compared_on_the_same_folds(capsys) -> None:
    arguments = ["ease", "popularity", "--data", LOG, "--folds", "3", "--set", "ease.l2=50"]
    assert run(["cross-validate", *arguments, "--metrics", "ndcg@10", "--json", "-q"]) == 0
    found = json.loads(capsys.readouterr().out)
    log = nf.read_log(LOG)
    expected = nf.cross_validate(nf.EASE(l2=50), nf.split_k_fold(log, 3), "ndcg@10")
    measured = found["evaluations"]["ease"]["metrics"]["NDCG@10"]["mean"]
    assert measured == expected.pooled.mean("NDCG@10")
    assert len(found["by_fold"]["popularity"]) == 3
    assert found["settings"]["ease"]["l2"] == 50
    (pair,) = found["paired"]
    assert (pair["a"], pair["b"]) == ("ease", "popularity")


def test_one_algorithm_has_a_row_per_fold(capsys) -> None:
    arguments = ["ease", "--data", LOG, "--folds", "2", "--set", "l2=50", "-q"]
    assert run(["cross-validate", *arguments]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "ease, 2 folds"
    assert [line.split()[0] for line in lines[2:5]] == ["split", "split", "all"]
    assert "gain over" not in "".join(lines)


def test_what_cannot_be_is_told(capsys) -> None:
    two = ["cross-validate", "ease", "wmf", "--data", LOG]
    for arguments, expected in {
        (*two, "--set", "l2=3"): "write for example ease.l2=3",
        (*two, "--metrics", "coverage@5"): "Coverage@5: one value for all users",
        (*two, "--set", "ease.l3=3"): "unknown setting 'l3'; did you mean 'l2'",
    }.items():
        assert run(arguments) == 1
        assert expected in capsys.readouterr().err
    assert run([*two, "ease"]) == 2
