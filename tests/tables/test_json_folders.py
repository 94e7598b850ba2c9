"""JSON files in folders: files of rows are read, files with one object are not."""

from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

import nearfar as nf
from nearfar.core.errors import DataError

ROWS = [{"user_id": "a", "item_id": f"i{n}", "stars": n} for n in range(1, 5)]
LINES = "".join(json.dumps(row) + "\n" for row in ROWS)


@pytest.mark.parametrize("text", [LINES, json.dumps(ROWS), json.dumps(ROWS, indent=2)])
def test_a_folder_of_json_is_read_like_its_file(text: str, tmp_path: Path) -> None:
    (tmp_path / "reviews.json").write_text(text)
    alone = nf.read_log(tmp_path / "reviews.json")
    (tmp_path / "manifest.json").write_text(json.dumps({"users": 9, "items": 3}))
    (tmp_path / "package.json").write_text(json.dumps({"user": "me", "item": "x"}, indent=2))
    (tmp_path / "metadata.json.gz").write_bytes(gzip.compress(b'{"version": 1}\n'))
    log = nf.read_log(tmp_path)
    assert log.frame.equals(alone.frame)
    assert log.read is not None
    assert log.read.skipped_files == ["manifest.json", "metadata.json.gz", "package.json"]


def test_a_part_with_one_row_is_read(tmp_path: Path) -> None:
    (tmp_path / "part-0.json").write_text(LINES)
    (tmp_path / "part-1.json").write_text('{"user_id": "b", "item_id": "i1", "stars": 2}\n')
    assert nf.read_log(tmp_path).n_events == 5


def test_json_without_rows_is_no_table(tmp_path: Path) -> None:
    (tmp_path / "manifest.json").write_text('{"user": 1, "item": 2}\n')
    (tmp_path / "list.json").write_text("[1, 2]")
    (tmp_path / "empty.json").write_text("")
    with pytest.raises(DataError, match="no data in a known format"):
        nf.read_log(tmp_path)
    (tmp_path / "log.csv").write_text("user,item\n1,7\n")
    log = nf.read_log(tmp_path)
    assert log.n_events == 1
    assert log.read is not None
    assert log.read.skipped_files == ["empty.json", "list.json", "manifest.json"]
