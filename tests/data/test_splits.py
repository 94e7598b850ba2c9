"""Splits: who is held out, what each protocol keeps apart, and a saved split as it was."""

from __future__ import annotations

import json

import numpy as np
import polars as pl
import pytest

from nearfar.core.errors import ArtefactError, DataError, EmptyDataError, SchemaError, SettingsError
from nearfar.core.manifest import NAME, write_manifest
from nearfar.data.interactions import FoldIn, Split
from nearfar.data.log import Log, read_log
from nearfar.data.splits.by_time import split_by_time
from nearfar.data.splits.folder import KIND, is_split, load_split, save_split
from nearfar.data.splits.given import split_given
from nearfar.data.splits.strong import split_strong


def log_of(rows: list[tuple], columns: tuple[str, ...] = ("user", "item")) -> Log:
    return read_log(pl.DataFrame(rows, schema=list(columns), orient="row"))


def dense_log(n_users: int = 20, n_items: int = 10) -> Log:
    rng = np.random.default_rng(5)
    rows = [(u, f"i{i}") for u in range(n_users) for i in rng.permutation(n_items)[:7]]
    titles = pl.DataFrame({"item": [f"i{i}" for i in range(n_items)], "title": list("abcdefghij")})
    frame = pl.DataFrame(rows, schema=["user", "item"], orient="row")
    return read_log(frame, items=titles.with_columns(genres=pl.lit("A|B")))


def rows_of(part: FoldIn, user: object) -> tuple[set, set]:
    row = part.fold_in.user_ids.ids.to_list().index(user)
    items = part.fold_in.item_ids.ids
    sides = (part.fold_in.x, part.held_out.x)
    fold_in, held_out = (set(items.gather(x[[row]].indices).to_list()) for x in sides)
    return fold_in, held_out


class TestStrong:
    def test_groups_share_no_user_and_sides_share_no_item(self):
        split = split_strong(dense_log(), 4)
        groups = [set(split.train.user_ids.ids)]
        for part in (split.validation, split.test):
            groups.append(set(part.fold_in.user_ids.ids))
            assert part.fold_in.x.multiply(part.held_out.x).nnz == 0
        assert [len(g) for g in groups] == [12, 4, 4]
        assert len(set.union(*groups)) == 20
        assert split.train.item_ids.titles is not None

    def test_a_share_is_rounded_down(self):
        assert split_strong(dense_log(), 0.19).test.n_users == 3

    @pytest.mark.parametrize("n", [0, 10, 11, -1, 1.5, 0.5, 0.01])
    def test_impossible_numbers_are_refused(self, n):
        with pytest.raises(SettingsError, match=f"n_held_out is {n}"):
            split_strong(dense_log(), n)
        with pytest.raises(SettingsError, match="test_share is 1"):
            split_strong(dense_log(), 4, test_share=1)

    def test_repeated_events_cannot_leak(self):
        log = dense_log()
        twice = Log.from_frame(pl.concat([log.frame, log.frame]))
        assert split_strong(twice, 4).fingerprint == split_strong(log, 4).fingerprint
        assert split_strong(twice, 4).protocol["repeated_events_merged"] == log.n_events

    def test_one_item_is_refused(self):
        log = log_of([(u, 7) for u in range(9)])
        with pytest.raises(DataError, match="items to train on: 7; at least 2"):
            split_strong(log, 2)


class TestByTime:
    ROWS = (
        *((1, "a", 10), (1, "b", 20), (2, "b", 15), (2, "c", 30)),
        *((1, "c", 110), (3, "a", 120), (2, "new", 130), (2, "b", 140)),
        *((1, "a", 210), (2, "a", 220), (3, "b", 230), (4, "new", 240), (3, "c", 310)),
    )

    def log(self) -> Log:
        return log_of(list(self.ROWS), ("user", "item", "timestamp"))

    def test_windows_by_hand(self):
        split = split_by_time(self.log(), 100, 200, 300)
        assert split.train.user_ids.ids.to_list() == [1, 2]
        assert split.train.item_ids.ids.to_list() == ["a", "b", "c"]
        assert split.validation.fold_in.user_ids.ids.to_list() == [1, 3]
        assert rows_of(split.validation, 1) == ({"a", "b"}, {"c"})
        assert rows_of(split.validation, 3) == (set(), {"a"})  # a newcomer: no history
        assert split.test.fold_in.user_ids.ids.to_list() == [2, 3]  # 1 meets nothing new
        assert rows_of(split.test, 2) == ({"b", "c"}, {"a"})
        assert rows_of(split.test, 3) == ({"a"}, {"b"})
        counts = split.protocol["counts"]
        assert isinstance(counts, dict)
        assert counts["validation"]["users_without_history"] == 1
        assert counts["validation"]["events_of_unknown_items"] == 1

    def test_without_end_the_last_window_is_open(self):
        assert rows_of(split_by_time(self.log(), 100, 200).test, 3) == ({"a"}, {"b", "c"})

    def test_what_cannot_be_split(self):
        with pytest.raises(SettingsError, match="are not in ascending order"):
            split_by_time(self.log(), 200, 100)
        with pytest.raises(EmptyDataError, match="no events before 5"):
            split_by_time(self.log(), 5, 100)
        with pytest.raises(EmptyDataError, match="in the test window; move its bounds"):
            split_by_time(self.log(), 100, 900)
        with pytest.raises(SchemaError, match="no timestamps"):
            split_by_time(dense_log(), 1, 2)


