"""Fourteen weeks of a made-up shop through the commands, disturbed and undisturbed.

    python -m tests.e2e.fourteen_weeks [--users 20000] [--folder DIR]

20,000 users with tastes that drift, a catalogue that grows. Two weekly trainings and fourteen
daily scorings, twice: once as they should go, once with a poisoned day, a bad candidate, a
rollback, a kill -9 in each job and a day scored twice. At the end all recommendations must be
the same, row by row. Fails with an AssertionError that says what is not.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import date, timedelta
from pathlib import Path
from typing import Any

import polars as pl

from nearfar.jobs.pipeline import read_pipeline
from nearfar.jobs.registry import Registry
from nearfar.jobs.template import FIRST, shop_events, write_shop
from nearfar.train.checkpoint import NAME

WEEKS = 14

CONFIG = """
[source]
kind = "parquet"
path = "events"
[sink]
kind = "{sink}"
{where}
[algorithm]
kind = "multvae"
preset = "fast"
epochs = {epochs}
learning_rate = {rate}
n_latent = 32
encoder = {{ kind = "base", hidden = [128] }}
decoder_hidden = [128]
[train]
window_days = 90
held_out = 0.1
checkpoint_seconds = 0.2
[score]
active_days = 14
k = 20
part_users = 500
[contract]
max_repeated_share = 0.3
"""


def write_day(folder: Path, day: date, n_users: int, times: int = 1) -> None:
    target = folder / "events" / f"date={day}"
    target.mkdir(parents=True, exist_ok=True)
    frame = shop_events(day, n_users)
    shifts = [pl.col("item") + 100_000 * n for n in range(times)]  # poisoned: as if by robots
    frame = pl.concat([frame.with_columns(item=shifted) for shifted in shifts])
    frame.write_parquet(target / "events.parquet")


class Shop:
    """A folder with events and settings, and the commands that are run in it."""

    def __init__(self, folder: Path, n_users: int, sink: str) -> None:
        self.folder, self.n_users, self.sink = folder, n_users, sink
        folder.mkdir(parents=True)
        where = 'path = "recommendations"'
        if sink == "sql":
            where = f'url = "sqlite:///{folder}/r.db"\ntable = "recommendations"'
        for name, epochs, rate in (("pipeline", 6, 3e-3), ("bad", 1, 1e-9)):
            text = CONFIG.format(sink=sink, where=where, epochs=epochs, rate=rate)
            if name == "bad":
                text = text.replace('preset = "fast"', "")
            (folder / f"{name}.toml").write_text(text)
        write_shop(folder / "events", n_users, 7 * WEEKS)
        self.said = ""  # by the last command, on stderr

    def command(
        self, *arguments: object, code: int = 0, config: str = "pipeline"
    ) -> dict[str, Any]:
        """Run `nearfar pipeline ...`; it must end with `code`."""
        done = subprocess.run(
            [*self._program(arguments, config), "--json"], capture_output=True, text=True,
            check=False,
        )  # fmt: skip
        assert done.returncode == code, (arguments, done.returncode, done.stderr)
        self.said = done.stderr
        return json.loads(done.stdout)

    def killed(self, *arguments: object, when: Callable[[], bool]) -> None:
        """Start a command, and kill -9 it as soon as `when` holds."""
        process = subprocess.Popen(
            self._program(arguments, "pipeline"), stderr=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )  # fmt: skip
        while process.poll() is None and not when():
            time.sleep(0.002)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL, f"{arguments} ended before it could be killed"

    def n_checkpoints(self, day: date) -> int:
        """1 where the training of a day has written a checkpoint."""
        folder = Registry(self.folder / "registry").unfinished_folder(day)
        return int((folder / NAME).is_file())

    def n_parts(self, day: date) -> int:
        """Parts of a day that are safe and not published."""
        if self.sink == "parquet":
            days = self.folder / "recommendations" / ".days" / str(day)
            return len(list(days.glob("*/part-*.parquet")))
        with contextlib.closing(
            sqlite3.connect(f"file:{self.folder}/r.db?mode=ro", uri=True, timeout=30)
        ) as database:
            query = "select count(*) from recommendations_parts where date = ?"
            return database.execute(query, (str(day),)).fetchone()[0]

    def _program(self, arguments: tuple[object, ...], config: str) -> list[str]:
        words = [str(a) for a in arguments]
        nearfar = str(Path(sys.executable).parent / "nearfar")
        return [nearfar, "pipeline", *words, "-c", str(self.folder / f"{config}.toml")]

    def recommendations(self) -> dict[date, pl.DataFrame]:
        """What readers see, day by day, but for names of versions and clocks."""
        sink = read_pipeline(self.folder / "pipeline.toml").sink
        return {d: sink.read(d).select("user", "rank", "item", "score") for d in sink.dates()}


def undisturbed(shop: Shop, days: list[date]) -> None:
    for n, day in enumerate(days):
        if n in (0, 7):
            shop.command("train", "--as-of", day)
            shop.command("publish")
        shop.command("score", "--as-of", day)


def disturbed(shop: Shop, days: list[date]) -> None:
    first = ""
    for n, day in enumerate(days):
        if n == 0:
            shop.killed("train", "--as-of", day, when=lambda day=day: shop.n_checkpoints(day) > 0)
            assert shop.command("status")["versions"] == []
            first = shop.command("train", "--as-of", day)["version"]
            assert "going on with the training" in shop.said, shop.said
            shop.command("publish")
        if n == 7:
            refused = shop.command("train", "--as-of", day, code=4, config="bad")
            assert not refused["passed"]
            by = {g["gate"] for g in refused["gates"] if not g["passed"]}
            assert "max_ndcg_drop" in by, f"refused by {by}, not for its NDCG"
            assert shop.command("publish")["current"] == first, "a refused candidate is current"
            second = shop.command("train", "--as-of", day)["version"]
            assert shop.command("publish")["current"] == second
            assert shop.command("rollback")["current"] == first
            shop.command("publish", second)
        if n == 3:
            write_day(shop.folder, day, shop.n_users, times=5)
            refused = shop.command("score", "--as-of", day, code=1)
            assert "rows are" in refused["error"] or "expected from a median" in refused["error"]
            assert str(day) not in map(str, shop.recommendations())
            write_day(shop.folder, day, shop.n_users)
        if n == 9:
            shop.killed("score", "--as-of", day, when=lambda day=day: shop.n_parts(day) >= 3)
            assert str(day) not in map(str, shop.recommendations())
        scored = shop.command("score", "--as-of", day)
        assert not scored["already"]
        assert (scored["n_resumed"] >= 1500) == (n == 9), scored
        if n == 10:
            assert shop.command("score", "--as-of", day)["already"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--users", type=int, default=20_000)
    parser.add_argument("--sink", choices=["parquet", "sql"], default="sql")
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    started = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        root = arguments.folder or Path(temporary)
        days = [FIRST + timedelta(days=7 * WEEKS - 14 + n) for n in range(14)]
        shops = {}
        for name, life in (("undisturbed", undisturbed), ("disturbed", disturbed)):
            shops[name] = Shop(root / name, arguments.users, arguments.sink)
            life(shops[name], days)
            print(f"{name}: {time.perf_counter() - started:.0f} s", flush=True)
        ours, theirs = (shop.recommendations() for shop in shops.values())
        assert list(ours) == list(theirs) == days
        for day in days:
            assert ours[day].equals(theirs[day]), f"{day} differs"
        rows = sum(frame.height for frame in ours.values())
        users = ours[days[-1]]["user"].n_unique()
        print(
            f"{len(days)} days, {rows:,} recommendations, {users:,} users on the last: all equal; "
            f"{time.perf_counter() - started:.0f} s"
        )


if __name__ == "__main__":
    main()
