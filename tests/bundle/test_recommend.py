"""What is recommended, and how it is written."""

from __future__ import annotations

import json
import subprocess
import sys

import numpy as np
import polars as pl
import pytest
from scipy.sparse import csr_array

from nearfar.bundle.histories import histories_from_items
from nearfar.bundle.history_file import HistoryChunk
from nearfar.bundle.recommend import (
    Summary,
    recommend,
    recommend_titles,
    recommend_to_file,
    recommendations_frame,
)
from nearfar.core.errors import DataError
from tests.bundle.cases import KINDS, make_bundle, some_histories


def chunks_of(n_users: int, size: int, *, text: bool = False) -> list[HistoryChunk]:
    histories = some_histories(n_users)
    ids = pl.Series("who", [f'u"{n},' if text else n for n in range(n_users)])
    return [
        HistoryChunk(ids.slice(s, size), histories[s : s + size], 2)
        for s in range(0, n_users, size)
    ]


@pytest.mark.parametrize("kind", KINDS)
def test_the_best_unseen_items_come_first(kind) -> None:
    bundle, histories = make_bundle(kind), some_histories()
    ranking = recommend(bundle, histories, k=4)
    scores = np.where(histories.toarray() > 0, -np.inf, bundle.model.score(histories))
    expected = np.argsort(-scores, axis=1, kind="stable")[:, :4]
    np.testing.assert_array_equal(ranking.items, expected)
    assert ranking.items[0].tolist() == [0, 1, 2, 3]  # an empty history gets what is popular


def test_allowed_and_denied_items() -> None:
    bundle = make_bundle("constant")
    histories = csr_array((1, 12), dtype=np.float32)
    ranking = recommend(bundle, histories, k=3, allow=[105, 104, 107, 999], deny=["104", "x"])
    assert ranking.items.tolist() == [[5, 7, -1]]
    assert (ranking.n_unknown_allowed, ranking.n_unknown_denied) == (1, 1)
    assert ranking.to_polars()["item"].to_list() == [105, 107], "ids, not positions"
    assert repr(ranking) == "Recommendations(1 users, 3 places)"
    by_series = recommend(bundle, histories, k=1, deny=pl.Series([100, 101]))
    assert by_series.items.tolist() == [[2]]
    with pytest.raises(DataError, match="none of the 1 allowed items is known"):
        recommend(bundle, histories, allow=[999])
    with pytest.raises(DataError, match="the list of allowed items is empty"):
        recommend(bundle, histories, allow=[])
    nothing = recommend(bundle, histories, k=1, allow=[105], deny=[105])
    assert nothing.items.tolist() == [[-1]]


def test_seen_items_come_back_on_request() -> None:
    bundle = make_bundle("constant")
    histories, _ = histories_from_items(bundle, [[100]])
    assert recommend(bundle, histories, k=1).items.tolist() == [[1]]
    assert recommend(bundle, histories, k=1, exclude_seen=False).items.tolist() == [[0]]


def test_the_frame_leaves_padding_out() -> None:
    bundle = make_bundle("constant", text=True)
    histories, _ = histories_from_items(bundle, [[f"i{n}" for n in range(9)], []])
    frame = recommendations_frame(bundle, pl.Series([7, 8]), recommend(bundle, histories, k=5))
    assert frame.columns == ["user", "rank", "item", "title", "score"]
    assert frame["user"].to_list() == [7] * 3 + [8] * 5
    assert frame["rank"].to_list() == [1, 2, 3, 1, 2, 3, 4, 5]
    assert frame["item"].to_list()[:3] == ["i9", "i10", "i11"]
    assert frame["title"].to_list()[-2:] == [None, 'Film, "No" 4 (1904)']
    plain = make_bundle("constant", titles=False)
    frame = recommendations_frame(plain, pl.Series([7, 8]), recommend(plain, histories, k=5))
    assert frame.columns == ["user", "rank", "item", "score"]
    with pytest.raises(DataError, match="1 user ids for a ranking of 2 users"):
        recommendations_frame(plain, pl.Series([7]), recommend(plain, histories))


def test_recommending_by_titles() -> None:
    bundle = make_bundle("item_item")
    frame = recommend_titles(bundle, ['Film, "No" 2', "105"], k=3)
    assert frame.columns == ["rank", "item", "title", "score"]
    assert frame.height == 3
    assert not {102, 105} & set(frame["item"])
    with pytest.raises(DataError, match=r"'Film, \"No\" 77' is unknown; near it"):
        recommend_titles(bundle, ["105", 'Film, "No" 77'])


def rows_of(path, titles: bool = True) -> list[tuple]:
    """A file's recommendations as rows, whatever its format."""
    if path.suffix == ".parquet":
        frame = pl.read_parquet(path)
    elif path.suffix == ".jsonl":
        records = [json.loads(line) for line in path.read_text().splitlines()]
        return [
            (r["user"], rank, i["item"], *([i["title"]] if titles else []), i["score"])
            for r in records
            for rank, i in enumerate(r["items"], 1)
        ]
    else:
        frame = pl.read_csv(path, separator="\t" if path.suffix == ".tsv" else ",")
    return frame.rows()


