"""The commands as a user would type them."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar import __version__
from nearfar.cli.inputs import bundles_by_name
from nearfar.cli.main import run
from tests.cli.conftest import TINY, write_log
from tests.train.test_trackers import events_of

COMMANDS = [
    ["demo"], ["train"], ["evaluate"], ["compare"], ["recommend"], ["reproduce"], ["tune"],
    ["data", "fetch"], ["data", "inspect"], ["data", "split"],
]  # fmt: skip


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_help_teaches_and_lists_the_common_options(command, capsys) -> None:
    assert run([*command, "--help"]) == 0
    told = capsys.readouterr().out
    for option in ("--json", "--quiet", "--debug"):
        assert option in told
    assert len(told.splitlines()) > 8


def test_help_shows_each_example_on_its_own_line(capsys) -> None:
    assert run(["recommend", "--help"]) == 0
    lines = [line.strip() for line in capsys.readouterr().out.splitlines()]
    assert 'nearfar recommend BUNDLE --items "Toy Story; Alien"' in lines
    assert "nearfar recommend BUNDLE --user 42 --data ratings.csv" in lines


def test_version(capsys) -> None:
    assert run(["--version"]) == 0
    assert capsys.readouterr().out.strip() == f"nearfar {__version__}"


def test_inspect_counts(work: Path, as_json, capsys) -> None:
    report = as_json("data", "inspect", work / "log.csv")
    assert (report["n_users"], report["n_items"]) == (200, 30)
    assert report["n_interactions"] == pl.read_csv(work / "log.csv").height
    assert run(["data", "inspect", str(work / "log.csv")]) == 0
    assert re.search(r"quantile +least .* median .* most", capsys.readouterr().out)


def test_split_says_what_it_made(work: Path, as_json, tmp_path: Path) -> None:
    made = as_json("data", "split", work / "log.csv", "--out", tmp_path / "s", "--held-out", 30)
    assert made["protocol"]["counts"]["test"]["users"] == 30
    again = as_json("data", "split", work / "log.csv", "--out", tmp_path / "t", "--held-out", 30)
    assert made["fingerprint"] == again["fingerprint"]


def test_split_by_time(work: Path, as_json, tmp_path: Path) -> None:
    made = as_json(
        "data", "split", work / "log.csv", "--out", tmp_path / "s", "--protocol", "time",
        "--validation-from", 1_600_000_150, "--test-from", 1_600_000_170,
    )  # fmt: skip
    assert made["protocol"]["kind"] == "by_time"


def test_evaluate(work: Path, as_json) -> None:
    result = as_json(
        "evaluate", work / "ease", "--data", work / "split", "--metrics", "ndcg@10,coverage@5",
        "--groups", "5-8,9-",
    )  # fmt: skip
    summary = result["metrics"]["NDCG@10"]
    assert summary["low"] < summary["mean"] < summary["high"]
    assert 0 < result["metrics"]["Coverage@5"]["mean"] <= 1
    assert [g["group"] for g in result["groups"]] == ["5-8", "9-"]
    assert sum(g["n_users"] for g in result["groups"]) == result["n_users"]
    first, second = result["disparities"]
    assert (first["metric"], first["group"], second["group"]) == ("NDCG@10", "5-8", "9-")
    assert first["n_others"] == second["n_users"] == result["groups"][1]["n_users"]
    assert first["superiority_low"] <= first["superiority"] <= first["superiority_high"]
    assert first["p_holm"] >= first["p"]


def test_many_metrics_are_rows_of_their_own(work: Path, capsys, fails) -> None:
    start = ["evaluate", str(work / "pop"), "--data", str(work / "split"), "--metrics"]
    names = ["NDCG@10", "Serendipity@10", "ARP@10", "TailShare@10", "AUC@10", "SampledHitRate@10"]
    assert run([*start, ",".join(names).lower(), "--groups", "5-8,9-"]) == 0
    lines = [line.split() for line in capsys.readouterr().out.splitlines() if line.strip()]
    for name in names:
        rows = [line[1:] for line in lines if line[0] == name]
        assert [row[0] for row in rows] == ["pop", "5-8", "9-", "5-8", "9-"]
    serendipity = next(line for line in lines if line[0] == "Serendipity@10")
    assert float(serendipity[3]) == 0  # what is popular is expected
    assert "the items have no genres" in fails(*start, "ild@10")


def test_a_training_is_tracked(work: Path, tmp_path: Path, as_json, fails) -> None:
    target = f"tensorboard:{tmp_path / 'logs'}"
    start = ["train", "multvae", *TINY, "--data", work / "split", "--out", tmp_path / "mine"]
    made = as_json(*start, "--track", target)
    values = events_of(tmp_path / "logs" / "mine")
    assert [v for _, v in values["epoch"]] == [1, 2, 3, 4]
    means = {m: summary["mean"] for m, summary in made["metrics"]["validation"]["metrics"].items()}
    for metric, mean in means.items():
        ((_, logged),) = values[f"measured/{metric.replace('@', '_at_')}"]
        assert logged == pytest.approx(mean)
    assert "did you mean 'tensorboard'" in fails(*start, "--track", "tensorbord:x")


def test_compare_tests_against_the_first(work: Path, as_json) -> None:
    result = as_json(
        "compare", work / "pop", work / "ease", work / "pia", "--data", work / "split",
        "--metrics", "ndcg@10",
    )  # fmt: skip
    assert result["baseline"] == "pop"
    gains = {p["b"]: p for p in result["paired"]}
    assert gains["ease"]["difference"] > 0.1
    assert gains["ease"]["p_holm"] < 1e-3
    assert run(["compare", str(work / "pop"), str(work / "ease"), "--data",
                str(work / "split")]) == 0  # fmt: skip


def test_compare_fits_80_columns_with_long_names_too(work: Path, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "80")
    paths = [tmp_path / f"a-long-name-of-a-bundle-{name}" for name in ("pop", "ease", "pia")]
    for path in paths:
        path.symlink_to(work / path.name.rpartition("-")[2])
    assert run(["compare", *map(str, paths), "--data", str(work / "split")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert f"M1 = {paths[0].name}" in lines
    assert "gain over M1, user by user" in lines
    (gain,) = (line for line in lines if line.startswith("NDCG@100") and "M3" in line)
    assert len(gain.split()) == 9
    assert max(map(len, lines)) <= 80


def test_bundles_with_the_same_last_name_are_told_apart(tmp_path: Path) -> None:
    paths = [tmp_path / "a" / "model", tmp_path / "b" / "model"]
    assert list(bundles_by_name(paths)) == ["a/model", "b/model"]
    assert list(bundles_by_name(paths[:1])) == ["model"]


def test_measuring_on_users_that_were_trained_on_is_warned_of(
    work, tmp_path, capsys, as_json
) -> None:
    split = str(tmp_path / "other")
    assert run(["data", "split", str(work / "log.csv"), "--out", split, "--split-seed", "5",
                "--held-out", "0.2", "--quiet"]) == 0  # fmt: skip
    assert run(["evaluate", str(work / "ease"), "--data", split]) == 0
    told = capsys.readouterr()
    assert "may have seen the users" in told.err
    assert "test users, perhaps seen in training" in told.out
    for data, own in ((split, False), (work / "split", True)):
        assert as_json("evaluate", work / "ease", "--data", data)["trained_on_this_split"] is own


def test_recommend_for_items_users_and_files_agrees(work: Path, as_json, tmp_path: Path) -> None:
    log = pl.read_csv(work / "log.csv")
    own = log.filter(pl.col("user_id") == "user3")["item_id"].to_list()
    by_items = as_json("recommend", work / "ease", "--items", ",".join(map(str, own)), "-k", 4)
    by_user = as_json(
        "recommend", work / "ease", "--user", "user3", "--data", work / "log.csv", "-k", 4
    )
    log.filter(pl.col("user_id").is_in(["user3", "user4"])).write_csv(tmp_path / "h.csv")
    out = tmp_path / "out.jsonl"
    summary = as_json(
        "recommend", work / "ease", "--histories", tmp_path / "h.csv", "--out", out, "-k", 4
    )
    assert (summary["n_users"], summary["n_rows"]) == (2, 8)
    first = json.loads(out.read_text().splitlines()[0])
    items = [row["item"] for row in by_items["recommended"]]
    assert len(items) == 4
    assert not set(items) & set(own)
    assert [row["item"] for row in by_user["recommended"]] == items
    assert first["user"] == "user3"
    assert [row["item"] for row in first["items"]] == items


def test_recommend_keeps_rules(work: Path, as_json, tmp_path: Path) -> None:
    (tmp_path / "allow").write_text("1\n2\n3\n999\n")
    (tmp_path / "deny").write_text("2\n")
    result = as_json(
        "recommend", work / "ease", "--items", "1,5", "--include-seen",
        "--allow", tmp_path / "allow", "--deny", tmp_path / "deny",
    )  # fmt: skip
    assert {row["item"] for row in result["recommended"]} == {1, 3}


def test_recommend_writes_each_format(work: Path, as_json, tmp_path: Path) -> None:
    for suffix, read in ((".csv", pl.read_csv), (".parquet", pl.read_parquet)):
        out = tmp_path / f"r{suffix}"
        as_json("recommend", work / "pia", "--items", "1,5", "--out", out, "-k", 3)
        assert read(out)["rank"].to_list() == [1, 2, 3]


def test_train_from_a_log_with_a_config(work: Path, as_json, tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("epochs = 9\nn_latent = 5\n")
    result = as_json(
        "train", "multvae", "--data", work / "log.csv", "--out", tmp_path / "b", "--config",
        tmp_path / "c.toml", *TINY[:4], "--set", "epochs=2", "--min-rating", 4, "--min-user", 2,
    )  # fmt: skip
    assert result["settings"]["epochs"] == 2
    assert result["n_epochs"] == 2
    assert result["metrics"]["validation"]["n_users"] > 5
    assert not (tmp_path / "b.run").exists()
    lines = (tmp_path / "b" / "training.jsonl").read_text().splitlines()
    assert len(lines) == 2


def test_train_with_a_preset(work: Path, as_json, tmp_path: Path) -> None:
    split = str(work / "split")
    found = as_json("train", "multvae", "--data", split, "--out", str(tmp_path / "fast"),
                    "--preset", "fast", "--precision", "bfloat16", "--set", "epochs=2",
                    "--set", "schedule.epochs=2", "--set", "n_latent=6")  # fmt: skip
    assert found["n_epochs"] == 2
    assert found["settings"]["initialiser"]["kind"] == "spectral"
    assert found["settings"]["batch_size"] == 250
    assert run(["train", "multvae", "--data", split, "--out", str(tmp_path / "x"),
                "--preset", "quick"]) == 1  # fmt: skip


def test_train_without_validation(work: Path, as_json, tmp_path: Path) -> None:
    result = as_json(
        "train", "ease", "--data", work / "log.csv", "--out", tmp_path / "b",
        "--validation-share", 0,
    )  # fmt: skip
    assert (result["n_users"], result["metrics"]) == (200, {})


def test_a_model_below_popularity_is_warned_of(work: Path, tmp_path: Path, capsys) -> None:
    rng = np.random.default_rng(1)
    users = np.repeat(np.arange(300), 8)
    items = np.minimum(rng.geometric(0.05, len(users)), 60)  # popular or not, and nothing else
    log = tmp_path / "log.csv"
    pl.DataFrame({"user_id": users, "item_id": items}).write_csv(log)

    def warning_of(data: Path, algorithm: str, *rest: str) -> str:
        arguments = ["train", algorithm, "--data", str(data), "--out", str(tmp_path / "b"), *rest]
        assert run([*arguments, "--quiet"]) == 0
        return capsys.readouterr().err

    assert re.search(
        r"warning: popularity alone has NDCG@100 0\.\d+ on these validation users, the model "
        r"0\.\d+ less \(p ",
        warning_of(log, "ease", "--set", "l2=0.1"),
    )
    assert warning_of(log, "popularity") == ""
    assert warning_of(work / "log.csv", "ease") == ""


def test_a_remark_for_all_bundles_is_printed_once(work: Path, capsys) -> None:
    bundles = [str(work / "pop"), str(work / "ease")]
    metrics = ["--metrics", "recall@30"]
    assert run(["compare", *bundles, "--data", str(work / "split"), *metrics]) == 0
    assert capsys.readouterr().err.count("there are only 30 items") == 1
    assert run(["evaluate", bundles[0], "--data", str(work / "split"), *metrics]) == 0
    assert capsys.readouterr().err.count("there are only 30 items") == 1


def test_a_bundle_is_not_written_over_what_is_not_one(work: Path, fails, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("precious")
    told = fails("train", "ease", "--data", work / "split", "--out", tmp_path / "mine", "--quiet")
    assert "mine" in told
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "precious"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["train", "multvea", "--data", "x", "--out", "y"], "did you mean 'multvae'"),
        (["train", "ease", "--set", "l3=1", "--data", "x", "--out", "y"], "did you mean 'l2'"),
        (["train", "ease", "--set", "l2=-1", "--data", "x", "--out", "y"], "l2 is -1"),
        (["train", "ease", "--data", "no-such-file.csv", "--out", "y"], "no-such-file.csv"),
        (["data", "inspect", "no-such-file.csv"], "neither an existing path nor a data set"),
        (["data", "fetch", "ml-100"], "did you mean 'ml-100k'"),
        (["recommend", "no-bundle", "--items", "1"], "no-bundle"),
        (["evaluate", "no-bundle", "--data", "no-split"], "no-split"),
    ],
)
def test_failures_are_one_line_and_exit_1(arguments, told, fails, monkeypatch, tmp_path) -> None:
    monkeypatch.chdir(tmp_path)
    assert told in fails(*arguments)
    assert list(tmp_path.iterdir()) == []


def test_bad_metrics_and_groups_are_named(work: Path, fails) -> None:
    start = ["evaluate", work / "ease", "--data", work / "split"]
    assert "ndcg" in fails(*start, "--metrics", "ndgc@10")
    assert "overlap" in fails(*start, "--groups", "5-10,8-")


@pytest.mark.parametrize(
    "arguments",
    [
        ["no-such-command"],
        ["train"],
        ["train", "ease", "--nonsense"],
        ["data"],
        ["recommend", "b"],
        ["recommend", "b", "--user", "3"],
        ["compare", "a", "a", "--data", "s"],
    ],
)
def test_wrong_usage_exits_2(arguments, capsys) -> None:
    assert run(arguments) == 2


def test_debug_shows_the_traceback() -> None:
    from nearfar.core.errors import NearfarError

    with pytest.raises(NearfarError):
        run(["recommend", "no-bundle", "--items", "1", "--debug"])


def test_unknown_items_are_counted_and_ignored(work: Path, as_json, capsys) -> None:
    assert run(["recommend", str(work / "ease"), "--items", "1,777"]) == 0
    assert "'777' is unknown" in capsys.readouterr().err
    assert as_json("recommend", work / "ease", "--items", "1,777")["n_unknown_items"] == 1


def test_the_same_commands_give_the_same_bits(work: Path, tmp_path: Path) -> None:
    log = str(write_log(tmp_path / "log.csv"))
    for name in ("a", "b"):
        arguments = ["train", "multvae", *TINY, "--data", log, "--out", str(tmp_path / name)]
        assert run([*arguments, "--seed", "3", "--device", "cpu", "--quiet"]) == 0
    same = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("a", "b")]
    assert same[0] == same[1]


def test_titles_of_ones_own(work: Path, as_json, tmp_path: Path) -> None:
    titles = "Item ID,title,genres\n" + "".join(f"{i},Film {i},A|B\n" for i in range(30))
    (tmp_path / "titles.csv").write_text(titles)
    as_json(
        "train", "ease", "--data", work / "log.csv", "--out", tmp_path / "b",
        "--item-details", tmp_path / "titles.csv",
    )  # fmt: skip
    found = as_json("recommend", tmp_path / "b", "--items", "film 3, Film 5", "-k", 2)
    assert found["n_unknown_items"] == 0
    assert [row["title"] for row in found["recommended"]] == [
        f"Film {row['item']}" for row in found["recommended"]
    ]


def test_a_split_gets_titles_too_and_refuses_what_has_no_effect(
    work: Path, as_json, fails, tmp_path: Path
) -> None:
    (tmp_path / "titles.csv").write_text(
        "sku,title\n" + "".join(f"{i},Film {i}\n" for i in range(30))
    )
    train = ["train", "ease", "--data", work / "split", "--out", tmp_path / "b"]
    as_json(*train, "--item-details", tmp_path / "titles.csv")
    found = as_json("recommend", tmp_path / "b", "--items", "film 3", "-k", 1)
    assert found["recommended"][0]["title"] == f"Film {found['recommended'][0]['item']}"
    for option in (["--min-user", "5"], ["--since", "2024-01-01"], ["--user-column", "u"]):
        assert f"{option[0]} has no effect" in fails(*train, *option)


def test_details_without_an_item_column_are_refused(work: Path, fails, tmp_path: Path) -> None:
    (tmp_path / "t.csv").write_text("name\nx\n")
    arguments = ["train", "ease", "--data", work / "log.csv", "--out", tmp_path / "b"]
    assert "no column known as the item" in fails(*arguments, "--item-details", tmp_path / "t.csv")


def test_lists_of_ids_may_start_with_a_byte_order_mark(
    work: Path, as_json, fails, tmp_path
) -> None:
    (tmp_path / "allow").write_bytes(b"\xef\xbb\xbf5\r\n6\r\n")
    found = as_json("recommend", work / "ease", "--items", "0", "--allow", tmp_path / "allow")
    assert {row["item"] for row in found["recommended"]} == {5, 6}
    (tmp_path / "bad").write_bytes(b"\xff\xfe\x00")
    told = fails("recommend", work / "ease", "--items", "0", "--deny", tmp_path / "bad")
    assert "not UTF-8" in told


@pytest.mark.parametrize("bad", ["nan", "inf", "2.7", "0", "500"])
def test_impossible_numbers_of_held_out_users(work: Path, fails, tmp_path: Path, bad: str) -> None:
    told = fails(
        "data", "split", work / "log.csv", "--out", tmp_path / "s", "--held-out", bad, "-q"
    )
    assert "n_held_out" in told
    assert "seed is -1" in fails(
        "data", "split", work / "log.csv", "--out", tmp_path / "s", "--split-seed", "-1", "-q"
    )


def test_the_histories_are_never_written_over(work: Path, fails) -> None:
    log = work / "log.csv"
    before = log.read_bytes()
    assert "itself" in fails("recommend", work / "ease", "--histories", log, "--out", log, code=2)
    assert log.read_bytes() == before


INTERRUPTED = """
import os, signal
from nearfar.cli.main import main
from nearfar.train.history import History
append = History.append_jsonl
def then_interrupt(path, record):
    append(path, record)
    if record.epoch == 1:
        os.kill(os.getpid(), signal.SIGINT)
