"""A pipeline's settings, its window, its registry's records."""

import re
import tomllib
from dataclasses import fields
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.core import settings
from nearfar.core.errors import ArtefactError, EmptyDataError, SettingsError, UnknownNameError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.filters import Filters
from nearfar.jobs.item_details import ItemDetails
from nearfar.jobs.pipeline import Retention, make_pipeline, read_pipeline
from nearfar.jobs.registry import Registry
from nearfar.jobs.status import write_metrics
from nearfar.jobs.template import TEMPLATE, shop_events, write_shop
from nearfar.jobs.window import (
    SHARES,
    check_day,
    day_start,
    is_held_out,
    split_window,
    window_of,
)
from nearfar.reranking import MMR
from tests.jobs.cases import FIRST, SETTINGS, day_of_events, pipeline_in


def test_the_template_is_a_pipeline_and_its_comments_show_the_defaults(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TEMPLATE)
    found = read_pipeline(tmp_path / "a.toml")
    assert found.registry == tmp_path / "registry"
    assert found.train.window_days == 90
    spoken = re.sub(r"^# ", "", TEMPLATE, flags=re.MULTILINE)
    (tmp_path / "b.toml").write_text(spoken)
    same = read_pipeline(tmp_path / "b.toml")
    for name in ("train", "gates", "contract", "score", "algorithm"):
        assert settings.to_plain(getattr(same, name)) == settings.to_plain(getattr(found, name))
    tables = tomllib.loads(spoken)
    for name in ("train", "gates", "contract", "score"):
        every = {f.name for f in fields(getattr(found, name))}
        examples = {"deny_file", "experiment", "arm", "held_out", "rerank", "rules"}
        assert set(tables[name]) == every - examples - {"kind_weights", "weights", "repeats"}, name


def test_the_example_shop_has_fourteen_weeks_and_a_new_item_of_each_taste_a_week(
    tmp_path: Path,
) -> None:
    assert write_shop(tmp_path, n_users=2) == (date(2026, 1, 5), date(2026, 4, 12))
    for weeks in (0, 100):
        items = shop_events(date(2026, 1, 5) + timedelta(days=7 * weeks), 400_000)["item"]
        assert items.n_unique() == 20 * (30 + weeks)


def test_the_examples_of_the_template_are_settings(tmp_path: Path) -> None:
    lines = TEMPLATE.splitlines()[2:]
    doubled = ("## kind", "## url", "## table", "## columns")
    spoken = [x.removeprefix("## ") for x in lines if not x.startswith(doubled)]
    (tmp_path / "c.toml").write_text("\n".join(spoken))
    found = read_pipeline(tmp_path / "c.toml")
    assert found.score.deny_file == str(tmp_path / "deny.txt")
    assert found.score.experiment == str(tmp_path / "test.toml")
    assert found.score.arm == "control"
    assert found.metrics_file == tmp_path / "nearfar.prom"
    assert found.train.held_out == 0.1
    assert found.score.rerank == MMR(0.3)
    assert found.score.rules == str(tmp_path / "rules.toml")
    assert (found.train.weights, found.train.repeats) == ("linear", "max")
    assert found.retention == Retention(days=90, versions=12)
    assert found.train.filters.max_user == 300
    assert found.items == ItemDetails(
        str(tmp_path / "items.csv"), "item", "title", "genres", features=("genres",),
        encoding="latin-1",
    )  # fmt: skip


def test_what_the_template_comments_out_by_one_sign_is_the_default(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TEMPLATE)
    spoken = [line.removeprefix("# ") for line in TEMPLATE.splitlines()]
    (tmp_path / "b.toml").write_text("\n".join(spoken))
    short, full = read_pipeline(tmp_path / "a.toml"), read_pipeline(tmp_path / "b.toml")
    for name in ("train", "score", "gates", "contract", "retention"):
        assert getattr(short, name) == getattr(full, name)


def test_paths_start_from_the_files_folder(tmp_path: Path) -> None:
    found = pipeline_in(tmp_path)
    assert str(tmp_path / "events") in str(vars(found.source)["path"])
    far = make_pipeline({**SETTINGS, "source": {"kind": "parquet", "path": "s3://x/y"}}, tmp_path)
    assert str(vars(far.source)["path"]) == "s3://x/y"


