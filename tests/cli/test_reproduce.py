"""`nearfar reproduce` as a user would type it."""

import json
import math
import shlex
from pathlib import Path

import numpy as np
import pytest

from nearfar.cli.main import run
from nearfar.core.files import read_json
from nearfar.experiments.reproduction import datasets
from tests.experiments.reproduction.cases import NAME
from tests.experiments.reproduction.test_datasets import given

TINY = [
    "--set", "multvae.n_latent=4", "--set", "multvae.decoder_hidden=[8]",
    "--set", "multvae.epochs=3", "--set", "multvae.batch_size=60", "--set", "multvae.patience=0",
    "--set", "multvae.beta.kind=constant", "--set", "multvae.beta.value=0.1",
]  # fmt: skip
ONLY = ["--only", "ease,Multi-VAE,Multi-VAE + PIA"]


@pytest.fixture(scope="module")
def out(tmp_path_factory) -> Path:
    """The folder of a table 1 that ran through on two seeds."""
    folder = tmp_path_factory.mktemp("reproduced")
    arguments = ["reproduce", "table1", "--dataset", NAME, *ONLY, *TINY, "--seeds", "2"]
    assert run([*arguments, "--out", str(folder), "--quiet"]) == 0
    return folder


def again(out: Path, *more: str, table: str = "table1") -> list[str]:
    only = ONLY if table == "table1" else []
    return ["reproduce", table, "--dataset", NAME, *only, *TINY, "--out", str(out), *more]


def test_it_writes_what_it_prints(out: Path, capsys) -> None:
    assert run(again(out, "--seeds", "2")) == 0
    captured = capsys.readouterr()
    assert captured.err == ""  # nothing is fitted the second time
    page = (out / "table1.md").read_text()
    found = json.loads((out / "table1.json").read_text())
    assert found["complete"]
    labels = [r["label"] for r in found["rows"]["rows"]]
    assert labels == ["EASE", "Multi-VAE", "Multi-VAE + PIA"]
    for row in found["rows"]["rows"]:
        value = row["metrics"]["NDCG@100"]
        told = f"{value['mean']:.4f} ±{(value['high'] - value['low']) / 2:.4f}".replace("0.", ".")
        assert told in captured.out
        assert f"| {told} |" in page
        assert value["mean"] == pytest.approx(np.mean(list(value["by_seed"].values())))
    assert "Multi-VAE + PIA over Multi-VAE" in captured.out
    assert "![Table 1" in page
    assert (out / "table1.png").read_bytes().startswith(b"\x89PNG")
    assert {"versions", "machine", "commit"} <= set(found["provenance"])
    assert found["data"]["protocol"]["kind"] == "strong"


def test_json_is_the_written_report(out: Path, as_json) -> None:
    found = as_json(*again(out, "--seeds", "2"))
    assert found == json.loads((out / "table1.json").read_text())


def test_list_tells_what_is_there_and_runs_nothing(out: Path, as_json, capsys) -> None:
    cells = as_json(*again(out, "--seeds", "3", "--list"))["cells"]
    states = {(c["row"], c["seed"]): c["state"] for c in cells}
    assert states["EASE", 1] == "done"
    assert states["EASE", 2] == "missing, split not made"
    assert len(cells) == 9
    assert run(again(out, "--list")) == 0
    assert "fingerprint" in capsys.readouterr().out


def test_groups_take_the_cells_of_table_1(out: Path, as_json, capsys) -> None:
    found = as_json(*again(out, "--groups", "5-12,13-", table="groups"))
    assert [r["group"] for r in found["groups"]["rows"]] == ["5-12"] * 3 + ["13-"] * 3
    assert sum(r["n_users"] for r in found["groups"]["rows"][::3]) == 20
    assert "to fit" not in capsys.readouterr().err
    assert (out / "groups.png").exists()


def test_table_6_compares_encoders_each_with_and_without_alignment(out: Path, as_json) -> None:
    found = as_json(*again(out, table="table6"))
    rows = found["rows"]["rows"]
    assert [(r["label"], r["settings"]["encoder"]["kind"]) for r in rows] == [
        (f"{name} encoder{pia}", kind)
        for name, kind in (("Shallow", "base"), ("Deeper", "deeper"), ("Shallow (IAF)", "iaf"))
        for pia in ("", " + PIA")
    ]
    means = [r["metrics"]["NDCG@100"]["mean"] for r in rows]
    assert len(set(means)) == 6
    assert [r["settings"]["alignment"] is None for r in rows] == [True, False] * 3
    page = (out / "table6.md").read_text()
    assert all(f"| {r['label']} |" in page for r in rows)
    assert "Deeper encoder + PIA over Deeper encoder" in page
    assert (out / "table6.png").exists()