class TestGiven:
    TRAIN = tuple((u, i) for u in (3, 1) for i in range(10))

    def test_sides_and_orders(self):
        test = log_of([(1, 11), (1, 4), (3, 20), (9, 1), (3, 30)])
        train = log_of([*self.TRAIN, (5, 20), (5, 30)])
        split = split_given(train, test, validation_share=0.2)
        assert split.train.user_ids.ids.to_list() == [1, 3, 5]
        assert split.train.item_ids.ids.to_list() == [*range(10), 20, 30]
        assert rows_of(split.test, 3) == (set(range(10)), {20, 30})
        assert rows_of(split.test, 1) == (set(range(10)), set())  # 11 unknown, 4 met before
        assert split.protocol["test_events_of_unknown_users_or_items"] == 2
        assert split.protocol["test_events_known_from_train"] == 1
        known, targets = rows_of(split.validation, 1)
        assert len(targets) == 2
        assert known | targets == set(range(10))
        assert split.train.fingerprint == split.validation.fold_in.fingerprint

    def test_the_seed_decides(self):
        train, test = log_of([*self.TRAIN, (5, 20)]), log_of([(1, 20)])
        prints = [split_given(train, test, seed=s).fingerprint for s in (1, 1, 2)]
        assert prints[0] == prints[1] != prints[2]

    def test_parts_that_have_nothing_in_common(self):
        with pytest.raises(EmptyDataError, match="of the same data"):
            split_given(log_of(list(self.TRAIN)), log_of([(70, 80)]))
        with pytest.raises(SettingsError, match="validation_share"):
            split_given(log_of(list(self.TRAIN)), log_of([(1, 20)]), validation_share=1)


class TestFolder:
    @pytest.fixture
    def split(self) -> Split:
        return split_strong(dense_log(), 4)

    def test_comes_back_as_it_was(self, split, tmp_path):
        save_split(split, tmp_path / "s")
        save_split(split, tmp_path / "s")  # replaces its own
        again = load_split(tmp_path / "s")
        assert again.fingerprint == split.fingerprint
        assert again.protocol == json.loads(json.dumps(split.protocol))
        assert again.train.item_ids.details.equals(split.train.item_ids.details)
        assert is_split(tmp_path / "s")
        assert [p.name for p in tmp_path.iterdir()] == ["s"]

    @pytest.mark.parametrize(
        "name",
        ["matrices.safetensors", "items.parquet", "users_train.parquet", "users_test.parquet"],
    )
    def test_damage_is_found_and_named(self, split, name, tmp_path):
        file = save_split(split, tmp_path / "s") / name
        content = bytearray(file.read_bytes())
        content[len(content) // 2] ^= 1
        file.write_bytes(content)
        with pytest.raises(ArtefactError, match=f"{name} is damaged"):
            load_split(tmp_path / "s")
        file.unlink()
        with pytest.raises(ArtefactError, match=f"{name} is missing"):
            load_split(tmp_path / "s")

    @pytest.mark.parametrize(
        ("change", "message"),
        [
            ({"format": 2}, "written by a newer nearfar"),
            ({"kind": "other"}, "is not a nearfar split"),
            ({"fingerprint": "0"}, "its checksum differs"),
        ],
    )
    def test_a_changed_manifest(self, split, change, message, tmp_path):
        manifest = save_split(split, tmp_path / "s") / NAME
        manifest.write_text(json.dumps(json.loads(manifest.read_text()) | change))
        with pytest.raises(ArtefactError, match=message):
            load_split(tmp_path / "s")

    @pytest.mark.parametrize(
        ("content", "message"),
        [
            ({"fingerprint": "0", "protocol": {}}, "the fingerprint does not match"),
            ({"protocol": 3}, "no protocol"),
        ],
    )
    def test_a_manifest_of_other_data(self, split, content, message, tmp_path):
        path = save_split(split, tmp_path / "s")
        (path / NAME).unlink()
        write_manifest(path, content, KIND)
        with pytest.raises(ArtefactError, match=message):
            load_split(path)
        (path / "more").touch()
        (path / NAME).unlink()
        write_manifest(path, content, KIND)
        with pytest.raises(ArtefactError, match="list of files"):
            load_split(path)

    def test_the_first_format_is_read(self, split, tmp_path):
        path = save_split(split, tmp_path / "s")
        manifest = json.loads((path / NAME).read_text())
        (path / NAME).unlink()
        first = {
            "format": "nearfar-split",
            "version": 1,
            **{key: manifest[key] for key in ("protocol", "counts", "fingerprint")},
            "sha256": {name: file["sha256"] for name, file in manifest["files"].items()},
        }
        (path / "split.json").write_text(json.dumps(first))
        assert is_split(path)
        assert load_split(path).fingerprint == split.fingerprint
        (path / "split.json").write_text(json.dumps(first | {"version": 2}))
        with pytest.raises(ArtefactError, match=r"split\.json is damaged"):
            load_split(path)
        save_split(split, path)
        assert not (path / "split.json").exists()

    def test_what_is_no_split(self, split, tmp_path):
        assert not is_split(tmp_path)
        with pytest.raises(ArtefactError, match="does not exist"):
            load_split(tmp_path / "none")
        with pytest.raises(ArtefactError, match="is not a nearfar split"):
            load_split(tmp_path)
        (tmp_path / "mine.txt").write_text("precious")
        with pytest.raises(ArtefactError, match="not written by nearfar"):
            save_split(split, tmp_path)
        assert (tmp_path / "mine.txt").read_text() == "precious"