def test_paths_in_the_home_folder_and_in_variables(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", "/home/shop")
    monkeypatch.setenv("EVENTS", "events")
    monkeypatch.setenv("FAR", "s3://bucket/events")
    for path, expected in {
        "~/events": "/home/shop/events",
        "${EVENTS}": f"{tmp_path}/events",
        "${EVENTS}/new": f"{tmp_path}/events/new",
        "${FAR}": "s3://bucket/events",
        "${UNSET}": None,
    }.items():
        found = make_pipeline({**SETTINGS, "source": {"kind": "csv", "path": path}}, tmp_path)
        url = vars(found.source)["path"]
        if expected is None:
            with pytest.raises(SettingsError, match="the environment variable UNSET is not set"):
                url.reveal()
        else:
            assert url.reveal() == expected
    home = make_pipeline(
        {**SETTINGS, "registry": "~/registry", "score": {"deny_file": "~/deny.txt"}}, tmp_path
    )
    assert str(home.registry) == "/home/shop/registry"
    assert home.score.deny_file == "/home/shop/deny.txt"


@pytest.mark.parametrize(
    ("values", "told"),
    [
        ({"sourc": {}}, "did you mean 'source'"),
        ({"source": {"kind": "parquet", "pathh": "x"}}, "did you mean 'source.path'"),
        ({"sink": {"kind": "parkuet", "path": "x"}}, "did you mean 'parquet'"),
        ({"items": {"title": "y"}}, "items.path is missing"),
        ({"items": {"path": "x", "columns": {"item": "y"}}}, "one by one, as item = "),
        (
            {"source": {"kind": "cvs", "path": "x"}},
            "unknown event source 'cvs'; did you mean 'csv'",
        ),
        ({"sink": {"kind": "file", "path": "x"}}, "unknown recommendation sink"),
        ({"train": {"device": "gpu"}}, "did you mean 'cuda'"),
        ({"items": {"path": "x", "titel": "y"}}, "did you mean 'items.title'"),
        ({"algorithm": {"kind": "multvae", "epoch": 3}}, "did you mean 'epochs'"),
        ({"algorithm": {"kind": "multvae", "prest": "fast"}}, "did you mean 'preset'"),
        ({"train": 3}, "a section was expected, as .train."),
        ({"train": {"filters": {"min_usr": 3}}}, "did you mean 'train.filters.min_user'"),
        ({"score": {"activ_days": 3}}, "did you mean 'score.active_days'"),
        ({"score": {"deny": "x"}}, "score.deny is 'x'"),
        ({"gates": {"max_ndcg": 3}}, "did you mean 'gates.max_ndcg_drop'"),
        ({"contract": {"volume_day": 3}}, "did you mean 'contract.volume_days'"),
        ({"source": {"kind": "csv", "path": ""}}, "path is ''; the path of a file or folder"),
        (
            {"source": {"kind": "csv", "path": "x", "columns": "user_id"}},
            r"source.columns is 'user_id'; expected a part \(Columns\) or a table of settings",
        ),
        (
            {"source": {"kind": "csv", "path": "x", "columns": {"user": "id", "item": "id"}}},
            "different columns were expected, not 'id' twice",
        ),
        ({"retention": {"day": 3}}, "did you mean 'retention.days'"),
        ({"retention": {"days": 0}}, "retention.days is 0"),
        ({"source": {"path": "x"}}, "lacks its kind"),
        ({"algorithm": {"epochs": 3}}, "lacks its kind"),
        ({"train": {"window_dayz": 3}}, "train.window_dayz"),
        (
            {"train": {"window_days": 5}},
            "train.holdout_days is 7; it must be below train.window_days",
        ),
        ({"train": {"held_out": 0.9}}, "held_out is 0.9"),
        ({"score": {"active_days": 99}}, "active_days is 99"),
        ({"score": {"k": 0}}, "k is 0"),
    ],
)
def test_what_is_wrong_is_named(values: dict, told: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=told):
        make_pipeline({**SETTINGS, **values}, tmp_path)


def test_settings_may_begin_with_the_mark_of_windows_editors(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text(TEMPLATE, encoding="utf-8-sig")
    assert read_pipeline(tmp_path / "a.toml").train.window_days == 90


@pytest.mark.parametrize("name", ["missing.toml", "."])
def test_settings_that_are_no_file_are_told_how_to_make(name: str, tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="nearfar pipeline init --source"):
        read_pipeline(tmp_path / name)


def test_the_window_ends_with_the_day() -> None:
    assert window_of(date(2026, 3, 31), 90) == (date(2026, 1, 1), date(2026, 4, 1))
    assert day_start(date(1970, 1, 2)) == 86_400


def test_whom_is_held_out_depends_on_the_user_alone() -> None:
    users = Vocabulary([f"u{i}" for i in range(5000)])
    out = is_held_out(users, 0.1, "salt")
    assert out.mean() == pytest.approx(0.1, abs=0.015)
    order = np.random.default_rng(0).permutation(5000)[:700]
    np.testing.assert_array_equal(is_held_out(users.take(order), 0.1, "salt"), out[order])
    more = is_held_out(users, 0.2, "salt")
    assert (more | ~out).all()
    assert (is_held_out(users, 0.1, "other") != out).any()


def test_held_out_users_are_shown_the_past_and_asked_for_the_last_days() -> None:
    days = [day_of_events(date.fromordinal(FIRST.toordinal() + n)) for n in range(28)]
    events = pl.concat(days).with_columns(pl.col("timestamp").dt.epoch("s"))
    as_of = date.fromordinal(FIRST.toordinal() + 27)
    found = split_window(
        events, Filters(), as_of=as_of, share=0.4, holdout_days=7, salt="s"
    )  # fmt: skip
    trained = set(found.train.user_ids.ids)
    cut = day_start(as_of) - 6 * 86_400
    judged = [*found.validation.fold_in.user_ids.ids, *found.test.fold_in.user_ids.ids]
    assert len(set(judged)) == len(judged) > 20
    assert not trained & set(judged)
    for part in (found.validation, found.test):
        for row, user in enumerate(part.fold_in.user_ids.ids):
            own = events.filter(pl.col("user") == user)
            known = pl.col("item").is_in(found.train.item_ids.ids.implode())
            before = set(own.filter((pl.col("timestamp") < cut) & known)["item"])
            after = set(own.filter((pl.col("timestamp") >= cut) & known)["item"])
            shown = part.fold_in.item_ids.ids.gather(part.fold_in.x[[row]].indices)
            asked = part.held_out.item_ids.ids.gather(part.held_out.x[[row]].indices)
            assert set(shown) == before
            assert set(asked) == after - before
    few = split_window(events, Filters(), as_of=as_of, share=0.001, holdout_days=7, salt="s")
    assert (few.validation, few.test, few.train.n_users) == (None, None, 120)
    chosen = split_window(events, Filters(), as_of=as_of, share=None, holdout_days=7, salt="s")
    assert chosen.share == SHARES[-1], "a small shop holds out more"
    with pytest.raises(EmptyDataError, match="no user is left"):
        split_window(
            events, Filters(min_user=10**6), as_of=as_of, share=0.1, holdout_days=7, salt="s"
        )


def test_a_large_shop_holds_out_few() -> None:
    rng = np.random.default_rng(0)
    events = pl.DataFrame(
        {
            "user": rng.integers(6000, size=60_000), "item": rng.integers(50, size=60_000),
            "timestamp": day_start(FIRST) + rng.integers(28 * 86_400, size=60_000),
        }
    )  # fmt: skip
    as_of = date.fromordinal(FIRST.toordinal() + 27)
    found = split_window(events, Filters(), as_of=as_of, share=None, holdout_days=7, salt="s")
    assert found.share == SHARES[0]
    assert found.validation is not None
    assert found.test is not None


def test_a_day_to_come_is_refused_unless_forced() -> None:
    now = datetime(2026, 3, 31, 23, 59, tzinfo=UTC)
    check_day(date(2026, 3, 31), allow_future=False, now=now)
    with pytest.raises(SettingsError, match=r"2026-04-01, and today is 2026-03-31.*--allow-future"):
        check_day(date(2026, 4, 1), allow_future=False, now=now)
    check_day(date(2026, 4, 1), allow_future=True, now=now)


def test_a_registry_refuses_names_that_lead_elsewhere_and_damage(tmp_path: Path) -> None:
    registry = Registry(tmp_path)
    for name in ("../x", "", ".hidden", "a/b"):
        with pytest.raises(SettingsError):
            registry.version(name)
    with pytest.raises(SettingsError, match="the last ones: none"):
        registry.version("2026-01-01-001")
    folder = tmp_path / "versions" / "v"
    folder.mkdir(parents=True)
    (folder / "version.json").write_text('{"name": "v"}')
    with pytest.raises(ArtefactError, match="damaged"):
        registry.versions()


def test_prometheus_text(tmp_path: Path) -> None:
    path = tmp_path / "m.prom"
    write_metrics(path, {("last_run_failed", (("job", 'a"b\\\n'),)): 1.0, ("events", ()): 3.0})
    assert path.read_text().splitlines() == [
        "# HELP nearfar_last_run_failed 1 if the last run of a job failed, else 0.",
        "# TYPE nearfar_last_run_failed gauge",
        'nearfar_last_run_failed{job="a\\"b\\\\\\n"} 1.0',
        "# HELP nearfar_events Events of the last training's window.",
        "# TYPE nearfar_events gauge",
        "nearfar_events 3.0",
    ]


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("sqlite:///r.db", "sqlite:///{folder}/r.db"),
        ("sqlite:///a/r.db?mode=ro", "sqlite:///{folder}/a/r.db?mode=ro"),
        ("sqlite:////abs/r.db", "sqlite:////abs/r.db"),
        ("sqlite+pysqlite:///r.db", "sqlite+pysqlite:///{folder}/r.db"),
        ("sqlite:///${DIR}/r.db", "sqlite:///${DIR}/r.db"),
        ("sqlite:///:memory:", "sqlite:///:memory:"),
        ("postgresql:///shop", "postgresql:///shop"),
    ],
)
def test_a_database_file_lies_beside_the_settings(
    given: str, expected: str, tmp_path: Path
) -> None:
    values = {
        "source": {"kind": "sql", "url": given, "table": "events"},
        "sink": {"kind": "sql", "url": given},
    }
    pipeline = make_pipeline(values, tmp_path)
    for made in (pipeline.source, pipeline.sink):
        assert str(made.url) == expected.replace("{folder}", str(tmp_path))  # pyright: ignore


