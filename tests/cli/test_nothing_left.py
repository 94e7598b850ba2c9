"""Where nothing is left to recommend, or nothing to find, a command says so and fails."""

from __future__ import annotations

from pathlib import Path

import nearfar as nf


def test_lists_that_leave_no_item_are_refused(fails, tmp_path: Path) -> None:
    log = nf.read_log("synthetic:60x30x600")
    train = log.interactions()
    model = nf.Popularity().fit(train)
    nf.save_bundle(nf.Bundle.of(model, nf.Popularity(), train), tmp_path / "bundle")
    ids = [str(value) for value in train.item_ids.ids]
    (tmp_path / "deny.txt").write_text("\n".join(ids))
    told = fails(
        "recommend", tmp_path / "bundle", "--items", ids[0], "--deny", tmp_path / "deny.txt"
    )
    assert "no item is left to recommend" in told


def test_a_split_with_nothing_to_find_is_not_saved(fails, tmp_path: Path) -> None:
    rows = "".join(
        f"{user},{item}\n" for user in range(40) for item in range(user % 3, user % 3 + 2)
    )
    (tmp_path / "log.csv").write_text("user,item\n" + rows)
    told = fails("data", "split", tmp_path / "log.csv", "--out", tmp_path / "split", "-q")
    assert "has nothing to find" in told
    assert "a user needs 5 items to have a target" in told
    assert not (tmp_path / "split").exists()
