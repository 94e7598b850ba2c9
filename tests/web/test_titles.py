"""Titles from a file, for models that have none."""

import io
import json
from pathlib import Path

import polars as pl
import pytest

from nearfar.bundle.folder import save_bundle
from nearfar.core.errors import DataError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.tables import item_table
from nearfar.web.logs import to_stream
from nearfar.web.settings import ServiceSettings
from nearfar.web.titles import Titles
from tests.bundle.cases import make_bundle
from tests.web.cases import Answering, Program, bundles, point, version

ITEMS = Vocabulary([7, 8, 9])
TEXT = "movieId,genres,title\n7,x,Toy Story\n99,x,Gone\n8,x,\n7,x,Again\n"


def untitled(folder: Path) -> Path:
    bundle = make_bundle("autoencoder")
    bundle.items.details = pl.DataFrame()
    return save_bundle(bundle, folder / "untitled")


def written(folder: Path, text: str, name: str = "items.csv") -> Path:
    path = folder / name
    path.write_text(text)
    return path


def test_the_file_titles_what_has_none_and_counts_the_rest(tmp_path: Path) -> None:
    stream = io.StringIO()
    to_stream(stream)
    found = Titles(written(tmp_path, TEXT)).onto(ITEMS, "pia").titles
    assert found is not None
    assert found.to_list() == ["Toy Story", None, None]
    line = json.loads(stream.getvalue().partition("\n")[0])
    assert (line["event"], line["model"]) == ("titles", "pia")
    assert (line["titled"], line["untitled"], line["unknown"]) == (1, 2, 1)


@pytest.mark.parametrize("kind", [pl.String, pl.Int64, pl.UInt64, pl.Categorical])
def test_parquet_of_any_kind_of_id(tmp_path: Path, kind) -> None:
    frame = pl.DataFrame({"Item_ID": ["8", "9"], "name": [" Heat ", "x" * 400]})
    frame.cast({"Item_ID": pl.String}).with_columns(
        pl.col("Item_ID").cast(pl.Int64).cast(kind)
        if kind in (pl.Int64, pl.UInt64)
        else pl.col("Item_ID").cast(kind)
    ).write_parquet(tmp_path / "items.parquet")
    for items in (ITEMS, Vocabulary(["7", "8", "9"])):
        found = Titles(tmp_path / "items.parquet").onto(items, "pia").titles
        assert found is not None
        assert found.to_list() == [None, "Heat", "x" * 300]


def test_titles_and_genres_of_its_own_stay(tmp_path: Path) -> None:
    own = Vocabulary([7, 8], pl.DataFrame({"title": [None, "Own"], "genres": [["a"], None]}))
    assert Titles(written(tmp_path, TEXT)).onto(own, "pia") is own


def test_genres_come_from_the_file_where_the_model_has_none(tmp_path: Path) -> None:
    titled = Vocabulary([7, 8, 9], pl.DataFrame({"title": ["a", "b", "c"], "year": [1, 2, 3]}))
    text = "movieId,genres,title\n7,Drama|War,x\n8, Crime ,x\n8,Other,x\n"
    found = Titles(written(tmp_path, text)).onto(titled, "pia").details
    assert found["genres"].to_list() == [["Drama", "War"], ["Crime"], None]
    assert found["title"].to_list() == ["a", "b", "c"]
    assert found["year"].to_list() == [1, 2, 3]