def test_a_relative_folder_of_settings_leads_to_the_same_database_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    values = {
        "source": {"kind": "parquet", "path": "events"},
        "sink": {"kind": "sql", "url": "sqlite:///r.db"},
    }
    pipeline = make_pipeline(values, Path("shop"))
    assert str(pipeline.sink.url) == f"sqlite:///{tmp_path}/shop/r.db"  # pyright: ignore


SLIPS = {
    "source": ("pth", "unknown setting 'source.pth'; did you mean 'source.path'"),
    "sink": ("pth", "unknown setting 'sink.pth'; did you mean 'sink.path'"),
    "algorithm": ("epoch", r"unknown setting of \[algorithm\] 'epoch'; did you mean 'epochs'"),
    "train": ("window", "unknown setting 'train.window'"),
    "items": ("titel", "unknown setting 'items.titel'; did you mean 'items.title'"),
    "retention": ("dayz", "unknown setting 'retention.dayz'; did you mean 'retention.days'"),
}


@pytest.mark.parametrize("section", SLIPS)
def test_a_slip_in_any_section_is_named_with_its_section(section: str, tmp_path: Path) -> None:
    key, message = SLIPS[section]
    values = {**SETTINGS, section: {**SETTINGS.get(section, {}), key: 1}}
    with pytest.raises(UnknownNameError, match=message) as caught:
        make_pipeline(values, tmp_path)
    known = str(caught.value).partition("known: ")[2].split(", ")
    assert all(name == name.lower() for name in known), "settings, no constants of a class"
