"""Titles that a spreadsheet would compute."""

import io

import numpy as np
import polars as pl
import pytest

from nearfar.bundle.writers import open_writer

TITLES = ["=1+1", "+1", "-1", "@SUM(A1)", "\t=1", "\r=1", "a=1", "'quoted", None, ""]


@pytest.mark.parametrize("suffix", [".csv", ".tsv"])
@pytest.mark.parametrize("formulas", [False, True])
def test_titles_are_no_formulas_unless_asked_for(tmp_path, suffix: str, formulas: bool) -> None:
    n = len(TITLES)
    users = pl.Series("user", [f"=u{i}" for i in range(n)])
    frame = pl.DataFrame({"user": users, "rank": [1] * n, "item": ["-7"] * n, "title": TITLES,
                          "score": [0.5] * n})  # fmt: skip
    with open_writer(tmp_path / f"out{suffix}", formulas=formulas) as writer:
        writer.write(users, np.ones(n, int), frame)
    text = (tmp_path / f"out{suffix}").read_bytes()
    separator = "," if suffix == ".csv" else "\t"
    read = pl.read_csv(io.BytesIO(text), separator=separator, infer_schema=False)
    dangerous = [t is not None and t[:1] in tuple("=+-@\t\r") for t in TITLES]
    expected = [
        f"'{t}" if d and not formulas else t for t, d in zip(TITLES, dangerous, strict=True)
    ]
    assert read["title"].fill_null("").to_list() == [t or "" for t in expected]
    # Ids stay: they are joined on.
    assert read["user"].to_list() == users.to_list()
    assert read["item"].unique().to_list() == ["-7"]
