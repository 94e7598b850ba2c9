"""The examples of docs/guide/embeddings.md find what the model ranks first."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from benchmarks.embeddings import without_pgvector

from benchmarks import postgres
from nearfar.bundle.exports.embeddings import Embeddings
from tests.bundle.cases import make_bundle, some_histories

PAGE = (Path(__file__).parents[3] / "docs" / "guide" / "embeddings.md").read_text()
PYTHON = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
(SQL,) = re.findall(r"```sql\n(.*?)```", PAGE, re.DOTALL)


@pytest.fixture
def vectors(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> dict[str, Any]:
    """The names of the page after its first block, in a folder with the export."""
    bundle, histories = make_bundle("autoencoder"), some_histories()
    ids = bundle.items.ids
    lines = [
        f"{user},{ids[int(item)]}\n" for user, item in zip(*histories.nonzero(), strict=True)
    ]  # fmt: skip
    (tmp_path / "histories.csv").write_text("user,item\n" + "".join(lines))
    Embeddings(str(tmp_path / "histories.csv")).write(bundle, tmp_path / "VECTORS")
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {"bundle": bundle}
    exec(PYTHON[0], names)
    return names


def expected(names: dict[str, Any]) -> list[list[int]]:
    """The ids that the model ranks first, seen items included."""
    bundle, histories = names["bundle"], some_histories()
    ranking = bundle.model.top_k(histories, names["k"], exclude_seen=False)
    rows = pl.read_parquet("VECTORS/users.parquet")["user"]
    return [bundle.items.ids.gather(ranking.items[row]).to_list() for row in rows]


def test_faiss_finds_the_models_ranking(vectors: dict[str, Any]) -> None:
    pytest.importorskip("faiss")
    exec(PYTHON[1], vectors)
    assert [row.to_list() for row in vectors["by_faiss"]] == expected(vectors)
    exec(PYTHON[3], vectors)
    order = vectors["order"]
    assert vectors["ids"].gather(order).to_list() == expected(vectors)[0]


def test_usearch_finds_the_models_ranking(vectors: dict[str, Any]) -> None:
    pytest.importorskip("usearch")
    exec(PYTHON[2], vectors)
    found = [set(row.to_list()[:5]) for row in vectors["by_usearch"]]
    wanted = [set(row[:6]) for row in expected(vectors)]  # float16: neighbours may change places
    assert all(a <= b for a, b in zip(found, wanted, strict=True))


def test_pgvector_finds_the_models_ranking(vectors: dict[str, Any]) -> None:
    reason = without_pgvector()
    if reason is not None:
        pytest.skip(reason)
    import psycopg

    extension, table, index, setting, query = SQL.strip().split(";\n")
    with (
        postgres.running("vector", fsync="off") as server,
        psycopg.connect(server.plain_url, autocommit=True) as connection,
    ):
        connection.execute(extension)
        connection.execute(table.replace("DIMENSIONS", str(vectors["stored"].shape[1])))
        rows = zip(vectors["ids"].to_list(), vectors["stored"].tolist(), strict=True)
        with connection.cursor().copy("COPY items FROM STDIN") as copy:
            for position, (item, vector) in enumerate(rows):
                copy.write_row((position, str(item), str(vector)))
        connection.execute(index)
        connection.execute(setting)
        for user, wanted in zip(vectors["asked"], expected(vectors), strict=True):
            asked = query.rstrip(";\n").replace(":user", "%s")
            found = connection.execute(asked, (str(user.tolist()),)).fetchall()
            assert [item for (item,) in found] == [str(item) for item in wanted]
