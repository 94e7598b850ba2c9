"""A bundle with new items: who is added, who is left out, and what is said of wrong input."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from nearfar.bundle.bundle import Bundle
from nearfar.bundle.folder import load_bundle, save_bundle
from nearfar.bundle.recommend import recommend
from nearfar.cli.main import run
from nearfar.core.errors import DataError, EmptyDataError, NearfarError, SchemaError
from nearfar.core.vocabulary import Vocabulary
from nearfar.data.item_features import read_item_features
from nearfar.models.item_item import ItemItem
from tests.bundle.cases import ABOUT, make_bundle

N = 20
GENRES = [["War"], ["Love"], ["War", "Space"], ["Love", "Space"]] * (N // 4)


def shop(*, genres: bool = True) -> Bundle:
    """Items 0..19; films of a genre add to each other's scores."""
    of = [set(g) for g in GENRES]
    weights = np.array([[float(len(a & b)) for b in of] for a in of], np.float32)
    np.fill_diagonal(weights, 0)
    details = pl.DataFrame({"title": [f"Film {i}" for i in range(N)], "genres": GENRES})
    items = Vocabulary(list(range(N)), details if genres else None)
    return Bundle(ItemItem(weights, np.arange(N, 0, -1), 30), items, ABOUT)


NEW = pl.DataFrame(
    {"item": [101, 102, 103], "title": ["Trench", "Kiss", "Silence"],
     "genres": ["War|Space", "Love", "Mime"]}
)  # fmt: skip


def test_new_items_are_recommended_by_the_genres_that_the_bundle_holds(tmp_path: Path) -> None:
    bundle = shop()
    wider = bundle.with_new_items(NEW, exposure=5.0)
    assert wider.items.ids.to_list() == [*range(N), 101, 102]
    assert wider.items.titles is not None
    assert wider.items.titles.to_list()[-2:] == ["Trench", "Kiss"]
    assert wider.items.details["genres"].to_list()[-2:] == [["War", "Space"], ["Love"]]
    done = wider.metadata.data["new_items"]
    assert (done["n_new"], done["n_left_out"], done["left_out"]) == (2, 1, [103])
    of_new = recommend(wider, [[0, 4], [1, 5]], k=2, allow=[101, 102]).items
    assert of_new.tolist() == [[N, N + 1], [N + 1, N]]
    loaded = load_bundle(save_bundle(wider, tmp_path / "b"))
    again = recommend(loaded, [[0, 101]], k=5)
    np.testing.assert_array_equal(again.items, recommend(wider, [[0, 101]], k=5).items)


@pytest.mark.parametrize("long", [False, True])
def test_files_are_read_in_both_layouts(tmp_path: Path, long: bool) -> None:
    rows = [
        *((i, g) for i, genres in enumerate(GENRES) for g in genres),
        (101, "War"),
        (102, "Love"),
    ]
    if long:
        text = "item,feature\n" + "".join(f"{i},{g}\n" for i, g in rows)
    else:
        text = "item,kind,price\n" + "".join(
            f"{i},{'; '.join(g for j, g in rows if j == i)},{i % 7}\n" for i in dict(rows)
        )
    file = tmp_path / "items.csv"
    file.write_text(text)
    wider = shop(genres=False).with_new_items(file)
    of_new = recommend(wider, [[0, 4], [1, 5]], k=1, allow=[101, 102]).items
    assert of_new.tolist() == [[N], [N + 1]]


def test_numbers_and_embeddings_are_put_on_one_scale() -> None:
    frame = pl.DataFrame(
        {"item": [1, 2, 3, 4], "price": [10.0, None, 30.0, 1000.0],
         "sale": [True, False, True, True],
         "embedding": [[1.0, 0.0], [3.0, 4.0], None, [5.0, 0.0]]}
    )  # fmt: skip
    x, names = read_item_features(frame).encoded(np.arange(3))
    dense = x.toarray()
    assert names == ["price=value", "sale=true", "embedding=0", "embedding=1"]
    np.testing.assert_allclose(dense[:, 0], [-1, 0, 1, 98])
    np.testing.assert_allclose(dense[:, 1], [1, 0, 1, 1])
    lengths = np.linalg.norm(dense[:3, 2:], axis=1)
    assert (lengths**2).mean() == pytest.approx(1)
    assert dense[2, 2:].tolist() == [0, 0]


@pytest.mark.parametrize(
    ("frame", "kind", "told"),
    [
        (NEW.head(0), EmptyDataError, "has no item"),
        (NEW.drop("item"), SchemaError, "no column known as the item"),
        (NEW.select("item", "title"), SchemaError, "no column of features"),
        (pl.DataFrame({"item": [0, 1], "genres": ["War", "Love"]}), DataError, "known to"),
        (NEW.filter(pl.col("item") == 103), DataError, "no new item has a feature that"),
        (NEW.with_columns(item=pl.Series(["a", "b", "c"])), DataError, "'a' is text and"),
        (NEW.with_columns(x=pl.Series([1.0, np.nan, 2.0])), DataError, "expected a finite number"),
        (NEW.with_columns(e=pl.Series([[1.0], [1.0, 2.0], [3.0]])), DataError, "the same length"),
    ],
)  # fmt: skip
def test_wrong_input_is_told(frame: pl.DataFrame, kind: type[NearfarError], told: str) -> None:
    with pytest.raises(kind, match=told):
        shop().with_new_items(frame)


def test_ids_of_text_take_integers_too() -> None:
    bundle = make_bundle(text=True)
    wider = bundle.with_new_items(pl.DataFrame({"item": [7, 8], "genres": ["Drama", "Comedy"]}))
    assert wider.items.ids.to_list()[-2:] == ["7", "8"]


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    save_bundle(shop(), tmp_path / "b")
    NEW.write_csv(tmp_path / "new.csv")
    arguments = ["extend", str(tmp_path / "b"), "--items", str(tmp_path / "new.csv")]
    assert run([*arguments, "--out", str(tmp_path / "wider")]) == 0
    said = capsys.readouterr()
    assert "added 2 items to 20, by 3 features of 20 known items" in said.out
    assert "1 new items are left out" in said.err
    assert load_bundle(tmp_path / "wider").n_items == N + 2
    assert run([*arguments, "--out", str(tmp_path / "new.csv")]) == 1
    assert run(["similar", str(tmp_path / "wider"), "--items", "Trench; Film 1", "-k", "3"]) == 0
    said = capsys.readouterr().out
    assert "like 101" in said
    assert "what one item adds to the other's score" in said
    out = tmp_path / "all.parquet"
    some = tmp_path / "some.tsv"
    assert run(["similar", str(tmp_path / "wider"), "--items", "0,101", "--out", str(some)]) == 0
    assert pl.read_csv(some, separator="\t")["item"].unique().sort().to_list() == [0, 101]
    assert run(["similar", str(tmp_path / "wider"), "--items", " ", "--out", str(some)]) == 1
    assert run(["similar", str(tmp_path / "wider"), "--out", str(out), "-k", "4"]) == 0
    frame = pl.read_parquet(out)
    assert frame.height == (N + 2) * 4
    assert frame.columns == ["item", "rank", "similar", "title", "similarity"]
    assert (frame["item"] != frame["similar"]).all()
    of_war = frame.filter(pl.col("item") == 0).sort("rank")["similar"].to_list()
    assert all("War" in [*GENRES, ["War", "Space"]][min(i, N)] for i in of_war)
