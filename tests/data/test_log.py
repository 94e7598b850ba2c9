"""Logs from tables: column names, ids, and one clear line for what cannot be read."""

from __future__ import annotations

import contextlib
import gzip
import sqlite3
import zipfile
from datetime import UTC, date, datetime

import numpy as np
import pandas as pd
import polars as pl
import pytest
from polars.testing import assert_frame_equal
from scipy.sparse import coo_array, csr_array

from nearfar.core import identity
from nearfar.core.errors import DataError, EmptyDataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.filters import Filters
from nearfar.data.log import Log, read_log
from nearfar.tables.rules import RowRules
from nearfar.tables.table import ReadOptions

CSV = "user_id,movieId,rating,ts\n3,10,4.5,100\n1,20,2,101\n3,20,5,102\n"


def written(tmp_path, text: str | bytes, name: str = "log.csv"):
    path = tmp_path / name
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def reference() -> pl.DataFrame:
    return pl.DataFrame(
        {
            "user": [3, 1, 3],
            "item": [10, 20, 20],
            "rating": pl.Series([4.5, 2, 5], dtype=pl.Float32),
            "timestamp": [100, 101, 102],
        }
    )


class TestKinds:
    def test_csv_tsv_parquet_polars_lazy_and_pandas_agree(self, tmp_path):
        table = pl.read_csv(CSV.encode())
        table.write_parquet(tmp_path / "log.parquet")
        sources = [
            written(tmp_path, CSV),
            str(written(tmp_path, CSV.replace(",", "\t"), "log.tsv")),
            written(tmp_path, CSV.replace(",", ";").replace("\n", "\r\n"), "semi.csv"),
            written(tmp_path, b"\xef\xbb\xbf" + CSV.encode(), "bom.csv"),
            written(tmp_path, CSV.replace("\n3", "\n\n3"), "gaps.csv"),
            written(tmp_path, CSV.rstrip("\n"), "open.csv"),
            tmp_path / "log.parquet",
            table,
            table.lazy(),
            pd.DataFrame(table.to_dict(as_series=False)),
        ]
        for source in sources:
            assert_frame_equal(read_log(source).frame, reference())

    def test_a_matrix_gives_row_and_column_numbers(self):
        x = csr_array(np.array([[0, 1, 0], [0, 0, 0], [1, 0, 1]], np.float32))
        log = read_log(x)
        assert log.frame.rows() == [(0, 1), (2, 0), (2, 2)]
        rated = read_log(coo_array(x * 4), filters=Filters(min_rating=4))
        assert rated.frame.columns == ["user", "item", "rating"]
        assert rated.n_events == 3

    def test_pandas_text_and_dates(self):
        table = pd.DataFrame(
            {
                "user": ["b", "a"],
                "item": pd.array([1, 2], dtype="Int64"),
                "date": pd.to_datetime(["1970-01-02", "1970-01-03"]),
            }
        )
        assert read_log(table).frame.rows() == [("b", 1, 86400), ("a", 2, 172800)]

    def test_a_parquet_column_of_text_stays_text(self, tmp_path):
        pl.DataFrame({"user": ["1"], "item": ["2"]}).write_parquet(tmp_path / "x.parquet")
        assert read_log(tmp_path / "x.parquet").frame.rows() == [("1", "2")]

    def test_other_objects_are_refused(self):
        with pytest.raises(DataError, match="from a list; give a path"):
            read_log([1, 2])


