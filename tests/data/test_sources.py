"""Every source reads its layout alike from a folder, a zip, a tar and .gz files."""

from __future__ import annotations

import gzip
from pathlib import Path

import polars as pl
import pytest
from polars.testing import assert_frame_equal

from nearfar.core.errors import DataError, SettingsError
from nearfar.data.filters import Filters
from nearfar.data.log import Log, read_log, read_parts
from nearfar.data.sources.source import Source, all_sources, detect
from nearfar.tables.dialect import TextOptions
from nearfar.tables.table import ReadOptions
from tests.data import layouts

SMALL = ReadOptions(block_bytes=16)
SOURCES = [s.name for s in all_sources() if not s.generated]


def expected(source: str) -> pl.DataFrame:
    rows = layouts.ROWS
    frame = pl.DataFrame(rows, schema=["user", "item", "rating", "timestamp"], orient="row")
    frame = frame.with_columns(pl.col("rating").cast(pl.Float32))
    if source == "msd":
        ids = (pl.format("u{}", "user").alias("user"), pl.format("S{}", "item").alias("item"))
        return frame.select(*ids, weight="rating")
    if source == "gowalla":
        return frame.select("user", "item")
    if source == "netflix":
        days = pl.Series("timestamp", range(5)) * 86400 + 978307200
        return frame.with_columns(days).sort("item", maintain_order=True)
    return frame


def test_every_source_has_a_layout_here():
    assert sorted(layouts.LAYOUTS) == sorted(SOURCES)


@pytest.mark.parametrize("source", SOURCES)
def test_is_told_by_its_files_and_by_no_other(source, tmp_path):
    assert detect(layouts.folder(source, tmp_path / "d")).name == source
    assert detect(layouts.zipped(source, tmp_path / "d.zip")).name == source


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("form", ["folder", "zip", "tar", "gz"])
def test_reads_the_same_rows_from_every_container(source, form, tmp_path):
    if form == "zip":
        path = layouts.zipped(source, tmp_path / "x.zip")
    elif form == "tar":
        path = layouts.tarred(source, tmp_path / "x.tar", tmp_path / "d")
    else:
        path = layouts.folder(source, tmp_path / "d", gz=form == "gz")
    log = read_log(path)
    assert_frame_equal(log.frame, expected(source), check_column_order=False)


@pytest.mark.parametrize("source", SOURCES)
def test_small_blocks_change_nothing(source, tmp_path):
    path = layouts.folder(source, tmp_path / "d")
    whole = read_log(path)
    pieces = read_log(path, options=SMALL)
    assert_frame_equal(pieces.frame, whole.frame)
    assert pieces.user_ids == whole.user_ids
    assert pieces.item_ids == whole.item_ids


@pytest.mark.parametrize("source", SOURCES)
def test_filters_while_reading_equal_filters_after(source, tmp_path):
    path = layouts.folder(source, tmp_path / "d")
    after = read_log(path)
    filters = Filters(min_item=2) if not after.has("rating") else Filters(min_rating=4, min_item=2)
    while_reading = read_log(path, filters=filters, options=SMALL)
    assert_frame_equal(while_reading.frame, filters.apply(after).frame)
    assert while_reading.steps == filters.apply(after).steps


@pytest.mark.parametrize("source", ["ml-100k", "ml-1m", "ml-10m", "ml-20m", "recbole", "netflix"])
def test_titles_stand_beside_their_items(source, tmp_path):
    log = read_log(layouts.zipped(source, tmp_path / "x.zip"))
    assert log.items is not None
    titles = dict(log.items.select("item", "title").iter_rows())
    assert titles == layouts.TITLES
    if source != "netflix":
        assert log.item_ids.details["genres"].to_list() == [["Drama", "War"]] * 3
    assert log.interactions().item_ids.titles is not None


def test_netflix_training_set_equals_the_combined_files(tmp_path):
    combined = read_log(layouts.folder("netflix", tmp_path / "combined"))
    single = tmp_path / "single" / "training_set"
    single.mkdir(parents=True)
    for movie, text in layouts._netflix(layouts.ROWS):
        (single / f"mv_{movie:07d}.txt").write_text(text)
    assert_frame_equal(read_log(single.parent).frame, combined.frame)


def test_single_files_are_told_too(tmp_path):
    folder = layouts.folder("ml-1m", tmp_path / "d")
    assert detect(folder / "ratings.dat").name == "ml-1m"
    (tmp_path / "e.csv.gz").write_bytes(gzip.compress(b"user,item\n1,2\n1,3\n"))
    assert read_log(tmp_path / "e.csv.gz").n_events == 2


def test_published_parts_stay_apart(tmp_path):
    train, test = read_parts(layouts.folder("gowalla", tmp_path / "d"))
    assert (train.name, test.name) == ("train.txt", "test.txt")
    assert (train.n_events, test.n_events) == (3, 2)
    with pytest.raises(DataError, match="not published split"):
        read_parts(layouts.folder("ml-1m", tmp_path / "m"))


def test_fixed_columns_cannot_be_renamed(tmp_path):
    path = layouts.folder("ml-1m", tmp_path / "d")
    with pytest.raises(SettingsError, match="columns are fixed"):
        read_log(path, user="userId")


