"""Data sets and their splits: published protocols, own logs, what is made once."""

from pathlib import Path

import numpy as np
import pytest

from nearfar.core.errors import DataError, FetchError, SettingsError
from nearfar.data.filters import Filters
from nearfar.data.log import read_log
from nearfar.data.shapes import SHAPES
from nearfar.data.splits.folder import load_split, save_split
from nearfar.data.splits.strong import SEED, split_strong
from nearfar.experiments.reproduction import datasets, study_splits
from nearfar.experiments.reproduction.datasets import NAMES, OwnData, data_set
from nearfar.experiments.reproduction.study_splits import Splits, training_data
from tests.experiments.reproduction.cases import NAME


def test_published_protocols() -> None:
    large = [data_set(name) for name in ("ml-20m", "netflix", "msd")]
    assert [d.held_out for d in large] == [10_000, 40_000, 50_000]
    assert [(d.filters.min_rating, d.filters.min_user, d.filters.min_item) for d in large] == [
        (4, 5, 0), (4, 5, 0), (None, 20, 200)
    ]  # fmt: skip
    assert (data_set("ML_1M").held_out, data_set("ml-1m").filters.min_rating) == (600, 4)
    assert [str(m) for m in data_set("gowalla").metrics] == ["Recall@20(all)", "NDCG@20"]
    assert all(data_set(name).published for name in NAMES)


@pytest.mark.parametrize("shape", SHAPES)
def test_a_synthetic_shape_holds_out_the_share_of_its_model(shape: str) -> None:
    made = data_set(f"synthetic:{shape},scale=0.01")
    assert made.held_out == datasets.HELD_OUT[shape] / SHAPES[shape]["users"]
    assert int(made.held_out * SHAPES[shape]["users"]) == datasets.HELD_OUT[shape]
    assert made.settings_names[0] == shape
    assert not made.published


def test_own_data_take_what_is_said_of_them(tmp_path: Path) -> None:
    (tmp_path / "log.csv").write_text("user,item\n1,2\n")
    made = data_set(str(tmp_path / "log.csv"))
    assert (made.held_out, made.filters, made.settings_names) == (
        0.1, Filters(min_user=5), ("ml-1m",)
    )  # fmt: skip
    own = OwnData(held_out=30, settings_of="netflix", filters=Filters(min_user=2))
    made = data_set(str(tmp_path / "log.csv"), own=own)
    assert (made.held_out, made.filters) == (30, Filters(min_user=2))
    assert made.settings_names == ("netflix", "ml-20m", "published")
    assert data_set("synthetic:ml-20m", own=OwnData(held_out=9)).held_out == 9


@pytest.mark.parametrize(
    ("arguments", "kind", "message"),
    [
        ({"name": "ml-1n"}, DataError, "neither a path that exists nor one of the data sets"),
        ({"name": "ml-1m", "own": OwnData(held_out=5)}, SettingsError, "published protocol"),
        ({"name": "synthetic:ml-1m", "data": Path()}, SettingsError, "needs no --data"),
        ({"name": "ml-1m", "data": Path("nowhere")}, DataError, "nowhere does not exist"),
        ({"name": "synthetic:ml-1m", "own": OwnData(settings_of="x")}, SettingsError, "unknown"),
    ],
)
def test_what_cannot_be_is_said(arguments, kind, message) -> None:
    with pytest.raises(kind, match=message):
        data_set(**arguments)


