"""JSON that a fast parser reads otherwise than it is written: refused with its row."""

from __future__ import annotations

from pathlib import Path

import pytest

import nearfar as nf
from nearfar.core.errors import DataError
from nearfar.tables.table import ReadOptions

GOOD = '{"user":3,"item":6}'


def log_of(folder: Path, rows: list[str], *, array: bool = False) -> nf.Log:
    path = folder / ("log.json" if array else "log.jsonl")
    path.write_text(f"[{','.join(rows)}]" if array else "\n".join(rows) + "\n")
    return nf.read_log(path, options=ReadOptions(block_bytes=50))


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize(
    ("row", "message"),
    [
        ('{"user":1,"user":2,"item":5}', "'user' more than once, with 1 and 2"),
        ('{"user":1,"item":null,"item":5}', "'item' more than once, with null and 5"),
        ('{"user":1,"item":{"id":5,"id":6}}', "'id' more than once, with 5 and 6"),
        ('{"user":1,"item":[{"id":5,"id":6}]}', "'id' more than once"),
        ('{"user":12345678901234567.0,"item":5}', "fraction 12345678901234567.0"),
        ('{"user":0.1234567890123456789,"item":5}', "would lose digits"),
        ('{"user":1,"item":1.2345678901234567891e+25}', "would lose digits"),
        ('{"user":' + "9" * 40 + ',"item":5}', "has 40 digits, of at most 38; write it in quotes"),
        ('{"user":NaN,"item":5}', "NaN is not a JSON value; write null"),
        ('{"user":1,"item":-Infinity}', "-Infinity is not a JSON value"),
    ],
)
def test_json_that_would_be_read_otherwise_is_refused(
    row: str, message: str, array: bool, tmp_path: Path
) -> None:
    good = GOOD.replace("6", '{"id":6}') if '"item":{' in row else GOOD
    good = GOOD.replace("6", '[{"id":6}]') if '"item":[' in row else good
    with pytest.raises(DataError, match="row 31: .*" + message.replace("+", "[+]")):
        log_of(tmp_path, [good] * 30 + [row], array=array)


@pytest.mark.parametrize("array", [False, True])
def test_json_that_is_read_as_it_is_written(array: bool, tmp_path: Path) -> None:
    rows = [
        '{"user":12345678901234567890123,"item":"0.12345678901234567890"}',
        '{"user":12345678901234567890124,"item":"user","tags":"a","tags":"b"}',  # not read
        '{"user":12345678901234567890125,"item":"x","item":"x"}',
        '{"user":1234567890123456,"item":"\\"item\\":"}',
        '{"user":7.0,"item":0.25}',
    ]
    log = log_of(tmp_path, rows, array=array)
    assert log.frame.rows() == [
        ("12345678901234567890123", "0.12345678901234567890"),
        ("12345678901234567890124", "user"),
        ("12345678901234567890125", "x"),
        ("1234567890123456", '"item":'),
        ("7", "0.25"),
    ]


def test_hints_about_first_lines_are_for_text_alone(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no column known as the user") as error:
        log_of(tmp_path, ['{"who":1,"item":2}'])
    assert "--no-header" not in str(error.value)


@pytest.mark.parametrize("array", [False, True])
@pytest.mark.parametrize("at", [20_000, 39_999])
def test_a_key_that_comes_late_is_told_wherever_it_stands(
    at: int, array: bool, tmp_path: Path
) -> None:
    rows = ['{"user":1,"item":2,"note":"a \\"b\\": c"}'] * 40_000
    rows[at] = '{"user":1,"item":3,"note":"x","event":"refund","more":{"why":1}}'
    path = tmp_path / "log.json"
    text = "[" + ",\n".join(rows) + "]" if array else "\n".join(rows)
    path.write_text(text)
    log = nf.read_log(path)
    assert log.read is not None
    remark = next(r for r in log.read.remarks if r.startswith("keys that the first rows"))
    assert "'event' 1 times, 'more' 1 times, 'why' 1 times" in remark


def test_keys_that_are_known_are_not_late(tmp_path: Path) -> None:
    rows = ['{"user": {"id": 1}, "item" : [{"id": 2}], "x":"y\\":"}'] * 9
    log = log_of(tmp_path, rows)
    assert log.read is not None
    assert not [r for r in log.read.remarks if "first rows" in r]