def test_genres_that_cannot_be_told_cost_no_titles(tmp_path: Path) -> None:
    stream = io.StringIO()
    to_stream(stream)
    found = Titles(written(tmp_path, "item,title,genres,Genres\n7,Heat,x,y\n")).onto(ITEMS, "pia")
    assert found.titles is not None
    assert found.titles.to_list() == ["Heat", None, None]
    assert "genres" not in found.details.columns
    assert json.loads(stream.getvalue().partition("\n")[0])["event"] == "genres-not-read"


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("a,title\n1,x\n", "no column known as the item; it has 'a', 'title': name it with"),
        ("item,genres\n1,x\n", "no column known as the title"),
        ("sku,isbn,title\n1,2,x\n", "'isbn', 'sku' could each be the item; name it with"),
        ("item,title,title\n1,x,y\n", "'title' more than once"),
        ("item,title,Title\n1,x,y\n", "'title', 'Title' could each be"),
        ("", "is empty"),
    ],
)
def test_columns_that_cannot_be_told_are_refused(tmp_path: Path, text: str, told: str) -> None:
    with pytest.raises((SchemaError, DataError), match=told):
        Titles(written(tmp_path, text))


def test_what_is_no_such_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "latin.csv").write_bytes("item,title\n1,Amélie\n".encode("latin-1"))
    pl.DataFrame({"item": [0.5], "title": ["x"]}).write_parquet(tmp_path / "float.parquet")
    pl.DataFrame({"item": [1], "title": [5.5]}).write_parquet(tmp_path / "number.parquet")
    written(tmp_path, "no table", "damaged.parquet")
    written(tmp_path, "{}", "items.json")
    (tmp_path / "folder.csv").mkdir()
    names = ["latin.csv", "float.parquet", "number.parquet", "damaged.parquet", "items.json"]
    for name in [*names, "folder.csv", "missing.csv"]:
        with pytest.raises(DataError, match=name):
            Titles(tmp_path / name)
    path = written(tmp_path, TEXT)
    monkeypatch.setattr(item_table, "MAX_ROWS", 2)
    with pytest.raises(DataError, match="more than 2 rows"):
        Titles(path)
    monkeypatch.setattr(item_table, "MAX_BYTES", 2)
    with pytest.raises(DataError, match="larger than 2 bytes"):
        Titles(path)


def test_a_changed_file_is_read_again_and_a_damaged_one_costs_nothing(tmp_path: Path) -> None:
    path = written(tmp_path, TEXT)
    file = Titles(path)
    written(tmp_path, "item,title\n9,Later and longer than before\n")
    assert file.onto(ITEMS, "pia").titles[2] == "Later and longer than before"  # type: ignore[index]
    path.unlink()
    assert file.onto(ITEMS, "pia").titles[2] == "Later and longer than before"  # type: ignore[index]


def test_the_service_finds_and_shows_them(tmp_path: Path) -> None:
    path = written(tmp_path, "item,title\n100,Toy Story (1995)\n101,Fargo\nnix,Gone\n")
    own = bundles(tmp_path)["autoencoder"]
    answering = Answering(
        ServiceSettings(bundles={"bare": untitled(tmp_path), "own": own}, threads=1, items=path)
    )
    found = answering.ask("GET", "/v1/items", params={"query": "toy"}).json()["items"]
    assert [(i["item"], i["title"]) for i in found] == [(100, "Toy Story (1995)")]
    told = answering.post("/v1/recommend", {"titles": ["fargo"]}).json()
    assert told["history"] == [{"item": 101, "title": "Fargo", "new": False}]
    models = answering.ask("GET", "/v1/model").json()["models"]
    assert [m["titles"] for m in models] == [True, True]
    kept = answering.ask("GET", "/v1/items", params={"query": "100", "model": "own"}).json()
    assert kept["items"][0]["title"] != "Toy Story (1995)"


@pytest.mark.slow
def test_the_command_gives_titles_to_a_registrys_model(tmp_path: Path) -> None:
    bundle = make_bundle("autoencoder")
    bundle.items.details = pl.DataFrame()
    version(tmp_path / "registry", "v1", bundle)
    point(tmp_path / "registry", "v1")
    path = written(tmp_path, "item,title\n103,Amélie\n")
    with Program("--registry", str(tmp_path / "registry"), "--items", str(path)) as program:
        found = program.get("/v1/items?query=amelie").json()["items"]
        assert [i["item"] for i in found] == [103]