def test_a_format_can_be_forced(tmp_path):
    path = layouts.folder("ml-20m", tmp_path / "d") / "ratings.csv"
    assert read_log(path, format="ml-20m").n_events == 5
    assert read_log(path, format="table", rating="timestamp").has("rating")


@pytest.mark.parametrize(
    ("source", "name", "text", "message"),
    [
        ("ml-1m", "ratings.dat", "1::2::5::9\n1::3::x::9\n", "row 2: the rating is 'x'"),
        ("ml-100k", "u.data", "1\t2\t5\t9\n1\t\t4\t9\n", "row 2: the item is missing"),
        ("netflix", "combined_data_1.txt", "5,3,2001-01-01\n", "no line 'movie:'"),
        ("netflix", "combined_data_1.txt", "5:\na,3,2001-01-01\n", "row 2: user is 'a'"),
        ("gowalla", "train.txt", "1 2\n3 x\n", "row 2: item is 'x'"),
        ("recbole", "toy.inter", "user\titem\n1\t2\n", "'user' has no type"),
        ("msd", "train_triplets.txt", "a\tb\tx\n", "row 1: the weight is 'x'"),
    ],
)
def test_what_is_wrong_is_named_by_its_row(source, name, text, message, tmp_path):
    folder = layouts.folder(source, tmp_path / "d")
    Path(folder / name).write_text(text)
    with pytest.raises(DataError, match=message) as caught:
        read_log(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("ratings.dat", "user,item,rating\n1,7,5\n1,8,4\n"),
        ("ratings.dat", " user_id | venue_id \n---------+---------\n       1 |       7\n"),
        ("ratings.dat", "user::item::rating::time\n1::7::5::978300760\n1::8::4::978300761\n"),
        ("u.data", "user_id\titem_id\trating\ttimestamp\n1\t7\t5\t978300760\n"),
        ("u.data", "user_id,item_id\n1,7\n"),
        ("train_triplets.txt", "user,song,play_count\na,S1,3\n"),
        ("train_triplets.txt", "user\tsong\tplay_count\na\tS1\t3\n"),
    ],
)
def test_the_name_alone_does_not_make_a_data_set(name: str, text: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    assert detect(tmp_path).name == "table"


@pytest.mark.parametrize(
    ("name", "rows", "label"),
    [
        ("ratings.dat", ["1::7::9::978300760", "2::8::10::978300761"], "MovieLens-1M"),
        ("ratings.dat", ["1::0114509::9::978300760", "2::8::10::978300761"], "MovieLens-1M"),
        ("u.data", ["1\t7\t9\t978300760", "2\t8\t10\t978300761"], "MovieLens-100K"),
    ],
)
def test_a_table_that_almost_fits_can_be_read_as_a_table(
    name: str, rows: list[str], label: str, tmp_path: Path
) -> None:
    (tmp_path / name).write_text("\n".join(rows) + "\n")
    advice = f"read as {label}; if it is another table, read it with --format table --no-header"
    with pytest.raises(DataError, match=advice):
        read_log(tmp_path)
    options = ReadOptions(TextOptions(header=False))
    log = read_log(
        tmp_path, format="table", options=options,
        user="column_1", item="column_2", rating="column_3", timestamp="column_4",
    )  # fmt: skip
    assert log.frame["rating"].to_list() == [9, 10]


def test_recbole_form_of_100k_is_the_same_data(tmp_path):
    atomic = tmp_path / "ml-100k"
    atomic.mkdir()
    rows = "".join("\t".join(map(str, r)) + "\n" for r in layouts.ROWS)
    header = "user_id:token\titem_id:token\trating:float\ttimestamp:float\n"
    (atomic / "ml-100k.inter").write_text(header + rows)
    (atomic / "ml-100k.item").write_text(
        "item_id:token\tmovie_title:token_seq\trelease_year:token\tclass:token_seq\n"
        "7\tSisters, The\t1980\tDrama War\n55\tKöln\t1999\tDrama War\n100\tWalk\t2000\tDrama War\n"
    )
    raw = read_log(layouts.folder("ml-100k", tmp_path / "raw"))
    same: Log = read_log(atomic)
    assert_frame_equal(same.frame, raw.frame)
    assert same.items is not None
    assert raw.items is not None
    assert_frame_equal(same.items, raw.items)


class Pairs(Source):
    """`user>item` in every line."""

    label = "pairs"

    def matches(self, files):
        return files.find(r".*\.pairs") is not None

    def read(self, files, request):
        builder = request.builder("pairs")
        for block in files.blocks(files.names[0]):
            rows = [line.split(">") for line in block.decode().splitlines()]
            builder.add(pl.DataFrame(rows, schema=["user", "item"], orient="row"))
        return builder.log(request.items)


@pytest.mark.parametrize("form", [Pairs, Pairs(), f"{__name__}.Pairs"], ids=["class", "it", "name"])
def test_a_source_of_ones_own_is_given_itself_or_named(form, tmp_path):
    (tmp_path / "a.pairs").write_text("1>7\n2>7\n2>8\n")
    log = read_log(tmp_path / "a.pairs", format=form)
    assert (log.n_events, log.users.tolist()) == (3, [0, 1, 1])
    assert log.read.lines() == [f"read {tmp_path / 'a.pairs'} as pairs: 3 rows"]
