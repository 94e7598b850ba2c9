"""The settings that `nearfar pipeline init` writes, and the synthetic shop of its --example."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import numpy as np
import polars as pl

from nearfar.core.files import atomic_file

HEAD = """\
## A nearfar pipeline. Paths start from this file's folder; ${NAME} is an environment variable.
## A line with one # shows a default. A line with two # is an example or a remark.

registry = "registry"                # model versions, the current one, and the events of jobs
## metrics_file = "nearfar.prom"     # for the node exporter of Prometheus

"""
SOURCE = """\
[source]                             # where events come from
kind = "parquet"                     # a file or folder; of folders named date=YYYY-MM-DD or
##                                   # YYYY-MM-DD only those in the window are read
path = "events"                      # or "s3://bucket/events", or any other URL of fsspec
## kind = "csv"                      # text: CSV, TSV or JSON lines, recognised by name and content
## kind = "sql"
## url = "postgresql+psycopg://reader:${DB_PASSWORD}@host/db"
## table = "events"
## columns = { user = "customer_id", item = "sku", timestamp = "at", weight = "quantity" }
## columns = { user = "customer_id", item = "sku", timestamp = "at", kind = "event" }
##                                   # columns that are not set are recognised by their usual names;
##                                   # rows that are not interactions (event impression or refund,
##                                   # clicked 0) are left out and counted; kind = "" and
##                                   # outcome = "" keep them; kind = "csv" also has item_separator,
##                                   # for several items in one cell

"""
SINK = """\
[sink]                               # where recommendations go
kind = "parquet"
path = "recommendations"             # date=YYYY-MM-DD folders, replaced atomically
## kind = "sql"
## url = "sqlite:///recommendations.db"
## table = "recommendations"

"""
ITEMS = """\
## [items]                           # titles, for reports and the service
## path = "items.csv"                # CSV, Parquet or an SQLite file (with table = "products")
## item = "item"                     # its columns; by default recognised by their usual names
## title = "title"
## genres = "genres"
## encoding = "latin-1"              # for a text file that is not UTF-8
## features = ["genres"]             # add items newer than the training, by these columns
## exposure = 1.0                    # how often new items are recommended, relative to known ones

"""
REST = """\
[algorithm]                          # settings as in nearfar train
kind = "multvae"
## alignment = { kind = "pia", weight = 1.0 }  # the paper's term; see docs/production.md

[train]
# every_days = 7                     # days between trainings
# window_days = 90                   # days of events to train on: the paper's three months
## held_out = 0.1                    # share of users that are never trained on, half of these for
##                                   # the gates; by default set at the first training (.05 to .2)
# holdout_days = 7                   # the items of their last days are the targets
# warm_start = false                 # start from the weights of the published version
# publish = true                     # publish a version as soon as it passes the gates
# filters = { min_user = 0, min_item = 0 }
## filters = { max_user = 300 }      # leave out robots: users with more items
## kind_weights = "view=1,click=2,buy=5"  # by the column of kinds; other kinds are left out
## weights = "linear"                # or log, none: how weights are used in training; by default
##                                   # linear if columns.weight is set, as in nearfar train with
##                                   # --weight-column
## repeats = "max"                   # or sum: the weight of repeated events of a user and item
# track = []                         # log trainings to: ["mlflow:mlruns"]; tensorboard:DIR; wandb
# seed = 0
# device = "auto"                    # or cpu, cuda; for scoring too
# precision = "float32"              # or bfloat16: faster on processors with bfloat16 products
# checkpoint_seconds = 60.0          # longest time between checkpoints; 0: after every step
# exports = []                       # ["onnx"] for nearfar serve --registry --runtime onnx

[score]
# active_days = 28                   # score users with an event in this many days
# k = 20
# exclude_seen = true                # leave out items that the user had in the window
# deny = []                          # ids of items that are never recommended
## deny_file = "deny.txt"            # a file with one id per line; read at every scoring
## rerank = { kind = "mmr", diversity = 0.3 }  # or dpp, calibrated; see guide/reranking.md
## rules = "rules.toml"              # boosts, pins, exclusions, quotas; read at every scoring
# candidates = 10                    # per place of a re-ranked list
# part_users = 20000                 # users per part; a killed run continues after its last part
## experiment = "test.toml"          # an A/B test, as for nearfar abtest;
## arm = "control"                   # score only the users of this arm

[gates]                              # a new version against the current one, on the same users
# max_ndcg_drop = 0.02
# min_over_popularity = 0.0
# max_coverage_drop = 0.2
# max_group_drop = 0.1               # of any group of users by activity
# min_group_users = 100              # smaller groups are not judged
# max_catalogue_change = 0.5
# max_activity_change = 0.5
# max_collapsed = 0.9
# min_users = 10                     # held-out users; the first version passes with fewer

[retention]                          # by default everything is kept
## days = 90                         # days of published recommendations to keep
## versions = 12                     # model versions to keep; the current and the previous one stay

[contract]                           # limits for events; rejected rows go to registry/quarantine
# max_missing_share = 0.01
# max_unusable_share = 0.01
# max_misdated_share = 0.05
# max_repeated_share = 0.1
# max_rejected_share = 0.1
# clock_tolerance_seconds = 300.0    # how far an event may be ahead of this machine's clock
# min_volume_ratio = 0.3             # events of a day, relative to the median of the days before
# max_volume_ratio = 3.0
# volume_days = 1                    # number of latest days that are checked in this way
# median_days = 28                   # number of days before, for the median
# min_median_days = 7                # with fewer days before, a day is not checked
"""
TEMPLATE = HEAD + SOURCE + SINK + ITEMS + REST


TASTES = 20
PER_TASTE = 30
FIRST = date(2026, 1, 5)
N_DAYS = 98


def shop_events(day: date, n_users: int) -> pl.DataFrame:
    """Return the events of a day: columns user, item, timestamp (UTC).

    There are half as many events as users. Each user has one of 20 tastes and takes every fifth
    item from a random taste. A taste starts with 30 items and gains one per week; the first in its
    order are the most popular, and the order shifts with the days. The same day always has the same
    events.
    """
    n = (day - FIRST).days
    rng = np.random.default_rng([7, abs(n), n_users])
    users = rng.integers(n_users, size=n_users // 2)
    strays = rng.random(len(users)) < 0.2
    tastes = (users + strays * rng.integers(TASTES, size=len(users))) % TASTES
    n_items = PER_TASTE + max(n, 0) // 7
    ranks = (n_items * rng.random(len(users)) ** 2).astype(int)
    items = tastes * 1000 + (ranks + n // 4) % n_items
    seconds = np.sort(rng.integers(86_400, size=len(users)))
    start = int(datetime(day.year, day.month, day.day, tzinfo=UTC).timestamp())
    return pl.DataFrame({"user": users, "item": items, "timestamp": start + seconds}).with_columns(
        pl.from_epoch("timestamp").dt.replace_time_zone("UTC")
    )


def write_shop(folder: Path, n_users: int = 2000, n_days: int = N_DAYS) -> tuple[date, date]:
    """Write `date=YYYY-MM-DD/events.parquet` for each day; return the first and the last day."""
    days = [FIRST + timedelta(days=n) for n in range(n_days)]
    for day in days:
        target = folder / f"date={day}"
        target.mkdir(parents=True, exist_ok=True)
        with atomic_file(target / "events.parquet") as file:
            shop_events(day, n_users).write_parquet(file)
    return days[0], days[-1]