History.append_jsonl = staticmethod(then_interrupt)
main()
"""


@pytest.mark.slow
def test_an_unfinished_run_is_neither_lost_nor_made_up(work: Path, tmp_path: Path, capsys) -> None:
    """Ctrl-C in a real process: exit 130, a bundle, a checkpoint; then resume to the same bits."""
    import subprocess
    import sys

    def arguments(out: str, *more: str) -> list[str]:
        return [
            "train", "multvae", *TINY[:-4], "--set", "epochs=4", "--set", "batch_size=2",
            "--set", "patience=0", "--data", str(work / "split"), "--out", str(tmp_path / out),
            "--device", "cpu", *more,
        ]  # fmt: skip

    interrupted = subprocess.run(
        [sys.executable, "-c", INTERRUPTED, *arguments("b")], stderr=subprocess.PIPE, text=True,
        check=False,
    )  # fmt: skip
    assert interrupted.returncode == 130, interrupted.stderr
    assert "--resume continues" in interrupted.stderr
    assert (tmp_path / "b" / "manifest.json").exists()
    assert (tmp_path / "b.run" / "metrics.jsonl").read_text().count("\n") == 2
    assert run(arguments("b")) == 1
    assert "unfinished run: go on with --resume" in capsys.readouterr().err
    assert run(arguments("b", "--resume")) == 0
    assert run(arguments("alone")) == 0
    bits = [(tmp_path / n / "model.safetensors").read_bytes() for n in ("b", "alone")]
    assert bits[0] == bits[1]


def test_resuming_nothing_is_said(work: Path, tmp_path: Path, capsys) -> None:
    arguments = ["train", "ease", "--data", str(work / "split"), "--out", str(tmp_path / "b")]
    assert run([*arguments, "--resume"]) == 0
    assert "no checkpoint" in capsys.readouterr().err


def test_what_is_left_of_a_split_is_named(work: Path, fails, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(work / "split", tmp_path / "s")
    (tmp_path / "s" / "manifest.json").write_text("{")
    told = fails("train", "ease", "--data", tmp_path / "s", "--out", tmp_path / "b")
    assert "manifest.json" in told
    told = fails("recommend", work / "ease", "--user", "5", "--data", work / "split")
    assert "is a split" in told


def test_written_files_can_be_read_by_others(work: Path) -> None:
    for file in (work / "pia").iterdir():
        assert (
            file.stat().st_mode & 0o777 == (work / "pia" / "manifest.json").stat().st_mode & 0o777
        )