@pytest.mark.parametrize("text", [False, True])
@pytest.mark.parametrize("titles", [False, True])
def test_all_formats_and_chunk_sizes_agree(text, titles, tmp_path) -> None:
    bundle = make_bundle("item_item", text=text, titles=titles)
    (chunk,) = chunks_of(23, 23, text=text)
    expected = recommendations_frame(
        bundle, chunk.user_ids, recommend(bundle, chunk.histories, k=9)
    ).rows()
    for suffix in ("csv", "tsv", "jsonl", "parquet"):
        for size in (23, 5):
            out = tmp_path / "new" / f"r{size}.{suffix}"
            chunks = chunks_of(23, size, text=text)
            summary = recommend_to_file(bundle, chunks, out, k=9)
            rows = rows_of(out, titles)
            assert [row[:-1] for row in rows] == [row[:-1] for row in expected]
            np.testing.assert_allclose(
                [row[-1] for row in rows], [row[-1] for row in expected], rtol=1e-6
            )
            n_empty = int((np.diff(chunk.histories.indptr) == 0).sum())
            assert summary == Summary(23, len(expected), 2 * len(chunks), n_empty)
    assert len(list((tmp_path / "new").iterdir())) == 8


def test_a_user_without_candidates_has_a_line_in_json_lines(tmp_path) -> None:
    bundle = make_bundle("constant")
    histories, _ = histories_from_items(bundle, [list(range(100, 112)), [100]])
    chunk = HistoryChunk(pl.Series(["a", "b"]), histories, 0)
    out = tmp_path / "r.jsonl"
    assert recommend_to_file(bundle, [chunk], out, k=1).n_rows == 1
    first, second = map(json.loads, out.read_text().splitlines())
    assert first == {"user": "a", "items": []}
    item = {"item": 101, "score": 11.0, "title": 'Film, "No" 1 (1901)'}
    assert second == {"user": "b", "items": [item]}
    none = HistoryChunk(pl.Series(["a"]), histories[:1], 0)
    recommend_to_file(bundle, [none], out, k=1)
    assert json.loads(out.read_text()) == {"user": "a", "items": []}


@pytest.mark.parametrize("suffix", ["csv", "tsv", "jsonl", "parquet"])
def test_no_users_make_an_empty_file(suffix, tmp_path) -> None:
    out = tmp_path / f"r.{suffix}"
    assert recommend_to_file(make_bundle(), [], out) == Summary(0, 0, 0, 0)
    if suffix == "parquet":
        assert pl.read_parquet(out).columns == ["user", "rank", "item", "title", "score"]
    else:
        assert len(out.read_text().splitlines()) == (suffix != "jsonl")


@pytest.mark.parametrize("suffix", ["csv", "jsonl", "parquet"])
def test_a_failure_leaves_the_old_file(suffix, tmp_path) -> None:
    out = tmp_path / f"r.{suffix}"
    out.write_text("old")

    def broken():
        yield from chunks_of(9, 3)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        recommend_to_file(make_bundle(), broken(), out)
    assert out.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == [out.name]
    mixed = [*chunks_of(3, 3), *chunks_of(3, 3, text=True)]
    with pytest.raises(DataError, match="user ids are String after Int64"):
        recommend_to_file(make_bundle(), mixed, out)
    assert out.read_text() == "old"


def test_what_cannot_be_written_is_refused_first(tmp_path) -> None:
    for name in ("r.xlsx", "r"):
        with pytest.raises(DataError, match=r"\.csv \(or \.tsv\), \.jsonl or \.parquet"):
            recommend_to_file(make_bundle(), [], tmp_path / name)
    (tmp_path / "r.csv").mkdir()
    with pytest.raises(DataError, match="is a folder"):
        recommend_to_file(make_bundle(), [], tmp_path / "r.csv")
    with pytest.raises(DataError, match="k is 0"):
        recommend_to_file(make_bundle(), [], tmp_path / "r.parquet", k=0)


def test_progress_counts_users(tmp_path) -> None:
    told: list[int] = []
    recommend_to_file(make_bundle(), chunks_of(10, 4), tmp_path / "r.csv", progress=told.append)
    assert told == [4, 8, 10]


MEMORY = """
import resource, sys
import numpy as np, polars as pl
from pathlib import Path
from scipy.sparse import csr_array
from nearfar.bundle.history_file import HistoryChunk
from nearfar.bundle.recommend import recommend_to_file
from nearfar.bundle.bundle import Bundle, BundleMetadata
from nearfar.core.vocabulary import Vocabulary
from nearfar.models.constant import Constant

n_items, size = 60, 4000
items = Vocabulary(list(range(n_items)))
bundle = Bundle(Constant(np.arange(n_items), 9), items, BundleMetadata("x"))
ones = np.ones(size * 20, np.float32)

def chunks(n_users):
    for start in range(0, n_users, size):
        columns = np.random.default_rng(start).integers(0, n_items, size * 20)
        x = csr_array((ones, columns, np.arange(0, size * 20 + 1, 20)), shape=(size, n_items))
        yield HistoryChunk(pl.Series(np.arange(start, start + size)), x, 0)

for n_users in (8_000, 40_000):
    for suffix in ("csv", "jsonl", "parquet"):
        out = Path(sys.argv[1]) / f"r.{suffix}"
        recommend_to_file(bundle, chunks(n_users), out, k=40)
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024)
"""


@pytest.mark.slow
def test_memory_does_not_grow_with_the_number_of_users(tmp_path) -> None:
    command = [sys.executable, "-c", MEMORY, str(tmp_path)]
    told = subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()
    few_mib, many_mib = map(int, told)
    # The rows of 32,000 more users, 40 each, would be 35 MiB.
    assert many_mib - few_mib < 20, told
