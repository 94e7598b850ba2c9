"""`pipeline init --source`: settings that are filled in, checked, and run as they are."""

from __future__ import annotations

import sqlite3
import tomllib
from datetime import date
from pathlib import Path

import pytest

from nearfar.cli.main import run
from nearfar.core.errors import DataError, SchemaError, SettingsError
from nearfar.jobs.first_settings import first_settings
from nearfar.jobs.pipeline import make_pipeline, read_pipeline

DAY = date(2026, 3, 3)
ORDERS = "Kundennr;Artikelnr;Datum;Menge;Preis\n" + "".join(
    f"{n % 7:03};0{n % 5}/1;{1 + n % 3:02}.03.2026 10:{n:02};{-1 if n == 8 else 1};9,50\n"
    for n in range(20)
)


def filled(folder: Path, **given) -> tuple[dict, list[str]]:
    said: list[str] = []
    text = first_settings(folder, as_of=DAY, say=said.append, **given)
    return tomllib.loads(text), said


def test_what_is_recognised_is_written_down_and_told(tmp_path: Path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    orders, items = Path("orders.csv"), Path("items.csv")
    orders.write_text(ORDERS)
    items.write_text("Artikelnr;Titel\n00/1;Hammer\n")
    path = Path("shop/p.toml")
    given = ["--source", "orders.csv", "--items", "items.csv", "--sink", str(tmp_path / "out")]
    assert run(["pipeline", "init", str(path), *given, "--as-of", str(DAY)]) == 0
    said = capsys.readouterr().err
    assert "columns: user = Kundennr, item = Artikelnr, timestamp = Datum, weight = Menge" in said
    assert "columns not used: Preis" in said
    assert "19 events of 7 users and 5 items from 2025-12-04 to 2026-03-03" in said
    assert "left out: 1 events: no event: a return, the weight is negative" in said
    pipeline = read_pipeline(path)
    assert 'path = "../orders.csv"' in path.read_text()
    assert pipeline.source.read(date(2026, 3, 1), date(2026, 3, 4)).height == 20
    assert pipeline.items is not None
    assert pipeline.items.read()["title"].to_list() == ["Hammer"]
    sections = list(tomllib.loads(path.read_text()))
    assert sections[:4] == ["registry", "source", "sink", "items"]
    plain, _ = filled(tmp_path)
    assert set(sections) == {*plain, "items"}  # the rest of the template stays


def test_titles_beside_the_events_are_offered_or_taken(tmp_path, capsys, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    lines = ORDERS.splitlines()
    Path("orders.csv").write_text("\n".join([lines[0] + ";Titel", *(f"{o};x" for o in lines[1:])]))
    given = ["pipeline", "init", "--source", "orders.csv", "--as-of", str(DAY)]
    assert run([*given[:2], ".", *given[2:]]) == 0
    said = capsys.readouterr().err
    assert "columns not used: Preis, Titel" in said
    assert "to use 'Titel' as titles: --items orders.csv" in said
    Path("pipeline.toml").unlink()
    assert run([*given, "--items", "orders.csv"]) == 0
    said = capsys.readouterr().err
    assert "columns not used: Preis\n" in said
    assert "as titles" not in said


def test_a_database_file_is_a_source_too(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "shop.db") as connection:
        connection.execute("CREATE TABLE orders(kunde, sku, ordered_at)")
        connection.execute("INSERT INTO orders VALUES ('a', 'b', '2026-03-02 10:00:00')")
        connection.execute("CREATE TABLE articles(sku, title)")
    connection.close()
    source = str(tmp_path / "shop.db")
    with pytest.raises(SettingsError, match="has the tables articles, orders; name one with"):
        filled(tmp_path, source=source)
    found, _ = filled(tmp_path, source=source, table="orders")
    assert found["source"] == {
        "kind": "sql", "url": f"sqlite:///{source}", "table": "orders",
        "columns": {"user": "kunde", "item": "sku", "timestamp": "ordered_at"},
    }  # fmt: skip


def test_what_will_not_run_is_told_before_anything_is_written(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text("who,what,at\n1,2,2026-03-02\n")
    with pytest.raises(SchemaError, match="no column known as the user and no column known"):
        filled(tmp_path, source=str(tmp_path / "a.csv"))
    columns = {"user": "who", "item": "what", "timestamp": "at"}
    found, _ = filled(tmp_path, source=str(tmp_path / "a.csv"), columns=columns)
    assert found["source"]["columns"] == columns
    with pytest.raises(DataError, match="no event lies from 2026-04-02"):
        first_settings(
            tmp_path, source=str(tmp_path / "a.csv"), columns=columns, as_of=date(2026, 6, 30)
        )
    (tmp_path / "b.csv").write_text("who,what,at\n1,2,2020-03-02\n1,3,someday\n")
    with pytest.raises(DataError, match=r"\(rows without a readable time: 1\); set --as-of"):
        filled(tmp_path, source=str(tmp_path / "b.csv"), columns=columns)
    (tmp_path / "a.csv").write_text("who,what,at\n1,2,2026-03-02\n,3,2026-03-02\n")
    _, said = filled(tmp_path, source=str(tmp_path / "a.csv"), columns=columns)
    assert any("a run would stop" in line and "max_missing_share" in line for line in said)
    with pytest.raises(SettingsError, match="without their source; add --source"):
        filled(tmp_path, columns=columns)


def test_weights_that_are_recognised_train_nothing_as_in_train(tmp_path: Path) -> None:
    (tmp_path / "a.csv").write_text(ORDERS)
    source = str(tmp_path / "a.csv")
    found, said = filled(tmp_path, source=source)
    assert found["source"]["columns"]["weight"] == "Menge", "a return is no event all the same"
    assert found["train"]["weights"] == "none"
    assert any("the weights in 'Menge' are not used in training" in line for line in said)
    assert make_pipeline(found, tmp_path).scale == "none"
    found, said = filled(tmp_path, source=source, columns={"weight": "Menge"})
    assert "weights" not in found["train"]
    assert make_pipeline(found, tmp_path).scale == "linear"