class TestColumns:
    @pytest.mark.parametrize(
        "user", ["user", "UserID", "uid", "customer_id", "visitorid", "USER ID"]
    )
    @pytest.mark.parametrize("item", ["item", "movieId", "product_id", "song", "Track Id"])
    def test_usual_names_are_known(self, user, item):
        assert read_log(pl.DataFrame({item: [2], user: [1]})).frame.rows() == [(1, 2)]

    def test_the_role_itself_beats_a_synonym(self):
        table = pl.DataFrame({"product": [9], "item_id": [2], "user": [1]})
        assert read_log(table).frame.rows() == [(1, 2)]

    def test_two_candidates_are_not_guessed_between(self):
        table = pl.DataFrame({"user": [1], "artist_id": [2], "track_id": [3]})
        with pytest.raises(SchemaError, match="could each be the item; name it with --item-column"):
            read_log(table)
        assert read_log(table, item="track_id").frame.rows() == [(1, 3)]

    def test_a_missing_column_tells_which_there_are(self, tmp_path):
        with pytest.raises(
            SchemaError,
            match=r"as the item; it has 'user', 'thing'.*--item-column NAME .*item='NAME'",
        ):
            read_log(written(tmp_path, "user,thing\n1,2\n"))
        with pytest.raises(
            SchemaError, match=r"no column 'thin' for the item; did you mean 'thing'\?"
        ):
            read_log(written(tmp_path, "user,thing\n1,2\n"), item="thin")

    def test_a_doubled_header_is_refused(self, tmp_path):
        with pytest.raises(SchemaError, match="column 'item' more than once"):
            read_log(written(tmp_path, "user,item,item\n1,2,3\n"))

    def test_a_file_without_header(self, tmp_path):
        path = written(tmp_path, "1\t2\t5\n3\t4\t1\n", "log.txt")
        with pytest.raises(SchemaError, match=r"'column_1'.*name them with --user-column"):
            read_log(path)
        log = read_log(path, user="column_1", item="column_2")
        assert log.frame.rows() == [(1, 2), (3, 4)]


