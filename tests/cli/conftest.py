"""A small log, its split and bundles, made through the commands themselves."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from nearfar.cli.main import run

TINY = [
    "--set", "n_latent=6", "--set", "decoder_hidden=[12]", "--set", "encoder=base",
    "--set", "encoder.hidden=[12]", "--set", "epochs=4", "--set", "batch_size=30",
]  # fmt: skip


def write_log(path: Path) -> Path:
    """200 users of two tastes, rated and dated; 30 items with titles beside."""
    rng = np.random.default_rng(0)
    rows = []
    for user in range(200):
        taste = 15 * (user % 2)
        for item in taste + np.flatnonzero(rng.random(15) < 0.6):
            rows.append((f"user{user}", int(item), int(rng.integers(3, 6)), 1_600_000_000 + user))
    frame = pl.DataFrame(rows, schema=["user_id", "item_id", "rating", "timestamp"], orient="row")
    frame.write_csv(path)
    return path


@pytest.fixture(scope="session")
def work(tmp_path_factory) -> Path:
    """A folder with log.csv, split, and the bundles pop, ease, plain, pia."""
    folder = tmp_path_factory.mktemp("work")
    log = str(write_log(folder / "log.csv"))
    split = str(folder / "split")
    assert run(["data", "split", log, "--out", split, "--held-out", "0.2", "--quiet"]) == 0
    for name, rest in {
        "pop": ["popularity"],
        "ease": ["ease", "--set", "l2=10"],
        "plain": ["multvae", *TINY],
        "pia": ["multvae", *TINY, "--set", "alignment=pia", "--set", "alignment.weight=0.1"],
    }.items():
        arguments = ["train", *rest, "--data", split, "--out", str(folder / name), "--quiet"]
        assert run(arguments) == 0
    return folder


@pytest.fixture
def as_json(capsys) -> Callable[..., dict[str, Any]]:
    """Run a command with --json and return the one object on stdout."""

    def call(*arguments: object) -> dict[str, Any]:
        capsys.readouterr()
        code = run([*map(str, arguments), "--json"])
        captured = capsys.readouterr()
        assert code == 0, captured.err
        assert captured.out.count("\n") == 1
        return json.loads(captured.out)

    return call


@pytest.fixture
def fails(capsys) -> Callable[..., str]:
    """Run a command that must fail; return what it said on stderr."""

    def call(*arguments: object, code: int = 1) -> str:
        capsys.readouterr()
        assert run(list(map(str, arguments))) == code
        captured = capsys.readouterr()
        assert captured.out == ""
        assert "Traceback" not in captured.err
        if code == 1:
            assert len(captured.err.strip().splitlines()) == 1, captured.err
        return captured.err

    return call