def test_data_that_are_nowhere_say_where_to_put_them(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setenv("NEARFAR_CACHE", str(tmp_path / "cache"))
    with pytest.raises(FetchError, match=r"combined_data_1.*cache/netflix; or name .*--data FILE"):
        Splits(data_set("netflix"), tmp_path).prepare(range(1))


def test_splits_are_those_of_the_protocol_and_made_once(tmp_path: Path) -> None:
    said: list[str] = []
    splits = Splits(data_set(NAME), tmp_path, said.append)
    assert splits.fingerprint(1) is None
    splits.prepare(range(2))
    assert sum(line.startswith("reading") for line in said) == 1
    expected = split_strong(read_log(NAME, filters=Filters()), 0.1, SEED + 1)
    assert splits.fingerprint(1) == expected.fingerprint == splits.load(1).fingerprint
    assert splits.fingerprint(0) != splits.fingerprint(1)
    assert splits.metadata(0)["counts"]["test_fold_in"]["users"] == 20
    said.clear()
    Splits(data_set(NAME), tmp_path, said.append).prepare(range(2))
    assert not said


def write_log(path: Path, n_users: int) -> Path:
    rows = [f"{u},{i}" for u in range(n_users) for i in range(20) if (u * i) % 3 != 1]
    path.write_text("user,item\n" + "\n".join(rows) + "\n")
    return path


def test_a_changed_file_is_split_anew_and_a_lost_one_is_not_missed(tmp_path: Path) -> None:
    log = write_log(tmp_path / "log.csv", 40)
    data = data_set(str(log))
    splits = Splits(data, tmp_path / "splits")
    splits.prepare(range(1))
    before = splits.fingerprint(0)
    write_log(log, 50)
    changed = Splits(data, tmp_path / "splits")
    assert changed.fingerprint(0) is None
    changed.prepare(range(1))
    after = changed.fingerprint(0)
    assert after not in (None, before)
    log.unlink()
    assert Splits(data, tmp_path / "splits").fingerprint(0) == after


def test_another_protocol_is_another_split(tmp_path: Path) -> None:
    log = str(write_log(tmp_path / "log.csv", 40))
    paths = {
        Splits(data_set(log, own=own), tmp_path).path(0)
        for own in (OwnData(), OwnData(held_out=5), OwnData(filters=Filters(min_item=2)))
    }
    assert len(paths) == 3


def test_a_split_made_before_is_taken_as_it_is(tmp_path: Path) -> None:
    made = split_strong(read_log(NAME), 0.1)
    save_split(made, tmp_path / "split")
    splits = Splits(data_set(str(tmp_path / "split")), tmp_path / "splits")
    splits.prepare(range(2))
    assert splits.fingerprint(0) == splits.fingerprint(1) == made.fingerprint
    assert not (tmp_path / "splits").exists()
    with pytest.raises(SettingsError, match="is split already"):
        data_set(str(tmp_path / "split"), own=OwnData(held_out=5))


def given(folder: Path, n_users: int = 100) -> Path:
    """Data in the layout of LightGCN: 12 items a user, of which two are the test."""
    rng = np.random.default_rng(0)
    rows = [rng.permutation(30)[:12] for _ in range(n_users)]
    folder.mkdir(parents=True)
    for name, part in (("train.txt", slice(2, None)), ("test.txt", slice(2))):
        lines = [" ".join(map(str, [user, *row[part]])) for user, row in enumerate(rows)]
        (folder / name).write_text("\n".join(lines) + "\n")
    return folder


@pytest.mark.parametrize("named", [True, False])
def test_published_splits_keep_test_users_in_training(tmp_path: Path, named: bool) -> None:
    folder = given(tmp_path / "raw")
    data = data_set("gowalla", data=folder) if named else data_set(str(folder))
    assert data.protocol == "given"
    splits = Splits(data, tmp_path / "splits")
    splits.prepare(range(2))
    split = splits.load(0)
    n_validation = int(study_splits.VALIDATION_SHARE * 100)
    assert (split.train.n_users, split.validation.n_users) == (100 - n_validation, n_validation)
    assert split.test.n_users == 100
    # nothing of the test is trained on or chosen by
    known = split.test.fold_in.x
    assert known.multiply(split.test.held_out.x).nnz == 0
    whole, none = training_data(split, validates=False)
    assert whole.fingerprint == split.test.fold_in.fingerprint
    assert none is None
    train, validation = training_data(split, validates=True)
    assert train.n_interactions + validation.fold_in.n_interactions == (
        known.nnz - validation.held_out.n_interactions
    )
    assert load_split(splits.path(1)).fingerprint != split.fingerprint


def test_strong_splits_never_train_on_validation_users(tmp_path: Path) -> None:
    splits = Splits(data_set(NAME), tmp_path)
    splits.prepare(range(1))
    split = splits.load(0)
    for validates in (True, False):
        train, validation = training_data(split, validates=validates)
        assert train is split.train
        assert validation is split.validation