class TestIds:
    def test_leading_zeros_make_the_column_text(self, tmp_path):
        log = read_log(written(tmp_path, "user,item\n007,5\n7,6\n8,6\n"))
        assert log.frame.rows() == [("007", 5), ("7", 6), ("8", 6)]

    @pytest.mark.parametrize("odd", ["+7", "7.5", "1e3", "-0", "x", "7.0.0"])
    def test_one_odd_id_makes_the_column_text(self, odd, tmp_path):
        log = read_log(written(tmp_path, f"user,item\n1,5\n2.0,6\n{odd},6\n"))
        assert log.frame["user"].to_list() == ["1", "2", odd]
        assert log.read is not None
        assert log.read.converted == {"user ids such as '2.0' read as whole numbers": 1}
        literal = ReadOptions(rules=RowRules(literal_ids=True))
        log = read_log(written(tmp_path, f"user,item\n1,5\n2.0,6\n{odd},6\n"), options=literal)
        assert log.frame["user"].to_list() == ["1", "2.0", odd]

    @pytest.mark.parametrize("seven", [" 7", "7 ", "7.0", "7.000", '"7"', ' "7"'])
    def test_what_spells_an_integer_is_that_integer(self, seven, tmp_path):
        rows = f"user,item\n7,5\n{seven},6\n8.0,6\n"
        for block_bytes in (1, 1 << 20):
            log = read_log(written(tmp_path, rows), options=ReadOptions(block_bytes=block_bytes))
            assert log.frame["user"].to_list() == [7, 7, 8]

    @pytest.mark.parametrize("word", sorted(identity.MISSING_WORDS))
    def test_words_for_missing_values_are_no_ids(self, word, tmp_path):
        cell = word or '""'
        path = written(tmp_path, f"user,item\na,x\na,y\n{cell},x\nb,z\n")
        with pytest.raises(DataError, match="row 3: the user is") as caught:
            read_log(path)
        assert "--drop-bad-rows" in str(caught.value)
        dropping = ReadOptions(rules=RowRules("drop", max_dropped_share=0.5))
        log = read_log(path, options=dropping)
        assert log.frame["user"].to_list() == ["a", "a", "b"]
        assert log.read is not None
        assert sum(log.read.left_out.values()) == 1
        if word:
            literal = read_log(path, options=ReadOptions(rules=RowRules(literal_ids=True)))
            assert literal.frame["user"].to_list() == ["a", "a", word, "b"]

    def test_text_that_comes_late_makes_the_earlier_ids_text_too(self, tmp_path):
        numbers = [*range(300, 0, -1), *range(300)]
        text = "user,item\n" + "".join(f"{n},{n}\n" for n in numbers) + "x,5\n007,7\n5,0\n"
        log = read_log(written(tmp_path, text), options=ReadOptions(block_bytes=100))
        assert log.frame["user"].to_list() == [*map(str, numbers), "x", "007", "5"]
        assert log.frame["item"].to_list() == [*numbers, 5, 7, 0]

    @pytest.mark.parametrize("form", ["csv", "frame", "ml-20m"])
    @pytest.mark.parametrize("big", [2**31 - 1, 2**31, 2**32 + 1, 2**63 - 1, -5])
    def test_ids_up_to_64_bits_work(self, big, form, tmp_path):
        rows = [(big, 1), (3, big), (big, big)]
        if form == "frame":
            source = pl.DataFrame(rows, schema=["user", "item"], orient="row")
        else:
            lines = "".join(f"{u},{i},5,9\n" for u, i in rows)
            source = written(tmp_path, "user,item,rating,timestamp\n" + lines, "ratings.csv")
        log = read_log(source, format="ml-20m" if form == "ml-20m" else None)
        assert log.frame.select("user", "item").rows() == rows
        assert log.interactions().x.toarray().tolist() == [[1, 1], [0, 1]]

    @pytest.mark.parametrize("form", ["csv", "json", "frame", "decimal", "pandas", "sqlite"])
    def test_ids_beyond_64_bits_are_text(self, form, tmp_path):
        ids = ["7", str(2**63), str(2**63 + 1)]
        numbers = [int(i) for i in ids]
        items = [1, 1, 2]
        if form == "csv":
            source = written(tmp_path, "user,item\n7.0,1\n" + f"{ids[1]},1\n{ids[2]},2\n")
        elif form == "json":
            lines = (f'{{"user": {u}, "item": {i}}}\n' for u, i in zip(ids, items, strict=True))
            source = written(tmp_path, "".join(lines), "a.jsonl")
        elif form == "sqlite":
            source = tmp_path / "a.db"
            with contextlib.closing(sqlite3.connect(source)) as shop:
                shop.execute("create table events (user, item)")
                rows = [(7, 1), (ids[1], 1), (ids[2], 2)]
                shop.executemany("insert into events values (?, ?)", rows)
                shop.commit()
        elif form == "pandas":
            source = pd.DataFrame({"user": numbers, "item": items})
        else:
            kind = pl.UInt64 if form == "frame" else pl.Decimal(38, 2)
            source = pl.DataFrame({"user": pl.Series(ids).cast(kind), "item": items})
        log = read_log(source)
        assert log.frame["user"].to_list() == ids
        assert log.user_ids.index(numbers).tolist() == [0, 1, 2]

    def test_ids_of_a_known_data_set_fit_64_bits(self, tmp_path):
        text = f"userId,movieId,rating,timestamp\n1,1,5,9\n{2**63},1,5,9\n"
        with pytest.raises(SchemaError, match="64"):
            read_log(written(tmp_path, text, "ratings.csv"), format="ml-20m")

    @pytest.mark.parametrize(
        ("first", "second", "expected"),
        [
            (pl.Series([1, 2]), pl.Series([2**63, 1], dtype=pl.UInt64), ["1", "2", str(2**63)]),
            (pl.Series(["1", "2"]), pl.Series([2, 3]), [1, 2, 3]),
            (pl.Series([1.0, None]), pl.Series(["1", "3"]), [1, 3]),
            (pl.Series(["1", "1.0"]), pl.Series(["x", "1"]), ["1", "x"]),
        ],
    )
    def test_one_id_in_columns_of_several_types(self, first, second, expected, tmp_path):
        for name, users in (("a", first), ("b", second)):
            pl.DataFrame({"user": users, "item": [5, 6]}).write_parquet(
                tmp_path / f"{name}.parquet"
            )
        log = read_log(tmp_path, drop_bad_rows=True)
        assert log.user_ids.ids.to_list() == expected

    @pytest.mark.parametrize(
        ("ids", "expected"),
        [
            (["1e+05", "100000", "7"], [100000, 100000, 7]),
            (["1.5e+06", "1500000", "9999999"], [1500000, 1500000, 9999999]),
            (["1e+05", "100000", "a"], ["100000", "100000", "a"]),
            # The program that writes 1234567 so writes all long numbers so.
            (["1.23457e+06", "999999"], "scientific"),
            (["1.5e+00", "7"], "scientific"),
        ],
    )
    @pytest.mark.parametrize("block_bytes", [1, 1 << 20])
    def test_scientific_notation_is_a_whole_number_where_no_digit_is_lost(
        self, ids, expected, block_bytes, tmp_path
    ):
        path = written(tmp_path, "user,item\n" + "".join(f"{i},1\n" for i in ids))
        if expected == "scientific":
            with pytest.raises(DataError, match=r"the user id '1\..* is a number in scientific"):
                read_log(path, options=ReadOptions(block_bytes=block_bytes))
            expected = ids
            rules = RowRules(literal_ids=True)
        else:
            rules = RowRules()
        log = read_log(path, options=ReadOptions(rules=rules, block_bytes=block_bytes))
        assert log.frame["user"].to_list() == expected

    def test_mixed_types_are_refused(self):
        with pytest.raises(SchemaError, match=r"column 'user' mixes types \(int, str\)"):
            read_log(pd.DataFrame({"user": [1, "a"], "item": [1, 2]}))

    @pytest.mark.parametrize("kind", [pl.Float64, pl.Float32, pl.Decimal(10, 2)])
    def test_whole_floats_are_integers_and_others_are_refused(self, kind):
        whole = pl.DataFrame({"user": pl.Series([1.0, 2.0]).cast(kind), "item": [1, 1]})
        assert read_log(whole).frame["user"].to_list() == [1, 2]
        half = pl.DataFrame({"user": pl.Series([1.0, 2.5]).cast(kind), "item": [1, 1]})
        with pytest.raises(DataError, match=r"row 2: the user is 2\.5; a whole number"):
            read_log(half)

    def test_floats_that_have_lost_digits_are_refused(self):
        frame = pl.DataFrame({"user": [1.0, 2.0**60], "item": [1, 1]})
        with pytest.raises(DataError, match="row 2: the user is"):
            read_log(frame)