def test_a_budget_that_is_used_up_says_how_to_go_on(out: Path, tmp_path: Path, capsys) -> None:
    part = tmp_path / "part"
    assert run(again(part, "--seeds", "2", "--budget", "0", "--quiet")) == 3
    captured = capsys.readouterr()
    assert "missing" in captured.out
    assert "**Incomplete**" in (part / "table1.md").read_text()
    command = captured.err.strip().split("continue with: ")[1]
    program, *arguments = shlex.split(command)
    assert program == "nearfar"
    arguments[arguments.index("--budget") + 1] = "60"
    assert run(arguments) == 0
    first, second = (json.loads((f / "table1.json").read_text()) for f in (out, part))
    values = [[row["metrics"] for row in found["rows"]["rows"]] for found in (first, second)]
    assert values[0] == values[1]


def test_published_values_stand_beside_ours(tmp_path: Path, monkeypatch, as_json) -> None:
    """On a small file in the layout of MovieLens-20M."""
    monkeypatch.setitem(datasets.HELD_OUT, "ml-20m", 20)
    rng = np.random.default_rng(0)
    lines = [
        f"{user},{item},{rating},9"
        for user in range(120)
        for item, rating in zip(rng.permutation(40)[:15], rng.integers(6, 11, 15) / 2, strict=True)
    ]
    raw = tmp_path / "ml-20m"
    raw.mkdir()
    (raw / "ratings.csv").write_text("userId,movieId,rating,timestamp\n" + "\n".join(lines) + "\n")
    (raw / "movies.csv").write_text("movieId,title,genres\n1,One,Drama\n")
    found = as_json(
        "reproduce", "table1", "--dataset", "ml-20m", "--data", raw, "--only", "popularity,ease",
        "--out", tmp_path / "out",
    )  # fmt: skip
    popularity, ease = found["rows"]["rows"]
    assert popularity["metrics"]["Recall@20"]["published"] == 0.162
    value = ease["metrics"]["NDCG@100"]
    assert value["published"] == 0.420
    assert value["difference_in_standard_errors"] == pytest.approx(
        (value["mean"] - 0.420) / math.hypot(value["standard_error"], 0.0021)
    )
    assert ease["settings"]["l2"] == 600
    page = (tmp_path / "out" / "table1.md").read_text()
    assert "| .420 |" in page
    assert "VASP †" in page


def test_gowalla_learns_from_all_and_has_its_own_metrics(tmp_path: Path, as_json) -> None:
    found = as_json(
        "reproduce", "table1", "--dataset", "gowalla", "--data", given(tmp_path / "raw"),
        *ONLY, *TINY, "--out", tmp_path / "out",
    )  # fmt: skip
    ease, plain, _ = found["rows"]["rows"]
    assert list(ease["metrics"]) == ["Recall@20(all)", "NDCG@20"]
    assert ease["metrics"]["NDCG@20"]["published"] == 0.1467
    assert ease["fits"]["0"]["n_train_users"] == 100
    assert plain["fits"]["0"]["n_train_users"] == 97
    assert ease["validation"]["0"] == {}
    assert set(plain["validation"]["0"]) == {"Recall@20(all)", "NDCG@20"}


def test_a_row_that_fails_is_told_and_the_rest_stands(tmp_path: Path, capsys) -> None:
    arguments = ["reproduce", "table1", "--dataset", NAME, "--only", "popularity,Multi-VAE"]
    wrong = [*arguments, *TINY, "--set", "multvae.learning_rate=1e30", "--out", str(tmp_path)]
    assert run([*wrong, "--json", "--quiet"]) == 1
    captured = capsys.readouterr()
    popularity, diverged = json.loads(captured.out)["rows"]["rows"]
    assert popularity["status"] == "done"
    assert diverged["status"] == "failed"
    assert "Multi-VAE failed: " in captured.err
    assert "diverged" in captured.err


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--dataset", "ml-1n"], "neither a path that exists nor one of the data sets"),
        (["--dataset", NAME, "--only", "eese"], "did you mean 'ease'"),
        (
            ["--dataset", NAME, "--set", "epochs=3"],
            "does not name an algorithm; write for example multvae.epochs=",
        ),
        (["--dataset", NAME, "--set", "multva.epochs=3"], "did you mean 'multvae'"),
        (["--dataset", NAME, "--set", "ease.l2=-1"], "EASE: l2 is -1"),
        (["--dataset", NAME, "--metrics", "coverage@5"], "no value per user"),
        (["--dataset", "ml-1m", "--min-user", "3"], "published protocol"),
    ],
)
def test_what_is_wrong_is_said_in_one_line(fails, tmp_path: Path, arguments, told) -> None:
    error = fails("reproduce", "table1", *arguments, "--out", tmp_path)
    assert told in error


