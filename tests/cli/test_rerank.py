"""`nearfar recommend` and `nearfar evaluate` with re-ranking; training with kinds of events."""

from pathlib import Path

import polars as pl

from nearfar.cli.main import run


def test_recommend_follows_rules_and_says_what_it_ignores(
    work: Path, as_json, tmp_path: Path, capsys
) -> None:
    rules = tmp_path / "rules.toml"
    rules.write_text(
        "[[rule]]\nitem = 29\npin = 1\n[[rule]]\nitem = 4\nexclude = true\n"
        "[[rule]]\nitem = 777\nboost = 1\n"
    )
    command = ["recommend", work / "ease", "--items", "1,2,3", "-k", 12]
    plain = [r["item"] for r in as_json(*command)["recommended"]]
    ruled = as_json(*command, "--rules", rules, "--rerank", "mmr diversity=0.5")["recommended"]
    assert ruled[0]["item"] == 29
    assert 4 in plain
    assert 4 not in [r["item"] for r in ruled]
    assert run([*map(str, command), "--rules", str(rules)]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "line 7: the model has no item '777'; the rule is ignored" in told
    out = tmp_path / "out.parquet"
    histories = tmp_path / "h.csv"
    histories.write_text("user,item\na,1\na,2\nb,20\n")
    assert as_json("recommend", work / "ease", "--histories", histories, "--out", out, "-k", 3,
                   "--rules", rules)["n_rows"] == 6  # fmt: skip
    assert pl.read_parquet(out).filter(pl.col("rank") == 1)["item"].to_list() == [29, 29]


def test_a_wrong_re_ranker_or_rule_is_one_line(work: Path, tmp_path: Path, capsys) -> None:
    rules = tmp_path / "rules.csv"
    rules.write_text("item,boost\n1,much\n")
    base = ["recommend", str(work / "ease"), "--items", "1"]
    for more, told in (
        (["--rerank", "mmr diversity=3"], "mmr.diversity is 3"),
        (["--rerank", "dbp"], "did you mean 'dpp'"),
        (["--rerank", "calibrated"], "calibrated needs genres"),
        (["--rules", str(rules)], "rules.csv, line 2: boost is 'much'; expected a number"),
    ):
        assert run([*base, *more]) == 1
        assert told in " ".join(capsys.readouterr().err.split())


def test_evaluate_shows_lists_with_and_without_and_the_paired_difference(
    work: Path, as_json, capsys
) -> None:
    command = ["evaluate", work / "ease", "--data", work / "split", "--metrics", "ndcg@5,recall@8"]
    plain = as_json(*command)
    both = as_json(*command, "--rerank", "mmr diversity=0.9", "-k", 5)
    assert both["metrics"] == plain["metrics"]
    pairs = {pair["metric"]: pair for pair in both["paired"]}
    for metric, value in both["reranked"]["metrics"].items():
        difference = value["mean"] - plain["metrics"][metric]["mean"]
        assert abs(pairs[metric]["difference"] - difference) < 1e-9
    assert pairs["NDCG@5"]["difference"] != 0
    same = as_json(*command, "--rerank", "mmr diversity=0", "-k", 5)
    assert same["reranked"]["metrics"] == plain["metrics"]
    assert run([*map(str, command), "--rerank", "mmr"]) == 0
    shown = capsys.readouterr().out
    assert "re-ranked" in shown
    assert "gain over ease, user by user" in shown


def test_train_tells_of_kinds_and_of_an_algorithm_that_ignores_them(
    tmp_path: Path, as_json, capsys
) -> None:
    log = tmp_path / "log.csv"
    rows = [
        (u, (7 * u + 3 * n) % 11, ("view", "buy", "wish")[(u + n) % 3])
        for u in range(40)
        for n in range(9)
    ]
    pl.DataFrame(rows, schema=["user", "item", "event"], orient="row").write_csv(log)
    base = ["train", "mf", "--set", "n_factors=2", "--data", str(log), "--out", str(tmp_path / "b")]
    assert run([*base, "--kind-weights", "view=1,buy=5"]) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "120 of 360 rows (33.3%): the kind 'wish' has no weight" in told
    assert "interactions weigh 1 to 5" in told
    assert "warning: MF does not use the weights of interactions" in told
    pl.DataFrame(rows, schema=["user", "item", "event"], orient="row").with_columns(
        plays=pl.lit(2)
    ).write_csv(log)
    assert run(base) == 0
    told = " ".join(capsys.readouterr().err.split())
    assert "the weights in 'plays' are not used in training" in told