class TestTimes:
    @pytest.mark.parametrize(
        "moment",
        [
            *("1714521600", "1714521600000", "1714521600.0", "2024-05-01", "2024-05-01 00:00:00"),
            *("2024-05-01T00:00:00Z", "2024-05-01T02:00:00+02:00", "2024-05-01T00:00:00.000"),
        ],
    )
    def test_every_form_is_seconds(self, moment, tmp_path):
        log = read_log(written(tmp_path, f"user,item,time\n1,2,{moment}\n"))
        assert log.frame["timestamp"].to_list() == [1714521600]

    def test_typed_dates(self):
        for value in (date(2024, 5, 1), datetime(2024, 5, 1), datetime(2024, 5, 1, tzinfo=UTC)):
            log = read_log(pl.DataFrame({"user": [1], "item": [2], "when": [value]}))
            assert log.frame["timestamp"].to_list() == [1714521600]

    def test_what_is_no_time_is_named(self, tmp_path):
        with pytest.raises(DataError, match="row 2: the timestamp \\(column 'time'\\) is 'soon'"):
            read_log(written(tmp_path, "user,item,time\n1,2,2024-05-01\n1,3,soon\n"))


class TestBadInput:
    @pytest.mark.parametrize(
        ("text", "error", "message"),
        [
            ("", EmptyDataError, "is empty"),
            ("user,item\n", EmptyDataError, "has no rows"),
            ("user,item,rating\n1,2,3\n1,3,good\n", DataError, "row 2: the rating is 'good'"),
            ("user,item,rating\n1,2,-1\n", DataError, "row 1: the rating is -1;"),
            ("user,item,rating\n1,2,3\n1,4,nan\n", DataError, "row 2: the rating is missing"),
            ("user,item,rating\n1,2,inf\n", DataError, "row 1: the rating is inf"),
            ("user,item,rating\n1,2,3\n1,4,\n", DataError, "row 2: the rating is missing"),
            ("user,item\n1,2\n,3\n", DataError, "row 2: the user is missing"),
            ("user,item\n1,2\n3\n", DataError, "row 2: the item is missing"),
            (b"user,item\n1,2\n\xff,3\n", DataError, "row 2: byte 0xff is not UTF-8"),
            (b"\x00\x01\x02\xff\n" * 9, DataError, "not UTF-8 text"),
            (b"PAR1 and no more", DataError, "damaged Parquet"),
        ],
    )
    @pytest.mark.parametrize("compressed", [False, True])
    def test_is_one_clear_line(self, text, error, message, compressed, tmp_path):
        content = text.encode() if isinstance(text, str) else text
        name = "log.csv"
        if compressed:
            content, name = gzip.compress(content), "log.csv.gz"
        path = written(tmp_path, content, name)
        with pytest.raises(error, match=message) as caught:
            read_log(path)
        assert "\n" not in str(caught.value)
        assert str(path) in str(caught.value)

    def test_rows_are_counted_through_blocks(self, tmp_path):
        rows = "".join(f"{n},1,3\n" for n in range(1, 400)) + "400,1,bad\n"
        with pytest.raises(DataError, match="row 400: the rating is 'bad'"):
            read_log(
                written(tmp_path, "user,item,rating\n" + rows), options=ReadOptions(block_bytes=64)
            )

    def test_a_file_that_is_not_there(self, tmp_path):
        with pytest.raises(DataError, match="does not exist"):
            read_log(tmp_path / "none.csv")
        with pytest.raises(DataError, match="neither an existing path nor a data set"):
            read_log("no such data set")

    def test_a_folder_of_something_else(self, tmp_path):
        (tmp_path / "photo.jpg").write_bytes(b"x")
        with pytest.raises(DataError, match=r"no data in a known format \(it has photo.jpg\)"):
            read_log(tmp_path)

    def test_a_folder_of_different_tables(self, tmp_path):
        written(tmp_path, CSV, "a.csv")
        written(tmp_path, CSV.replace("ts", "when"), "b.csv")
        with pytest.raises(DataError, match=r"2 tables with different columns .*--table"):
            read_log(tmp_path)
        assert read_log(tmp_path, options=ReadOptions(table="b.csv")).n_events == 3

    def test_truncated_gz(self, tmp_path):
        whole = gzip.compress((CSV + "9,9,9,9\n" * 5000).encode())
        path = written(tmp_path, whole[: len(whole) // 2], "log.csv.gz")
        with pytest.raises(DataError, match="truncated or damaged"):
            read_log(path)

    def test_truncated_and_damaged_zip(self, tmp_path):
        path = tmp_path / "x.zip"
        with zipfile.ZipFile(path, "w") as archive:
            archive.writestr("log.csv", CSV)
        whole = path.read_bytes()
        with pytest.raises(DataError, match="damaged archive"):
            read_log(written(tmp_path, whole[:-30], "cut.zip"))
        spoilt = whole.replace(b"4.5,100", b"3.5,100")
        with pytest.raises(DataError, match=r"truncated or damaged|damaged archive"):
            read_log(written(tmp_path, spoilt, "spoilt.zip"))

    def test_an_open_quote(self, tmp_path):
        with pytest.raises(DataError):
            read_log(written(tmp_path, 'user,item,rating\n1,"2,3\n4,5,6\n'))


class TestMatrix:
    def test_order_of_first_appearance_and_repeats_once(self):
        log = read_log(pl.DataFrame({"user": [5, 2, 5, 5], "item": ["b", "a", "a", "b"]}))
        data = log.interactions()
        assert data.user_ids.ids.to_list() == [5, 2]
        assert data.item_ids.ids.to_list() == ["b", "a"]
        assert data.x.toarray().tolist() == [[1, 1], [0, 1]]

    def test_unknown_items_are_left_out_and_counted(self):
        log = read_log(pl.DataFrame({"user": [5, 2, 5], "item": ["b", "a", "c"]}))
        known = Vocabulary(["a", "z", "b"])
        assert log.interactions(item_ids=known).x.toarray().tolist() == [[0, 0, 1], [1, 0, 0]]
        assert log.unknown(item_ids=known).events == 1
        assert log.unknown(item_ids=known).items == 1
        assert log.interactions(Vocabulary([2]), known).x.toarray().tolist() == [[1, 0, 0]]

    def test_details_given_by_hand(self):
        items = pl.DataFrame({"item": [2, 1], "title": ["two", "one"], "genres": ["A|B", None]})
        log = read_log(pl.DataFrame({"user": [1, 1], "item": [1, 3]}), items=items)
        assert log.item_ids.details.rows() == [("one", None), (None, None)]
        with pytest.raises(DataError, match="'item' is missing"):
            read_log(pl.DataFrame({"user": [1], "item": [1]}), items=items.drop("item"))

    def test_from_frame_is_the_inverse_of_frame(self):
        log = read_log(pl.read_csv(CSV.encode()))
        again = Log.from_frame(log.frame)
        assert_frame_equal(again.events, log.events)
        assert again.user_ids == log.user_ids