@pytest.mark.slow
def test_figure_2_draws_three_panels(tmp_path: Path, as_json) -> None:
    found = as_json(
        "reproduce", "figure2", "--dataset", "synthetic:300x100x6000", *TINY, "--out", tmp_path
    )
    assert list(found["latent_map"]["panels"]) == ["Clean input", "Masking", "Masking + PIA"]
    for label, row in zip(found["latent_map"]["panels"], found["rows"]["rows"], strict=True):
        panel = found["latent_map"]["panels"][label]
        assert panel["NDCG@100"] == row["metrics"]["NDCG@100"]["mean"]
        assert "silhouette" in panel
    assert (tmp_path / "figure2.png").read_bytes().startswith(b"\x89PNG")
    assert "Numbers of the map" in (tmp_path / "figure2.md").read_text()
    rows = read_json(tmp_path / "figure2.json")["cohorts"]["rows"]
    settings = ["Clean input", "Masking", "Masking + PIA"]
    assert [row["row"] for row in rows] == ["histories x", "histories x / ||x||", *settings]
    assert all(row["5-50"]["mean"] > 0 for row in rows)


def test_a_log_of_ones_own(work: Path, tmp_path: Path, as_json) -> None:
    """Its columns are recognised, its filters kept, users with fewer than five items dropped."""
    found = as_json(
        "reproduce", "table1", "--dataset", work / "log.csv", "--only", "ease", "--min-rating", 4,
        "--held-out", 30, "--metrics", "ndcg@10,recall@5", "--set", "ease.l2=10", "--out", tmp_path,
    )  # fmt: skip
    (ease,) = found["rows"]["rows"]
    assert list(ease["metrics"]) == ["NDCG@10", "Recall@5"]
    assert found["data"]["protocol"]["counts"]["test"]["users"] == 30
    assert (found["data"]["filters"]["min_rating"], found["data"]["filters"]["min_user"]) == (4, 5)
    assert len(found["data"]["protocol"]["filters"]) == 2


def test_a_split_made_before(work: Path, tmp_path: Path, as_json) -> None:
    found = as_json(
        "reproduce", "table1", "--dataset", work / "split", "--only", "ease", "--seeds", 2,
        "--out", tmp_path,
    )  # fmt: skip
    (ease,) = found["rows"]["rows"]
    assert len(set(ease["metrics"]["NDCG@100"]["by_seed"].values())) == 1
    assert any("same test users" in note for note in found["rows"]["notes"])


def test_ablations_compare_each_part_with_no_alignment(out: Path, as_json, capsys) -> None:
    """A few rows by their variants; the cells are kept like those of any table."""
    only = ["--only", "multvae+pia+plain,multvae+pia+drift,multvae+pia+algorithm1"]
    command = [*again(out, *only, table="ablations")]
    found = as_json(*command)
    labels = [r["label"] for r in found["rows"]["rows"]]
    assert labels == [
        "Multi-VAE, no alignment", "Multi-VAE, Algorithm 1", "Multi-VAE, drift only, lambda fixed",
    ]  # fmt: skip
    assert {(g["a"], g["b"]) for g in found["gains"]["rows"]} == {
        (labels[0], labels[1]), (labels[0], labels[2]),
    }  # fmt: skip
    assert [d["third"] for d in found["diversity"]["rows"][::3]] == ["uniform", "middle", "diverse"]
    drift = found["rows"]["rows"][2]["settings"]["alignment"]
    assert (drift["parts"], drift["patience"]) == ("drift", 0)
    page = (out / "ablations.md").read_text()
    assert "## Gains by diversity of taste" in page
    assert all(f"| {label} |" in page for label in labels)
    capsys.readouterr()
    assert run(command) == 0
    assert capsys.readouterr().err == ""  # nothing is fitted the second time
